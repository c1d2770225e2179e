"""What makes a pair hard beside its motion: noise, grey levels, shading, what hides the scene, and what ends it.

Every damage returns fixed and moving, (H, W) each. The scene's brightness is about 0 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.alignment.scenery import Sight
from zncc_cli.registration.warp import map_points

Array = NDArray[np.float64]
Frames = tuple[Array, Array]
Mask = NDArray[np.bool_]

_RAMP = 0.6  # of the light, from the centre to either end
_OCCLUDED = 0.15  # of the moving frame
_BLUR_SIGMA = 2.0  # pixels
_FRAME_STOP = 0.08  # of the shorter side: what a black frame covers on each side


@dataclass(frozen=True)
class Noise:
    """Independent noise in every pixel of both frames.

    ``variance`` returns it by brightness and the fixed frame's standard deviation, ``draw`` a noisy frame.
    """

    variance: Callable[[Array, float], Array]
    draw: Callable[[Array, float, np.random.Generator], Array]


def gaussian(ratio: float) -> Noise:
    """Return noise of a standard deviation of ``ratio`` times that of the fixed frame."""
    return Noise(
        variance=lambda brightness, spread: np.full_like(brightness, (ratio * spread) ** 2),
        draw=lambda brightness, spread, random: brightness + ratio * spread * random.standard_normal(brightness.shape),
    )


def poisson(photons: float) -> Noise:
    """Return the shot noise of this many ``photons`` at a brightness of one."""
    # Where it is dark less than half a photon is as good as half: a variance of zero would promise a perfect pixel.
    return Noise(
        variance=lambda brightness, spread: np.maximum(brightness, 0.5 / photons) / photons,
        draw=lambda brightness, spread, random: random.poisson(brightness * photons) / photons,
    )


def _clean(sight: Sight, random: np.random.Generator) -> Frames:
    return sight.fixed(), sight.moving()


def _gamma(sight: Sight, random: np.random.Generator) -> Frames:
    return sight.fixed(), 0.15 + 0.6 * sight.moving() ** float(random.choice([0.55, 1.8]))


def _ramp(sight: Sight, random: np.random.Generator) -> Frames:
    y, x = np.mgrid[-1 : 1 : sight.shape[0] * 1j, -1 : 1 : sight.shape[1] * 1j]
    bearing = random.uniform(0, 2 * np.pi)
    along = (np.cos(bearing) * x + np.sin(bearing) * y) / math.sqrt(2)
    return sight.fixed(), sight.moving() * (1 + _RAMP * along)


def _occluded(sight: Sight, random: np.random.Generator) -> Frames:
    """Two round pieces of another scene of the same kind lie on the moving frame."""
    height, width = sight.shape
    y, x = np.mgrid[:height, :width]
    radius = math.sqrt(_OCCLUDED * height * width / (2 * math.pi))
    low, high = radius / width, 1 - radius / width
    # In different halves of the frame, so that they do not overlap.
    centres = [(random.uniform(low, 0.5 - low) + half, random.uniform(low, high)) for half in (0.0, 0.5)]
    moving, other = sight.moving(), Sight(sight.scene, sight.seed + 1000, sight.shape, np.eye(3)).moving()
    for cx, cy in centres:
        hidden = (x - cx * width) ** 2 + (y - cy * height) ** 2 < radius**2
        moving[hidden] = other[hidden]
    return sight.fixed(), moving


def _blurred(sight: Sight, random: np.random.Generator) -> Frames:
    reach = math.ceil(4 * _BLUR_SIGMA)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / _BLUR_SIGMA) ** 2)
    moving = sight.moving(reach)
    for axis in (0, 1):
        moving = np.apply_along_axis(np.convolve, axis, moving, kernel / kernel.sum(), "valid")
    return sight.fixed(), moving


def _shared(sight: Sight) -> tuple[Mask, Mask]:
    """Return all of the fixed frame, and what the moving one shows of it."""
    height, width = sight.shape
    y, x = np.mgrid[:height, :width].astype(float)
    there = map_points(np.linalg.inv(sight.matrix), np.stack((x, y), axis=-1))
    with np.errstate(invalid="ignore"):
        shown = ((there >= 0) & (there <= [width - 1, height - 1])).all(axis=-1)
    return np.ones(sight.shape, dtype=bool), shown


def _inner(sight: Sight) -> tuple[Mask, Mask]:
    """Return what a black frame around either picture leaves free."""
    wide = round(_FRAME_STOP * min(sight.shape))
    free = np.zeros(sight.shape, dtype=bool)
    free[wide:-wide, wide:-wide] = True
    return free, free


def _black_outside(valid: Callable[[Sight], tuple[Mask, Mask]]) -> Callable[[Sight, np.random.Generator], Frames]:
    def frames(sight: Sight, random: np.random.Generator) -> Frames:
        of_fixed, of_moving = valid(sight)
        return np.where(of_fixed, sight.fixed(), 0), np.where(of_moving, sight.moving(), 0)

    return frames


@dataclass(frozen=True)
class Damage:
    """One kind: what becomes of the frames, then the noise in them.

    ``shift`` moves the moving frame on by these shares of its width and height. ``valid`` returns the pixels of fixed
    and of moving that show something, where a tool could be told.
    """

    frames: Callable[[Sight, np.random.Generator], Frames] = _clean
    noise: Noise | None = None
    shift: tuple[float, float] = (0.0, 0.0)
    valid: Callable[[Sight], tuple[Mask, Mask]] | None = None


DAMAGES = {
    "clean": Damage(),
    "noise 0.2": Damage(noise=gaussian(0.2)),
    "noise 0.6": Damage(noise=gaussian(0.6)),
    "noise 1.5": Damage(noise=gaussian(1.5)),
    "40 photons": Damage(noise=poisson(40)),
    "8 photons": Damage(noise=poisson(8)),
    "gamma": Damage(_gamma),
    "ramp 60 %": Damage(_ramp),
    "occluded 15 %": Damage(_occluded),
    "blur 2 px": Damage(_blurred),
    "half overlap, black beyond": Damage(_black_outside(_shared), shift=(0.3, 0.25)),
}
# Where pixels that show nothing could be taken for a picture.
BORDERS = {
    "black beyond, moves with the moving image": Damage(_black_outside(_shared), valid=_shared),
    "black frame in both, stays where it is": Damage(_black_outside(_inner), valid=_inner),
}
