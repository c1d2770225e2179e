"""The interface of a tool that registers two images. It needs no torch, so that peers run without it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Image = NDArray[np.float32]
Masks = tuple[NDArray[np.bool_], NDArray[np.bool_]]

ALL_MODELS = ("translation", "rigid", "similarity", "affine", "homography")
WITHOUT_HOMOGRAPHY = ALL_MODELS[:-1]
# The longest side for tools that take 160 bytes a pixel and more: pystackreg; elastix with its pyramids, 230; and SIFT,
# which doubles the image, and keeps six blurred float32 copies and their five differences of each octave, 235.
GREEDY_SIDE_PX = 4096


@dataclass(frozen=True)
class Answer:
    """A (3, 3) matrix, fixed -> moving, (x, y) pixels, and the tool's own verdict on it, empty where it gives none."""

    matrix: Array
    verdict: str = ""


@dataclass(frozen=True)
class Contender:
    """A tool: ``call(fixed, moving, model, masks)`` returns an answer, or raises an exception where it finds none.

    Images are (H, W) float32 with a range of about 0 to 1. ``masks`` are the valid pixels of fixed and moving, or
    None; only a tool that ``takes_masks`` is given any. A tool is called with one of its ``models`` only, and on
    images of up to ``max_side`` pixels, beyond which its memory would not fit beside others'.
    """

    name: str
    call: Callable[[Image, Image, str, Masks | None], Answer]
    models: tuple[str, ...] = ALL_MODELS
    takes_masks: bool = False
    max_side: int = sys.maxsize


def full(matrix: object) -> Array:
    """Return a 2 x 3 or 3 x 3 matrix as (3, 3) with a last entry of one.

    Raises:
        RuntimeError: ``matrix`` is None.
    """
    if matrix is None:
        raise RuntimeError("no transform was found")
    rows = np.asarray(matrix, dtype=np.float64)
    rows = rows if rows.shape == (3, 3) else np.vstack((rows, (0, 0, 1)))
    return np.asarray(rows / rows[2, 2])
