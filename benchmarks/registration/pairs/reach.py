"""Pairs at the limits of the search: mirrored, magnified, of little overlap, mostly flat, of other sensors and scenes.

Pairs come in two halves with different seeds: settings were chosen on the one half, and claims are made from the other,
held out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scenes
from make_samples import centred, rotation
from numpy.typing import NDArray

from benchmarks.registration.pairs import unalignable
from benchmarks.registration.pairs.motion import SIZES, draw
from benchmarks.registration.pairs.plans import SHAPE, Image, Plan, make
from benchmarks.registration.pairs.scenery import FLAT_SCENES, SCENES, TwoViews
from benchmarks.registration.pairs.sensors import SENSORS

Array = NDArray[np.float64]
Random = np.random.Generator

HALVES = ("chosen", "held out")
_NOISE_STD = 0.05  # of a frame's own
_SCALED_SHAPE = (384, 480)
_SCALED_SHIFT_SHARE = 0.1  # of the frame of the lower magnification, along each axis
_SCALED_TURN_DEGREES = 8.0
_PIXEL_SIZE_UM, _PIXEL_SIZE_ERROR = 0.65, 0.02  # of the fixed frame; of their ratio, as makers state it
_TILE_SHAPE, _TILE_OVERLAP, _TILE_ZOOM = (512, 512), 0.12, 2.0
_TILE_TURN_DEGREES, _TILE_SIDE_STEP_PX = 3.0, 8.0
_TILE_SCENES = ("steel", "speckle", "farmland", "board")


@dataclass(frozen=True, eq=False)
class ReachPair:
    """Two frames (H, W).

    Attributes:
        kind, scene, model: of the pair; the model is that of the motion.
        matrix: (3, 3) truth, fixed -> moving, (x, y) pixels; None where the frames show different scenes.
        pixel_sizes: of the fixed and the moving frame, micrometres, as their files state them; None for none.
    """

    kind: str
    scene: str
    model: str
    fixed: Image
    moving: Image
    matrix: Array | None
    pixel_sizes: tuple[float, float] | None = None


@dataclass(frozen=True)
class Kind:
    """A kind of pairs: ``make`` takes the pair's number within its half, its seed and a generator."""

    count: int
    make: Callable[[int, int, Random], ReachPair]


def _seen(views: TwoViews, random: Random) -> tuple[Image, Image]:
    frames = (views.fixed(), views.moving())
    noisy = [frame + _NOISE_STD * frame.std() * random.standard_normal(frame.shape) for frame in frames]
    return noisy[0].astype(np.float32), noisy[1].astype(np.float32)


def _chosen(names: Sequence[str], number: int) -> str:
    return names[number % len(names)]


def _mirrored(number: int, seed: int, random: Random) -> ReachPair:
    """Return a scene and its mirror image, left to right, that moved a little."""
    scene = _chosen((*SCENES, "few cells", "page", "half sky"), number)
    model = _chosen(("rigid", "affine"), number)
    mirror = np.array([[-1.0, 0.0, SHAPE[1] - 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    matrix = draw(model, SIZES["small"], SHAPE, random) @ mirror
    return ReachPair("mirrored", scene, model, *_seen(TwoViews(scene, seed, SHAPE, matrix), random), matrix)


def _scaled(least: float, most: float, *, stated: bool) -> Callable[[int, int, Random], ReachPair]:
    """Return a maker of similarities of a scale of ``least`` to ``most``, or its inverse in every second pair.

    The frame of the higher magnification shows a part of the scene in more pixels than it has detail, as a microscope
    does; the other one shows a pixel of the scene in each of its own.
    """

    def make_pair(number: int, seed: int, random: Random) -> ReachPair:
        scene, scale = _chosen(list(SCENES), number), random.uniform(least, most)
        height, width = _SCALED_SHAPE
        turn = rotation(random.uniform(-1, 1) * _SCALED_TURN_DEGREES)
        shift = _SCALED_SHIFT_SHARE * random.uniform(-1, 1, 2) * [width, height]
        # From the frame that shows a part of the scene to the one that shows more.
        shrinking = centred(_SCALED_SHAPE, turn / scale, (shift[0], shift[1]))
        to_low = np.eye(3)
        to_low[:2, 2] = (width - scenes.WIDTH) / 2, (height - scenes.HEIGHT) / 2
        magnified = bool(number % 2)  # the moving frame
        matrix = np.linalg.inv(shrinking) if magnified else shrinking
        placing = to_low if magnified else np.linalg.inv(shrinking) @ to_low
        sizes = None
        if stated:
            ratio = scale if magnified else 1 / scale  # moving pixels per fixed one
            ratio *= 1 + _PIXEL_SIZE_ERROR * random.uniform(-1, 1)
            sizes = _PIXEL_SIZE_UM, _PIXEL_SIZE_UM / ratio
        frames = _seen(TwoViews(scene, seed, _SCALED_SHAPE, matrix, placing), random)
        kind = f"scale {(least + most) / 2:g}" + (" with pixel sizes" if stated else "")
        return ReachPair(kind, scene, "similarity", *frames, matrix, sizes)

    return make_pair


def _tiles(number: int, seed: int, random: Random) -> ReachPair:
    """Return neighbouring tiles of a microscope: beside or below each other, the stage a little off or turned."""
    scene, side = _chosen(_TILE_SCENES, number), _TILE_SHAPE[0]
    model = _chosen(("translation", "rigid"), number)
    degrees = random.uniform(-1, 1) * _TILE_TURN_DEGREES if model == "rigid" else 0.0
    step = np.array([side * (1 - _TILE_OVERLAP), random.uniform(-1, 1) * _TILE_SIDE_STEP_PX])
    step = (step if number // 2 % 2 else step[::-1]) * random.choice([-1.0, 1.0])
    matrix = centred(_TILE_SHAPE, rotation(degrees), (step[0], step[1]))
    # The seam lies in the middle of the scene, which is seen magnified, so that both tiles lie on it.
    middle, scene_middle = (side - 1) / 2 - step / 2, np.array([scenes.WIDTH, scenes.HEIGHT]) / 2
    placing = np.diag([_TILE_ZOOM, _TILE_ZOOM, 1.0])
    placing[:2, 2] = middle - _TILE_ZOOM * scene_middle
    frames = _seen(TwoViews(scene, seed, _TILE_SHAPE, matrix, placing), random)
    return ReachPair("overlap 12 percent", scene, model, *frames, matrix)


def _flat(scene: str, damages: Sequence[str]) -> Callable[[int, int, Random], ReachPair]:
    """Return a maker of pairs of a flat scene: every model that a stage allows, small and large motions in turn."""

    def make_pair(number: int, seed: int, random: Random) -> ReachPair:
        model, size = _chosen(("rigid", "similarity", "affine"), number), _chosen(list(SIZES), number)
        pair = make(Plan(seed, scene, model, size, _chosen(damages, number)))
        return ReachPair(scene, scene, model, pair.fixed, pair.moving, pair.matrix)

    return make_pair


def _different(scene: str) -> Callable[[int, int, Random], ReachPair]:
    """Return a maker of pairs of two different scenes of one kind."""

    def make_pair(number: int, seed: int, random: Random) -> ReachPair:
        kind = f"different: {scene}"
        fixed, moving = unalignable.frames(kind, seed, SHAPE)
        model = _chosen(("rigid", "similarity", "affine"), number)
        return ReachPair(kind, scene, model, fixed.astype(np.float32), moving.astype(np.float32), None)

    return make_pair


def _sensor(name: str, *, different: bool = False) -> Callable[[int, int, Random], ReachPair]:
    """Return a maker of pairs of which another sensor sees the moving frame, of another scene where ``different``."""

    def make_pair(number: int, seed: int, random: Random) -> ReachPair:
        scene, model = _chosen(list(SCENES), number), _chosen(("rigid", "similarity", "affine"), number)
        matrix = draw(model, SIZES[_chosen(list(SIZES), number)], SHAPE, random)
        views = TwoViews(scene, seed, SHAPE, matrix)
        other = TwoViews(_chosen(list(SCENES), number + 1), seed + 1, SHAPE, matrix) if different else views
        fixed, moving = views.fixed(), SENSORS[name](other.moving(), random)
        noisy = [frame + _NOISE_STD * frame.std() * random.standard_normal(frame.shape) for frame in (fixed, moving)]
        kind = f"sensor: {name}" + (", different scene" if different else "")
        frames = noisy[0].astype(np.float32), noisy[1].astype(np.float32)
        return ReachPair(kind, scene, model, *frames, None if different else matrix)

    return make_pair


_DRAWN, _PHOTOGRAPHED = ("clean", "two-valued", "noise 0.2"), ("clean", "noise 0.2", "gamma")
KINDS: dict[str, Kind] = {
    "mirrored": Kind(20, _mirrored),
    "scale 3": Kind(20, _scaled(2.7, 3.3, stated=False)),
    "scale 4 with pixel sizes": Kind(20, _scaled(3.6, 4.4, stated=True)),
    "overlap 12 percent": Kind(20, _tiles),
    "bare board": Kind(35, _flat("bare board", _DRAWN)),
    "page": Kind(20, _flat("page", _DRAWN)),
    **{scene: Kind(20, _flat(scene, _PHOTOGRAPHED)) for scene in FLAT_SCENES if scene not in ("bare board", "page")},
    **{f"different: {scene}": Kind(20, _different(scene)) for scene in FLAT_SCENES},
    **{f"sensor: {name}": Kind(12, _sensor(name)) for name in SENSORS},
    **{f"sensor: {name}, different scene": Kind(12, _sensor(name, different=True)) for name in SENSORS},
}


def make_pair(kind: str, half: str, number: int) -> ReachPair:
    """Return a pair of `KINDS`; the same kind, half and number give the same pair."""
    seed = 50_000 * (HALVES.index(half) + 1) + 1000 * list(KINDS).index(kind) + number
    return KINDS[kind].make(number, seed, np.random.default_rng(seed))


def pairs(kind: str, half: str, every: int = 1) -> Iterator[ReachPair]:
    """Yield the pairs of a kind and half, or every ``every``-th of them."""
    return (make_pair(kind, half, number) for number in range(0, KINDS[kind].count, every))
