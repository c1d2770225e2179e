"""The HTML report of rounds of one scene."""

from __future__ import annotations

from pathlib import Path

from tests.report.html_samples import HOSTILE, ParsedHtml, decoded, pictures
from tests.report.rounds_samples import rounds_report
from zncc_cli.report.rounds_html import round_picture, write_rounds_html


def test_each_round_has_its_verdict_figures_and_picture(tmp_path: Path) -> None:
    picture = round_picture(pictures((120, 160)).layers)
    write_rounds_html(tmp_path / "a.html", rounds_report(), [None, picture], files=("m.ome.tif", "m_a_transform.json"))
    page = ParsedHtml((tmp_path / "a.html").read_text())
    for words in (
        "round1 stays where it is",
        "Aligned",
        "the ZNCC is 0.9",
        "3.5 px",
        "0.004 px",
        "DAPI round2",
        "0.990",
    ):
        assert words in page.text, words
    (shown,) = page.all("img")
    assert decoded(shown["src"]).shape == picture.shape
    assert {"./m.ome.tif", "./m_a_transform.json"} <= {link["href"] for link in page.all("a")}
    write_rounds_html(tmp_path / "b.html", rounds_report(), [None, picture], files=("m.ome.tif", "m_a_transform.json"))
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_a_failed_round_shows_no_expected_error_and_hostile_names_are_text(tmp_path: Path) -> None:
    write_rounds_html(tmp_path / "a.html", rounds_report(HOSTILE, "failed"), [None, None])
    page = ParsedHtml((tmp_path / "a.html").read_text())
    assert "Failed" in page.text
    assert "Expected error" not in page.text
    assert not any("onerror" in attributes for _, attributes in page.elements)
