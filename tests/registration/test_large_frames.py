"""Frames that are refined and judged by tiles: small overlaps, crops and sparse scenes must not fall between them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.registration.analytic import corner_error
from zncc_cli import register
from zncc_cli.registration.quality.verdict import Status


def scene(shape: tuple[int, int], seed: int) -> np.ndarray:
    """Return a texture with features of some pixels, (H, W) float32, of unit variance."""
    k = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None])
    white = np.random.default_rng(seed).normal(size=shape)
    image = np.fft.irfft2(np.fft.rfft2(white) * np.exp(-0.5 * (2 * np.pi * k * 1.5) ** 2), s=shape)
    return (image / image.std()).astype(np.float32)


def noisy(image: np.ndarray, seed: int) -> np.ndarray:
    return image + np.random.default_rng(seed).normal(0, 0.1, image.shape).astype(np.float32)


def shifted(x: float, y: float) -> np.ndarray:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], dtype=np.float64)


@pytest.mark.parametrize("given", [True, False])
def test_tiles_of_a_scan_that_share_a_strip_are_joined(given: bool) -> None:
    """The strip is a seventh of the frame, beyond the tiles that were looked at first."""
    wide = scene((1500, 2800), 1)
    fixed, moving = noisy(wide[:, :1500], 2), noisy(wide[:, 1300:], 3)
    truth = shifted(-1300, 0)
    result = register(fixed, moving, "translation", init=truth if given else None)
    assert result.status is Status.OK, result.reasons
    assert corner_error(result.matrix, truth, fixed.shape) < 0.05
    assert result.evidence.overlap == pytest.approx(200 / 1500, abs=0.01)


def test_a_crop_is_found_in_a_large_frame() -> None:
    fixed = scene((2048, 2048), 4)
    truth = shifted(-1000, -1050)
    moving = noisy(fixed[1050:1250, 1000:1200], 5)
    result = register(noisy(fixed, 6), moving, "translation", init=truth)
    assert result.status is Status.OK, result.reasons
    assert corner_error(result.matrix, truth, fixed.shape) < 0.05


def test_less_overlap_than_was_asked_for_is_refused_on_large_frames_too() -> None:
    wide = scene((1500, 2700), 7)
    fixed, moving = noisy(wide[:, :1500], 8), noisy(wide[:, 1200:], 9)
    result = register(fixed, moving, "translation", init=shifted(-1200, 0), min_overlap=0.5)
    assert result.status is Status.FAILED
    assert "overlap by 20.0%" in result.reasons[0]


def test_a_few_beads_on_a_large_frame_are_aligned() -> None:
    """Most tiles hold nothing."""
    places = np.random.default_rng(10).uniform(60, 1476, size=(40, 2))
    truth = np.array([[0.999, -0.004, 5.3], [0.004, 0.999, -3.7], [0, 0, 1]])
    y, x = np.mgrid[-12:13, -12:13]

    def seen(points: np.ndarray, seed: int) -> np.ndarray:
        image = np.random.default_rng(seed).normal(0, 0.01, (1536, 1536))
        for cx, cy in points:
            left, top = int(cx), int(cy)
            image[top - 12 : top + 13, left - 12 : left + 13] += np.exp(
                -((x - (cx - left)) ** 2 + (y - (cy - top)) ** 2) / (2 * 2.5**2)
            )
        return image.astype(np.float32)

    moved = places @ truth[:2, :2].T + truth[:2, 2]
    result = register(seen(places, 11), seen(moved, 12), "similarity")
    assert result.status is Status.OK, result.reasons
    assert corner_error(result.matrix, truth, (1536, 1536)) < 0.1
