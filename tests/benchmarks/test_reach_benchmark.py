"""The benchmark of the search's limits: its pairs are the same each time, and their truth is one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.registration import reach as benchmark
from benchmarks.registration.pairs import reach
from benchmarks.registration.pairs.error import is_inside
from benchmarks.registration.pairs.scenery import FLAT_SCENES, TwoViews
from zncc_cli.registration.warp import map_points

# A number of each kind whose scene is drawn fast, and the share of the fixed frame that it shows in the moving one.
NUMBERS = {
    "mirrored": (4, 0.97),
    "scale 3": (4, 1.0),
    "scale 4 with pixel sizes": (5, 1 / 16),
    "overlap 12 percent": (1, 0.12),
    "bare board": (1, 0.97),
    "page": (0, 0.97),
    "sparse stars": (0, 0.97),
    "few cells": (0, 0.97),
    "half sky": (0, 0.97),
    "vessels": (0, 0.97),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_the_truth_leads_from_the_fixed_frame_to_the_same_brightness_in_the_moving_one(kind: str) -> None:
    number, share = NUMBERS[kind]
    pair = reach.make_pair(kind, "chosen", number)
    assert pair.matrix is not None
    height, width = pair.fixed.shape
    y, x = np.mgrid[:height, :width].astype(float)
    points = map_points(pair.matrix, np.stack((x, y), axis=-1))
    inside = is_inside(points, pair.moving.shape)
    # Motions differ by a few percent of the frame, magnifications by a tenth.
    assert inside.mean() == pytest.approx(share, rel=0.25)
    grid = 2 * points / [pair.moving.shape[1] - 1, pair.moving.shape[0] - 1] - 1
    sampled = torch.nn.functional.grid_sample(
        torch.from_numpy(pair.moving.astype(float))[None, None], torch.from_numpy(grid)[None], align_corners=True
    )[0, 0].numpy()
    # Linear interpolation and noise cost a few percent; frames of different scenes stay below 0.3.
    assert np.corrcoef(sampled[inside], pair.fixed[inside])[0, 1] > 0.9


def test_pixel_sizes_agree_with_the_magnification() -> None:
    for number in (4, 5):
        pair = reach.make_pair("scale 4 with pixel sizes", "chosen", number)
        assert pair.matrix is not None
        assert pair.pixel_sizes is not None
        fixed_um, moving_um = pair.pixel_sizes
        scale = np.sqrt(np.linalg.det(pair.matrix[:2, :2]))  # moving pixels per fixed one
        assert fixed_um / moving_um == pytest.approx(scale, rel=0.021)
        assert 3.6 <= max(scale, 1 / scale) <= 4.4


def test_the_same_number_gives_the_same_pair_and_the_other_half_another_one() -> None:
    first, again = (reach.make_pair("bare board", "chosen", 2) for _ in range(2))
    np.testing.assert_array_equal(first.moving, again.moving)
    np.testing.assert_array_equal(first.matrix, again.matrix)
    assert not np.array_equal(first.fixed, reach.make_pair("bare board", "held out", 2).fixed)


@pytest.mark.parametrize("scene", FLAT_SCENES)
def test_flat_scenes_are_mostly_flat(scene: str) -> None:
    frame = TwoViews(scene, 1, (256, 320), np.eye(3)).fixed()
    assert frame.min() >= 0
    windows = np.lib.stride_tricks.sliding_window_view(frame, (11, 11))[::11, ::11]
    # A window is flat where it holds less than a tenth of the spread of the whole frame.
    flat = windows.std(axis=(2, 3)) < 0.1 * frame.std()
    assert 0.25 < flat.mean() < 0.99


def test_the_report_counts_what_is_right_and_what_is_believed() -> None:
    outcomes = [
        benchmark.Outcome("page", "chosen", "page", "rigid", error, status, ("x",), 0.5, 1.0)
        for error, status in ((0.1, "ok"), (0.2, "suspect"), (3.0, "ok"), (4.0, "failed"), (None, "ok"))
    ]
    text = "\n".join(benchmark.lines(outcomes))
    assert "| page | chosen | 5 | 2 | 1 | 2 | 1.00 |" in text
    assert text.count("- chosen: page") == 4
