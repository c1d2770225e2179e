"""The aligned image in each of the formats that --format names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.jobs.pair.test_pair import SAMPLE
from zncc_cli.config import PairConfig, RegistrationConfig, ResamplingConfig
from zncc_cli.config.apply import ApplyConfig
from zncc_cli.errors import OptionError, OutputError
from zncc_cli.files.images import read_image
from zncc_cli.jobs.apply import apply_transform
from zncc_cli.jobs.pair.align import PairOutcome, align_pair
from zncc_cli.jobs.pair.run_folder import file_names


def align(out: Path, image_format: str, *, overwrite: bool = False, canvas: str = "fixed") -> PairOutcome:
    resampling = ResamplingConfig(image_format=image_format, canvas=canvas)  # type: ignore[arg-type]
    config = PairConfig(
        fixed=SAMPLE / "fixed.tif",
        moving=SAMPLE / "moving.tif",
        out=out,
        write="aligned,transform,report",
        overwrite=overwrite,
        resampling=resampling,
    )
    outcome = align_pair(config, lambda _: None)
    assert {path.name for path in out.iterdir()} == set(file_names(config))
    return outcome


def test_every_format_holds_the_same_pixels_and_replaces_the_others(tmp_path: Path) -> None:
    pytest.importorskip("zarr", reason="zarr reads OME-Zarr")
    out = tmp_path / "out"
    align(out, "auto")
    expected = tifffile.imread(out / "aligned.tif")
    for image_format, name in (("ome-zarr", "aligned.ome.zarr"), ("png", "aligned.png"), ("tiff", "aligned.tif")):
        with pytest.raises(OutputError, match="exists already"):
            align(out, image_format)
        align(out, image_format, overwrite=True)
        assert np.array_equal(read_image(out / name).data, expected)
    align(tmp_path / "union", "ome-zarr", canvas="union")
    shapes = {read_image(tmp_path / "union" / f"{name}.ome.zarr").shape for name in ("aligned", "fixed")}
    assert len(shapes) == 1
    for suffix in ("ome.zarr", "png"):
        moved = tmp_path / f"moved.{suffix}"
        apply_transform(ApplyConfig(transform=out / "transform.json", images=(SAMPLE / "moving.tif",), out=moved))
        assert np.array_equal(read_image(moved).data, expected)


def test_an_image_that_a_format_does_not_hold_is_refused_before_it_is_registered(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.random.default_rng(0).normal(size=(64, 64)).astype("f4"))
    config = PairConfig(
        fixed=tmp_path / "a.tif",
        moving=tmp_path / "a.tif",
        out=tmp_path / "out",
        registration=RegistrationConfig(),
        resampling=ResamplingConfig(image_format="png"),  # type: ignore[arg-type]
    )
    with pytest.raises(OptionError, match="1 x float32; use tiff"):
        align_pair(config, lambda _: None)
    assert not (tmp_path / "out").exists()
