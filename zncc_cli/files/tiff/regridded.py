"""The texts of an image that is written on the grid of another: what they say of the scale is that grid's."""

from __future__ import annotations

import math
from dataclasses import replace

from zncc_cli.files.metadata import Metadata, PixelSize, Tag
from zncc_cli.files.tiff.calibration import length_unit, pixel_size
from zncc_cli.files.tiff.copied_tags import tag_name
from zncc_cli.files.tiff.scale_statements import has_scale, on_grid

_REL_TOLERANCE = 1e-6  # by which sizes differ that are the same, stored in another unit


def on_the_grid_of(like: Metadata | None, frame: Metadata | None) -> tuple[Metadata | None, list[str]]:
    """Return ``like`` with texts that hold for the grid of ``frame``, and a sentence where something is left out.

    Texts are the description, also of OME, ImageJ's Info, and tags of text. They stay as they are where both grids have
    the same scale.
    """
    if like is None or like is frame or _is_same_scale(like, frame):
        return like, []
    size = None if frame is None else pixel_size(frame)
    changed: list[str] = []
    description, cut = on_grid(like.description, size, frame.description if frame else "")
    changed += ["the description"] * cut
    properties = dict(like.properties)
    for key in ("Info", "Description"):
        if isinstance(properties.get(key), str):
            properties[key], cut = on_grid(properties[key], size, "")
            changed += [f"the {key}"] * cut
            if not properties[key]:
                del properties[key]
    tags: list[Tag] = []
    for tag in like.tags:
        code, _, _, value = tag
        if isinstance(value, str) and has_scale(value):
            changed.append(tag_name(code))
        else:
            tags.append(tag)
    notes = [f"what {', '.join(changed)} of {like.path.name} says of the scale was left out"] if changed else []
    return replace(like, description=description, properties=properties, tags=tuple(tags)), notes


def _is_same_scale(like: Metadata, frame: Metadata | None) -> bool:
    """Tell whether the grids of both have pixels of the same size, which is known or described in the same words."""
    if frame is None:
        return False
    a, b = pixel_size(like), pixel_size(frame)
    if a is None or b is None:
        return a is b and like.description == frame.description
    (x, y, unit), (other_x, other_y, other_unit) = _sides(a), _sides(b)
    same = (math.isclose(side, other, rel_tol=_REL_TOLERANCE) for side, other in ((x, other_x), (y, other_y)))
    return unit == other_unit and all(same)


def _sides(size: PixelSize) -> tuple[float, float, str]:
    """Return the sides of a pixel in metres, or in a unit that is no known length, and that unit."""
    unit = length_unit(size.unit)
    return (size.x, size.y, size.unit) if unit is None else (size.x * unit.metres, size.y * unit.metres, "m")
