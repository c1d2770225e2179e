"""Movies whose frames bend: total and incremental displacements, the aligned movie, and strain, against the truth."""

from __future__ import annotations

import csv
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from tests.registration.analytic import Scene
from zncc_cli.config import Model, ResamplingConfig
from zncc_cli.config.stack import StackConfig
from zncc_cli.config.strain import StrainConfig
from zncc_cli.errors import ExitCode, InputError, OptionError
from zncc_cli.files.transforms.stack_json import read_stack
from zncc_cli.jobs.stack.align import align_stack
from zncc_cli.jobs.stack.outcome import StackOutcome
from zncc_cli.jobs.strain import write_strain

_FINENESS = 1.7  # of the speckle: waves of 4 to 35 pixels
SHAPE, COUNT = (120, 136), 5
TENSION, WAVE_PX = (0.04, -0.015), 1.2  # at the last frame; the wave is an even one, of 70 pixels

FILES = {"report.html", "stack.tif", "drift.csv", "drift.svg", "transforms.json", "report.json", "splines.npy"}
FILES |= {"displacement.tif", "incremental.tif", "expected_error.tif"}


def truth(frame: int) -> np.ndarray:
    """Return displacements (H, W, 2) of the first frame's pixels: tension, and a sine of x along y."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    return _displacement(x, y, frame / (COUNT - 1))


def _displacement(x: np.ndarray, y: np.ndarray, load: float) -> np.ndarray:
    return load * np.stack([TENSION[0] * x + WAVE_PX * np.sin(2 * np.pi * y / 70), TENSION[1] * y], axis=-1)


@functools.cache
def frames(noise: float = 0.02) -> np.ndarray:
    """Return uint16 (n, H, W); frame k shows at p + truth(k)(p) what the first shows at p."""
    scene, random, shown = Scene(3, 120), np.random.default_rng(0), []
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    for frame in range(COUNT):
        at = np.stack([x, y], axis=-1)
        for _ in range(30):  # the inverse, as a fixed point: the displacement changes by less than 0.1 a pixel
            at = np.stack([x, y], axis=-1) - _displacement(at[..., 0], at[..., 1], frame / (COUNT - 1))
        shown.append(scene(_FINENESS * at))
    unit = np.std(shown[0])
    made = np.array(
        [np.clip(20000 + 5000 * (one / unit + noise * random.standard_normal(SHAPE)), 0, 65535) for one in shown]
    ).astype(np.uint16)
    made.setflags(write=False)  # tests share it
    return made


def align(folder: Path, movie: np.ndarray, **settings: Any) -> StackOutcome:
    path = folder / "movie.tif"
    tifffile.imwrite(path, movie, photometric="minisblack", metadata={"axes": "TYX"})
    config = StackConfig(image=path, out=folder / "out", model=Model.BSPLINE, overwrite=True, **settings)
    return align_stack(config, lambda _: None)


@pytest.fixture(scope="module")
def aligned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StackOutcome]:
    """The frames, aligned to the first; the folder with the movie, and what came of it."""
    folder = tmp_path_factory.mktemp("aligned")
    return folder, align(folder, frames())


def read(folder: Path, name: str) -> np.ndarray:
    return np.asarray(tifffile.imread(folder / "out" / name), dtype=float)


def rms(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.sqrt(np.nanmean(((found - wanted) ** 2).sum(axis=-1))))


@pytest.mark.parametrize("to", ["first", "previous"])
def test_total_and_incremental_displacements_follow_the_truth(
    tmp_path: Path, aligned: tuple[Path, StackOutcome], to: str
) -> None:
    """Under this noise they are off by 0.016 to 0.033 px RMS."""
    folder, outcome = aligned if to == "first" else (tmp_path, align(tmp_path, frames(), to=to))
    assert outcome.exit_code is ExitCode.OK
    assert {path.name for path in (folder / "out").iterdir()} == FILES
    total, steps, error = (read(folder, f"{name}.tif") for name in ("displacement", "incremental", "expected_error"))
    assert total.shape == steps.shape == (COUNT, *SHAPE, 2)
    assert error.shape == (COUNT, *SHAPE)
    assert not total[0].any()
    for frame in range(COUNT):
        assert rms(total[frame], truth(frame)) < 0.05
        assert np.array_equal(np.isfinite(error[frame]), np.isfinite(total[frame]).all(axis=-1))
    known = np.isfinite(steps[1:])
    np.testing.assert_allclose(steps[1:][known], np.diff(total, axis=0)[known], atol=1e-5)  # float32
    said = np.sqrt(np.nanmean(error[-1] ** 2))
    assert 0.3 < said / rms(total[-1], truth(COUNT - 1)) < 3


def test_the_aligned_movie_shows_the_first_frame(tmp_path: Path) -> None:
    movie = frames(noise=0.0)
    align(tmp_path, movie)
    aligned, inner = read(tmp_path, "stack.tif"), (slice(8, -8), slice(8, -16))
    before, after = (np.abs(one[-1][inner] - movie[0][inner]).mean() for one in (movie.astype(float), aligned))
    assert after < 0.05 * before


def test_the_strain_curve_is_that_of_the_load(tmp_path: Path, aligned: tuple[Path, StackOutcome]) -> None:
    maps = write_strain(StrainConfig(transform=aligned[0] / "out" / "transforms.json", out=tmp_path / "strain"))
    assert maps.frames == COUNT
    with (tmp_path / "strain" / "strain_curve.csv").open(newline="") as file:
        curve = list(csv.DictReader(file))
    assert list(curve[0]) == ["frame", "status", "points", "exx", "eyy", "exy", "sigma"]
    for frame, row in enumerate(curve):
        load = frame / (COUNT - 1)
        assert (row["frame"], row["status"]) == (str(frame), "ok")
        assert float(row["exx"]) == pytest.approx(load * TENSION[0], abs=1.5e-3)
        # The wave shears by 0.1 at most, which lengthens y by half the mean of its square.
        lengthened = (load * WAVE_PX * 2 * np.pi / 70) ** 2 / 4
        assert float(row["eyy"]) == pytest.approx(load * TENSION[1] + lengthened, abs=1.5e-3)
        assert 0 <= float(row["sigma"]) < 0.2
    assert tifffile.imread(tmp_path / "strain" / "exx.tif").shape == (COUNT, *SHAPE)
    with (tmp_path / "strain" / "strain.csv").open(newline="") as file:
        assert {row["frame"] for row in csv.DictReader(file)} == {str(frame) for frame in range(COUNT)}


def test_a_blank_frame_and_another_scene_are_named_and_keep_the_place_before(tmp_path: Path) -> None:
    movie = frames().copy()
    movie[2] = 20000
    movie[3] = np.random.default_rng(5).integers(10000, 30000, SHAPE)
    outcome = align(tmp_path, movie)
    assert outcome.exit_code is ExitCode.NOT_TRUSTED
    assert [row.status for row in outcome.rows] == ["ok", "ok", "blank", "outlier", "ok"]
    assert outcome.report["blank"] == [2]
    assert outcome.report["outliers"] == [3]
    total = read(tmp_path, "displacement.tif")
    assert np.array_equal(total[2], total[1], equal_nan=True)
    assert rms(total[4], truth(4)) < 0.05
    write_strain(StrainConfig(transform=tmp_path / "out" / "transforms.json", out=tmp_path / "strain"))
    with (tmp_path / "strain" / "strain_curve.csv").open(newline="") as file:
        curve = list(csv.DictReader(file))
    assert [row["exx"] == "" for row in curve] == [False, False, True, True, False]
    assert np.isnan(tifffile.imread(tmp_path / "strain" / "exx.tif")[2:4]).all()


def test_frames_before_the_reference_are_followed_backwards(tmp_path: Path) -> None:
    outcome = align(tmp_path, frames(), to="4")
    assert outcome.exit_code is ExitCode.OK
    total = read(tmp_path, "displacement.tif")
    assert not total[4].any()
    # What the last frame shows at p + truth(p), the first shows at p.
    y, x = np.mgrid[10:100:10, 10:110:10]
    at = np.stack([x, y], axis=-1) + truth(4)[y, x]
    near = np.rint(at).astype(int)
    back = total[0][near[..., 1], near[..., 0]]
    # The nearest pixel is half a pixel away at most, where the displacement differs by 0.1 of that.
    assert np.abs(back + truth(4)[y, x]).max() < 0.25


def test_damaged_transforms_are_refused(tmp_path: Path) -> None:
    align(tmp_path, frames()[:2])
    path = tmp_path / "out" / "transforms.json"
    content = json.loads(path.read_text())
    assert len(read_stack(path).frames) == 2
    for change, words in (
        ({"shape": [120, -1]}, "shape"),
        ({"version": 2}, "version"),
        ({"frames": content["frames"][:1]}, "splines.npy"),
        ({"spline": {**content["spline"], "coefficients": "../splines.npy"}}, "without a path"),
        ({"spline": {**content["spline"], "spacing": 8}}, "splines.npy"),
        ({"spline": {**content["spline"], "sha256": "0"}}, "another movie"),
        ({"expected_error": "/etc/x.tif"}, "without a path"),
    ):
        path.write_text(json.dumps({**content, **change}))
        with pytest.raises(InputError, match=words):
            read_stack(path)


def test_settings_that_a_bend_has_not_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="`to`: expected first, previous or a number"):
        StackConfig(image=tmp_path, model=Model.BSPLINE, to="mean")
    with pytest.raises(OptionError, match="`canvas`: expected fixed"):
        StackConfig(image=tmp_path, model=Model.BSPLINE, resampling=ResamplingConfig(canvas="union"))  # type: ignore[arg-type]
