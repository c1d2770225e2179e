"""Pairs that nobody can align: what one frame shows, the other does not, or shows in many places alike.

Every kind returns fixed and moving, (H, W) each. An "ok" on one of these is false, whatever the matrix.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.alignment.scenery import SCENES, Sight

Array = NDArray[np.float64]
Frames = tuple[Array, Array]
Shape = tuple[int, int]
Random = np.random.Generator

_NOISE = 0.05  # of a repeated texture, whose standard deviation is about 0.2
_SHADE = 0.8  # of the light, from the centre to the corners
_BLACK = 0.08  # of the shorter side: what a black frame covers on each side
_SOFT = 0.6  # pixels: the edges of a repeated texture


def _scene(random: Random, shape: Shape, name: str | None = None) -> Array:
    chosen = name or str(random.choice(list(SCENES)))
    return Sight(chosen, int(random.integers(10**6, 2 * 10**6)), shape, np.eye(3)).fixed()


def _other_seed(random: Random, shape: Shape) -> Frames:
    name = str(random.choice(list(SCENES)))
    return _scene(random, shape, name), _scene(random, shape, name)


def _other_kind(random: Random, shape: Shape) -> Frames:
    first, second = random.choice(list(SCENES), 2, replace=False)
    return _scene(random, shape, str(first)), _scene(random, shape, str(second))


def _white(random: Random, shape: Shape) -> Frames:
    return random.standard_normal(shape), random.standard_normal(shape)


def _clouds(random: Random, shape: Shape) -> Frames:
    """Noise of a power that falls with the square of the frequency, in both."""
    power = random.uniform(0.7, 1.6)
    k = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None])
    gain = np.maximum(k, 2 / max(shape)) ** -power
    first, second = (np.fft.irfft2(np.fft.rfft2(random.standard_normal(shape)) * gain, shape) for _ in range(2))
    return first / first.std(), second / second.std()


def _nothing(random: Random, shape: Shape) -> Frames:
    """One frame shows a scene, the other noise alone."""
    scene = _scene(random, shape)
    return scene, scene.mean() + scene.std() * random.standard_normal(shape)


def _drowned(random: Random, shape: Shape) -> Frames:
    """The same scene in so much noise that nothing is left of it."""
    scene = _scene(random, shape)
    return tuple(scene + 60 * scene.std() * random.standard_normal(shape) for _ in range(2))  # type: ignore[return-value]


def _shaded(frame: Array) -> Array:
    height, width = frame.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return np.asarray(frame * (1 - _SHADE * (x * x + y * y) / 2))


def _same_shading(random: Random, shape: Shape) -> Frames:
    fixed, moving = _other_seed(random, shape)
    return _shaded(fixed), _shaded(moving)


def _flat_shaded(random: Random, shape: Shape) -> Frames:
    """A plain surface under the same light, and noise."""
    fixed, moving = (_shaded(np.ones(shape)) + 0.02 * random.standard_normal(shape) for _ in range(2))
    return fixed, moving


def _same_frame(random: Random, shape: Shape) -> Frames:
    """Different scenes behind the same black frame."""
    wide = round(_BLACK * min(shape))
    free = np.zeros(shape, dtype=bool)
    free[wide:-wide, wide:-wide] = True
    fixed, moving = _other_seed(random, shape)
    return np.where(free, fixed, 0), np.where(free, moving, 0)


def _mirrored(random: Random, shape: Shape) -> Frames:
    scene = _scene(random, shape)
    return scene, scene[:, ::-1].copy()


def _too_small(random: Random, shape: Shape) -> Frames:
    """The moving camera sees the scene five times as small, which is beyond every search."""
    sight = Sight(str(random.choice(list(SCENES))), int(random.integers(10**6)), shape, np.diag([0.2, 0.2, 1.0]))
    return sight.fixed(), sight.moving()


def _side_by_side(random: Random, shape: Shape) -> Frames:
    """Two frames of the same scene that do not overlap."""
    matrix = np.array([[1.0, 0, -1.05 * shape[1]], [0, 1, 0], [0, 0, 1]])
    sight = Sight(str(random.choice(list(SCENES))), int(random.integers(10**6)), shape, matrix)
    return sight.fixed(), sight.moving()


# Repeated textures: (x, y) in pixels -> brightness, of a period (across, down) -------------------------------------


def _soft(distance: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-distance / _SOFT)))


def _bricks(x: Array, y: Array, across: float, down: float) -> Array:
    """A brick wall: rows of half the period's height, every second one shifted by half a brick."""
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
    """The texture, shifted by more than half a period and less than two; noise in both frames."""

    def frames(random: Random, shape: Shape) -> Frames:
        across, down = random.uniform(14, 48), random.uniform(14, 48)
        y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
        dx, dy = (random.choice([-1, 1]) * random.uniform(0.6, 1.9) * period for period in (across, down))
        phase = random.uniform(0, 100, 2)
        fixed, moving = (
            texture(x + phase[0] - sx, y + phase[1] - sy, across, down) + _NOISE * random.standard_normal(shape)
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
    "mirrored": _mirrored,
    "five times as small": _too_small,
    "no overlap": _side_by_side,
    **{f"repeated: {name}": _repeated(texture) for name, texture in _REPEATED.items()},
}


def frames(kind: str, seed: int, shape: Shape) -> Frames:
    """Return the two frames (H, W) of a kind; the same kind, seed and shape give the same frames."""
    return KINDS[kind](np.random.default_rng([seed, *kind.encode()]), shape)
