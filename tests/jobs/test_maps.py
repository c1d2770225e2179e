"""Maps written strip by strip are those of the whole images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from zncc_cli.files.images import Image
from zncc_cli.files.metadata import Metadata
from zncc_cli.jobs.maps import MapWriter
from zncc_cli.jobs.views import View
from zncc_cli.registration.canvas import Frame
from zncc_cli.registration.zncc import std_map, zncc_frame_map

METADATA = Metadata(path=Path("fixed.tif"), format="TIFF")


@pytest.mark.parametrize("window", [3, 8, 11])
@pytest.mark.parametrize("height", [1, 5, 16, 50])
def test_strips_make_the_maps_of_the_whole(tmp_path: Path, window: int, height: int) -> None:
    rng = np.random.default_rng(0)
    fixed, aligned = rng.normal(100, 5, (50, 40)).astype(np.float32), rng.normal(7, 2, (50, 40)).astype(np.float32)
    covered = np.ones((50, 40), np.bool_)
    covered[:, 33:] = False
    counts = covered.copy()
    counts[20, 10] = False
    spreads = 5.0, 2.0
    frame = Frame(0, 0, 40, 50)
    with MapWriter(tmp_path, View(Image(fixed, "YX", METADATA), ()), frame, METADATA, window, spreads, 1) as maps:
        for first in range(0, 50, height):
            rows = slice(first, min(first + height, 50))
            maps.add(first, aligned[rows], covered[rows], counts[rows])
    f, m, there = map(torch.from_numpy, (fixed, aligned, counts))
    expected = {
        "std_fixed": std_map(f, torch.ones_like(there), window),
        "std_aligned": std_map(m, there, window),
        "zncc": zncc_frame_map(f, m, there, window, spreads),
    }
    for name, whole in expected.items():
        # Each strip is centred by a mean of its own, which moves float32 values by their rounding.
        np.testing.assert_allclose(tifffile.imread(tmp_path / f"{name}.tif"), whole.numpy(), rtol=2e-5, atol=2e-6)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "mask.tif"), np.where(covered, 255, 0))


def test_beyond_the_fixed_image_there_are_no_values(tmp_path: Path) -> None:
    fixed = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    frame = Frame(-4, -2, 40, 30)
    everywhere = np.ones(frame.shape, np.bool_)
    aligned = np.random.default_rng(1).normal(size=frame.shape).astype(np.float32)
    with MapWriter(tmp_path, View(Image(fixed, "YX", METADATA), ()), frame, METADATA, 5, (1.0, 1.0), 1) as maps:
        maps.add(0, aligned, everywhere, everywhere)
    known = np.zeros(frame.shape, np.bool_)
    known[4:20, 6:32] = True  # two pixels, half a window, inside the fixed image
    np.testing.assert_array_equal(np.isfinite(tifffile.imread(tmp_path / "std_fixed.tif")), known)
    np.testing.assert_array_equal(np.isfinite(tifffile.imread(tmp_path / "zncc.tif")), known)
