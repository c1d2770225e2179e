"""One pair of files: read, registered, resampled, written, reported."""
