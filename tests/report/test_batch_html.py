"""The HTML report of a batch: the worst pairs first, small enough for a thousand pairs."""

from __future__ import annotations

import random

import numpy as np
import pytest

from tests.report.html_samples import HOSTILE, ParsedHtml, decoded
from zncc_cli.report.batch_html import BatchHtmlRow, thumbnail, write_batch_html


def row(name, status="ok", zncc=0.9, block_significance=100.0, **changes):
    given = {"name": name, "status": status, "reason": f"because of {name}", "report": f"{name}/report.html"}
    return BatchHtmlRow(
        **{**given, "metrics": {"zncc_after": zncc, "block_significance": block_significance}, **changes}
    )


@pytest.fixture
def html(tmp_path):
    def write(rows):
        write_batch_html(tmp_path / "batch.html", rows)
        return ParsedHtml((tmp_path / "batch.html").read_text(encoding="utf-8"))

    return write


def test_the_worst_pairs_come_first(html):
    ordered = [
        row("a", "error", None, None),
        row("b", "failed", None, None),
        row("c", "failed", 0.01, 3.0),
        row("d", "suspect", 0.1),
        row("e", "ok", 0.2, 60.0),
        row("f", "ok", 0.2, 70.0),
        row("g", "ok", 0.9),
        row("h", "ok", 0.9),
    ]
    shuffled = random.Random(1).sample(ordered, len(ordered))
    links = [anchor["href"] for anchor in html(shuffled).all("a") if "report" in anchor["href"]]
    assert links == [f"./{name}/report.html" for name in "abcdefgh"]


def test_counts_reasons_and_metrics_are_shown(html):
    text = html([row("a"), row("b"), row("c", "failed", 0.125, None)]).text
    assert "3 pairs" in text
    assert "Failed 1" in text
    assert "Aligned 2" in text
    assert "because of c" in text
    assert "ZNCC after 0.125" in text


def test_without_a_script_the_counts_lead_to_their_groups(html):
    parsed = html([row("a"), row("b", "failed")])
    groups = [section["id"] for section in parsed.all("section")]
    assert [anchor["href"] for anchor in parsed.all("a")][:2] == [f"#{group}" for group in groups]


def test_markup_in_names_stays_text(html):
    rows = [row(HOSTILE, HOSTILE, reason=HOSTILE, metrics={HOSTILE: HOSTILE}), row("a", report="javascript:alert(1)")]
    parsed = html(rows)
    assert len(parsed.all("script")) == 1
    assert not parsed.all("img")
    assert all(anchor["href"].startswith(("#group-", "./")) for anchor in parsed.all("a"))


def test_an_empty_batch_is_shown_as_such(html):
    assert "holds no pair" in html([]).text


def test_thumbnails_of_noise_are_small_too(html):
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3)).astype(np.uint8)
    (image,) = html([row("a", thumbnail=noise)]).all("img")
    assert len(image["src"]) < 4100  # 3 kB, in base64
    assert image["loading"] == "lazy"
    assert (image["width"], image["height"]) == ("200", "150")
    assert decoded(image["src"]).ndim == 3


def test_a_thumbnail_is_reduced_by_area_averaging_to_the_size_shown():
    picture = np.zeros((300, 800, 3), np.uint8)
    picture[:, 400:] = 200
    shown = thumbnail(picture)
    assert shown.shape == (75, 200, 3)
    assert (shown[:, :100] == 0).all()
    assert (shown[:, 100:] == 200).all()
    assert thumbnail(picture[:40, :50]).shape == (40, 50, 3)


def test_a_thousand_pairs_stay_below_6_mb(tmp_path):
    """4 kB of thumbnail and about 1 kB of text each."""
    noise = np.random.default_rng(0).integers(0, 256, (80, 160, 3)).astype(np.uint8)
    write_batch_html(tmp_path / "batch.html", [row(f"pair_{i:04}", thumbnail=noise) for i in range(1000)])
    assert (tmp_path / "batch.html").stat().st_size < 6_000_000


def test_the_same_rows_in_any_order_give_the_same_bytes(tmp_path):
    rows = [row(name) for name in "abc"]
    write_batch_html(tmp_path / "a.html", rows)
    write_batch_html(tmp_path / "b.html", reversed(rows))
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
