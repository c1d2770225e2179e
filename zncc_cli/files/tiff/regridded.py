"""What an image says of its scale, when it is written on the grid of another: what it says then is that grid's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from zncc_cli.files.metadata import Metadata, PageTags, PixelSize, Tag
from zncc_cli.files.tag_values import DESCRIPTION, text_of
from zncc_cli.files.tiff.calibration import length_unit, pixel_size
from zncc_cli.files.tiff.copied_tags import GATAN_SCALES, GATAN_TAGS, GRID_TAGS, SENSOR_TAGS, tag_name
from zncc_cli.files.tiff.scale_statements import has_scale, on_grid
from zncc_cli.files.tiff.xmp import XMP

_REL_TOLERANCE = 1e-6  # by which sizes differ that are the same, stored in another unit
_REL_TOLERANCE_OF_TAGS = 1e-4  # of a size in a private tag, which may be rounded
_FIRST_PRIVATE_TAG, _DOUBLE = 32768, 12
_WITHOUT_SCALE = frozenset({XMP, 33723, 34675})  # IPTC, ICC profile; XMP is rewritten for itself
_POWERS_OF_TEN = range(-3, 13)  # between a unit of length and the metre: km to pm


def on_the_grid_of(like: Metadata | None, frame: Metadata | None) -> tuple[Metadata | None, list[str]]:
    """Return ``like`` with texts and tags that hold for the grid of ``frame``, and a sentence of what is left out.

    Texts are the descriptions, also of OME, of ImageJ and of further pages, and tags of text. A private tag of bytes
    that are no text may hold anything, and stays only where both grids have the same scale or none is known. Tags that
    do not stay are among the names of what is left out.
    """
    if like is None or like is frame or is_same_scale(like, frame):
        return like, []
    size = None if frame is None else pixel_size(frame)
    changed: list[str] = []
    description, cut = like.description, False
    if frame is None or description != frame.description:
        description, cut = on_grid(description, size, frame.description if frame else "")
    changed += ["the description"] * cut
    properties: dict[str, Any] = {}
    for key, value in like.properties.items():
        kept, cut = _property_on_grid(value, size)
        changed += [f"the {key}"] * cut
        if kept != "" or not cut:
            properties[key] = kept
    same_tags = {tag[0]: tag for tag in frame.tags} if frame else {}
    tags = [tag for tag in like.tags if same_tags.get(tag[0]) == tag or not _has_scale(tag, like, size)]
    left_out = [tag_name(tag[0]) for tag in like.tags if tag not in tags]
    page_tags, left_out_of_pages = _pages_on_grid(like, size)
    notes = [f"what {', '.join(changed)} of {like.path.name} says of the scale was left out"] if changed else []
    regridded = replace(
        like,
        description=description,
        properties=properties,
        tags=tuple(tags),
        page_tags=page_tags,
        left_out=(*like.left_out, *left_out, *left_out_of_pages),
    )
    return regridded, notes


def _property_on_grid(value: Any, size: PixelSize | None) -> tuple[Any, bool]:
    """Return a text, or a list or dict of texts, for the grid, and whether something was left out."""
    if isinstance(value, str):
        return on_grid(value, size, "")
    if isinstance(value, list | tuple) and all(isinstance(text, str) for text in value):
        texts = [on_grid(text, size, "") for text in value]
        cut = any(is_cut for _, is_cut in texts)
        return (type(value)(text for text, _ in texts) if cut else value), cut
    if isinstance(value, Mapping) and any(isinstance(text, str) for text in value.values()):
        kept = {key: text for key, text in value.items() if not (isinstance(text, str) and has_scale(f"{key}: {text}"))}
        return (kept, True) if len(kept) < len(value) else (value, False)
    return value, False


def _pages_on_grid(like: Metadata, size: PixelSize | None) -> tuple[tuple[PageTags, ...], list[str]]:
    """Return the tags of further pages that hold for the grid, and the names of those that do not."""
    changed: dict[str, None] = {}
    pages = [*like.page_tags[:1]]  # those of the first page are among the tags of the image
    for page in like.page_tags[1:]:
        kept = []
        for tag in page:
            code, kind, _, _ = tag
            if code == DESCRIPTION:
                text, cut = on_grid(text_of(tag) or "", size, "")
                if cut:
                    changed["what descriptions of further pages say of the scale"] = None
                    content = text.encode("utf-8", "replace") + b"\0"
                    tag = (code, kind, len(content), content)
                if not text:
                    continue
            elif _has_scale(tag, like, size):
                changed[f"{tag_name(code)} of further pages"] = None
                continue
            kept.append(tag)
        pages.append(tuple(kept))
    return tuple(pages), list(changed)


def _has_scale(tag: Tag, like: Metadata, size: PixelSize | None) -> bool:
    """Tell whether a tag of ``like`` says, or may say, how large its pixels are; ``size`` is that of the grid."""
    code, _, _, value = tag
    if code in GRID_TAGS | SENSOR_TAGS or (code in GATAN_TAGS and like.tags and _is_of_gatan(like)):
        return True
    if code in _WITHOUT_SCALE:
        return False
    text = text_of(tag)
    if text is not None:
        return has_scale(text)
    if code < _FIRST_PRIVATE_TAG:
        return False
    own = pixel_size(like)
    if isinstance(value, bytes):
        return own is not None or size is not None or has_scale(value.replace(b"\0", b"").decode("latin-1"))
    return own is not None and any(_is_length(number, own) for number in _numbers(value))


def _is_of_gatan(like: Metadata) -> bool:
    kinds = {tag[0]: tag[1] for tag in like.tags}
    return all(kinds.get(code) == _DOUBLE for code in GATAN_SCALES)


def _numbers(value: Any) -> list[float]:
    values = value if isinstance(value, list | tuple) else [value]
    return [float(number) for number in values if isinstance(number, int | float) and not isinstance(number, bool)]


def _is_length(number: float, size: PixelSize) -> bool:
    """Tell whether a number is a side of a pixel, or pixels per length, in some unit."""
    unit = length_unit(size.unit)
    if not math.isfinite(number) or number <= 0 or number == int(number):
        return False  # counts and settings are whole
    scales = [10.0**power for power in _POWERS_OF_TEN] if unit else [1.0]
    sides = {side * (unit.metres if unit else 1.0) * scale for side in (size.x, size.y) for scale in scales}
    return any(
        math.isclose(number, other, rel_tol=_REL_TOLERANCE_OF_TAGS) for side in sides for other in (side, 1 / side)
    )


def is_same_scale(like: Metadata, frame: Metadata | None) -> bool:
    """Tell whether the grids of both have pixels of the same size, which is known."""
    if frame is None:
        return False
    a, b = pixel_size(like), pixel_size(frame)
    if a is None or b is None:
        return False
    (x, y, unit), (other_x, other_y, other_unit) = _sides(a), _sides(b)
    same = (math.isclose(side, other, rel_tol=_REL_TOLERANCE) for side, other in ((x, other_x), (y, other_y)))
    return unit == other_unit and all(same)


def _sides(size: PixelSize) -> tuple[float, float, str]:
    """Return the sides of a pixel in metres, or in a unit that is no known length, and that unit."""
    unit = length_unit(size.unit)
    return (size.x, size.y, size.unit) if unit is None else (size.x * unit.metres, size.y * unit.metres, "m")
