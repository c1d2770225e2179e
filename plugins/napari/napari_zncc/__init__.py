"""A panel of napari that aligns one image layer to another."""
