"""``zncc-align`` and the user's data: channels, pages, dtype, calibration, frame and fill."""

from __future__ import annotations

import hashlib
import json
import zlib
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from conftest import Run, assert_one_line_error

SHIFT = (7, -4)  # moving pixel less fixed pixel, (x, y)


def texture(seed: int, shape: tuple[int, int] = (100, 132)) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(shape[0] + 4, shape[1] + 4))
    smooth = sum(noise[i : i + shape[0], j : j + shape[1]] for i in range(5) for j in range(5))
    return np.asarray(30000 + 1000 * smooth)


def shifted(scene: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two views of a scene, 16 bit: the second's pixel (x + 7, y - 4) shows what the first's (x, y) does."""
    fixed, moving = scene[..., 10:90, 10:122], scene[..., 14:94, 3:115]
    return fixed.astype(np.uint16), moving.astype(np.uint16)


@pytest.fixture
def hyperstack(run: Run) -> tuple[Path, Path]:
    """ImageJ hyperstacks of 2 times and 3 channels, of which the middle one alone has texture; 0.25 micron pixels."""
    empty = np.random.default_rng(9).normal(3000, 30, (100, 132))
    scene = np.stack([np.stack([empty, texture(1), empty]), np.stack([empty, texture(2), empty])])
    for name, data in zip(("fixed.tif", "moving.tif"), shifted(scene), strict=True):
        tifffile.imwrite(
            run.folder / name,
            data,
            imagej=True,
            resolution=(4, 4),
            metadata={"axes": "TCYX", "unit": "micron", "finterval": 0.5},
        )
    return run.folder / "fixed.tif", run.folder / "moving.tif"


def test_a_hyperstack_is_registered_by_its_best_channel_and_moved_whole(
    run: Run, hyperstack: tuple[Path, Path]
) -> None:
    fixed, moving = hyperstack
    got = run("zncc-align", fixed, moving, "--model", "translation", "--out", "out")
    assert got.returncode == 0, got.stderr
    assert "registered by channel 1 (of 0 to 2)" in got.stderr
    assert "registered by page 0 (of 0 to 1)" in got.stderr
    with tifffile.TiffFile(run.folder / "out" / "aligned.tif") as file:
        assert file.series[0].axes == "TCYX"
        assert file.imagej_metadata["unit"] == "micron"
        assert file.imagej_metadata["finterval"] == 0.5
        numerator, denominator = file.pages.first.tags["XResolution"].value
        assert numerator / denominator == 4
        aligned = file.asarray()
    expected = tifffile.imread(moving)
    matrix = np.array(json.loads((run.folder / "out" / "transform.json").read_text())["matrix"])
    np.testing.assert_allclose(
        matrix[:2, 2], SHIFT, atol=0.02
    )  # the noise of the copies is one: exact but for rounding
    inner = aligned[..., 10:70, 10:100].astype(float) - expected[..., 6:66, 17:107]
    assert np.abs(inner).max() < 100  # the spread is 5000: a hundredth of a pixel of the steepest slope
    report = json.loads((run.folder / "out" / "report.json").read_text())
    assert any("channel 1 (of 0 to 2)" in note for note in report["notes"])


def test_a_page_and_a_channel_may_be_chosen_for_each(run: Run, hyperstack: tuple[Path, Path]) -> None:
    fixed, moving = hyperstack
    options = ("--model", "translation", "--page", "1", "--channel", "1,1", "--out", "out")
    got = run("zncc-align", fixed, moving, *options)
    assert got.returncode == 0, got.stderr
    assert got.stderr == ""  # nothing was chosen for the user
    assert tifffile.imread(run.folder / "out" / "aligned.tif").shape == (3, 80, 112)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--page", "2"), 2, ("fixed.tif", "page", "2")),
        (("--series", "1"), 2, ("fixed.tif", "series", "1")),
        (("--channel", "0,3"), 2, ("--channel 3", "moving.tif", "3 channel")),
        (("--channel", "red"), 2, ("--channel red", "fixed.tif", "from 0 to 2, without names")),
        (("--channel", "0,"), 2, ("--channel", "''")),
        (("--fill", "nan"), 2, ("--fill", "uint16", "nan")),
        (("--fill", "black"), 2, ("--fill", "'black'")),
    ],
)
def test_a_page_series_or_channel_that_does_not_exist_ends_with_one_line(
    run: Run, hyperstack: tuple[Path, Path], options: tuple[str, str], code: int, words: tuple[str, ...]
) -> None:
    got = run("zncc-align", *hyperstack, *options, "--out", "out")
    assert_one_line_error(got, code, *words)
    assert not (run.folder / "out").exists()


def test_union_and_common_have_the_expected_frames(run: Run) -> None:
    fixed, moving = shifted(texture(3))
    tifffile.imwrite(run.folder / "fixed.tif", fixed)
    tifffile.imwrite(run.folder / "moving.tif", moving)
    exact = [[1, 0, SHIFT[0]], [0, 1, SHIFT[1]], [0, 0, 1]]
    (run.folder / "init.json").write_text(json.dumps(exact))
    common = ("--model", "translation", "--init", "init.json", "--interpolation", "nearest")
    for canvas, shape in (("union", (84, 119)), ("common", (76, 105))):
        got = run("zncc-align", "fixed.tif", "moving.tif", *common, "--canvas", canvas, "--out", canvas, "--fill", "7")
        assert got.returncode == 0, got.stderr
        out = run.folder / canvas
        report = json.loads((out / "report.json").read_text())
        # The estimate is a few thousandths off a whole shift: an outer row more or less.
        assert np.abs(np.subtract(report["canvas"]["shape"], shape)).max() <= 1
        names = ("aligned.tif", "fixed.tif", "mask.tif", "zncc.tif", "std_fixed.tif")
        assert {tifffile.imread(out / name).shape for name in names} == {tuple(report["canvas"]["shape"])}
        aligned, on_canvas = tifffile.imread(out / "aligned.tif"), tifffile.imread(out / "fixed.tif")
        x, y = report["canvas"]["offset"]
        inside = np.s_[10 - y : 60 - y, 10 - x : 90 - x]
        np.testing.assert_array_equal(on_canvas[inside], fixed[10:60, 10:90])
        np.testing.assert_array_equal(aligned[inside], moving[6:56, 17:97])
        mask = tifffile.imread(out / "mask.tif")
        assert (aligned[mask == 0] == 7).all()
        assert (mask == 255).all() == (canvas == "common")
        height, width = on_canvas.shape
        picture = iio.imread(out / "overlay.png")
        assert picture.shape[1] == 2 * width + 8  # before and after, and a gap
        after = picture[-height:, -width:].astype(int)
        assert np.abs(after[inside][..., 0] - after[inside][..., 1]).mean() < 5  # grey where they agree
        only_fixed = mask == 0
        only_fixed[on_canvas == 0] = False
        assert only_fixed.any() == (canvas == "union")
        assert (after[only_fixed][:, 1] == 0).all()


def test_uncovered_pixels_have_the_fill_value(run: Run) -> None:
    fixed, moving = shifted(texture(4))
    tifffile.imwrite(run.folder / "fixed.tif", fixed.astype(np.float32))
    tifffile.imwrite(run.folder / "moving.tif", moving.astype(np.float32))
    outside = {}
    for fill in ("-5", "edge", None):
        options = [] if fill is None else ["--fill", fill]
        got = run(
            "zncc-align", "fixed.tif", "moving.tif", "--model", "translation", "--out", "o", "--overwrite", *options
        )
        assert got.returncode == 0, got.stderr
        mask = tifffile.imread(run.folder / "o" / "mask.tif")
        outside[fill] = tifffile.imread(run.folder / "o" / "aligned.tif")[mask == 0]
    assert (outside["-5"] == -5).all()
    assert np.isfinite(outside["edge"]).all()
    assert outside["edge"].std() > 100
    assert np.isnan(outside[None]).all()


def test_a_truncated_or_lying_file_is_refused_within_two_gigabytes(run: Run) -> None:
    fixed, _ = shifted(texture(5))
    tifffile.imwrite(run.folder / "fixed.tif", fixed)
    whole = (run.folder / "fixed.tif").read_bytes()
    (run.folder / "cut.tif").write_bytes(whole[:-2000])
    with tifffile.TiffWriter(run.folder / "bomb.tif") as writer:
        size = 100_000
        rows = zlib.compress(bytes(size * 1000))
        writer.write(
            (rows for _ in range(size // 1000)),
            shape=(size, size),
            dtype=np.uint8,
            compression="zlib",
            rowsperstrip=1000,
        )
    for name in ("cut.tif", "bomb.tif"):
        limit = ("bash", "-c", 'ulimit -v 2000000; exec "$@"', "limited")
        got = run("zncc-align", "fixed.tif", name, "--out", "out", wrap=limit)
        assert_one_line_error(got, 1, name)
        assert not (run.folder / "out").exists()


def test_a_moving_image_far_below_leaves_the_first_strip_empty(run: Run) -> None:
    scene = texture(6, (1500, 132))
    tifffile.imwrite(run.folder / "fixed.tif", scene[:1000].astype(np.uint16))
    tifffile.imwrite(run.folder / "moving.tif", scene[560:].astype(np.uint16))
    got = run("zncc-align", "fixed.tif", "moving.tif", "--model", "translation", "--out", "out")
    assert got.returncode == 0, got.stderr
    aligned = tifffile.imread(run.folder / "out" / "aligned.tif")
    assert not aligned[:550].any()
    assert np.abs(aligned[580:990, 10:-10] - scene[580:990, 10:-10]).max() < 100


@pytest.mark.parametrize(
    ("write", "names"),
    [
        ("transform", ["transform.json"]),
        ("report, aligned", ["aligned.tif", "report.json"]),
        ("maps,html", ["report.html", "std_aligned.tif", "std_fixed.tif", "zncc.tif"]),
    ],
)
def test_write_chooses_the_files(run: Run, write: str, names: list[str]) -> None:
    for name, data in zip(("fixed.tif", "moving.tif"), shifted(texture(3)), strict=True):
        tifffile.imwrite(run.folder / name, data)
    got = run("zncc-align", "fixed.tif", "moving.tif", "-m", "translation", "-o", "out", "--write", write)
    assert got.returncode == 0, got.stderr
    assert sorted(path.name for path in (run.folder / "out").iterdir()) == names


def test_a_report_names_its_inputs_by_content_and_repeats_what_was_written(run: Run) -> None:
    for name, data in zip(("fixed.tif", "moving.tif"), shifted(texture(3)), strict=True):
        tifffile.imwrite(run.folder / name, data)
    words = ("-m", "translation", "--write", "aligned,report")
    assert run("zncc-align", "fixed.tif", "moving.tif", *words, "-o", "out").returncode == 0
    report = json.loads((run.folder / "out" / "report.json").read_text())
    content = hashlib.blake2b((run.folder / "fixed.tif").read_bytes(), digest_size=16).hexdigest()
    assert report["inputs"]["fixed"] == f"blake2b:{content}"
    assert "--write=aligned,report" in report["command"]
    assert run("zncc-align", "--rerun", "out/report.json", "--out", "again").returncode == 0
    assert sorted(path.name for path in (run.folder / "again").iterdir()) == ["aligned.tif", "report.json"]


def test_an_unknown_product_is_refused_with_the_choices(run: Run) -> None:
    got = run("zncc-align", "fixed.tif", "moving.tif", "--write", "pictures")
    assert_one_line_error(got, 2, "--write", "aligned, transform, mask, maps, overlay, html, report", "'pictures'")
