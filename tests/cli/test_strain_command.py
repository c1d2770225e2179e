"""``zncc strain``: maps and a table of a transform."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import Run, assert_one_line_error

from tests.registration.spline_fields import random_field
from zncc_cli.config.strain import StrainConfig
from zncc_cli.files.transforms.transform_json import write_transform
from zncc_cli.jobs.strain import MAPS, write_strain
from zncc_cli.registration.transforms.strain import strain_of

STRETCH = np.array([[1.05, 0.0, 3.0], [0.0, 0.98, -1.0], [0.0, 0.0, 1.0]])


def written(path: Path, matrix: np.ndarray, shape: tuple[int, int] = (90, 120)) -> Path:
    write_transform(path, model="affine", matrix=matrix, fixed_shape=shape, moving_shape=(100, 110))
    return path


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_stretch_is_found_in_every_map_and_point(run: Run) -> None:
    options = "--gauge", 9, "--step", 10, "--max-error", 0.5
    got = run("zncc", "strain", written(run.folder / "t.json", STRETCH), "--out", "s", *options)
    assert got.returncode == 0, got.stderr
    assert "--max-error: expected a transform with an expected_error.tif" in got.stderr  # of a matrix none is known
    assert got.stdout.startswith("s  gauge 9 px, ")
    assert "mean  exx 0.05  eyy -0.02" in got.stdout
    folder = run.folder / "s"
    assert {path.name for path in folder.iterdir()} == {"strain.csv", *(f"{name}.tif" for name in MAPS)}
    want = {"exx": 0.05, "eyy": -0.02, "exy": 0, "e1": 0.05, "e2": -0.02, "rotation": 0, "determinant": 1.05 * 0.98}
    for name, value in want.items():
        values = tifffile.imread(folder / f"{name}.tif")
        assert values.dtype == np.float32
        assert values.shape == (90, 120)
        assert np.isnan(values[:, 105:]).all()  # beyond the moving frame
        np.testing.assert_allclose(values[4:80, 4:95], value, rtol=0, atol=1e-7)
    rows = table(folder / "strain.csv")
    assert [(row["x"], row["y"]) for row in rows[:2]] == [("5", "5"), ("15", "5")]
    assert len(rows) == 9 * 12
    first = rows[12]
    assert first["status"] == "ok"
    assert float(first["u"]) == pytest.approx(3 + 0.05 * 5)
    assert float(first["exx"]) == pytest.approx(0.05, abs=1e-9)
    last = rows[11]
    assert (last["status"], last["exx"], last["u"]) == ("outside", "", "")
    assert {row["status"] for row in rows} >= {"ok", "edge", "outside"}


def test_a_gauge_of_one_pixel_takes_the_derivatives_of_the_spline(run: Run) -> None:
    field = random_field((60, 70), amplitude=0.5)
    write_transform(
        run.folder / "t.json",
        model="bspline",
        matrix=field.matrix,
        fixed_shape=(60, 70),
        moving_shape=(300, 300),
        field=field,
    )
    got = run("zncc", "strain", "t.json", "--out", "s", "--gauge", 1, "--json")
    assert got.returncode == 0, got.stderr
    want = strain_of(field.jacobians(range(60), range(70)) - np.eye(2))
    inside = (field.map_points(np.stack(np.meshgrid(range(70), range(60)), axis=-1).reshape(-1, 2)) >= 0).all(axis=1)
    inside = inside.reshape(60, 70)
    for name in MAPS:
        values = tifffile.imread(run.folder / "s" / f"{name}.tif")
        assert np.array_equal(np.isfinite(values), inside)
        assert np.array_equal(values[inside], getattr(want, name)[inside].astype(np.float32))
    content = json.loads(got.stdout)
    assert (content["gauge"], content["step"]) == (1, 1)
    assert content["mean"]["exx"] == pytest.approx(want.exx[inside].mean(), abs=1e-12)


def test_the_gauge_length_follows_the_spacing_of_the_nodes(run: Run) -> None:
    field = random_field((60, 70), spacing=8.0)
    shapes = {"fixed_shape": (60, 70), "moving_shape": (60, 70)}
    write_transform(run.folder / "t.json", model="bspline", matrix=field.matrix, **shapes, field=field)
    assert "gauge 17 px" in run("zncc", "strain", "t.json", "--out", "s").stdout


def test_folds_are_named_in_the_table(run: Run) -> None:
    field = random_field((60, 70), amplitude=0.0, matrix=np.eye(3))
    field.coefficients[0, :, 3] = 60.0
    shapes = {"fixed_shape": (60, 70), "moving_shape": (60, 270)}
    write_transform(run.folder / "t.json", model="bspline", matrix=np.eye(3), **shapes, field=field)
    assert run("zncc", "strain", "t.json", "--out", "s", "--gauge", 1).returncode == 0
    folds = [row for row in table(run.folder / "s" / "strain.csv") if row["status"] == "fold"]
    assert len(folds) == (np.linalg.det(field.jacobians(range(60), range(70))) <= 0).sum()
    assert {row["exx"] for row in folds} == {""}
    assert all(float(row["determinant"]) <= 0 for row in folds)


def test_the_table_holds_the_deviation_of_each_component(run: Run) -> None:
    field = random_field((60, 70), spacing=8.0)
    shapes = {"fixed_shape": (60, 70), "moving_shape": (300, 300)}
    write_transform(
        run.folder / "t.json", model="bspline", matrix=field.matrix, **shapes, field=field, with_expected_error=True
    )
    error = np.linspace(0.1, 0.5, 60 * 70, dtype=np.float32).reshape(60, 70)
    error[:, :10] = np.nan
    beside = run.folder / "t-expected_error.tif"
    missing = run("zncc", "strain", "t.json", "--out", "s", "--step", 10)
    assert missing.returncode == 0
    assert "sigma is left empty" in missing.stderr
    assert {row["sigma"] for row in table(run.folder / "s" / "strain.csv")} == {""}
    tifffile.imwrite(beside, error)
    assert run("zncc", "strain", "t.json", "--out", "s", "--step", 10, "--overwrite").returncode == 0
    rows = table(run.folder / "s" / "strain.csv")
    assert rows[0]["sigma"] == ""
    at = {(row["x"], row["y"]): row["sigma"] for row in rows}
    # Both components are known alike: half of the variance each.
    assert float(at["25", "15"]) == pytest.approx(error[15, 25] / np.sqrt(2), rel=1e-6)
    tifffile.imwrite(beside, error[:50])
    wrong = run("zncc", "strain", "t.json", "--out", "s2")
    assert_one_line_error(wrong, 1, "t-expected_error.tif", "(60, 70)")


def test_what_has_no_certain_place_has_no_strain(run: Run) -> None:
    field = random_field((60, 70), spacing=8.0)
    shapes = {"fixed_shape": (60, 70), "moving_shape": (300, 300)}
    write_transform(
        run.folder / "t.json", model="bspline", matrix=field.matrix, **shapes, field=field, with_expected_error=True
    )
    error = np.full((60, 70), 0.1, np.float32)
    error[:, 40:] = 0.3  # a background; a fortieth of the spacing is 0.2
    tifffile.imwrite(run.folder / "t-expected_error.tif", error)
    assert run("zncc", "strain", "t.json", "--out", "s", "--max-error", 0.5).returncode == 0
    everywhere = tifffile.imread(run.folder / "s" / "exx.tif")
    printed = run("zncc", "strain", "t.json", "--out", "s", "--step", 10, "--overwrite").stdout
    exx = tifffile.imread(run.folder / "s" / "exx.tif")
    assert np.isnan(exx[:, 40:]).all()
    assert np.array_equal(exx[:, :30], everywhere[:, :30], equal_nan=True)  # no window of 17 reaches the background
    # The border is fitted by its own displacements: those of the background may be anything.
    assert np.isfinite(exx[30, 39])
    assert exx[30, 39] != everywhere[30, 39]
    rows = table(run.folder / "s" / "strain.csv")
    uncertain = [row for row in rows if row["status"] == "uncertain"]
    assert all(int(row["x"]) >= 40 and row["u"] and row["sigma"] and not row["exx"] for row in uncertain)
    assert f"({len(uncertain)} have no certain place)" in printed
    assert_one_line_error(run("zncc", "strain", "t.json", "--out", "s2", "--max-error", 0), 2, "--max-error")


def test_noise_that_is_everywhere_leaves_texture_its_strain(tmp_path: Path) -> None:
    field = random_field((60, 70), spacing=8.0)
    shapes = {"fixed_shape": (60, 70), "moving_shape": (300, 300)}
    path = tmp_path / "t.json"
    write_transform(path, model="bspline", matrix=field.matrix, **shapes, field=field, with_expected_error=True)
    error = np.full((60, 70), 0.3, np.float32)  # more than a fortieth of the spacing, 0.2
    error[:, 40:], error[:, 55:] = 0.5, 0.7
    tifffile.imwrite(tmp_path / "t-expected_error.tif", error)
    write_strain(StrainConfig(transform=path, out=tmp_path / "s", step=5))
    uncertain = {int(row["x"]) for row in table(tmp_path / "s" / "strain.csv") if row["status"] == "uncertain"}
    assert uncertain == {57, 62, 67}


def test_what_has_no_strain_is_refused_in_one_line(run: Run) -> None:
    mirrored = written(run.folder / "m.json", np.diag([-1.0, 1.0, 1.0]))
    np.save(run.folder / "t.npy", STRETCH)
    own = written(run.folder / "t.json", STRETCH)
    assert_one_line_error(run("zncc", "strain", mirrored, "--out", "s"), 1, "m.json", "mirror")
    assert_one_line_error(run("zncc", "strain", "t.npy", "--out", "s"), 1, "t.npy", "--fixed")
    for gauge in ("8", "-1", "0", "10001"):
        assert_one_line_error(run("zncc", "strain", own, "--out", "s", "--gauge", gauge), 2, "--gauge", "odd")
    assert_one_line_error(run("zncc", "strain", own, "--out", "s", "--step", 0), 2, "--step")
    assert not (run.folder / "s").exists()
