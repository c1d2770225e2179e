"""The global search for the translation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from analytic import Scene

from zncc_cli.registration.initialization import find_shifts, masked_zncc
from zncc_cli.registration.pyramid import Level


def level(image: np.ndarray, mask: np.ndarray | None = None) -> Level:
    held = np.ones(image.shape, bool) if mask is None else mask
    return Level(torch.from_numpy(np.where(held, image, 0))[None, None].float(), torch.from_numpy(held), 1)


def test_masked_zncc_is_the_correlation_coefficient_of_the_overlap() -> None:
    rng = np.random.default_rng(0)
    f, m = rng.normal(size=(9, 11)), rng.normal(size=(12, 8))
    fm, mm = rng.random(f.shape) > 0.2, rng.random(m.shape) > 0.2
    surface, count, zero = masked_zncc(*(torch.from_numpy(a) for a in (f * fm, fm * 1.0, m * mm, mm * 1.0)), 0.2)
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
            assert float(surface[zero[0] + dy, zero[1] + dx]) == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-9)
            assert int(count[zero[0] + dy, zero[1] + dx]) == len(both)
            checked += 1
    assert checked > 50


@pytest.mark.parametrize("shift", [(0, 0), (17, -9), (-60, 40)])
def test_finds_the_shift(shift: tuple[int, int]) -> None:
    scene = Scene(seed=1).image((300, 300))
    dx, dy = shift
    fixed, moving = scene[100:220, 100:240], scene[100 - dy : 220 - dy, 100 - dx : 240 - dx]
    best = find_shifts(level(fixed), level(moving), 0.25)[0]
    # Subtracting the broad shading, near whose borders the two frames differ, may move the peak by a pixel: it is
    # a start, which the gradient descent refines.
    assert (best.dx, best.dy) == pytest.approx(shift, abs=1)


def test_strong_shading_does_not_hide_the_shift() -> None:
    scene = Scene(seed=2).image((200, 200))
    fixed, moving = scene[30:150, 30:150], scene[20:140, 40:160]
    shading = np.linspace(0, 1, 120) ** 2
    best = find_shifts(level(fixed + shading), level(moving + shading[:, None]), 0.25)[0]
    assert (best.dx, best.dy) == pytest.approx((-10, 10), abs=2)  # a start; shading bends the peak a little


def test_unequal_sizes() -> None:
    scene = Scene(seed=3).image((200, 200))
    best = find_shifts(level(scene[50:110, 60:140]), level(scene), 0.25)[0]
    assert (best.dx, best.dy) == (60, 50)
