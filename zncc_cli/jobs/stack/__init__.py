"""One movie or z-stack: every frame put on one of them."""
