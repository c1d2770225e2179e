"""A picture, a map or a mask that cannot be made never costs the result."""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from zncc_cli.config import PairConfig, RegistrationConfig
from zncc_cli.config.stack import StackConfig
from zncc_cli.config.stdmap import StdMapConfig
from zncc_cli.errors import ExitCode, OutputError
from zncc_cli.jobs import row_file, stdmap
from zncc_cli.jobs.missing import Missing, sentence
from zncc_cli.jobs.pair import maps, writing
from zncc_cli.jobs.pair.align import align_pair
from zncc_cli.jobs.pair.run_folder import HTML, MAPS, MASK, OVERLAY, file_names
from zncc_cli.jobs.stack import pages
from zncc_cli.jobs.stack.align import align_stack
from zncc_cli.jobs.stdmap import write_std_maps

DEFECT = "ZeroDivisionError: no scale; a defect, not your mistake: report what --debug prints"
FULL = "No space left on device; free some space"


def scene(height: int, width: int) -> np.ndarray:
    noise = np.random.default_rng(0).random((height + 2, width + 2))
    return sum(noise[i : i + height, j : j + width] for i in range(3) for j in range(3)) * 6000


@pytest.fixture
def config(tmp_path: Path) -> PairConfig:
    """A pair of 72 x 64 pixels, shifted by three and two, with a mask."""
    whole = scene(80, 70).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", whole[3:75, 3:67])
    tifffile.imwrite(tmp_path / "b.tif", whole[1:73, :64])
    tifffile.imwrite(tmp_path / "use.tif", np.ones((72, 64), np.uint8))
    return PairConfig(
        fixed=tmp_path / "a.tif",
        moving=tmp_path / "b.tif",
        moving_mask=tmp_path / "use.tif",
        out=tmp_path / "out",
        registration=RegistrationConfig(model="translation"),  # type: ignore[arg-type]
    )


def breaks(*_: Any, **__: Any) -> None:
    raise ZeroDivisionError("no scale")


def is_full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


class FullAfter:
    """A temporary file on a disk that is full after some bytes, and says so again when it is closed."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, data: memoryview) -> None:
        self.room -= len(bytes(data))
        if self.room < 0:
            is_full()

    def close(self) -> None:
        if self.room < 0:
            is_full()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def assert_all_but(config: PairConfig, missing: dict[str, str], expected: np.ndarray) -> None:
    """Run ``config``, and check that all but ``missing``, names and reasons, is written as if nothing had happened."""
    outcome = align_pair(config, lambda _: None)
    assert outcome.exit_code is ExitCode.INCOMPLETE
    assert outcome.missing == missing
    assert names(config.folder) == set(file_names(config)) - set(missing)
    assert {path.name for path in config.folder.parent.glob(".zncc-*")} == set()
    np.testing.assert_array_equal(tifffile.imread(config.folder / "aligned.tif"), expected)
    report = json.loads((config.folder / "report.json").read_text())
    assert report["status"] == "ok"
    assert sorted(report["missing"]) == sorted(missing)
    assert report["notes"][-1] == sentence(missing)


@pytest.fixture
def expected(config: PairConfig, tmp_path: Path) -> np.ndarray:
    """What aligned.tif holds when nothing goes wrong; the report says then that nothing is missing."""
    outcome = align_pair(replace(config, out=tmp_path / "whole"), lambda _: None)
    assert (outcome.exit_code, outcome.missing, outcome.report["missing"]) == (ExitCode.OK, {}, [])
    assert [note for note in outcome.report["notes"] if "a shift by whole pixels" not in note] == []
    return tifffile.imread(tmp_path / "whole" / "aligned.tif")


@pytest.mark.parametrize(
    ("function", "missing"),
    [
        ("shows_pixels", (HTML, OVERLAY)),
        ("pair_layers", (HTML, OVERLAY)),
        ("pair_overlay", (OVERLAY,)),
        ("write_picture", (OVERLAY,)),
        ("pair_pictures", (HTML,)),
        ("write_pair_html", (HTML,)),
    ],
)
@pytest.mark.parametrize(("failure", "reason"), [(breaks, DEFECT), (is_full, FULL)])
def test_a_picture_that_cannot_be_drawn_is_missing_alone(
    config: PairConfig,
    expected: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    missing: tuple[str, ...],
    failure: Callable[..., None],
    reason: str,
) -> None:
    monkeypatch.setattr(writing, function, failure)
    assert_all_but(config, dict.fromkeys(missing, reason), expected)


def test_what_cannot_be_loaded_beside_the_registration_is_loaded_when_it_is_needed(
    config: PairConfig, expected: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "load_pair_html", breaks)
    assert align_pair(config, lambda _: None).missing == {}
    np.testing.assert_array_equal(tifffile.imread(config.folder / "aligned.tif"), expected)
    assert names(config.folder) == set(file_names(config))


def test_an_interrupt_ends_the_run_and_leaves_no_files(config: PairConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, "pair_overlay", interrupted)
    with pytest.raises(KeyboardInterrupt):
        align_pair(config, lambda _: None)
    assert not config.folder.exists()


@pytest.mark.parametrize(
    ("room", "missing"),
    [
        ((0, None, None), MASK),  # covered
        ((None, 0, None), (HTML, *MAPS)),  # grey
        ((None, None, 0), (HTML, *MAPS)),  # counts
        ((None, 72 * 64 * 4 - 1, None), (HTML, *MAPS)),
        ((0, 0, 0), (HTML, *MASK, *MAPS)),
    ],
)
def test_maps_whose_rows_do_not_fit_on_the_disk_are_missing_with_the_html_that_shows_them(
    config: PairConfig,
    expected: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    room: tuple[int | None, ...],
    missing: tuple[str, ...],
) -> None:
    """Bytes, in the order in which the rows are opened; None: a real file."""
    rooms, real = iter(room), row_file.tempfile.TemporaryFile

    def opened(**options: Any) -> Any:
        limit = next(rooms)
        return real(**options) if limit is None else FullAfter(limit)

    monkeypatch.setattr(row_file.tempfile, "TemporaryFile", opened)
    assert_all_but(config, dict.fromkeys(missing, FULL), expected)


def test_without_temporary_files_only_mask_maps_and_html_are_missing(
    config: PairConfig, expected: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_file.tempfile, "TemporaryFile", is_full)
    assert_all_but(config, dict.fromkeys((HTML, *MASK, *MAPS), FULL), expected)


@pytest.mark.parametrize("last", [0, 1, 2, 3])
def test_maps_that_were_written_before_the_disk_was_full_stay(
    config: PairConfig, expected: np.ndarray, monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    """mask.tif and the maps are written in this order; the disk is full from number ``last`` on."""
    written, write = [], maps.write_strips

    def until_full(path: Path, strips: Any, **options: Any) -> None:
        written.append(path.name)
        write(path, strips if len(written) <= last else map(is_full, strips), **options)

    monkeypatch.setattr(maps, "write_strips", until_full)
    missing = (HTML, *(*MASK, *MAPS)[last:])
    assert_all_but(config, dict.fromkeys(missing, FULL), expected)


def test_collected_strips_are_discarded_where_the_image_needs_their_disk_space(
    config: PairConfig, expected: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, tries = writing.write_resampled, []

    def at_the_second_try(*arguments: Any) -> Any:
        tries.append(write(*arguments))
        if len(tries) == 1:
            raise OutputError("aligned.tif: cannot be written") from OSError(errno.ENOSPC, "No space left on device")
        return tries[-1]

    monkeypatch.setattr(writing, "write_resampled", at_the_second_try)
    assert_all_but(config, dict.fromkeys((HTML, *MASK, *MAPS), FULL), expected)
    filled = json.loads((config.folder / "report.json").read_text())["metrics"]["filled_pixels"]
    whole = config.folder.parent / "whole" / "report.json"
    assert filled == json.loads(whole.read_text())["metrics"]["filled_pixels"]


def test_too_little_disk_for_maps_is_found_before_they_are_begun(
    config: PairConfig, expected: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zncc_cli.jobs import disk

    usage = disk.shutil.disk_usage("/")
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: usage._replace(free=2 * 72 * 64))
    monkeypatch.setattr(row_file.tempfile, "TemporaryFile", pytest.fail)
    outcome = align_pair(config, lambda _: None)
    assert list(outcome.missing) == [HTML, *MASK, *MAPS]
    np.testing.assert_array_equal(tifffile.imread(config.folder / "aligned.tif"), expected)
    assert "of free disk for the files of this run" in outcome.missing[HTML]


def test_a_file_that_was_not_asked_for_is_not_missing(config: PairConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_file.tempfile, "TemporaryFile", is_full)
    outcome = align_pair(replace(config, write="aligned,report"), lambda _: None)
    assert (outcome.exit_code, outcome.missing) == (ExitCode.OK, {})
    outcome = align_pair(replace(config, write="html,report", overwrite=True), lambda _: None)
    assert (outcome.exit_code, outcome.missing) == (ExitCode.INCOMPLETE, {HTML: FULL})
    assert names(config.folder) == {"report.json"}


def test_an_untrusted_result_ends_with_3_also_without_its_html(
    config: PairConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    tifffile.imwrite(config.moving, scene(72, 64)[::-1].astype(np.uint16))
    monkeypatch.setattr(writing, "write_pair_html", breaks)
    outcome = align_pair(config, lambda _: None)
    assert (outcome.exit_code, outcome.report["missing"]) == (ExitCode.NOT_TRUSTED, [HTML])


def test_a_missing_file_of_an_earlier_run_is_removed(config: PairConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    align_pair(config, lambda _: None)
    monkeypatch.setattr(writing, "write_pair_html", breaks)
    align_pair(replace(config, overwrite=True), lambda _: None)
    assert names(config.folder) == set(file_names(config)) - {HTML}


def test_a_stack_whose_plot_fails_is_still_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = scene(80, 80).astype(np.uint16)
    movie = np.stack([whole[k : k + 64, 4 - k : 68 - k] for k in range(4)])
    tifffile.imwrite(tmp_path / "movie.tif", movie, photometric="minisblack", metadata={"axes": "TYX"})
    monkeypatch.setattr(pages, "write_drift_plot", breaks)
    monkeypatch.setattr(pages, "write_stack_html", breaks)
    outcome = align_stack(StackConfig(image=tmp_path / "movie.tif", out=tmp_path / "out"), lambda _: None)
    assert (outcome.exit_code, outcome.missing) == (ExitCode.INCOMPLETE, {"report.html": DEFECT, "drift.svg": DEFECT})
    assert names(tmp_path / "out") == {"stack.tif", "drift.csv", "transforms.json", "report.json"}
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["missing"], report["notes"][-1]) == (["report.html", "drift.svg"], sentence(outcome.missing))
    assert tifffile.imread(tmp_path / "out" / "stack.tif").shape == movie.shape


def test_a_std_map_whose_pictures_fail_is_still_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tifffile.imwrite(tmp_path / "a.tif", scene(64, 64).astype(np.uint16))
    config = StdMapConfig(images=(tmp_path / "a.tif",), out=tmp_path / "out")
    monkeypatch.setattr(stdmap, "std_picture", breaks)
    outcome = write_std_maps(config)
    assert (outcome.exit_code, outcome.missing) == (ExitCode.INCOMPLETE, {"a_std.png": DEFECT})
    assert names(tmp_path / "out") == {"a_std.tif", "a_texture.png"}
    monkeypatch.setattr(stdmap, "write_picture", is_full)
    outcome = write_std_maps(replace(config, overwrite=True))
    assert list(outcome.missing) == ["a_std.png", "a_texture.png"]
    assert names(tmp_path / "out") == {"a_std.tif"}


def test_a_reason_says_what_to_do_and_does_not_name_the_hidden_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    missing = Missing(tmp_path)
    (tmp_path / "half.png").write_text("half")
    with caplog.at_level(logging.DEBUG), missing.on_failure("half.png"):
        raise RuntimeError(f"{tmp_path}/half.png\nis odd")
    assert not (tmp_path / "half.png").exists()
    assert "Traceback" in caplog.text
    with missing.on_failure("full.png"):
        raise OutputError("cannot be written") from OSError(errno.EFBIG, "File too large")
    with missing.on_failure("large.png", "larger.png"):
        raise MemoryError
    with missing.on_failure("well.png"):
        pass
    assert missing.of(["larger.png", "half.png", "well.png", "full.png", "large.png"]) == {
        "larger.png": "not enough memory; close other programs",
        "half.png": "RuntimeError: half.png is odd; a defect, not your mistake: report what --debug prints",
        "full.png": "File too large; raise the limit on the size of a file",
        "large.png": "not enough memory; close other programs",
    }
    assert sentence(missing.of(["large.png", "full.png", "larger.png"])) == (
        "missing: large.png and larger.png (not enough memory; close other programs), full.png (File too large; raise "
        "the limit on the size of a file); all other files are written; run again with --overwrite to write these"
    )
