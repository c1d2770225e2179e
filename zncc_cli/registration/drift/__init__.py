"""Many frames at once: pairs of frames, and the path that explains them."""
