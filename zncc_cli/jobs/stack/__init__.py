"""One movie or z-stack: its frames are aligned to one of them."""
