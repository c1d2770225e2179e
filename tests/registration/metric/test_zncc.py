"""The ZNCC map, the local ZNCC loss, and the maps on the image's frame."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view

from tests.registration.analytic import Scene
from zncc_cli import zncc_loss, zncc_map
from zncc_cli.errors import ContentError, OptionError, WindowError
from zncc_cli.registration.metric.local_zncc import full_windows, local_zncc, std_map, zncc_frame_map


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def pearson(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the correlation coefficient over the last two axes, two-pass, float64."""
    a, b = (v - v.mean(axis=(-2, -1), keepdims=True) for v in (a, b))
    return (a * b).sum((-2, -1)) / np.sqrt((a * a).sum((-2, -1)) * (b * b).sum((-2, -1)))


def test_zncc_map_is_the_correlation_coefficient_of_every_window() -> None:
    image, template = random(20, 24), random(5, 7, seed=1)
    expected = pearson(sliding_window_view(image.numpy(), (5, 7)), template.numpy())
    # eps = 1e-12 against a Var of about 35: what is left is the rounding of float64 FFTs.
    torch.testing.assert_close(zncc_map(image, template, eps=1e-12), torch.from_numpy(expected), rtol=0, atol=1e-9)


def test_zncc_map_is_one_at_the_template_and_stays_in_range() -> None:
    image = (30000 + 5 * random(64, 64)).float()
    z = zncc_map(image, image[20:31, 30:43])
    assert divmod(int(z.argmax()), z.shape[1]) == (20, 30)
    assert float(z.max()) == pytest.approx(1.0, abs=1e-4)  # float32 pixels of 30000 +- 5
    assert float(z.abs().max()) <= 1


def test_zncc_map_is_differentiable_in_both_arguments() -> None:
    image, template = random(9, 10).requires_grad_(), random(3, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: zncc_map(a, b), (image, template))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_zncc_map_loses_exactly_the_windows_with_a_pixel_that_is_not_finite(bad: float) -> None:
    image, template = random(20, 24), random(5, 7, seed=1)
    expected = zncc_map(image, template)
    spoilt = image.clone()
    spoilt[10, 12] = bad
    got = zncc_map(spoilt, template)
    assert int((~got.isfinite()).sum()) == 5 * 7
    known = got.isfinite()
    torch.testing.assert_close(got[known], expected[known], rtol=0, atol=1e-9)  # the mean differs by a pixel


@pytest.mark.parametrize("value", [1.0, 0.1])
def test_zncc_map_refuses_a_constant_template(value: float) -> None:
    with pytest.raises(ContentError, match="template: expected texture"):
        zncc_map(random(20, 20), torch.full((7, 7), value))


def test_zncc_map_refuses_a_template_that_is_too_large() -> None:
    with pytest.raises(WindowError):
        zncc_map(random(20, 20), random(21, 5))


def test_local_zncc_is_the_correlation_coefficient_of_the_two_windows() -> None:
    f, m = random(15, 18), random(15, 18, seed=1)
    expected = pearson(*(sliding_window_view(v.numpy(), (5, 5)) for v in (f, m)))
    torch.testing.assert_close(local_zncc(f, m, 5, (0, 0)), torch.from_numpy(expected), rtol=0, atol=1e-9)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("shape", [(14, 15), (2, 1, 13, 12)])
def test_loss_is_differentiable_in_both_images(shape: tuple[int, ...], masked: bool) -> None:
    fixed, moving = random(*shape).requires_grad_(), random(*shape, seed=1).requires_grad_()
    mask = torch.ones(shape[-2:], dtype=torch.bool)
    mask[:2, :3] = False
    # An eps of a tenth of the variance, so that what the scale of the whole image does is seen.
    assert torch.autograd.gradcheck(lambda a, b: zncc_loss(a, b, 5, mask if masked else None, eps=0.1), (fixed, moving))


@pytest.mark.parametrize(("offset", "scale"), [(0, 1), (30000, 5), (0, 1e25), (0, 1e-25)])
def test_loss_of_float32_without_a_mask_is_that_of_float64_with_one(offset: float, scale: float) -> None:
    fixed, moving = (offset + scale * random(40, 50, seed=seed).float() for seed in (0, 1))
    fixed.requires_grad_()
    loss = zncc_loss(fixed, moving, 7)
    (gradient,) = torch.autograd.grad(loss, fixed)
    exact = fixed.detach().double().requires_grad_()
    expected = zncc_loss(exact, moving.double(), 7, torch.ones(40, 50))
    (exact_gradient,) = torch.autograd.grad(expected, exact)
    # Roundings of float32, 6e-8, of the loss and, some of them, of the largest gradient.
    assert loss.item() == pytest.approx(expected.item(), abs=3e-7)
    largest = float(exact_gradient.abs().max())
    torch.testing.assert_close(gradient.double() / largest, exact_gradient / largest, rtol=0, atol=1e-6)


@pytest.mark.parametrize("mask", [None, torch.ones(20, 20)])
def test_a_second_derivative_of_the_loss_is_refused(mask: torch.Tensor | None) -> None:
    fixed, moving = random(20, 20).requires_grad_(), random(20, 20, seed=1)
    (gradient,) = torch.autograd.grad(zncc_loss(fixed, moving, 5, mask), fixed, create_graph=True)
    (plain,) = torch.autograd.grad(zncc_loss(fixed, moving, 5, mask), fixed)
    torch.testing.assert_close(gradient, plain, rtol=0, atol=0)
    with pytest.raises(NotImplementedError, match="differentiated once"):
        torch.autograd.grad(gradient.square().sum(), fixed, allow_unused=True)


def test_images_that_hold_no_numbers_to_differentiate_or_none_at_all_are_refused() -> None:
    whole = torch.zeros(20, 20, dtype=torch.uint8)
    with pytest.raises(ContentError, match=r"torch.uint8 and torch.uint8; use image.float\(\)"):
        zncc_loss(whole, whole, 5)
    with pytest.raises(ContentError, match=r"at least one image, got shape \(0, 20, 20\)"):
        zncc_loss(random(0, 20, 20), random(0, 20, 20), 5)


def test_loss_spans_zero_to_two() -> None:
    image = random(40, 40)
    # eps is 1e-4 of the image's variance: agreement is one but for that.
    assert float(zncc_loss(image, 3 * image + 7, 7)) == pytest.approx(0, abs=1e-3)
    assert float(zncc_loss(image, -image, 7)) == pytest.approx(2, abs=1e-3)
    assert float(zncc_loss(image, random(40, 40, seed=1), 7)) == pytest.approx(1, abs=0.1)  # 30 independent windows


def test_windows_without_texture_do_not_count_as_agreement() -> None:
    image = torch.zeros(40, 40, dtype=torch.float64)
    image[:, :20] = random(40, 20)
    # 34 x 34 windows of 7 x 7; those from column 20 on are flat in both images, 14 of 34 columns.
    assert float(zncc_loss(image, image.clone(), 7)) == pytest.approx(14 / 34, abs=2e-3)


def test_masked_pixels_may_hold_anything() -> None:
    fixed, moving = random(30, 30), random(30, 30, seed=1)
    mask = torch.ones(30, 30, dtype=torch.bool)
    mask[5:12, 8:20] = False
    expected = zncc_loss(fixed, moving, 5, mask)
    for anything in (1e9, torch.nan, torch.inf):
        spoilt = torch.where(mask, moving, anything).requires_grad_()
        loss = zncc_loss(fixed, spoilt, 5, mask)
        (gradient,) = torch.autograd.grad(loss, spoilt)
        torch.testing.assert_close(loss.detach(), expected, rtol=1e-12, atol=0)
        assert gradient.isfinite().all()
        assert not gradient[~mask].any()


def test_too_little_overlap_is_an_error() -> None:
    mask = torch.zeros(30, 30, dtype=torch.bool)
    mask[:6, :6] = True
    with pytest.raises(ContentError, match="at least 5% of the 5x5 windows"):
        zncc_loss(random(30, 30), random(30, 30), 5, mask)
    assert float(zncc_loss(random(30, 30), random(30, 30), 5, mask, min_overlap=0)) == pytest.approx(0, abs=1e-3)


def test_shapes_must_agree_and_the_window_must_fit() -> None:
    with pytest.raises(OptionError, match="one shape"):
        zncc_loss(random(30, 30), random(30, 31), 5)
    with pytest.raises(OptionError, match="one shape"):
        zncc_loss(random(30, 30), random(30, 30), 5, torch.ones(3, 30, 30))
    for window in (0, 31):
        with pytest.raises(WindowError, match="1 to 30 pixels"):
            zncc_loss(random(30, 30), random(30, 30), window)


def test_a_mask_of_numbers_counts_above_zero() -> None:
    fixed, moving = random(30, 30), random(30, 30, seed=1)
    mask = torch.ones(30, 30, dtype=torch.bool)
    mask[:9] = False
    assert float(zncc_loss(fixed, moving, 5, mask * 255.0)) == float(zncc_loss(fixed, moving, 5, mask))


def test_full_windows_are_those_without_a_masked_pixel() -> None:
    mask = torch.from_numpy(np.random.default_rng(0).random((2, 12, 13)) > 0.05)
    expected = sliding_window_view(mask.numpy(), (3, 3), axis=(-2, -1)).all((-2, -1))
    np.testing.assert_array_equal(full_windows(mask, 3).numpy(), expected)


@pytest.mark.parametrize("window", [4, 5])
def test_std_map_is_the_population_standard_deviation_on_the_frame(window: int) -> None:
    ndimage = pytest.importorskip("scipy.ndimage")

    image = (30000 + 5 * random(20, 23)).float()
    got = std_map(image, torch.ones(20, 23, dtype=torch.bool), window).numpy()
    expected = ndimage.generic_filter(image.double().numpy(), np.std, size=window)
    inner = np.isfinite(got)
    assert inner.sum() == (20 - window + 1) * (23 - window + 1)
    # SciPy's window spans y - window // 2 onwards, and so does ours; float32 maps.
    np.testing.assert_allclose(got[inner], expected[inner], rtol=1e-6)


@pytest.mark.parametrize("unit", [1e-20, 1e-9, 1.0, 1e20])
def test_std_map_does_not_depend_on_the_unit(unit: float) -> None:
    image, mask = random(20, 20).float(), torch.ones(20, 20, dtype=torch.bool)
    expected = std_map(image, mask, 5)
    torch.testing.assert_close(std_map(image * unit, mask, 5) / unit, expected, rtol=1e-5, atol=0, equal_nan=True)


def test_std_map_is_nan_where_the_window_leaves_the_mask() -> None:
    mask = torch.ones(20, 20, dtype=torch.bool)
    mask[10, 10] = False
    image = random(20, 20)
    image[10, 10] = torch.nan
    got = std_map(image, mask, 3)
    assert int(got.isnan().sum()) == 20 * 20 - 18 * 18 + 9
    assert got[9:12, 9:12].isnan().all()


def test_zncc_frame_map_shows_where_images_agree() -> None:
    image = torch.from_numpy(Scene(seed=0).image((40, 60)))
    other = image.clone()
    other[:, 30:] = torch.from_numpy(Scene(seed=1).image((40, 30)))
    spreads = float(image.std()), float(other.std())
    z = zncc_frame_map(image, other, torch.ones(40, 60, dtype=torch.bool), 7, spreads)
    assert float(z[3:-3, 3:26].min()) > 0.97  # eps holds back the windows with the least texture
    assert abs(float(z[3:-3, 34:-3].mean())) < 0.5
    assert z[:3].isnan().all()
