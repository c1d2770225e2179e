"""Transforms on disk.

transform_json.py     transform.json, our own format; grid.py: the pixel grid of the fixed image in it
side_files.py         the files beside that of a transform that bends: coefficients, displacement
bends.py              transforms of other tools that bend
fitted.py             a transform of another tool that bends, as a spline of ours
formats.py            the table of all formats, told by name or content; a new one is a module and an entry there
linear.py             the transform that every format is read into, and numbers in text
itk.py  elastix.py  opencv.py  turboreg.py  bare_matrix.py    the files of each tool: recognizes, parse, serialize
metaimage.py  bunwarpj.py  displacement_tiff.py  ome_zarr_field.py    the same for displacements of all pixels
points.py             tables of points, mapped through a transform
"""
