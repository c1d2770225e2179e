"""``zncc evaluate``: a transform compared with landmarks."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import Run, assert_one_line_error

from tests.files.landmarks.roi_files import roi, roi_zip
from tests.registration.spline_fields import random_field
from zncc_cli.files.transforms.transform_json import write_transform
from zncc_cli.registration.transforms.matrices import map_points

MATRIX = np.array([[1.1, 0.02, 5.0], [-0.01, 0.95, -3.0], [0.0, 0.0, 1.0]])
PLACES = np.array([[20.0, 15.0], [70.0, 20.0], [35.0, 60.0], [60.0, 75.0]])
ERRORS = np.array([[3.0, 4.0], [0.0, 1.0], [0.0, 0.0], [-2.0, 0.0]])
MARKED = map_points(MATRIX, PLACES) - ERRORS


def transform(folder: Path) -> Path:
    path = folder / "t.json"
    write_transform(path, model="affine", matrix=MATRIX, fixed_shape=(90, 100), moving_shape=(90, 120))
    return path


def pairs(path: Path, fixed: np.ndarray, moving: np.ndarray) -> Path:
    rows = (",".join(map(repr, (*f, *m))) for f, m in zip(fixed.tolist(), moving.tolist(), strict=True))
    path.write_text("\n".join(["fixed_x,fixed_y,moving_x,moving_y", *rows, ""]))
    return path


def test_figures_are_those_of_the_errors(run: Run) -> None:
    table = pairs(run.folder / "p.csv", PLACES, MARKED)
    got = run("zncc", "evaluate", transform(run.folder), table, "--json", "--out", "r.csv")
    assert got.returncode == 0, got.stderr
    report = json.loads(got.stdout)
    assert report["landmarks"] == 4
    assert report["tre"] == pytest.approx({"median": 1.5, "p90": 4.1, "rms": np.sqrt(7.5), "max": 5})
    assert report["rtre"] == pytest.approx({"median": 1.5 / 150, "p90": 4.1 / 150})  # of the moving image's diagonal
    assert report["bias"] == pytest.approx([0.25, 1.25])
    with (run.folder / "r.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["1", "2", "3", "4"]
    assert [float(row["tre"]) for row in rows] == pytest.approx([5, 1, 0, 2], abs=1e-12)
    assert float(rows[0]["mapped_x"]) - float(rows[0]["moving_x"]) == pytest.approx(3)
    summary = run("zncc", "evaluate", transform(run.folder), table).stdout
    assert "median 1.5 px, 90th percentile 4.1 px" in summary
    assert run("zncc", "evaluate", transform(run.folder), table, "--quiet").stdout == ""


def test_points_of_every_tool_are_read(run: Run) -> None:
    """ImageJ counts from the centre of a pixel, QuPath from its corner, napari writes rows first."""
    t = transform(run.folder)
    files = {"fixed.zip": roi_zip({f"{n}.roi": roi(p[None]) for n, p in enumerate(PLACES)})}
    features = [
        {"type": "Feature", "geometry": {"type": "Point", "coordinates": (p + 0.5).tolist()}, "properties": {"name": n}}
        for n, p in zip("3210", MARKED[::-1], strict=True)
    ]
    files["moving.geojson"] = json.dumps({"type": "FeatureCollection", "features": features}).encode()
    rows = [f"{n},{y!r},{x!r}" for n, (x, y) in enumerate(MARKED.tolist())]
    files["napari.csv"] = "\n".join(["index,axis-0,axis-1", *rows]).encode()
    for name, content in files.items():
        (run.folder / name).write_bytes(content)
    for moving in ("moving.geojson", "napari.csv"):
        got = run("zncc", "evaluate", t, "fixed.zip", moving, "--json", "--out", "r.csv", "--overwrite")
        assert got.returncode == 0, got.stderr
        assert json.loads(got.stdout)["tre"]["max"] == pytest.approx(5)  # points of the same name belong together
    assert [line.split(",")[0] for line in (run.folder / "r.csv").read_text().splitlines()[1:]] == list("1234")


def test_landmarks_of_bigwarp_need_the_images(run: Run) -> None:
    t, rows = transform(run.folder), zip(PLACES.tolist(), MARKED.tolist(), strict=True)
    lines = [f'"Pt-{n}","true","{mx}","{my}","{fx}","{fy}"' for n, ((fx, fy), (mx, my)) in enumerate(rows)]
    (run.folder / "bigwarp.csv").write_text("\n".join(lines))
    for name, shape in (("fixed.tif", (90, 100)), ("moving.tif", (90, 120)), ("other.tif", (9, 9))):
        tifffile.imwrite(run.folder / name, np.zeros(shape, np.uint8))
    got = run("zncc", "evaluate", t, "bigwarp.csv", "--fixed", "fixed.tif", "--moving", "moving.tif", "--json")
    assert got.returncode == 0, got.stderr
    assert json.loads(got.stdout)["tre"]["median"] == pytest.approx(1.5)
    assert_one_line_error(run("zncc", "evaluate", t, "bigwarp.csv"), 2, "--fixed", "BigWarp")
    wrong = run("zncc", "evaluate", t, "bigwarp.csv", "--fixed", "other.tif", "--moving", "moving.tif")
    assert_one_line_error(wrong, 1, "other.tif", "100 x 90", "9 x 9")


def test_a_transform_that_bends_is_followed(run: Run) -> None:
    field = random_field((90, 100), amplitude=3.0)
    shapes = {"fixed_shape": (90, 100), "moving_shape": (90, 100)}
    write_transform(run.folder / "b.json", model="bspline", matrix=field.matrix, field=field, **shapes)
    table = pairs(run.folder / "p.csv", PLACES, field.map_points(PLACES) - ERRORS)
    got = run("zncc", "evaluate", "b.json", table, "--json")
    assert got.returncode == 0, got.stderr
    assert json.loads(got.stdout)["tre"]["max"] == pytest.approx(5)


def test_what_is_unusable_is_refused_in_one_line(run: Run) -> None:
    t, table = transform(run.folder), pairs(run.folder / "p.csv", PLACES, MARKED)
    (run.folder / "one.csv").write_text("x,y\n1,2\n")
    (run.folder / "h.json").write_text("[[1, 0, 0], [0, 1, 0], [-0.02, 0, 1]]")
    evaluate = ("zncc", "evaluate")
    assert_one_line_error(run(*evaluate, t, "none.csv"), 1, "none.csv")
    assert_one_line_error(run(*evaluate, t, "one.csv"), 1, "one.csv", "landmarks of both images")
    assert_one_line_error(run(*evaluate, t, table, "one.csv"), 1, "p.csv", "pairs of both")
    assert_one_line_error(run(*evaluate, "h.json", table), 1, "p.csv", "landmark 2", "horizon")
    assert_one_line_error(run(*evaluate, t, table, "--overwrite"), 2, "--overwrite", "--out")
    assert_one_line_error(run(*evaluate, t, table, "--fixed", "p.csv"), 2, "--fixed", "leave it out")
    assert_one_line_error(run(*evaluate, t, table, "--out", "t.json"), 1, "t.json", "is an input")
    assert_one_line_error(run(*evaluate, t, table, "--out", "one.csv"), 1, "one.csv", "--overwrite")


def test_landmarks_outside_the_image_are_noted(run: Run) -> None:
    swapped = pairs(run.folder / "p.csv", PLACES[:, ::-1] + [0, 40], MARKED)
    got = run("zncc", "evaluate", transform(run.folder), swapped)
    assert got.returncode == 0
    assert "2 of 4 landmarks lie outside the fixed image of 100 x 90 pixels" in got.stderr
