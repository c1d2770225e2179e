"""A pair whose transform bends: every file that is written follows the spline."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from tests.registration.spline_fields import random_field
from zncc_cli.config import Interpolation, PairConfig, RegistrationConfig, ResamplingConfig
from zncc_cli.config.apply import ApplyConfig
from zncc_cli.errors import OptionError
from zncc_cli.files.images import read_image
from zncc_cli.files.transforms.transform_json import read_transform
from zncc_cli.jobs import budget
from zncc_cli.jobs.apply import apply_transform
from zncc_cli.jobs.batch.worker import align_task
from zncc_cli.jobs.pair import registering as module
from zncc_cli.jobs.pair.align import PairOutcome, align_pair
from zncc_cli.jobs.pair.expected_error import write_trusted
from zncc_cli.jobs.summary import print_summary
from zncc_cli.registration.nonrigid.error_map import ErrorMap
from zncc_cli.registration.register import RegistrationResult, register_images
from zncc_cli.registration.resampling.resample import array_reader, resample
from zncc_cli.registration.transforms.spline_field import SplineField

SAMPLE = Path(__file__).parents[3] / "sample_data" / "affine"
MATRIX_FILES = {"aligned.tif", "mask.tif", "std_fixed.tif", "std_aligned.tif", "zncc.tif", "overlay.png", "report.html"}
MATRIX_FILES |= {"report.json", "transform.json"}
BENDING_FILES = {"spline.npy", "displacement.tif", "expected_error.tif", "trusted.tif", "jacobian.tif"}


@pytest.fixture
def bent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every registration find a spline upon its matrix."""

    def register(*arguments: Any) -> RegistrationResult:
        result = register_images(*arguments)
        field = random_field(result.fixed_shape, amplitude=1.0, spacing=20.0, matrix=result.matrix)
        return replace(result, field=field, model="bspline")  # type: ignore[arg-type]

    monkeypatch.setattr(module, "register_images", register)


def aligned(folder: Path, **resampling: Any) -> PairOutcome:
    config = PairConfig(
        fixed=SAMPLE / "fixed.tif",
        moving=SAMPLE / "moving.tif",
        out=folder,
        overwrite=True,
        resampling=ResamplingConfig(**resampling),
    )
    return align_pair(config, lambda _: None)


def field_of(folder: Path) -> SplineField:
    field = read_transform(folder / "transform.json").field
    assert field is not None
    return field


@pytest.mark.usefixtures("bent")
def test_the_files_of_a_pair_follow_the_spline(tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = aligned(out)
    assert not outcome.missing
    assert {path.name for path in out.iterdir()} == MATRIX_FILES | BENDING_FILES
    field, moving = field_of(out), tifffile.imread(SAMPLE / "moving.tif")
    reader = array_reader(moving, np.ones(moving.shape, bool))
    rows, columns = map(range, field.shape)
    values, defined = resample(reader, moving.shape, field, rows, columns, Interpolation.CUBIC)
    written = tifffile.imread(out / "aligned.tif")
    assert np.array_equal(written[defined], np.rint(values[defined]).clip(0, np.iinfo(moving.dtype).max))
    assert np.array_equal(tifffile.imread(out / "mask.tif") > 0, defined)
    jacobian = tifffile.imread(out / "jacobian.tif")
    assert np.array_equal(np.isfinite(jacobian), defined)
    determinants = np.linalg.det(field.jacobians(rows, columns))
    assert np.array_equal(jacobian[defined], determinants[defined].astype(np.float32))
    assert np.array_equal(np.isfinite(tifffile.imread(out / "displacement.tif")).all(axis=-1), defined)
    report = json.loads((out / "report.json").read_text())
    assert report["metrics"]["folds"] == (determinants <= 0).sum()
    assert report["spline"]["spacing"] == 20
    assert "displacement.tif" in (out / "report.html").read_text()


@pytest.mark.usefixtures("bent")
@pytest.mark.parametrize("canvas", ["fixed", "union"])
def test_apply_gives_the_aligned_file_byte_for_byte(tmp_path: Path, canvas: str) -> None:
    out = tmp_path / "out"
    aligned(out, canvas=canvas)
    config = ApplyConfig(
        transform=out / "transform.json",
        images=(SAMPLE / "moving.tif",),
        out=tmp_path / "again.tif",
        resampling=ResamplingConfig(canvas=canvas),  # type: ignore[arg-type]
    )
    apply_transform(config)
    assert (tmp_path / "again.tif").read_bytes() == (out / "aligned.tif").read_bytes()
    assert tifffile.imread(out / "jacobian.tif").shape == tifffile.imread(out / "aligned.tif").shape


def test_files_of_a_bend_are_removed_by_a_run_without_one_but_not_those_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "displacement.tif").write_text("mine")
    aligned(out)
    assert (out / "displacement.tif").read_text() == "mine"
    request.getfixturevalue("bent")
    aligned(out)
    assert {path.name for path in out.iterdir()} > BENDING_FILES
    monkeypatch.setattr(module, "register_images", register_images)
    aligned(out)
    assert {path.name for path in out.iterdir()} == MATRIX_FILES


@pytest.mark.usefixtures("bent")
def test_a_canvas_that_a_bend_has_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="without a bend"):
        aligned(tmp_path / "out", canvas="common")


@pytest.mark.usefixtures("bent")
def test_the_spline_of_blocks_becomes_one_of_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MAX_FULL_RESOLUTION_PIXELS", 100_000)
    outcome = aligned(tmp_path / "out")
    assert outcome.report["registered_by"]["blocks"] == 2
    assert field_of(tmp_path / "out").shape == outcome.result.fixed_shape
    assert not outcome.missing


@pytest.mark.usefixtures("bent")
def test_a_batch_that_is_resumed_keeps_a_pair_that_bends(tmp_path: Path) -> None:
    base = PairConfig(fixed=Path("fixed"), moving=Path("moving"), out=tmp_path)
    settings = {"out": str(tmp_path), "since": 0}
    task = {"name": "pair", "fixed": str(SAMPLE / "fixed.tif"), "moving": str(SAMPLE / "moving.tif"), "key": ""}
    first = align_task(task, settings, base)
    assert first["row"]["missing"] == ""
    assert {path.name for path in (tmp_path / "pair").iterdir()} == MATRIX_FILES | BENDING_FILES
    task["key"] = first["key"]
    assert align_task(task, settings, base).get("kept")
    (tmp_path / "pair" / "displacement.tif").unlink()
    assert not align_task(task, settings, base).get("kept")


@pytest.mark.usefixtures("bent")
def test_the_terminal_names_nodes_and_folds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(aligned(tmp_path / "out"))
    assert "nodes every 20 px, folds nowhere" in capsys.readouterr().out


def test_what_a_mask_left_out_is_not_trusted(tmp_path: Path) -> None:
    """As the mask of a second run it would be in again."""
    places, every = np.arange(0, 600, 100), np.ones((6, 6), bool)
    error = ErrorMap(places, places, np.full((6, 6), 0.1), every, every, ~every)
    mask = np.zeros((600, 600), np.uint8)  # of more rows than are written at a time
    mask[50:590, 20:] = 1
    tifffile.imwrite(tmp_path / "mask.tif", mask)
    image = read_image(tmp_path / "mask.tif")
    field = SplineField(np.eye(3), np.zeros((2, 33, 33)), 20.0, (600, 600))
    write_trusted(tmp_path / "trusted.tif", error, field, (600, 600), image.metadata, image)
    assert np.array_equal(tifffile.imread(tmp_path / "trusted.tif"), 255 * mask)


def test_a_real_result_tells_its_expected_error_to_everybody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    registration = RegistrationConfig(model="bspline")  # type: ignore[arg-type]
    config = PairConfig(fixed=SAMPLE / "fixed.tif", moving=SAMPLE / "moving.tif", out=out, registration=registration)
    outcome = align_pair(config, lambda _: None)
    bending = outcome.result.bending
    assert bending is not None
    error = bending.expected_error
    assert error is not None
    written, moved = tifffile.imread(out / "expected_error.tif"), tifffile.imread(out / "displacement.tif")
    assert written.dtype == np.float32
    assert np.array_equal(np.isfinite(written), np.isfinite(moved).all(axis=-1))
    assert np.array_equal(tifffile.imread(out / "trusted.tif"), np.where(written <= 1, 255, 0).astype(np.uint8))
    worst, x, y = error.worst
    assert written[y, x] == np.float32(worst)
    assert json.loads((out / "transform.json").read_text())["expected_error"] == "expected_error.tif"
    report = json.loads((out / "report.json").read_text())
    told = {
        "rms": error.rms,
        "rms_everywhere": error.rms_everywhere,
        "worst": worst,
        "worst_at": [x, y],
        "uncertain_share": error.uncertain_share,
        "unmatched_share": error.unmatched_share,
    }
    assert report["uncertainty"] == told
    assert report["metrics"]["expected_error"] == error.rms
    # What is known of the matrix alone stands apart.
    assert "model_misfit" in report["matrix_metrics"]
    assert "model_misfit" not in report["metrics"]
    longest = np.nanmax(np.linalg.norm(outcome.result.field.displacements(*map(range, written.shape)), axis=-1))  # type: ignore[union-attr]
    assert report["metrics"]["motion"] == pytest.approx(longest, abs=0.02)  # between the points that are looked at
    print_summary(outcome)
    printed = capsys.readouterr().out
    assert f"{error.rms:.3f} px RMS where there is texture, {worst:.3f} px at the worst place, ({x}, {y})" in printed
    assert "map-field-error" in (out / "report.html").read_text()
