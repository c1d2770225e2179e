"""The global search: shift, rotation, scale and contrast."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.registration.analytic import Scene, about_centre, corner_error
from zncc_cli.config import Model
from zncc_cli.registration.pyramid import Level, pyramid
from zncc_cli.registration.search.global_search import Start, find_starts


def best(fixed: np.ndarray, moving: np.ndarray, model: str = "translation") -> Start:
    return find_starts(levels(fixed), levels(moving), Model(model), 0.25)[0]


def levels(image: np.ndarray) -> list[Level]:
    image = (image - image.mean()) / image.std()
    return pyramid(torch.from_numpy(image)[None, None].float(), torch.ones(image.shape, dtype=torch.bool), 3)


@pytest.mark.parametrize("shift", [(0, 0), (17, -9), (-60, 40)])
def test_finds_the_shift(shift: tuple[int, int]) -> None:
    scene = Scene(seed=1).image((300, 300))
    dx, dy = shift
    fixed, moving = scene[100:220, 100:240], scene[100 - dy : 220 - dy, 100 - dx : 240 - dx]
    # Subtracting the broad shading, near whose borders the two frames differ, may move the peak by a pixel: it is
    # a start, which the gradient descent refines.
    assert best(fixed, moving).matrix[:2, 2] == pytest.approx(shift, abs=1.5)


def test_strong_shading_does_not_hide_the_shift() -> None:
    scene = Scene(seed=2).image((200, 200))
    fixed, moving = scene[30:150, 30:150], scene[20:140, 40:160]
    shading = np.linspace(0, 1, 120) ** 2
    got = best(fixed + shading, moving + shading[:, None])
    assert got.matrix[:2, 2] == pytest.approx((-10, 10), abs=2)  # a start; shading bends the peak a little


def test_unequal_sizes() -> None:
    scene = Scene(seed=3).image((200, 200))
    # The common grid has a pixel and a half of the image: the peak is within half of that.
    assert best(scene[50:110, 60:140], scene).matrix[:2, 2] == pytest.approx((60, 50), abs=1)


SHAPE = (160, 192)


def turned(degrees: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    a = np.deg2rad(degrees)
    linear = [[scale * np.cos(a), -scale * np.sin(a)], [scale * np.sin(a), scale * np.cos(a)]]
    return about_centre(linear, shift, SHAPE)


@pytest.mark.parametrize(
    ("model", "degrees", "scale", "shift", "inverted"),
    [
        ("rigid", 140, 1.0, (12, -9), False),
        ("rigid", -63, 1.0, (-40, 25), True),
        ("similarity", 35, 0.55, (8, -5), True),
        ("similarity", -110, 1.9, (-20, 14), False),
        ("affine", 178, 1.4, (5, 9), True),
    ],
)
def test_finds_rotation_scale_and_contrast(
    model: str, degrees: float, scale: float, shift: tuple[float, float], inverted: bool
) -> None:
    truth = turned(degrees, scale, shift)
    fixed, moving = Scene(seed=4).pair(truth, SHAPE)
    got = best(fixed, -moving if inverted else moving, model)
    assert got.inverted == inverted
    # Looks are four grid pixels apart at the corners of the image that is shrunk, in rotation and in scale: the best
    # is off by half of that in either, and by half a grid pixel in x and y. A grid pixel is 2.75 of the other image's.
    found, expected = (np.linalg.inv(m) if scale > 1 else m for m in (got.matrix, truth))
    assert corner_error(found, expected, SHAPE) < (2 * 2**0.5 + 0.7) * 2.75


def test_starts_differ() -> None:
    fixed, moving = Scene(seed=5).pair(turned(80, 1.3, (0, 0)), SHAPE)
    starts = find_starts(levels(fixed), levels(moving), Model.SIMILARITY, 0.25)
    assert len(starts) > 1
    for k, one in enumerate(starts):
        for other in starts[:k]:
            # Eight grid pixels of at least 2.7 pixels, in one image or the other, whose scales differ by two at most.
            assert corner_error(one.matrix, other.matrix, SHAPE) > 10 or one.inverted != other.inverted


def test_masked_pixels_have_no_say() -> None:
    truth = turned(75, 1.0, (6, -4))
    fixed, moving = Scene(seed=6).pair(truth, SHAPE)
    spoilt, mask = torch.from_numpy(moving / moving.std()).float()[None, None], torch.ones(SHAPE, dtype=torch.bool)
    spoilt[..., 20:90, 30:110], mask[20:90, 30:110] = 50, False
    got = find_starts(levels(fixed), pyramid(spoilt, mask, 3), Model.RIGID, 0.25)[0]
    assert corner_error(got.matrix, truth, SHAPE) < (2 + 0.7) * 2.75  # as above, with no scale to be off in


def test_images_of_nothing_but_shading_give_no_error() -> None:
    ramp = np.tile(np.linspace(0, 1, 96), (96, 1))
    for start in find_starts(levels(ramp), levels(ramp.T), Model.HOMOGRAPHY, 0.25):
        assert np.isfinite(start.matrix).all()
