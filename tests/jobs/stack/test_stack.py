"""Movies on disk: the places of their frames, and the files that are written."""

from __future__ import annotations

import csv
import json
import tracemalloc
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from benchmarks.stack.movie import DriftMovie
from zncc_cli.config import Model, ResamplingConfig
from zncc_cli.config.stack import StackConfig
from zncc_cli.errors import ContentError, ExitCode, InputError, OptionError, OutputError, WindowError
from zncc_cli.files import images
from zncc_cli.jobs.stack import align as stack_job
from zncc_cli.jobs.stack.align import align_stack
from zncc_cli.jobs.stack.film import FilmMaker
from zncc_cli.jobs.stack.outcome import StackOutcome
from zncc_cli.registration.quality.verdict import Status


def write(path: Path, frames: Iterable[np.ndarray], **how: Any) -> Path:
    tifffile.imwrite(path, np.array(list(frames)), **{"photometric": "minisblack", **how})
    return path


def align(path: Path, out: Path | None = None, **settings: Any) -> StackOutcome:
    return align_stack(StackConfig(image=path, out=out or path.parent / "out", **settings), lambda _: None)


def drift_of(outcome: StackOutcome) -> np.ndarray:
    return np.array([[row.dx, row.dy] for row in outcome.rows])


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DriftMovie]:
    made = DriftMovie.walk(45, 128, blanks=2)
    path = tmp_path_factory.mktemp("movie") / "movie.tif"
    return write(path, made.frames(), metadata={"axes": "TYX"}), made


@pytest.fixture(scope="module")
def aligned(movie: tuple[Path, DriftMovie]) -> StackOutcome:
    """The movie, aligned to its first frame."""
    return align(movie[0])


@pytest.mark.parametrize("to", ["first", "previous", "mean", "7"])
def test_a_random_walk_with_a_jump_and_blank_frames_is_followed(
    movie: tuple[Path, DriftMovie], aligned: StackOutcome, tmp_path: Path, to: str
) -> None:
    """The target of a movie is 0.05 px RMS."""
    path, made = movie
    outcome = aligned if to == "first" else align(path, tmp_path / "out", to=to)
    assert outcome.exit_code is ExitCode.OK
    assert [row.frame for row in outcome.rows if row.status == "blank"] == list(made.blank)
    shown = np.array([row.status == "ok" for row in outcome.rows])
    assert shown.sum() == 45 - 2
    apart = drift_of(outcome) - made.drift
    origin = {"mean": apart[shown].mean(axis=0), "7": -made.drift[7]}.get(to, np.zeros(2))
    assert np.sqrt(((apart - origin)[shown] ** 2).sum(axis=1).mean()) < 0.05


def test_the_written_frames_lie_on_the_first(movie: tuple[Path, DriftMovie], aligned: StackOutcome) -> None:
    """What is left of the difference is noise: that of two frames, one of which is interpolated."""
    _, made = movie
    out = tifffile.imread(aligned.folder / "stack.tif")
    assert (out.dtype, out.shape) == (np.uint16, (45, 128, 128))
    inner = (slice(30, -30), slice(30, -30))
    for number in (1, 20, 44):
        difference = out[number][inner].astype(float) - out[0][inner]
        assert difference.std() < 1.5 * made.noise


def test_a_corrupt_frame_moves_no_other(tmp_path: Path) -> None:
    """Its own place is the only one that is not known; the others lie within what leaving it out changes anyway."""
    made = DriftMovie.walk(30, 128, blanks=0, jump=(0, 0))
    frames = list(made.frames())
    whole = drift_of(align(write(tmp_path / "whole.tif", frames), to="5"))
    other = next(iter(DriftMovie.walk(1, 128, blanks=0, seed=9).frames()))
    frames[12] = other
    outcome = align(write(tmp_path / "corrupt.tif", frames), to="5", overwrite=True)
    assert [row.frame for row in outcome.rows if row.status == "outlier"] == [12]
    others = np.arange(30) != 12
    assert np.abs(drift_of(outcome) - whole)[others].max() < 0.01
    np.testing.assert_allclose(drift_of(outcome)[12], drift_of(outcome)[[11, 13]].mean(axis=0), atol=1e-6)


@pytest.mark.parametrize("model", [Model.RIGID, Model.SIMILARITY, Model.AFFINE])
def test_richer_motions_find_the_shifts_too(movie: tuple[Path, DriftMovie], tmp_path: Path, model: Model) -> None:
    path, made = movie
    outcome = align(path, tmp_path / "out", model=model)
    shown = np.array([row.status == "ok" for row in outcome.rows])
    assert shown.sum() == 45 - 2
    assert np.sqrt(((drift_of(outcome) - made.drift)[shown] ** 2).sum(axis=1).mean()) < 0.1
    header = (outcome.folder / "drift.csv").read_text().splitlines()[0]
    assert header.startswith("frame,dx,dy," + {"affine": "a11,a12,a21,a22"}.get(model, "angle_degrees"))


def test_channels_of_a_hyperstack_are_moved_together(tmp_path: Path) -> None:
    """Channel 0 is noise alone; channel 2 is a function of channel 1, pixel by pixel, and is so in the end."""
    made = DriftMovie.walk(12, 128, blanks=0, step=1.0, jump=(0, 0))
    cells = np.array(list(made.frames())) + 4000  # far from zero, where a spline that overshoots is clipped
    noise = np.random.default_rng(0).integers(3900, 4100, cells.shape).astype(np.uint16)
    stack = np.stack((noise, cells, 30000 - cells), axis=1)
    path = tmp_path / "hyper.tif"
    tifffile.imwrite(path, stack, imagej=True, metadata={"axes": "TCYX", "unit": "um"}, resolution=(5, 5))
    outcome = align(path)
    assert any("registered by channel" in note for note in outcome.report["notes"])
    assert outcome.report["registered_on"]["channel_index"][1] in (1, 2)
    with tifffile.TiffFile(path.parent / "out" / "stack.tif") as file:
        assert file.is_imagej
        assert file.series[0].axes == "TCYX"
        out = file.asarray()
    inner = (..., slice(20, -20), slice(20, -20))
    moved = out[:, 1][inner].astype(int), out[:, 2][inner].astype(int)
    assert np.abs(moved[0] + moved[1] - 30000).max() <= 1  # each is rounded
    assert np.abs(drift_of(outcome) - made.drift).max() < 0.05
    named = align(path, channel="2", overwrite=True)
    assert named.report["registered_on"]["channel_index"][1] == 2


def test_frames_that_lie_whole_pixels_apart_are_copied_to_the_bit(tmp_path: Path) -> None:
    """Holes without data stay as large as they are, and no value changes."""
    (counts,) = DriftMovie.walk(1, 192, blanks=0).frames()
    scene = counts.astype(np.float32) / 7
    scene[90:94, 80:85] = np.nan
    shifts = [(0, 0), (3, -2), (-4, 5), (7, 1), (2, 2)]
    path = write(tmp_path / "a.tif", [scene[32 + y : 160 + y, 32 + x : 160 + x] for x, y in shifts])
    outcome = align(path)
    assert np.array_equal(drift_of(outcome), -np.array(shifts))
    first, *others = tifffile.imread(tmp_path / "out" / "stack.tif")
    for frame, (x, y) in zip(others, shifts[1:], strict=True):
        seen = (slice(max(0, y), 128 + min(0, y)), slice(max(0, x), 128 + min(0, x)))
        assert np.array_equal(frame[seen], first[seen], equal_nan=True)
    assert any("shifted by whole pixels" in note for note in outcome.report["notes"])


def test_times_of_frames_stay_with_them(tmp_path: Path) -> None:
    """Each page of the stack has the date and the private tags of the page that was moved."""
    times = [f"2024:01:02 03:04:{second:02}" for second in range(3)]
    frames = DriftMovie.walk(3, 96, blanks=0).frames()
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for number, (frame, time) in enumerate(zip(frames, times, strict=True)):
            tags = [(65330, 12, 1, number / 4, True)]
            file.write(frame, datetime=time, extratags=tags, metadata=None, photometric="minisblack")
    outcome = align(tmp_path / "a.tif")
    with tifffile.TiffFile(tmp_path / "out" / "stack.tif") as file:
        assert [page.tags[306].value for page in file.pages] == times  # type: ignore[union-attr]
        assert [page.tags[65330].value for page in file.pages] == [0, 0.25, 0.5]  # type: ignore[union-attr]
    assert not any("further pages" in note for note in outcome.report["notes"])


def test_the_common_canvas_shows_all_frames(movie: tuple[Path, DriftMovie], tmp_path: Path) -> None:
    resampling = ResamplingConfig(canvas="common", fill="65535")  # type: ignore[arg-type]
    outcome = align(movie[0], tmp_path / "out", resampling=resampling)
    out = tifffile.imread(outcome.folder / "stack.tif")
    height, width = out.shape[1:]
    assert not (out == 65535).any()
    span = drift_of(outcome).max(axis=0) - drift_of(outcome).min(axis=0)
    # Whole pixels that all show: at most two less than the span leaves.
    assert np.all(np.array([width, height]) >= 128 - span - 2)
    assert outcome.report["canvas"]["shape"] == [height, width]


def test_all_files_hold_the_same_places(movie: tuple[Path, DriftMovie], aligned: StackOutcome) -> None:
    _, made = movie
    folder = aligned.folder
    with (folder / "drift.csv").open() as table:
        rows = list(csv.DictReader(table))
    transforms = json.loads((folder / "transforms.json").read_text())
    assert (transforms["format"], transforms["version"]) == ("zncc-stack", 2)  # what 1 called sigma is expected_error
    assert transforms["direction"] == "reference -> frame"
    assert transforms["shape"] == [128, 128]
    for row, frame, known in zip(rows, transforms["frames"], aligned.rows, strict=True):
        assert int(row["frame"]) == frame["frame"] == known.frame
        assert row["status"] == frame["status"] == known.status
        matrix = np.array(frame["matrix"])
        np.testing.assert_allclose([float(row["dx"]), float(row["dy"])], matrix[:2, 2], atol=1e-6)
        assert (row["expected_error"] == "") == (known.status != "ok")
    report = json.loads((folder / "report.json").read_text())
    assert report["blank"] == list(made.blank)
    assert report["status"] == "ok"
    picture = (folder / "drift.svg").read_text()
    assert picture.startswith("<?xml")
    assert "blank (2), between its neighbours" in picture


def test_frames_are_read_and_written_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file has 5 MB. tracemalloc sees what NumPy holds: frames on their way in and out, and what was measured."""
    made = DriftMovie.walk(160, 128, blanks=2)
    path = tmp_path / "long.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(made.frames(), shape=(160, 128, 128), dtype=np.uint16, photometric="minisblack")
    monkeypatch.setattr(images, "_MAX_EAGER_BYTES", 2**16)
    monkeypatch.setattr(FilmMaker, "collect", lambda maker, strip: None)  # the page holds 30 frames of any movie
    for drawing in ("write_reports", "draw_drift"):
        monkeypatch.setattr(stack_job, drawing, lambda *_: {})
    align(write(tmp_path / "short.tif", [*made.frames()][:4]), overwrite=True)  # what is loaded once
    tracemalloc.start()
    try:
        outcome = align(path, overwrite=True)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert outcome.status is Status.OK
    assert peak < 2.5e6, peak


def test_the_axis_of_the_frames_is_chosen_and_noted(tmp_path: Path) -> None:
    made = DriftMovie.walk(6, 96, blanks=0, jump=(0, 0))
    frames = np.array(list(made.frames()))
    stack = np.stack((frames, frames), axis=1)  # two slices each
    path = tmp_path / "volume.tif"
    tifffile.imwrite(path, stack, imagej=True, metadata={"axes": "TZYX"})
    outcome = align(path)
    assert outcome.report["axis"] == "T"
    assert any("along T of T 6, Z 2" in note for note in outcome.report["notes"])
    assert any("registered by Z 1 (of 0 to 1)" in note for note in outcome.report["notes"])
    assert align(path, axis="Z", overwrite=True).report["frames"] == 2
    with pytest.raises(OptionError, match=r"--axis Q: .* found T 6, Z 2"):
        align(path, axis="Q", overwrite=True)


def test_a_movie_with_too_many_bad_frames_is_not_trusted(tmp_path: Path) -> None:
    frames = list(DriftMovie.walk(10, 96, blanks=3).frames())
    outcome = align(write(tmp_path / "movie.tif", frames))
    assert outcome.status is Status.SUSPECT
    assert outcome.exit_code is ExitCode.NOT_TRUSTED
    assert (tmp_path / "out" / "stack.tif").exists()
    noise = np.random.default_rng(0).integers(0, 1000, (3, 96, 96)).astype(np.uint16)
    assert align(write(tmp_path / "noise.tif", noise), overwrite=True).status is Status.FAILED


def test_a_constant_frame_is_blank(tmp_path: Path) -> None:
    frames = list(DriftMovie.walk(8, 96, blanks=0, jump=(0, 0)).frames())
    frames[0] = np.zeros_like(frames[0])
    outcome = align(write(tmp_path / "movie.tif", frames))
    assert [row.status for row in outcome.rows] == ["blank"] + ["ok"] * 7
    np.testing.assert_allclose(drift_of(outcome)[1], 0, atol=1e-9)  # the first that is shown stands in
    assert any("frame 0, to which the others are aligned, is blank" in note for note in outcome.report["notes"])


@pytest.mark.parametrize("to", ["first", "mean"])
def test_blank_frames_at_the_end_have_the_place_of_the_last_good_one(tmp_path: Path, to: str) -> None:
    made = DriftMovie(96, np.array([[3.0, -1.0]]) * np.arange(12)[:, None], blank=(10, 11))
    outcome = align(write(tmp_path / "movie.tif", made.frames()), to=to)
    assert [row.frame for row in outcome.rows if row.status == "blank"] == [10, 11]
    # They have the very same place, by whatever arithmetic that was found.
    np.testing.assert_allclose(drift_of(outcome)[10:], drift_of(outcome)[[9, 9]], atol=1e-9)


def test_the_mean_place_is_the_reference_if_no_frame_agrees_with_the_mean_image(tmp_path: Path) -> None:
    """Ten views along a scene, each sharing three quarters with the next: none shows what half of the others do."""
    noise = np.random.default_rng(0).normal(30000, 9000, (98, 330))
    scene = sum(noise[y : y + 96, x : x + 328] for x in range(3) for y in range(3)) / 9
    frames = [scene[:, 24 * k : 24 * k + 96].astype(np.uint16) for k in range(10)]
    outcome = align(write(tmp_path / "movie.tif", frames), to="mean")
    assert [row.status for row in outcome.rows] == ["ok"] * 10
    expected = np.stack([-24 * (np.arange(10) - 4.5), np.zeros(10)], axis=1)
    np.testing.assert_allclose(drift_of(outcome), expected, atol=0.02)  # the target of a pair of noise-free images
    assert any("the mean of their places is the reference" in note for note in outcome.report["notes"])
    # The frame written lies between the fifth and the sixth; it ends 12 pixels beyond the ends of these.
    assert outcome.report["outside"] == [0, 9]
    assert any(
        "2 of 10 frames, the first of them frame 0, lie outside the canvas" in note for note in outcome.report["notes"]
    )
    shown = tifffile.imread(outcome.folder / "stack.tif").any(axis=(1, 2))
    assert np.flatnonzero(~shown).tolist() == [0, 9]


def test_small_frames_are_registered_with_smaller_windows(tmp_path: Path) -> None:
    frames = [frame[:18, :40] for frame in DriftMovie.walk(3, 96, blanks=0).frames()]
    outcome = align(write(tmp_path / "small.tif", frames), model=Model.RIGID)
    assert any(note.startswith("small.tif: windows of ") for note in outcome.report["notes"])
    with pytest.raises(WindowError, match=r"`window`: .* at most 9"):
        align(tmp_path / "small.tif", window=11, overwrite=True)


def test_a_file_that_is_no_movie_is_refused(tmp_path: Path) -> None:
    frames = list(DriftMovie.walk(2, 96, blanks=0).frames())
    with pytest.raises(InputError, match="expected several frames"):
        align(write(tmp_path / "one.tif", frames[0]))
    tifffile.imwrite(tmp_path / "c.tif", np.array(frames), imagej=True, metadata={"axes": "CYX"})
    with pytest.raises(InputError, match=r"one frame of 2 channels \(axes CYX\); if the channels are frames"):
        align(tmp_path / "c.tif")
    path = write(tmp_path / "two.tif", frames)
    with pytest.raises(OptionError, match=r"--to 2: expected a frame from 0 to 1"):
        align(path, to="2")
    with pytest.raises(OptionError, match=r"--channel 1: .* has 1 channel"):
        align(path, channel="1")
    with pytest.raises(WindowError, match=r"`window`: .* at most 48"):
        align(path, window=90)
    with pytest.raises(ContentError, match="at least 16 pixels"):
        align(write(tmp_path / "tiny.tif", [frame[:12, :12] for frame in frames]))
    with pytest.raises(OptionError, match="`model`: expected one of translation"):
        StackConfig(image=path, model=Model.AUTO)
    assert not (tmp_path / "out").exists()


def test_the_input_file_is_never_overwritten(tmp_path: Path) -> None:
    frames = DriftMovie.walk(3, 64, blanks=0, jump=(0, 0)).frames()
    (tmp_path / "out").mkdir()
    path = write(tmp_path / "out" / "stack.tif", frames)
    before = path.read_bytes()
    with pytest.raises(OutputError, match=r"stack.tif: is an input, which would be overwritten"):
        align_stack(StackConfig(image=path, out=tmp_path / "out", overwrite=True), lambda _: None)
    assert path.read_bytes() == before


def test_a_real_picture_that_moves_lies_where_pystackreg_puts_it(tmp_path: Path) -> None:
    """Coins of a museum, cut out at places that are known, with noise: both find them."""
    stackreg = pytest.importorskip("pystackreg", reason="pystackreg is compared with").StackReg
    data = pytest.importorskip("skimage.data", reason="a real picture is needed")
    rng = np.random.default_rng(0)
    drift = np.cumsum(rng.integers(-2, 3, (12, 2)), axis=0)
    drift -= drift[0]
    picture, side, at = data.coins().astype(float), 200, 60
    frames = [picture[at - dy : at - dy + side, at - dx : at - dx + side] for dx, dy in drift]
    frames = [np.clip(frame * 100 + rng.normal(0, 300, frame.shape), 0, 65535).astype(np.uint16) for frame in frames]
    outcome = align(write(tmp_path / "coins.tif", frames))
    theirs = stackreg(stackreg.TRANSLATION).register_stack(np.array(frames), reference="first")[:, :2, 2]
    ours = drift_of(outcome)
    assert np.sqrt(((ours - drift) ** 2).sum(axis=1).mean()) < 0.02
    assert np.abs(ours - theirs).max() < 0.1
