"""The HTML report of a pair that was said to be aligned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.report.check_samples import check_figures, check_report
from tests.report.html_samples import HOSTILE, ParsedHtml, decoded
from zncc_cli.report.check_html import map_places, write_check_html


def test_shifts_map_windows_and_both_images_are_shown(tmp_path: Path) -> None:
    files = ("shift.tif", "shifts.csv")
    write_check_html(tmp_path / "a.html", check_report(), check_figures(), files=files)
    page = ParsedHtml((tmp_path / "a.html").read_text())
    for words in ("aligned.tif on fixed.tif", "Aligned", "0.42 px", "80 % of the frame", "0.800 ± 0.030", "0.894"):
        assert words in page.text, words
    arrows, rings = page.all("line"), [circle for circle in page.all("circle") if circle["class"] == "ring"]
    assert len(arrows) == 2
    assert len(rings) == 1
    # The window at (60, 30) is off by (0.8, 0.4): both are drawn at the same scale, from the corner of the first pixel.
    unit = 640 / 120
    x1, y1, x2, y2 = (float(arrows[1][name]) for name in ("x1", "y1", "x2", "y2"))
    assert [x1, y1] == pytest.approx([60.5 * unit, 30.5 * unit], abs=0.1)  # coordinates have one decimal
    assert (x2 - x1) / (y2 - y1) == pytest.approx(2, rel=0.02)
    shown = [decoded(image["src"]).shape for image in page.all("img")]
    assert shown.count((45, 60, 4)) == 2  # the maps
    assert shown.count((90, 120)) == 2
    assert shown.count((90, 120, 3)) == 1
    assert {"./shift.tif", "./shifts.csv"} <= {link["href"] for link in page.all("a")}
    write_check_html(tmp_path / "b.html", check_report(), check_figures(), files=files)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_what_was_not_measured_is_not_drawn_and_hostile_names_are_text(tmp_path: Path) -> None:
    write_check_html(tmp_path / "a.html", check_report(HOSTILE, "failed"), check_figures(measured=False))
    page = ParsedHtml((tmp_path / "a.html").read_text())
    assert "Not aligned" in page.text
    assert page.text.count("No value anywhere") == 2
    assert not page.all("line")
    assert not any("onerror" in attributes for _, attributes in page.elements)


@pytest.mark.parametrize(("shape", "block"), [((30, 40), 1), ((900, 1000), 3)])
def test_maps_are_sampled_at_the_centres_of_square_blocks(shape: tuple[int, int], block: int) -> None:
    for places, side in zip(map_places(shape), reversed(shape), strict=True):
        assert len(places) == -(-side // block) <= 400
        np.testing.assert_array_equal(places[:2], [(block - 1) / 2, (3 * block - 1) / 2])
