"""What a person or a program reads after a run: JSON, pictures to look at, a table on the terminal."""

from __future__ import annotations

import enum
import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont
from rich.console import Console
from rich.text import Text

from zncc_cli.files.folder import atomic_write
from zncc_cli.report.grey import Limits, block_sums, robust_limits, stretched
from zncc_cli.text import shown

# Two panels and the gap between them stay below the 2400 pixels that fit a screen or a page.
_PANEL_SIDE = 1190
_GAP = 8
_BACKGROUND = 40  # dark neutral: neither magenta nor green, and darker than most agreement
_BAND = 2**18  # pixels worked on at a time


def json_text(content: Mapping[str, Any]) -> str:
    """Return ``content`` as strict JSON.

    NaN and infinities become null; numpy scalars and arrays, paths and enums become numbers, lists and text.

    Raises:
        TypeError: a value of another kind, which is a mistake of the caller.
    """
    return json.dumps(plain(content), indent=2, allow_nan=False)


def write_json(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write ``content`` as strict JSON, see `json_text`.

    Raises:
        OutputError: the file cannot be written.
    """
    with atomic_write(Path(path)) as file:
        file.write((json_text(content) + "\n").encode())


def plain(value: Any) -> Any:
    """Return ``value`` as JSON holds it, see `json_text`."""
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    raise TypeError(f"report: expected numbers, text, lists and mappings, found {type(value).__name__}")


def overlay(
    fixed: NDArray[Any],
    aligned_before: NDArray[Any],
    aligned_after: NDArray[Any],
    valid_before: NDArray[np.bool_],
    valid_after: NDArray[np.bool_],
    *,
    alone: bool = False,
) -> NDArray[np.uint8]:
    """Panels "before" and "after" side by side: fixed in magenta, moving in green, grey where they agree.

    All arrays are (H, W) on one frame; ``valid_*`` says where the moving image has a value. Returns uint8
    (H', W', 3), reduced by area averaging until W' is at most 2400; the labels stand in a band above the panels.
    In each panel both images are stretched between their own 0.5 and 99.5 percentiles over the pixels that both
    have; the other pixels are dark grey, or, with ``alone``, those that one of them has are in its colour.
    """
    before = _panel(fixed, aligned_before, valid_before, alone)
    after = _panel(fixed, aligned_after, valid_after, alone)
    gap = np.full((before.shape[0], _GAP, 3), _BACKGROUND, dtype=np.uint8)
    panels = np.concatenate([before, gap, after], axis=1)
    return np.concatenate([_labels(before.shape[1], panels.shape[1]), panels], axis=0)


def std_picture(values: NDArray[Any]) -> NDArray[np.uint8]:
    """``values`` (H, W) as grey levels, uint8 (H, W): 1 to 255 between the 0.5 and 99.5 percentiles, 0 where NaN."""
    known = np.isfinite(values)
    grey = np.rint(1 + 254 * stretched(values, known, robust_limits(values, known))).astype(np.uint8)
    grey[~known] = 0
    return grey


def summary_table(rows: Iterable[tuple[str, object]], console: Console) -> None:
    """Print (label, value) rows to ``console`` as two columns, a line each; brackets in them are text, not markup."""
    rows = list(rows)
    width = max((len(label) for label, _ in rows), default=0)
    for label, value in rows:
        console.print(Text.assemble((f"{label:<{width}}  ", "bold"), shown(str(value))), soft_wrap=True)


def _panel(fixed: NDArray[Any], moving: NDArray[Any], valid: NDArray[np.bool_], alone: bool) -> NDArray[np.uint8]:
    there = np.isfinite(fixed), valid & np.isfinite(moving)
    both = there[0] & there[1]
    known = there if alone else (both, both)
    factor = max(1, math.ceil(max(both.shape) / _PANEL_SIDE))
    limits = [
        robust_limits(image, both if both.any() else mine) for image, mine in zip((fixed, moving), known, strict=True)
    ]
    # Band by band: the intermediate float images of a large picture stay in the processor's cache.
    height = factor * max(1, _BAND // (factor * both.shape[1]))
    bands = [slice(top, top + height) for top in range(0, both.shape[0], height)]
    images = tuple(zip((fixed, moving), known, limits, strict=True))
    return np.concatenate(
        [_mixed([(image[band], mine[band], ends) for image, mine, ends in images], factor) for band in bands]
    )


def _mixed(images: Iterable[tuple[NDArray[Any], NDArray[np.bool_], Limits]], factor: int) -> NDArray[np.uint8]:
    """Fixed in magenta and moving in green (H', W', 3), each where it is known, by means over areas."""
    sums = [
        (block_sums(stretched(*image), factor), block_sums(image[1].astype(np.float32), factor)) for image in images
    ]
    magenta, green = (total / np.maximum(weight, 1) for total, weight in sums)
    levels: NDArray[np.uint8] = np.rint(255 * np.stack([magenta, green, magenta], axis=-1)).astype(np.uint8)
    levels[(sums[0][1] == 0) & (sums[1][1] == 0)] = _BACKGROUND
    return levels


def _labels(panel_width: int, width: int) -> NDArray[np.uint8]:
    """The band above the panels, drawn in Pillow's built-in font, which needs no file."""
    zoom = max(1, panel_width // 400)
    band = PillowImage.new("L", (math.ceil(width / zoom), 16), _BACKGROUND)
    draw = ImageDraw.Draw(band)
    font = ImageFont.load_default()
    for text, left in (("before", 0), ("after", panel_width + _GAP)):
        draw.text((left / zoom + 2, 2), text, fill=230, font=font)
    pixels = np.asarray(band).repeat(zoom, axis=0).repeat(zoom, axis=1)[:, :width]
    return np.repeat(pixels[..., None], 3, axis=2)
