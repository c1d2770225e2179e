"""The HTML report of a pair: one file that works offline, shows the report and runs nothing that a stranger wrote."""

from __future__ import annotations

import base64
import dataclasses
import enum
import hashlib
import re
import shlex
import subprocess

import numpy as np
import pytest

from tests.report.html_samples import HOSTILE, REASON, ParsedHtml, decoded, nothing, pictures, report
from zncc_cli.config.spelling import all_configs
from zncc_cli.errors import OutputError
from zncc_cli.report.pair_figures import residual
from zncc_cli.report.pair_html import write_pair_html
from zncc_cli.report.words import MEASURES, shell_line


@pytest.fixture
def html(tmp_path):
    """Write an HTML report and return it parsed."""

    def write(given=None, shown=None, **options):
        write_pair_html(tmp_path / "report.html", given or report(), shown or pictures(), **options)
        return ParsedHtml((tmp_path / "report.html").read_text(encoding="utf-8"))

    return write


@pytest.mark.parametrize(
    ("status", "word", "sign"),
    [("ok", "Aligned", "✓"), ("suspect", "Suspect", "!"), ("failed", "Failed", "\u00d7"), ("new", "New", "?")],
)
def test_verdict_and_reasons_come_first_in_words_and_signs(html, status, word, sign):
    text = html(report(status=status, reasons=["the first reason", "the second"])).text
    order = [text.index(part) for part in (sign, word, "the first reason", "the second", "Before and after", "Metrics")]
    assert order == sorted(order)


def test_the_probability_of_being_right_is_shown_and_never_as_certain(html):
    assert "Probability of being right 0.999" in html().text
    assert "Probability of being right 0.052" in html(report(probability=0.0521)).text
    assert "Probability" not in html(report(probability=None)).text


def test_every_picture_has_an_alternative_text_and_a_size(html):
    images = html().all("img")
    assert len(images) == 5 + 5
    assert all(image["alt"] and int(image["width"]) == 120 and int(image["height"]) == 90 for image in images)


def test_every_control_has_a_label(html):
    parsed = html()
    labelled = len(parsed.all("label"))
    assert labelled == len(parsed.all("input")) + len(parsed.all("select")) == 11
    assert len(parsed.all("legend")) == len(parsed.all("fieldset")) == 2


def test_metrics_have_units_and_meanings_and_unknown_ones_are_named_by_their_key(html):
    given = report(metrics={"overlap": 0.98, "held_out": {"zncc": 0.125}, "corner_error_px": 0.015, "list": [1, 2.5]})
    text = html(given).text
    assert "Overlap 98 %" in text
    assert "Share of the smaller image's windows that both images show; of its pixels where too few do." in text
    for shown in ("Held out: zncc 0.125", "Corner error px 0.015", "List 1, 2.5"):
        assert shown in text


class Ending(enum.StrEnum):
    """As a run names how an optimisation ended."""

    MAX_ITERATIONS = "max_iterations"


def test_arrays_and_enums_are_shown_as_in_the_json(html):
    """A run has arrays and enums in memory where the file has lists and text."""
    sure = {"rms": np.float64(0.0123), "corners": np.array([0.02, 0.03]), "covariance": np.eye(2)}
    given = report(uncertainty=sure)
    given["levels"][0]["ending"] = Ending.MAX_ITERATIONS
    text = html(given).text
    assert " max iterations " in text
    assert "ending:" not in text
    assert "Expected error 0.012 px" in text
    assert "Corners 0.02, 0.03" in text
    assert "[" not in text


def test_a_failed_result_has_no_expected_error_and_no_inverted_contrast(html):
    said = (
        "Expected error 0.012 px",
        "Expected error px",
        "Expected error, px",
        "bright in one image is dark in the other",
    )
    given = {"uncertainty": {"rms": 0.0123, "corners": [0.02, 0.03]}, "inverted": True}
    for status, shown in (("ok", True), ("suspect", True), ("failed", False)):
        text = html(report(status=status, **given)).text
        assert [words in text for words in said] == [shown] * len(said)
        assert "shown as its negative" in text


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_missing_values_are_a_dash(html, missing):
    text = html(
        report(
            metrics={"zncc_before": missing, "zncc_after": missing, "block_significance": missing, "motion": missing}
        )
    ).text
    assert "ZNCC \u2013 → \u2013" in text
    assert "Block significance \u2013" in text
    assert "Motion \u2013 Largest" in text  # no unit
    assert not re.search(r"\b(nan|None|null|inf)\b", text)


def test_an_empty_report_gives_an_html_file(html):
    text = html({"status": None}).text
    assert "No verdict" in text
    assert "None" not in text


def test_a_pair_without_overlap_is_shown_as_such(html):
    parsed = html(report(status="failed"), nothing())
    assert "the images share no pixel" in parsed.text
    assert parsed.text.count("No value anywhere") == 3  # ZNCC, residual, texture of the aligned image
    assert len(parsed.all("img")) == 5 + 1


def test_a_transform_that_cannot_be_drawn_is_named(html):
    assert "no transform that can be drawn" in html(shown=pictures(matrix=np.full((3, 3), np.nan))).text


def test_arrows_state_their_scale(html):
    parsed = html(shown=pictures(matrix=np.array([[1.0, 0, 3], [0, 1, -4], [0, 0, 1]])))
    assert "Longest 5 px" in parsed.text
    assert "drawn at 2 times the scale of the picture" in parsed.text
    assert "x 3 px, y -4 px" in parsed.text
    lines = [line for line in parsed.all("line") if line["class"] == "arrow"]
    assert len(lines) == 12 * 9  # one each ten pixels
    # Drawn 640 units wide for 120 pixels, twice as long.
    first = lines[0]
    assert float(first["x2"]) - float(first["x1"]) == pytest.approx(3 * 2 * 640 / 120, abs=0.1)
    assert float(first["y2"]) - float(first["y1"]) == pytest.approx(-4 * 2 * 640 / 120, abs=0.1)


def test_the_motion_of_reduced_pictures_is_in_pixels_of_the_fixed_image(html):
    """2048 pixels become 1024; a shift of 6 pixels stays 6."""
    shift = np.array([[1.0, 0, 6], [0, 1, 0], [0, 0, 1]])
    text = html(shown=pictures((64, 2048), matrix=shift)).text
    assert "1024 \u00d7 32 px, each the mean of 2 \u00d7 2 pixels" in text
    assert "x 6 px, y 0 px" in text


def test_views_and_maps_are_no_larger_than_they_are_looked_at(html):
    images = html(shown=pictures((64, 2048))).all("img")
    sizes = [(int(image["width"]), int(image["height"])) for image in images]
    assert sizes == [(1024, 32)] * 5 + [(342, 11)] * 5  # blocks of 2 and then of 3 pixels


def test_a_reduced_transform_maps_to_the_same_place():
    fine = pictures((60, 90), pixel=2.0)
    coarse = fine.reduced(30)
    assert coarse.layers.fixed.shape == (20, 30)
    assert coarse.pixel == 6
    at = np.array([10.0, 5.0, 1.0])
    np.testing.assert_allclose(3 * (coarse.matrix @ at)[:2] + 1, (fine.matrix @ (3 * at + [1, 1, -2]))[:2])
    np.testing.assert_allclose(coarse.layers.fixed[0, 0], fine.layers.fixed[:3, :3].mean(), rtol=1e-6)


def test_where_images_agree_they_are_grey_and_missing_pixels_are_dark():
    valid = np.ones((90, 120), bool)
    valid[:, :30] = False
    pixels = pictures(valid_after=valid).layers.views
    after = pixels["overlay-after"].astype(int)
    assert (after[:, :30] == after[0, 0]).all()
    assert np.ptp(after[:, 30:], axis=-1).max() <= 1
    assert np.ptp(pixels["overlay-before"].astype(int), axis=-1).mean() > 20


def test_the_residual_ignores_contrast_and_shading_and_shows_a_shift():
    shown = pictures(noise=False)
    shading = np.linspace(0, 500, 120)
    shaded = pictures(noise=False, after=3 * shown.layers.fixed + shading)
    moved = pictures(noise=False, after=np.roll(shown.layers.fixed, 2, axis=1))
    assert np.abs(residual(pictures(noise=False, after=5 * shown.layers.fixed + 7).layers)).max() < 1e-5
    assert np.median(np.abs(residual(shaded.layers))) < 0.05
    assert np.abs(residual(moved.layers)).max() > 1


def test_maps_are_transparent_where_there_is_no_value(html):
    zncc = np.full((90, 120), 0.5)
    zncc[:10] = np.nan
    images = html(shown=pictures(zncc=zncc)).all("img")
    pixels = decoded(next(image["src"] for image in images if image["alt"].startswith("ZNCC map")))
    assert (pixels[:10, :, 3] == 0).all()
    assert (pixels[10:, :, 3] == 255).all()


def test_what_was_compared_instead_of_brightness_is_shown(html):
    compared = np.full((90, 120), np.nan), np.full((90, 120), 0.5)
    shown = html(shown=pictures(compared=compared)).text
    assert "Compared, fixed" in shown
    assert "Compared, aligned" in shown
    assert "Compared, fixed" not in html().text


def test_levels_are_a_table_with_bars(html):
    parsed = html()
    for shown in ("1/2", "full size", "0.5", "0.005", "converged"):
        assert shown in parsed.text
    widths = [float(rect["width"]) for rect in parsed.all("rect") if rect.get("height") == "4"]
    assert widths == [100, 100, 5, 1, 100, 100]  # loss, iterations, seconds of both levels, of the most


def test_the_command_is_quoted_for_a_shell(html):
    command = ["zncc-align", "it's a file.tif", "b.tif", "--out", "my results"]
    assert shlex.join(command) in html(report(command=command)).text


@pytest.mark.parametrize(
    "name", ["plain", "two words", "it's", "a\nb", "\x1b[31m'\\", "\udcff", "ä\u202e", "", "$HOME"]
)
def test_a_shell_reads_the_same_arguments_from_the_printable_command_line(name):
    line = shell_line(["printf", "%s", name])
    assert line.isprintable()
    given = subprocess.run(["bash", "-c", line], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"})
    assert given.stdout == name.encode("utf-8", "surrogateescape")


def test_files_in_the_same_folder_are_linked_relatively(html):
    parsed = html(files=("aligned.tif", "100%_#1?.tif"))
    links = [anchor["href"] for anchor in parsed.all("a")]
    assert links == ["./aligned.tif", "./100%25_%231%3F.tif"]
    assert "the moving image, aligned to the fixed image" in parsed.text


def test_markup_in_names_stays_text(html):
    given = report(
        status=HOSTILE,
        reasons=[HOSTILE],
        notes=[HOSTILE],
        fixed=HOSTILE,
        moving=HOSTILE,
        model=HOSTILE,
        metrics={HOSTILE: HOSTILE, "ending": HOSTILE},
        levels=[{HOSTILE: HOSTILE, "factor": HOSTILE, "loss": HOSTILE}],
        settings={HOSTILE: {HOSTILE: HOSTILE}},
        backend={"reason": HOSTILE},
        selection={"reason": HOSTILE, "held_out_zncc": {HOSTILE: 1.0}},
        command=[HOSTILE, HOSTILE],
        **{HOSTILE: HOSTILE},
    )
    parsed = html(given, files=[HOSTILE, "javascript:alert(1)", "//elsewhere/x", "../x"])
    clean = html()
    assert len(parsed.all("script")) == 1
    assert len(parsed.all("img")) == len(clean.all("img"))
    assert not [name for _, attributes in parsed.elements for name in attributes if name.startswith("on")]
    assert parsed.text.count("<img src=x onerror=alert(1)>") > 10
    assert "{{7*7}}" in parsed.text
    assert all(letter.isprintable() or letter == "\n" for letter in "".join(parsed.words))
    assert all(anchor["href"].startswith("./") for anchor in parsed.all("a"))


def test_the_html_loads_nothing_from_outside(html, tmp_path):
    parsed = html()
    content = (tmp_path / "report.html").read_text()
    assert not re.search(r"(https?:)?//[a-z]", re.sub(r"base64,[\w+/=]+", "", content))
    assert not re.search(r"@import|url\((?!#)|<(iframe|object|embed|base|form action)", content)
    for _, attributes in parsed.elements:
        for name in ("src", "href"):
            assert attributes.get(name, "data:").startswith(("data:", "./"))


def test_the_policy_allows_only_its_own_style_and_script(html, tmp_path):
    (policy,) = (meta["content"] for meta in html().all("meta") if "http-equiv" in meta)
    content = (tmp_path / "report.html").read_text()
    for tag in ("style", "script"):
        (inner,) = re.findall(rf"<{tag}>(.*?)</{tag}>", content, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    assert "style=" not in re.sub(r"base64,[\w+/=]+", "", content)  # the policy would not obey it


def test_the_same_input_gives_the_same_bytes(tmp_path):
    for name in ("a.html", "b.html"):
        write_pair_html(tmp_path / name, report(), pictures(), files=("zncc.tif",))
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


@pytest.mark.parametrize("shape", [(1024, 1024), (3000, 2000)])
def test_white_noise_stays_below_5_mb(tmp_path, shape):
    """Noise does not compress: no picture is larger than this."""
    write_pair_html(tmp_path / "report.html", report(), pictures(shape))
    assert (tmp_path / "report.html").stat().st_size < 5_000_000


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 2)])
def test_images_of_odd_shapes_are_shown(html, shape):
    assert "Aligned" in html(shown=pictures(shape)).text


def test_writing_into_a_missing_folder_is_an_output_error(tmp_path):
    with pytest.raises(OutputError):
        write_pair_html(tmp_path / "no" / "report.html", report(), pictures())


def test_a_reason_is_shown_unchanged(html):
    assert REASON in html().text


def test_no_meaning_of_a_metric_names_a_setting_in_python_spelling():
    names = {field.name for config in all_configs() for field in dataclasses.fields(config) if "_" in field.name}
    assert "max_motion" in names
    for measure in MEASURES.values():
        assert "`" not in measure.meaning
        assert not names & set(re.findall(r"\w+", measure.meaning))
