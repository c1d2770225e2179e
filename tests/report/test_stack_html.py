"""report.html of a movie, and the plots of its drift."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tests.report.html_samples import HOSTILE, ParsedHtml, decoded
from tests.report.stack_samples import COUNT, film, places, stack_report
from zncc_cli.report.drift_files import OUTLIER, DriftRow
from zncc_cli.report.drift_plot import NARROW, WIDE, by_night, draw_drift, drift_svg, places_svg, write_drift_plot
from zncc_cli.report.stack_html import write_stack_html


def parsed(path: Path, **changes: object) -> ParsedHtml:
    write_stack_html(path, stack_report(**changes), places(), film(), files=("stack.tif", "drift.csv"))
    return ParsedHtml(path.read_text())


def test_the_page_says_what_the_report_says(tmp_path: Path) -> None:
    page = parsed(tmp_path / "a.html")
    for words in (
        "movie.tif",
        "Aligned",
        "22 of 24 frames agree",
        "zncc stack folder/movie.tif",
        "registered by channel 1",
    ):
        assert words in page.text
    assert "Frame 7 blank" in page.text
    assert "Frame 15 outlier" in page.text
    assert {"./stack.tif", "./drift.csv"} <= {link["href"] for link in page.all("a")}
    assert page.text.split().count("0.02") == COUNT - 2 + 2  # of the frames; the largest in the head and the metrics
    write_stack_html(tmp_path / "b.html", stack_report(), places(), film(), files=("stack.tif", "drift.csv"))
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_the_page_names_no_stack_of_another_format(tmp_path: Path) -> None:
    write_stack_html(tmp_path / "a.html", stack_report(), places(), film(), files=("stack.ome.zarr",))
    text = ParsedHtml((tmp_path / "a.html").read_text()).text
    assert "stack.tif" not in text
    assert "stack.ome.zarr the aligned frames" in " ".join(text.split())


def test_each_loop_is_one_picture_of_all_frames(tmp_path: Path) -> None:
    """To 2 of 255 grey levels: JPEG."""
    page = parsed(tmp_path / "a.html")
    loops = [element for element in page.all("image") if "href" in element]
    assert len(loops) == 2
    for loop in loops:
        pixels = decoded(loop["href"])
        assert pixels.shape == (60 * COUNT, 80)
        assert np.abs(pixels.astype(int) - np.repeat(10 * np.arange(COUNT), 60)[:, None]).max() <= 2


def test_hostile_names_are_text(tmp_path: Path) -> None:
    page = parsed(tmp_path / "a.html", image=HOSTILE, notes=[HOSTILE], settings={HOSTILE: HOSTILE})
    assert not any("onerror" in attributes for _, attributes in page.elements)
    assert "\u202e" not in (tmp_path / "a.html").read_text()


def test_a_movie_without_a_place_at_all_has_a_page(tmp_path: Path) -> None:
    rows = tuple(DriftRow(k, 0.0, 0.0, OUTLIER, None) for k in range(COUNT))
    write_stack_html(tmp_path / "a.html", {"status": "failed"}, rows, film())
    assert "0 of 24" in ParsedHtml((tmp_path / "a.html").read_text()).text


def labels(svg: bytes) -> list[str]:
    root = ElementTree.fromstring(svg)
    return ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")]


def test_the_drift_plot_names_its_axes_band_and_marks() -> None:
    svg = drift_svg(places(), WIDE)
    found = labels(svg)
    wanted = {"dx, px", "dy, px", "error, px", "frame", "±2 standard deviations"}
    assert wanted | {"blank (1), between its neighbours", "outlier (1), between its neighbours"} <= set(found)
    assert svg == drift_svg(places(), WIDE)
    assert by_night(svg) != svg


@pytest.mark.parametrize("size", [WIDE, NARROW])
@pytest.mark.parametrize("title", [None, "drift"])
def test_no_label_of_the_drift_plot_lies_on_a_line(size: tuple[float, float], title: str | None) -> None:
    figure = Figure(figsize=size)
    canvas = FigureCanvasAgg(figure)
    draw_drift(figure, places(), title)
    canvas.draw()
    legend, panels = figure.legends[0].get_window_extent(), [axes.get_window_extent() for axes in figure.axes]
    assert legend.y0 >= max(panel.y1 for panel in panels)
    assert legend.x1 <= figure.bbox.x1
    for words in figure.texts:
        assert words.get_window_extent().y0 >= legend.y1 - 3  # the legend's own margin


@pytest.mark.parametrize("title", ["$x$_{\\frac", HOSTILE, "電影"])
def test_a_title_of_any_letters_is_drawn_as_it_is(tmp_path: Path, title: str) -> None:
    write_drift_plot(tmp_path / "drift.svg", places(), title)
    found = labels((tmp_path / "drift.svg").read_bytes())
    assert any(title[:4] in words for words in found)


def test_a_drift_of_nothing_and_one_without_errors_are_drawn() -> None:
    rows = tuple(DriftRow(k, 0.0, 0.0, OUTLIER, None) for k in range(3))
    assert "error, px" not in labels(drift_svg(rows, WIDE))
    assert "frame" in labels(places_svg(rows))
