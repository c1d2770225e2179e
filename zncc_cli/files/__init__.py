"""Formats on disk: image files are read and written here, transforms too, and output appears whole or not at all.

image.py  images.py             Image: pixels, axes and metadata; read_image: which reader a file gets
raster.py  npy.py  ome_zarr.py  one reader for each format (PNG, JPEG, ... are raster*.py)
tiff/                           TIFF, OME-TIFF and ImageJ
lazy.py  pages.py  memory.py    large images decoded in parts; one page of several; how much memory is left
metadata.py                     pixel size, georeference, flavour, tags, ... of an image
inflation.py  zarr_store.py     limits on what compressed chunks of an OME-Zarr take
image_output.py  png.py           images and pictures written
output_folder.py                files and folders that are never half-written
paths.py  digest.py             paths that cannot be read, and the errors that say so; digests of content
transforms/                     transform.json, transforms of other tools, tables of points
"""
