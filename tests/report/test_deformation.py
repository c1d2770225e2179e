"""The section of report.html on a transform that bends."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.registration.spline_fields import random_field
from tests.report.html_samples import ParsedHtml, decoded, pictures, report
from zncc_cli.registration.nonrigid.error_map import ErrorMap
from zncc_cli.registration.transforms.spline_field import SplineField
from zncc_cli.report.arrows import motion
from zncc_cli.report.deformation import deformation
from zncc_cli.report.pair_figures import DrawnBend
from zncc_cli.report.pair_html import write_pair_html

SHAPE, MOVING = (90, 120), (100, 130)


def field_of(amplitude: float, matrix: np.ndarray | None = None) -> SplineField:
    return random_field(SHAPE, amplitude, spacing=30.0, matrix=np.eye(3) if matrix is None else matrix)


def page(folder: Path, field: SplineField | None, folds: int | None = 0) -> ParsedHtml:
    metrics = {**report()["metrics"], **({} if folds is None else {"folds": folds})}
    shown = pictures(SHAPE, bend=None if field is None else DrawnBend(field, MOVING))
    write_pair_html(folder / "report.html", report(metrics=metrics), shown)
    return ParsedHtml((folder / "report.html").read_text(encoding="utf-8"))


def test_a_matrix_has_no_such_section(tmp_path: Path) -> None:
    assert "Deformation" not in page(tmp_path, None, None).text


def test_the_section_shows_a_lattice_displacement_areas_and_strain_with_scales(tmp_path: Path) -> None:
    html = page(tmp_path, field_of(2.0))
    assert "The transform folds nowhere" in html.text
    for title in ("Bend", "Displacement, x px", "Displacement, y px", "Ratio of areas", "Strain, xx", "Strain, xy"):
        assert title in html.text
    assert len([line for line in html.all("polyline") if line["class"] == "lattice"]) >= 24 + 18
    assert decoded(html.all("image")[0]["href"]).shape[:2] == SHAPE


@pytest.mark.parametrize(("folds", "words"), [(1, "at 1 pixel:"), (252, "at 252 pixels:")])
def test_folds_are_counted_in_words(tmp_path: Path, folds: int, words: str) -> None:
    assert f"The transform folds {words} there it is wrong." in page(tmp_path, field_of(2.0), folds).text


def test_folds_are_marked_on_the_lattice(tmp_path: Path) -> None:
    field = field_of(0.0)
    assert "fold" not in str(deformation(DrawnBend(field, MOVING), pictures(SHAPE).layers).lattice)
    field.coefficients[0, :, 2] = 120.0
    lattice = deformation(DrawnBend(field, (1000, 1000)), pictures(SHAPE).layers).lattice
    assert lattice is not None
    assert lattice.lines.count('class="fold"') > 10


def test_lines_are_moved_by_what_the_spline_adds_in_fixed_pixels() -> None:
    """The matrix doubles lengths: a spline of 6 moving pixels moves the lattice by 3 fixed ones."""
    field = field_of(0.0, np.diag([2.0, 2.0, 1.0]))
    field.coefficients[0] = 6.0
    lattice = deformation(DrawnBend(field, (1000, 1000)), pictures(SHAPE).layers).lattice
    assert lattice is not None
    assert lattice.longest == pytest.approx(3)
    assert lattice.exaggeration == 1
    first = re.search(r'points="([-\d.]+),([-\d.]+)', lattice.lines)
    assert first
    unit = 640 / 120
    assert [float(first[1]), float(first[2])] == pytest.approx([(2.5 + 3 + 0.5) * unit, 0.5 * unit], abs=0.06)


def test_a_small_bend_is_drawn_larger_and_says_so(tmp_path: Path) -> None:
    field = field_of(0.01)
    lattice = deformation(DrawnBend(field, MOVING), pictures(SHAPE).layers).lattice
    assert lattice is not None
    assert lattice.exaggeration > 10
    assert f"{lattice.exaggeration:g} times as far" in page(tmp_path, field).text


def test_where_no_place_lies_in_the_moving_image_nothing_is_drawn(tmp_path: Path) -> None:
    away = field_of(0.0, np.array([[1.0, 0, 500], [0, 1, 0], [0, 0, 1]]))
    html = page(tmp_path, away)
    assert not [line for line in html.all("polyline") if line["class"] == "lattice"]
    assert "No value anywhere" in html.text


def test_the_arrows_of_the_motion_follow_the_spline() -> None:
    field = field_of(0.0)
    field.coefficients[1] = 8.0
    drawn = motion(field.matrix, (45, 60), 2.0, field)
    assert drawn is not None
    assert drawn.mean == pytest.approx((0, 8))


def test_a_mirrored_image_has_strains_of_its_own_and_no_folds() -> None:
    plain, mirrored = field_of(1.0), field_of(1.0, np.array([[-1.0, 0, 119], [0, 1, 0], [0, 0, 1]]))
    mirrored.coefficients[0] *= -1
    maps = [
        {m.key: m for m in deformation(DrawnBend(f, (1000, 1000)), pictures(SHAPE).layers).maps}
        for f in (plain, mirrored)
    ]
    for key in ("exx", "exy", "determinant"):
        assert maps[0][key].ticks == maps[1][key].ticks


def test_the_expected_error_is_striped_where_the_field_is_not_to_be_trusted(tmp_path: Path) -> None:
    rows, columns = np.arange(4, 90, 8), np.arange(4, 120, 8)
    known, doubtful = (
        ErrorMap(rows, columns, np.where(columns > 60, far, 0.2) * np.ones((len(rows), 1)), *np.ones((3, 11, 15), bool))
        for far in (0.4, 5.0)
    )
    html = {}
    for name, error in (("known", known), ("doubtful", doubtful)):
        shown = pictures(SHAPE, expected_error=None, bend=DrawnBend(field_of(2.0), (1000, 1000), error))
        write_pair_html(tmp_path / name, report(), shown)
        html[name] = ParsedHtml((tmp_path / name).read_text(encoding="utf-8"))
    assert "above 1 px (47% of the overlap)" in html["doubtful"].text  # 7 of 15 columns
    assert "above 1 px (nowhere here)" in html["known"].text
    pixels = {}
    for name, page_of in html.items():
        image = next(one for one in page_of.all("img") if one["alt"].startswith("Expected error map"))
        pixels[name] = decoded(image["src"])[..., :3]
    stripes = {name: (shown == (0, 200, 190)).all(axis=-1) for name, shown in pixels.items()}
    assert not stripes["known"].any()
    assert not stripes["doubtful"][:, :60].any()
    assert stripes["doubtful"][10:80, 72:].mean() == pytest.approx(2 / 8, abs=0.01)


def test_a_failed_result_has_no_expected_error(tmp_path: Path) -> None:
    error = ErrorMap(np.array([4]), np.array([4]), np.ones((1, 1)), *np.ones((3, 1, 1), bool))
    shown = pictures(SHAPE, bend=DrawnBend(field_of(2.0), MOVING, error))
    write_pair_html(tmp_path / "report.html", report(status="failed"), shown)
    assert "field-error" not in (tmp_path / "report.html").read_text(encoding="utf-8")
