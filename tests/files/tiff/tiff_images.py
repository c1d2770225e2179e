"""Images as the readers of TIFF return them, the files that are written of them, and what stands in these."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import tifffile

from zncc_cli.files.image_output import write_image
from zncc_cli.files.images import Image
from zncc_cli.files.metadata import Metadata, PixelSize, Resolution
from zncc_cli.files.tiff.layout import STRIP_ROWS

# More rows than a strip has, so that a plane is written in two.
H, W = STRIP_ROWS + 88, 60

MICRON = PixelSize(x=0.25, y=0.5, unit="µm")
OME = "{http://www.openmicroscopy.org/Schemas/OME/2016-06}"


def pixels(*shape, dtype="u2", seed=0):
    values = np.random.default_rng(seed).integers(0, 100, shape)
    return values.astype(dtype)


def image(axes="YX", shape=(H, W), dtype="u2", **metadata):
    return Image(pixels(*shape, dtype=dtype), axes, Metadata(path=Path("a.tif"), format="TIFF", **metadata))


def hyperstack(axes="TZCYX", shape=(3, 2, 2, H, W), dtype="u2", **properties):
    stored = Resolution(x=(4, 1), y=(2, 1))
    return image(axes, shape, dtype, flavor="imagej", pixel_size=MICRON, resolution=stored, properties=properties)


def written(folder, like, **options):
    """Write the pixels of ``like``; return the file and the notes."""
    notes = write_image(folder / "b.tif", like.data, like=like, **options)
    return folder / "b.tif", notes


def tags(path):
    with tifffile.TiffFile(path) as file:
        return {tag.code: tag.value for tag in file.pages.first.tags}


def ome_pixels(path):
    return ElementTree.fromstring(tags(path)[270]).find(f"{OME}Image/{OME}Pixels")
