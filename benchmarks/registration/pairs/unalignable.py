"""Pairs that no tool can align: what one frame shows the other does not, or shows alike in many places.

Every kind returns fixed and moving, (H, W) each. An "ok" on one of these is false, whatever the matrix.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.registration.pairs.damage import inside_black_frame
from benchmarks.registration.pairs.scenery import FLAT_SCENES, SCENES, TwoViews

Array = NDArray[np.float64]
Frames = tuple[Array, Array]
Shape = tuple[int, int]
Random = np.random.Generator

_NOISE_STD = 0.05  # in a repeated texture, whose standard deviation is about 0.2; of a flat scene's deviation
_SHADED_SHARE = 0.8  # of the light, from the centre to the corners
_EDGE_PX = 0.6  # width of the edges of a repeated texture


def _scene(random: Random, shape: Shape, name: str | None = None) -> Array:
    chosen = name or str(random.choice(list(SCENES)))
    return TwoViews(chosen, int(random.integers(10**6, 2 * 10**6)), shape, np.eye(3)).fixed()


def _other_seed(random: Random, shape: Shape) -> Frames:
    # All boards have the same chips at the same places: two of them are in part one scene.
    name = str(random.choice([name for name in SCENES if name != "board"]))
    return _scene(random, shape, name), _scene(random, shape, name)


def _two_of(name: str) -> Callable[[Random, Shape], Frames]:
    """Return two scenes of one kind, under the noise of a camera: boards of one maker, pages of one hand."""

    def frames(random: Random, shape: Shape) -> Frames:
        fixed, moving = (
            scene + _NOISE_STD * scene.std() * random.standard_normal(shape)
            for scene in (_scene(random, shape, name) for _ in range(2))
        )
        return fixed, moving

    return frames


def _other_kind(random: Random, shape: Shape) -> Frames:
    first, second = random.choice(list(SCENES), 2, replace=False)
    return _scene(random, shape, str(first)), _scene(random, shape, str(second))


def _white(random: Random, shape: Shape) -> Frames:
    return random.standard_normal(shape), random.standard_normal(shape)


def _clouds(random: Random, shape: Shape) -> Frames:
    """Return noise whose spectrum falls with a power of the frequency, in both frames."""
    power = random.uniform(0.7, 1.6)
    k = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None])
    gain = np.maximum(k, 2 / max(shape)) ** -power
    first, second = (np.fft.irfft2(np.fft.rfft2(random.standard_normal(shape)) * gain, shape) for _ in range(2))
    return first / first.std(), second / second.std()


def _nothing(random: Random, shape: Shape) -> Frames:
    """Return a scene, and noise alone."""
    scene = _scene(random, shape)
    return scene, scene.mean() + scene.std() * random.standard_normal(shape)


def _drowned(random: Random, shape: Shape) -> Frames:
    """Return the same scene twice, under noise of 60 times its standard deviation."""
    scene = _scene(random, shape)
    return tuple(scene + 60 * scene.std() * random.standard_normal(shape) for _ in range(2))  # type: ignore[return-value]


def _shaded(frame: Array) -> Array:
    height, width = frame.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return np.asarray(frame * (1 - _SHADED_SHARE * (x * x + y * y) / 2))


def _same_shading(random: Random, shape: Shape) -> Frames:
    fixed, moving = _other_seed(random, shape)
    return _shaded(fixed), _shaded(moving)


def _flat_shaded(random: Random, shape: Shape) -> Frames:
    """Return a plain surface under the same light twice, with noise."""
    fixed, moving = (_shaded(np.ones(shape)) + 0.02 * random.standard_normal(shape) for _ in range(2))
    return fixed, moving


def _same_frame(random: Random, shape: Shape) -> Frames:
    """Return different scenes behind the same black frame."""
    inner = inside_black_frame(shape)
    fixed, moving = _other_seed(random, shape)
    return np.where(inner, fixed, 0), np.where(inner, moving, 0)


def _too_small(random: Random, shape: Shape) -> Frames:
    """Return a scene, and the same twelve times as small, which is beyond every search."""
    matrix = np.diag([1 / 12, 1 / 12, 1.0])
    views = TwoViews(str(random.choice(list(SCENES))), int(random.integers(10**6)), shape, matrix)
    return views.fixed(), views.moving()


def _side_by_side(random: Random, shape: Shape) -> Frames:
    """Return two frames of the same scene that do not overlap."""
    matrix = np.array([[1.0, 0, -1.05 * shape[1]], [0, 1, 0], [0, 0, 1]])
    views = TwoViews(str(random.choice(list(SCENES))), int(random.integers(10**6)), shape, matrix)
    return views.fixed(), views.moving()


# Repeated textures: brightness at (x, y), pixels, with a period (across, down).


def _soft(distance: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-distance / _EDGE_PX)))


def _bricks(x: Array, y: Array, across: float, down: float) -> Array:
    """Return a brick wall: rows of half the period's height, every second one shifted by half a brick."""
    row = np.floor(2 * y / down)
    u, v = np.mod(x + across / 2 * np.mod(row, 2), across), np.mod(y, down / 2)
    joint = np.minimum(np.minimum(u, across - u), np.minimum(v, down / 2 - v))
    return 0.2 + 0.6 * _soft(joint - 1.5)


def _dots(x: Array, y: Array, across: float, down: float) -> Array:
    u, v = np.mod(x, across) - across / 2, np.mod(y, down) - down / 2
    return 0.2 + 0.6 * _soft(0.3 * min(across, down) - np.hypot(u, v))


def _waves(x: Array, y: Array, across: float, down: float) -> Array:
    return np.asarray(0.5 + 0.2 * (np.cos(2 * np.pi * x / across) + np.cos(2 * np.pi * y / down)))


def _stripes(x: Array, y: Array, across: float, down: float) -> Array:
    return np.asarray(0.5 + 0.3 * np.cos(2 * np.pi * (x / across + y / down)))


_REPEATED: dict[str, Callable[[Array, Array, float, float], Array]] = {
    "bricks": _bricks,
    "dots": _dots,
    "waves": _waves,
    "stripes": _stripes,
}


def _repeated(texture: Callable[[Array, Array, float, float], Array]) -> Callable[[Random, Shape], Frames]:
    """Return the texture twice, moved by more than half a period and less than two, with noise in both frames."""

    def frames(random: Random, shape: Shape) -> Frames:
        across, down = random.uniform(14, 48), random.uniform(14, 48)
        y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
        dx, dy = (random.choice([-1, 1]) * random.uniform(0.6, 1.9) * period for period in (across, down))
        phase = random.uniform(0, 100, 2)
        fixed, moving = (
            texture(x + phase[0] - sx, y + phase[1] - sy, across, down) + _NOISE_STD * random.standard_normal(shape)
            for sx, sy in ((0, 0), (dx, dy))
        )
        return fixed, moving

    return frames


KINDS: dict[str, Callable[[Random, Shape], Frames]] = {
    "another scene of the same kind": _other_seed,
    "a scene of another kind": _other_kind,
    "white noise": _white,
    "clouds": _clouds,
    "a scene and noise": _nothing,
    "a scene drowned in noise": _drowned,
    "different scenes, same shading": _same_shading,
    "flat, same shading": _flat_shaded,
    "different scenes, same black frame": _same_frame,
    "twelve times as small": _too_small,
    "no overlap": _side_by_side,
    **{f"repeated: {name}": _repeated(texture) for name, texture in _REPEATED.items()},
}


# Apart, so that the pairs of the kinds above stay the same ones.
FLAT_KINDS = {f"different: {name}": _two_of(name) for name in FLAT_SCENES}


def frames(kind: str, seed: int, shape: Shape) -> Frames:
    """Return the two frames (H, W) of a kind; the same kind, seed and shape give the same frames."""
    return (KINDS | FLAT_KINDS)[kind](np.random.default_rng([seed, *kind.encode()]), shape)
