"""The frames of an animation: GIF, WebP and PNG, read by Pillow from the first to the last."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import GifImagePlugin
from PIL import Image as PillowImage

from zncc_cli.files.kept_palette import colours_of, kept_palette
from zncc_cli.files.options import ReadOptions
from zncc_cli.files.palette import Palette

CheckSize = Callable[[tuple[int, ...], DTypeLike], None]
"""Raises an error where pixels of a shape and dtype take too much memory."""


def read_animation(
    path: Path, frames: int, options: ReadOptions, check_size: CheckSize
) -> tuple[NDArray[Any], Palette | None]:
    """Read all frames: (T, H, W) if all are grey and opaque, else (T, H, W, S) of 2 to 4 samples.

    Numbers of the colours of one palette are (T, H, W), where they are read as they are stored, with the palette.

    After a step back, as imageio takes it, the frames of a PNG with a palette are black.
    """
    with _same_palettes_stay(options.indices):
        modes, has_key_colour = set(), False
        last, palettes = 0, list[NDArray[np.uint8]]()
        with PillowImage.open(path) as picture:
            transparency = picture.info.get("transparency")
            for frame in range(frames):
                picture.seek(frame)
                picture.load()  # a GIF knows the mode of a frame only then
                modes.add(picture.mode)
                has_key_colour = has_key_colour or "transparency" in picture.info
                if modes == {"P"}:
                    last = max(last, int(np.asarray(picture).max()))
                    if not palettes or not np.array_equal(palettes[-1], colours_of(picture)):
                        palettes.append(colours_of(picture))
        # One palette for all frames: of several, the same number is another colour in another frame.
        is_indexed = modes == {"P"} and len(palettes) == 1
        palette = kept_palette(palettes[0], last, options, transparency) if is_indexed else None
        mode = "P" if palette is not None else _common_mode(modes, has_key_colour=has_key_colour)
        data = _read_frames(path, frames, mode, check_size)
    if mode == "RGB" and all((frame[..., :1] == frame).all() for frame in data):
        data = np.ascontiguousarray(data[..., 0])  # of a GIF all frames but the first are read in RGB
    return data, palette


def _common_mode(modes: set[str], *, has_key_colour: bool) -> str:
    """Return Pillow's mode in which all frames are read."""
    if modes <= {"I;16"}:
        return "I;16"
    if modes <= {"1", "L", "LA"} and not has_key_colour:
        return "LA" if "LA" in modes else "L"
    return "RGBA" if has_key_colour or any(mode.endswith(("A", "a")) for mode in modes) else "RGB"


def _read_frames(path: Path, frames: int, mode: str, check_size: CheckSize) -> NDArray[Any]:
    data: NDArray[Any] | None = None
    with PillowImage.open(path) as picture:
        for frame in range(frames):
            picture.seek(frame)
            pixels = np.asarray(picture if picture.mode == mode else picture.convert(mode))
            if data is None:
                check_size((frames, *pixels.shape), pixels.dtype)
                data = np.empty((frames, *pixels.shape), pixels.dtype)
            data[frame] = pixels
    assert data is not None
    return data


@contextmanager
def _same_palettes_stay(indices: bool) -> Iterator[None]:
    """Let Pillow keep the numbers of the colours of a GIF whose frames have one palette, where they are asked for."""
    strategy = GifImagePlugin.LOADING_STRATEGY
    if indices:
        GifImagePlugin.LOADING_STRATEGY = GifImagePlugin.LoadingStrategy.RGB_AFTER_DIFFERENT_PALETTE_ONLY
    try:
        yield
    finally:
        GifImagePlugin.LOADING_STRATEGY = strategy
