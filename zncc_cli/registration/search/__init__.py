"""Where to start, which starts to follow, and which model to fit."""
