"""Pairs in which some pixels show nothing of the scene: gaps of one value, pixels that are not finite, hot pixels.

Such pixels belong to the camera, so they stay in place while the scene moves. Pairs come in two halves with different
scenes and seeds: settings were chosen on the one half, and claims are made from the other, held out.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.registration.pairs.motion import SIZES, draw
from benchmarks.registration.pairs.scenery import TwoViews

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
DrawMask = Callable[[tuple[int, int], np.random.Generator], Mask]

HALVES = ("chosen", "held out")
SHAPE = (256, 320)
_SCENES = (("cells", "farmland", "speckle"), ("steel", "board", "farmland"))
_MODELS = ("translation", "rigid", "affine", "homography")
_NOISE_STD = 0.05  # of the scene's standard deviation


@dataclass(frozen=True, eq=False)
class MissingPair:
    """Two frames (H, W), and the (3, 3) truth, fixed -> moving, (x, y) pixels.

    Attributes:
        group: gaps, not finite, or hot pixels.
        kind: the pattern of the pixels.
        model: the model of the transform.
        masks: of fixed and moving, true where pixels show the scene; None where the tool is given none.
    """

    group: str
    kind: str
    model: str
    fixed: NDArray[np.float32]
    moving: NDArray[np.float32]
    matrix: Array
    masks: tuple[Mask, Mask] | None = None


def _lines(width: int, period: int, axis: int) -> DrawMask:
    """Return a function that draws lines of ``width`` pixels in every ``period`` along ``axis``."""

    def draw_mask(shape: tuple[int, int], random: np.random.Generator) -> Mask:
        line = (np.arange(shape[axis]) + random.integers(period)) % period < width
        return np.broadcast_to(line[:, None] if axis == 0 else line[None, :], shape).copy()

    return draw_mask


def _scattered(share: float, side: int = 1) -> DrawMask:
    """Return a function that draws squares of ``side`` pixels that cover about ``share`` of the frame."""

    def draw_mask(shape: tuple[int, int], random: np.random.Generator) -> Mask:
        corners = random.random(shape) < share / side**2
        mask = np.zeros(shape, np.bool_)
        for dy, dx in itertools.product(range(side), range(side)):
            mask[dy:, dx:] |= corners[: shape[0] - dy, : shape[1] - dx]
        return mask

    return draw_mask


GAPS: dict[str, DrawMask] = {
    "2 of 6 rows": _lines(2, 6, 0),
    "1 of 16 rows": _lines(1, 16, 0),
    "4 of 20 rows": _lines(4, 20, 0),
    "3 of 12 columns": _lines(3, 12, 1),
    "squares of 4, 10 %": _scattered(0.1, 4),
}
NOT_FINITE: dict[str, DrawMask] = {
    "0.5 % scattered": _scattered(0.005),
    "1 % scattered": _scattered(0.01),
    "2 % scattered": _scattered(0.02),
    "5 % scattered": _scattered(0.05),
    "a column of 32": _lines(1, 32, 1),
    "10 of 33 columns, masked": _lines(10, 33, 1),
}


def gap_pairs(half: str) -> Iterator[MissingPair]:
    """Yield 60 pairs: gaps of zeros at the same places in both images, or at others, or in one of them."""
    half_index = HALVES.index(half)
    choices = itertools.product(GAPS, ("both", "elsewhere", "one"), _MODELS)
    for number, (kind, where, model) in enumerate(choices):
        random = np.random.default_rng(50_000 + 1000 * half_index + number)
        fixed, moving, matrix = _frames(model, number, half_index, random)
        lost = [GAPS[kind](SHAPE, random)]
        lost.append(lost[0] if where == "both" else GAPS[kind](SHAPE, random))
        if where == "one":
            lost[number % 2][:] = False
        frames = (np.where(gone, 0, frame) for gone, frame in zip(lost, (fixed, moving), strict=True))
        yield MissingPair("gaps", f"{kind}, {where}", model, *_as_camera(*frames), matrix)


def not_finite_pairs(half: str) -> Iterator[MissingPair]:
    """Yield 30 pairs with pixels that are NaN, or that a mask leaves out."""
    half_index = HALVES.index(half)
    choices = itertools.product(NOT_FINITE, ("translation", "rigid", "affine", "affine", "homography"))
    for number, (kind, model) in enumerate(choices):
        random = np.random.default_rng(60_000 + 1000 * half_index + number)
        fixed, moving, matrix = _frames(model, number, half_index, random)
        lost = [NOT_FINITE[kind](SHAPE, random)]
        lost.append(lost[0] if "column" in kind else NOT_FINITE[kind](SHAPE, random))
        masked = "masked" in kind
        frames = (
            np.where(gone, 0 if masked else np.nan, frame) for gone, frame in zip(lost, (fixed, moving), strict=True)
        )
        masks = (~lost[0], ~lost[1]) if masked else None
        yield MissingPair("not finite", kind, model, *(f.astype(np.float32) for f in frames), matrix, masks)


def hot_pairs(half: str) -> Iterator[MissingPair]:
    """Yield 12 pairs: stars or beads on a dark ground, moved by 20 pixels or so, under pixels that stay."""
    half_index = HALVES.index(half)
    stars, beads = ((512, 512), 60, (20, 40)), ((256, 256), 25, (25, 50))
    choices = itertools.product((stars, beads), (0, 1), ("translation", "rigid", "affine"))
    for number, ((shape, count, hot_counts), density, model) in enumerate(choices):
        random = np.random.default_rng(70_000 + 1000 * half_index + number)
        matrix = draw(model, SIZES["small"], shape, random)
        bearing = random.uniform(0, 2 * np.pi)
        matrix[:2, 2] += 20 * np.array([np.cos(bearing), np.sin(bearing)])
        bright = 0.04 ** random.uniform(size=count)  # few bright ones, many faint ones
        places = random.uniform(-30, 30 + np.array(shape[::-1]), (count + count // 4, 2))
        bright = np.resize(bright, len(places))
        frames = []
        hot_places = tuple(random.integers(0, n, hot_counts[density]) for n in shape)
        level = 4.0 * 0.1 ** random.uniform(size=hot_counts[density])  # warm to saturated
        for to_frame in (np.eye(3), matrix):
            points = np.column_stack((places, np.ones(len(places)))) @ to_frame.T
            frame = _spots(shape, points[:, :2] / points[:, 2:], bright, 1.3) + 0.1
            frame += 0.01 * random.standard_normal(shape)
            frame[hot_places] = 0.1 + level
            frames.append(frame)
        kind = f"{hot_counts[density]} hot pixels, {count} {'stars' if count == 60 else 'beads'}"
        yield MissingPair("hot pixels", kind, model, *_as_camera(*frames), matrix)


GROUPS = {"gaps": gap_pairs, "not finite": not_finite_pairs, "hot pixels": hot_pairs}


def _frames(model: str, number: int, half_index: int, random: np.random.Generator) -> tuple[Array, Array, Array]:
    size = list(SIZES)[number // 2 % 2]
    matrix = draw(model, SIZES[size], SHAPE, random)
    views = TwoViews(_SCENES[half_index][number % 3], 300 + 100 * half_index + number, SHAPE, matrix)
    fixed, moving = views.fixed(), views.moving()
    noise = _NOISE_STD * float(fixed.std())
    return (
        fixed + noise * random.standard_normal(SHAPE) + 0.05,
        moving + noise * random.standard_normal(SHAPE) + 0.05,
        matrix,
    )


def _spots(shape: tuple[int, int], places: Array, bright: Array, sigma: float) -> Array:
    y, x = np.arange(shape[0]), np.arange(shape[1])
    across = np.exp(-0.5 * ((x[None] - places[:, :1]) / sigma) ** 2)
    down = np.exp(-0.5 * ((y[None] - places[:, 1:]) / sigma) ** 2)
    return np.asarray((down * bright[:, None]).T @ across)


def _as_camera(fixed: Array, moving: Array) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return both frames in whole counts of a camera of 12 bit or so; zero stays zero."""
    first, second = (np.rint(np.maximum(frame, 0) * 3000).astype(np.float32) for frame in (fixed, moving))
    return first, second
