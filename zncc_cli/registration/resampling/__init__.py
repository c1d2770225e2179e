"""The moving image on the fixed image's pixels, or on a larger or smaller canvas."""
