"""TIFF in all its flavours, read and written."""
