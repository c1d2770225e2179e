"""The global search: shift, rotation, scale and contrast."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.registration.analytic import Scene, about_centre, corner_error
from zncc_cli.config import Model
from zncc_cli.registration.pyramid import Level, pyramid
from zncc_cli.registration.search.global_search import Start, find_starts
from zncc_cli.registration.search.masked_zncc import MaskedZncc, significance


def test_masked_zncc_is_the_correlation_coefficient_of_the_overlap() -> None:
    rng = np.random.default_rng(0)
    f, m = rng.normal(size=(9, 11)), rng.normal(size=(12, 8))
    fm, mm = rng.random(f.shape) > 0.2, rng.random(m.shape) > 0.2
    still, still_mask, sliding, sliding_mask = (torch.from_numpy(a) for a in (f * fm, fm * 1.0, m * mm, mm * 1.0))
    surface, count = MaskedZncc(still, still_mask, m.shape)(sliding, sliding_mask, 0.2)
    checked = 0
    for dy in range(-8, 12):
        for dx in range(-10, 8):
            ys = [y for y in range(9) if 0 <= y + dy < 12]
            xs = [x for x in range(11) if 0 <= x + dx < 8]
            both = [(y, x) for y in ys for x in xs if fm[y, x] and mm[y + dy, x + dx]]
            if len(both) < 0.2 * min(fm.sum(), mm.sum()):
                continue
            a = np.array([f[p] for p in both])
            b = np.array([m[y + dy, x + dx] for y, x in both])
            # float64 FFTs of numbers near one: rounding is far below 1e-9.
            assert float(surface[dy, dx]) == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-9)
            assert int(count[dy, dx]) == len(both)
            checked += 1
    assert checked > 50


def test_a_batch_gives_what_each_of_it_gives() -> None:
    rng = np.random.default_rng(1)
    fixed, moving = torch.from_numpy(rng.normal(size=(9, 12))), torch.from_numpy(rng.normal(size=(3, 7, 8)))
    zncc = MaskedZncc(fixed, torch.ones_like(fixed), (7, 8))
    together = zncc(moving, torch.ones_like(moving), 0.3)
    for k, one in enumerate(moving):
        for got, expected in zip(together, zncc(one, torch.ones_like(one), 0.3), strict=True):
            torch.testing.assert_close(got[k], expected)  # FFTs of a batch may round otherwise


def test_nearly_all_of_a_small_overlap_outweighs_some_of_a_large_one() -> None:
    zncc, count = torch.tensor([0.95, 0.6, 0.3, -0.3]), torch.tensor([900.0, 2500.0, 2500.0, 2500.0])
    values = significance(zncc, count).tolist()
    assert values[0] > values[1] > values[2] == -values[3] > 0
    assert np.isfinite(float(significance(torch.tensor(1.0), torch.tensor(100.0))))


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
