"""The local ZNCC and the loss that is made of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view

from tests.reference import pearson
from zncc_cli import zncc_loss
from zncc_cli.errors import ContentError, OptionError, WindowError
from zncc_cli.registration.metric.local_zncc import local_zncc


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


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
