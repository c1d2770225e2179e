"""Maps written strip by strip equal the maps of whole images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch

from zncc_cli.files.images import Image
from zncc_cli.files.metadata import Metadata
from zncc_cli.jobs.channel_view import ChannelView
from zncc_cli.jobs.missing import Missing
from zncc_cli.jobs.pair.maps import RowFile, write_maps, write_mask
from zncc_cli.jobs.pair.run_folder import MAPS
from zncc_cli.registration.inputs.inpainting import inpaint
from zncc_cli.registration.metric.maps import std_map, zncc_frame_map
from zncc_cli.registration.resampling.canvas import Frame

METADATA = Metadata(path=Path("fixed.tif"), format="TIFF")


def write(
    folder: Path, fixed: np.ndarray, aligned: np.ndarray, covered: np.ndarray, counts: np.ndarray, **options: Any
) -> None:
    view = ChannelView(Image(fixed, "YX", METADATA), ())
    with (
        RowFile(folder, aligned.shape[1], np.float32) as a,
        RowFile(folder, aligned.shape[1], bool) as b,
        RowFile(folder, aligned.shape[1], bool) as c,
    ):
        for row_file, values in ((a, aligned), (b, covered), (c, counts)):
            row_file.append(values[:7])
            row_file.append(values[7:])
        missing = Missing(folder)
        write_maps(folder, view, (a, c), **options, missing=missing)
        assert not missing.of(MAPS)
        write_mask(folder / "mask.tif", b, options["canvas"], METADATA)


@pytest.mark.parametrize("window", [3, 8, 51])
@pytest.mark.parametrize("height", [5, 16, 50])
def test_maps_written_in_strips_equal_the_maps_of_whole_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: int, height: int
) -> None:
    monkeypatch.setattr("zncc_cli.jobs.pair.maps.STRIP_ROWS", height)
    monkeypatch.setattr("zncc_cli.files.tiff.layout.STRIP_ROWS", height)
    monkeypatch.setattr("zncc_cli.files.tiff.write.STRIP_ROWS", height)
    rng = np.random.default_rng(0)
    fixed, aligned = rng.normal(100, 5, (60, 52)).astype(np.float32), rng.normal(7, 2, (60, 52)).astype(np.float32)
    covered = np.ones((60, 52), np.bool_)
    covered[:, 43:] = False
    counts = covered.copy()
    counts[20, 10] = False
    counts[30:33, 5:40] = False
    deviations = 5.0, 2.0
    write(
        tmp_path,
        fixed,
        aligned,
        covered,
        counts,
        canvas=Frame(0, 0, 52, 60),
        window=window,
        standard_deviations=deviations,
    )
    f = torch.from_numpy(fixed)
    m, there = inpaint(torch.from_numpy(aligned), torch.from_numpy(counts), window)  # gaps up to a window are filled
    expected = {
        "std_fixed": std_map(f, torch.ones_like(there), window),
        "std_aligned": std_map(m, there, window),
        "zncc": zncc_frame_map(f, m, there, window, deviations),
    }
    for name, whole in expected.items():
        # Each strip is centred by a mean of its own, which moves float32 values by their rounding.
        np.testing.assert_allclose(tifffile.imread(tmp_path / f"{name}.tif"), whole.numpy(), rtol=2e-5, atol=2e-6)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "mask.tif"), np.where(covered, 255, 0))


def test_maps_are_nan_beyond_the_fixed_image(tmp_path: Path) -> None:
    fixed = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    canvas = Frame(-4, -2, 40, 30)
    everywhere = np.ones(canvas.shape, np.bool_)
    aligned = np.random.default_rng(1).normal(size=canvas.shape).astype(np.float32)
    write(tmp_path, fixed, aligned, everywhere, everywhere, canvas=canvas, window=5, standard_deviations=(1.0, 1.0))
    expected = np.zeros(canvas.shape, np.bool_)
    expected[4:20, 6:32] = True  # two pixels, half a window, inside the fixed image
    np.testing.assert_array_equal(np.isfinite(tifffile.imread(tmp_path / "std_fixed.tif")), expected)
    np.testing.assert_array_equal(np.isfinite(tifffile.imread(tmp_path / "zncc.tif")), expected)
