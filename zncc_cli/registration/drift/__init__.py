"""The drift of a movie: motions between pairs of its frames, and the path of all frames that follows from them."""
