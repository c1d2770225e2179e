"""Pairs in which some pixels show nothing of the scene: gaps of one value, pixels that are not finite, hot pixels.

Where they lie belongs to the camera, so that they stay where they are while the scene moves. Pairs are made twice, with
other scenes and seeds: what was chosen was chosen on the one half, and what is claimed is what the other shows.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.alignment.motion import SIZES, draw
from benchmarks.alignment.scenery import Sight

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Lose = Callable[[tuple[int, int], np.random.Generator], Mask]

HALVES = ("chosen", "held out")
SHAPE = (256, 320)
_SCENES = (("cells", "farmland", "speckle"), ("steel", "board", "farmland"))
_MODELS = ("translation", "rigid", "affine", "homography")
_NOISE = 0.05  # of the scene's standard deviation


@dataclass(frozen=True, eq=False)
class MissingPair:
    """Two frames (H, W), and the (3, 3) truth, fixed -> moving, (x, y) pixels.

    Attributes:
        group: gaps, not finite, or hot pixels. kind: which of these. model: what is asked for.
        masks: of fixed and moving, true where pixels show the scene; None where nobody says it.
    """

    group: str
    kind: str
    model: str
    fixed: NDArray[np.float32]
    moving: NDArray[np.float32]
    matrix: Array
    masks: tuple[Mask, Mask] | None = None


def _lines(width: int, period: int, axis: int) -> Lose:
    """Lines of ``width`` pixels in every ``period``, across ``axis``, from a random one on."""

    def lost(shape: tuple[int, int], random: np.random.Generator) -> Mask:
        places = (np.arange(shape[axis]) + random.integers(period)) % period < width
        return np.broadcast_to(places[:, None] if axis == 0 else places[None, :], shape).copy()

    return lost


def _scattered(share: float, side: int = 1) -> Lose:
    """Squares of ``side`` pixels that cover about ``share`` of the frame."""

    def lost(shape: tuple[int, int], random: np.random.Generator) -> Mask:
        first = random.random(shape) < share / side**2
        out = np.zeros(shape, np.bool_)
        for dy, dx in itertools.product(range(side), range(side)):
            out[dy:, dx:] |= first[: shape[0] - dy, : shape[1] - dx]
        return out

    return lost


GAPS: dict[str, Lose] = {
    "2 of 6 rows": _lines(2, 6, 0),
    "1 of 16 rows": _lines(1, 16, 0),
    "4 of 20 rows": _lines(4, 20, 0),
    "3 of 12 columns": _lines(3, 12, 1),
    "squares of 4, 10 %": _scattered(0.1, 4),
}
NOT_FINITE: dict[str, Lose] = {
    "0.5 % scattered": _scattered(0.005),
    "1 % scattered": _scattered(0.01),
    "2 % scattered": _scattered(0.02),
    "5 % scattered": _scattered(0.05),
    "a column of 32": _lines(1, 32, 1),
    "10 of 33 columns, masked": _lines(10, 33, 1),
}


def gap_pairs(half: str) -> Iterator[MissingPair]:
    """Yield 60 pairs: gaps of zeros at the same places in both images, or at others, or in one of them."""
    at = HALVES.index(half)
    wanted = itertools.product(GAPS, ("both", "elsewhere", "one"), _MODELS)
    for number, (kind, where, model) in enumerate(wanted):
        random = np.random.default_rng(50_000 + 1000 * at + number)
        fixed, moving, matrix = _frames(model, number, at, random)
        lost = [GAPS[kind](SHAPE, random)]
        lost.append(lost[0] if where == "both" else GAPS[kind](SHAPE, random))
        if where == "one":
            lost[number % 2][:] = False
        frames = (np.where(gone, 0, frame) for gone, frame in zip(lost, (fixed, moving), strict=True))
        yield MissingPair("gaps", f"{kind}, {where}", model, *_as_camera(*frames), matrix)


def not_finite_pairs(half: str) -> Iterator[MissingPair]:
    """Yield 30 pairs with pixels that are NaN, or that a mask leaves out."""
    at = HALVES.index(half)
    wanted = itertools.product(NOT_FINITE, ("translation", "rigid", "affine", "affine", "homography"))
    for number, (kind, model) in enumerate(wanted):
        random = np.random.default_rng(60_000 + 1000 * at + number)
        fixed, moving, matrix = _frames(model, number, at, random)
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
    at = HALVES.index(half)
    stars, beads = ((512, 512), 60, (20, 40)), ((256, 256), 25, (25, 50))
    wanted = itertools.product((stars, beads), (0, 1), ("translation", "rigid", "affine"))
    for number, ((shape, count, hot), more, model) in enumerate(wanted):
        random = np.random.default_rng(70_000 + 1000 * at + number)
        matrix = draw(model, SIZES["small"], shape, random)
        bearing = random.uniform(0, 2 * np.pi)
        matrix[:2, 2] += 20 * np.array([np.cos(bearing), np.sin(bearing)])
        bright = 0.04 ** random.uniform(size=count)  # few bright ones, many faint ones
        places = random.uniform(-30, 30 + np.array(shape[::-1]), (count + count // 4, 2))
        bright = np.resize(bright, len(places))
        frames = []
        hot_places = tuple(random.integers(0, n, hot[more]) for n in shape)
        level = 4.0 * 0.1 ** random.uniform(size=hot[more])  # warm to saturated
        for to in (np.eye(3), matrix):
            onto = np.column_stack((places, np.ones(len(places)))) @ to.T
            frame = _spots(shape, onto[:, :2] / onto[:, 2:], bright, 1.3) + 0.1
            frame += 0.01 * random.standard_normal(shape)
            frame[hot_places] = 0.1 + level
            frames.append(frame)
        kind = f"{hot[more]} hot pixels, {count} {'stars' if count == 60 else 'beads'}"
        yield MissingPair("hot pixels", kind, model, *_as_camera(*frames), matrix)


GROUPS = {"gaps": gap_pairs, "not finite": not_finite_pairs, "hot pixels": hot_pairs}


def _frames(model: str, number: int, at: int, random: np.random.Generator) -> tuple[Array, Array, Array]:
    size = list(SIZES)[number // 2 % 2]
    matrix = draw(model, SIZES[size], SHAPE, random)
    sight = Sight(_SCENES[at][number % 3], 300 + 100 * at + number, SHAPE, matrix)
    fixed, moving = sight.fixed(), sight.moving()
    noise = _NOISE * float(fixed.std())
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
