"""The damages that make a pair hard beside its motion: noise, grey levels, shading, occlusion, blur, borders.

Every damage returns fixed and moving, (H, W) each. The scene's brightness is about 0 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.blur import gaussian_blur
from benchmarks.registration.pairs.error import is_inside
from benchmarks.registration.pairs.scenery import TwoViews
from zncc_cli.registration.warp import map_points

Array = NDArray[np.float64]
Frames = tuple[Array, Array]
Mask = NDArray[np.bool_]

_RAMP_SHARE = 0.6  # of the light, from the centre to either end
_OCCLUDED_SHARE = 0.15  # of the moving frame
_BLUR_SIGMA_PX = 2.0
_CLIPPED_SHARE = 0.3  # of the moving frame's pixels, the brightest ones
_FRAME_SHARE = 0.08  # of the shorter side that a black frame covers on each side


@dataclass(frozen=True)
class Noise:
    """Independent noise in every pixel of both frames.

    Both functions take the brightness (H, W) and the fixed frame's standard deviation; ``variance`` returns the
    variance of each pixel, ``draw`` a noisy frame.
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
    # At least the variance of half a photon: a variance of zero would promise a perfect pixel where it is dark.
    return Noise(
        variance=lambda brightness, spread: np.maximum(brightness, 0.5 / photons) / photons,
        draw=lambda brightness, spread, random: random.poisson(brightness * photons) / photons,
    )


def _clean(views: TwoViews, random: np.random.Generator) -> Frames:
    return views.fixed(), views.moving()


def _gamma(views: TwoViews, random: np.random.Generator) -> Frames:
    return views.fixed(), 0.15 + 0.6 * views.moving() ** float(random.choice([0.55, 1.8]))


def _ramp(views: TwoViews, random: np.random.Generator) -> Frames:
    y, x = np.mgrid[-1 : 1 : views.shape[0] * 1j, -1 : 1 : views.shape[1] * 1j]
    bearing = random.uniform(0, 2 * np.pi)
    along = (np.cos(bearing) * x + np.sin(bearing) * y) / math.sqrt(2)
    return views.fixed(), views.moving() * (1 + _RAMP_SHARE * along)


def _occluded(views: TwoViews, random: np.random.Generator) -> Frames:
    """Return frames of which the moving one is covered in part by two discs of another scene of the same kind."""
    height, width = views.shape
    y, x = np.mgrid[:height, :width]
    radius = math.sqrt(_OCCLUDED_SHARE * height * width / (2 * math.pi))
    low, high = radius / width, 1 - radius / width
    # In different halves of the frame, so that they do not overlap.
    centres = [(random.uniform(low, 0.5 - low) + half, random.uniform(low, high)) for half in (0.0, 0.5)]
    moving, other = views.moving(), TwoViews(views.scene, views.seed + 1000, views.shape, np.eye(3)).moving()
    for cx, cy in centres:
        hidden = (x - cx * width) ** 2 + (y - cy * height) ** 2 < radius**2
        moving[hidden] = other[hidden]
    return views.fixed(), moving


def _blurred(views: TwoViews, random: np.random.Generator) -> Frames:
    return views.fixed(), gaussian_blur(views.moving(math.ceil(4 * _BLUR_SIGMA_PX)), _BLUR_SIGMA_PX)


def _saturated(views: TwoViews, random: np.random.Generator) -> Frames:
    """Return frames of which the moving one is overexposed, on a scene with light in more pixels than are clipped."""
    moving = views.moving()
    return views.fixed(), np.minimum(moving, np.quantile(moving, 1 - _CLIPPED_SHARE))


def _two_valued(views: TwoViews, random: np.random.Generator) -> Frames:
    """Return frames of black and white, as a scanner makes of a drawing: 1 above the middle of the grey levels."""
    fixed, moving = ((frame > (frame.min() + frame.max()) / 2).astype(float) for frame in _clean(views, random))
    return fixed, moving


def _overlap(views: TwoViews) -> tuple[Mask, Mask]:
    """Return masks of all fixed pixels, and of the moving pixels that show something of the fixed frame."""
    height, width = views.shape
    y, x = np.mgrid[:height, :width].astype(float)
    fixed_points = map_points(np.linalg.inv(views.matrix), np.stack((x, y), axis=-1))
    with np.errstate(invalid="ignore"):
        valid = is_inside(fixed_points, views.shape)
    return np.ones(views.shape, dtype=bool), valid


def inside_black_frame(shape: tuple[int, int]) -> Mask:
    """Return a mask of the pixels inside a black frame around an image (H, W)."""
    border = round(_FRAME_SHARE * min(shape))
    inner = np.zeros(shape, dtype=bool)
    inner[border:-border, border:-border] = True
    return inner


def _inner(views: TwoViews) -> tuple[Mask, Mask]:
    return inside_black_frame(views.shape), inside_black_frame(views.shape)


def _black_outside(valid: Callable[[TwoViews], tuple[Mask, Mask]]) -> Callable[[TwoViews, np.random.Generator], Frames]:
    def frames(views: TwoViews, random: np.random.Generator) -> Frames:
        fixed_valid, moving_valid = valid(views)
        return np.where(fixed_valid, views.fixed(), 0), np.where(moving_valid, views.moving(), 0)

    return frames


@dataclass(frozen=True)
class Damage:
    """A kind of damage: how the frames are made, then the noise in them.

    ``shift`` moves the moving frame further by these shares of its width and height. ``valid`` returns masks of the
    fixed and moving pixels that show the scene, for tools that take masks.
    """

    frames: Callable[[TwoViews, np.random.Generator], Frames] = _clean
    noise: Noise | None = None
    shift: tuple[float, float] = (0.0, 0.0)
    valid: Callable[[TwoViews], tuple[Mask, Mask]] | None = None


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
    "half overlap, black beyond": Damage(_black_outside(_overlap), shift=(0.3, 0.25)),
}
# Those of the pairs that are hard for the verdict; apart, so that the pairs of the damages above stay the same ones.
HARD_DAMAGES = {
    "noise 3": Damage(noise=gaussian(3)),
    "3 photons": Damage(noise=poisson(3)),
    "saturated 30 %": Damage(_saturated),
    "noise 0.6, occluded 15 %": Damage(_occluded, noise=gaussian(0.6)),
    "two-valued": Damage(_two_valued),
}
# Borders that show nothing of the scene, and that a tool could take for a part of it.
BORDERS = {
    "black beyond, moves with the moving image": Damage(_black_outside(_overlap), valid=_overlap),
    "black frame in both, stays where it is": Damage(_black_outside(_inner), valid=_inner),
}
