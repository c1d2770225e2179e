"""The local ZNCC of two images: maps, the loss that is descended, and how it changes with a transform."""
