"""The ring correlation of two images, and the filter that is made of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from zncc_cli.registration.refine.ring_correlation import Spectrum, ring_correlation, taper

SHAPE = (256, 320)


def noise(seed: int) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(seed).normal(size=SHAPE), dtype=torch.float32)


def wave(k: float) -> torch.Tensor:
    """Return a wave (1, 1, H, W) of k cycles per pixel along x."""
    return torch.cos(2 * torch.pi * k * torch.arange(SHAPE[1])).expand(SHAPE)[None, None].contiguous()


def amplitude(image: torch.Tensor) -> float:
    """Return the amplitude of a wave, away from the border."""
    return float(image[0, 0, 80:-80, 80:-80].square().mean().sqrt()) * 2**0.5


def test_white_noise_on_a_white_scene_has_the_signals_share_of_the_power_in_every_ring() -> None:
    scene, sigma = noise(0), 1.0
    weight = taper(torch.ones(SHAPE, dtype=torch.bool))
    rho = ring_correlation(scene + sigma * noise(1), scene + sigma * noise(2), weight).rho
    # A ring of n frequencies scatters by about 1 / sqrt(n): 0.03 in the middle, more in the few of the first rings.
    np.testing.assert_allclose(rho[5:], 1 / (1 + sigma**2), atol=0.12)


def test_unrelated_images_have_no_ring_correlation() -> None:
    weight = taper(torch.ones(SHAPE, dtype=torch.bool))
    assert ring_correlation(noise(1), noise(2), weight).rho[5:].max() < 0.12


def test_identical_images_have_a_ring_correlation_of_one() -> None:
    weight = taper(torch.ones(SHAPE, dtype=torch.bool))
    assert ring_correlation(noise(1), 3 * noise(1) + 5, weight).rho.min() > 0.999


def test_pixels_of_weight_zero_do_not_count() -> None:
    mask = torch.ones(SHAPE, dtype=torch.bool)
    mask[:, 200:] = False
    a, b = noise(1), noise(1)
    b[:, 200:] = 1e3
    assert ring_correlation(a, b, taper(mask)).rho.min() > 0.999


@pytest.mark.parametrize(("k", "rho"), [(0.1, 0.5), (0.3, 0.2)])
def test_a_wave_is_scaled_by_the_gain_of_its_ring(k: float, rho: float) -> None:
    filtered = Spectrum(torch.full((40,), rho)).filtered(wave(k))
    assert amplitude(filtered) == pytest.approx((2 * rho / (1 + rho)) ** 0.5, rel=1e-3)


def test_frequencies_are_those_of_the_frame_they_were_measured_in() -> None:
    """Where this image has two pixels for one of that frame, 0.3 of its cycles per pixel are 0.6 of the other's."""
    rho = torch.full((40,), 0.9999)
    assert amplitude(Spectrum(rho).filtered(wave(0.3))) == pytest.approx(1, rel=1e-3)
    assert amplitude(Spectrum(rho).filtered(wave(0.3), scale=2.0)) < 0.01
    assert amplitude(Spectrum(rho).filtered(wave(0.2), scale=2.0)) == pytest.approx(1, rel=1e-3)


def test_what_noise_has_in_common_by_chance_passes_no_filter() -> None:
    weight = taper(torch.ones(SHAPE, dtype=torch.bool))
    shares = [
        float((ring_correlation(noise(seed), noise(seed + 10), weight).rho > 0).float().mean()) for seed in (0, 1, 2)
    ]
    # 2.8 standard deviations: one ring in 400 passes by chance, of 120 hardly more than two.
    assert np.mean(shares) < 3 / 120
