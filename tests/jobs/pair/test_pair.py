"""A pair from its input files to its output files."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from zncc_cli.config import PairConfig, RegistrationConfig, ResamplingConfig
from zncc_cli.errors import OptionError, OutputError
from zncc_cli.files.transforms.transform_json import write_transform
from zncc_cli.jobs import budget
from zncc_cli.jobs.pair.align import align_pair
from zncc_cli.jobs.pair.run_folder import MAPS, file_names
from zncc_cli.jobs.summary import print_summary
from zncc_cli.registration.quality.verdict import Status
from zncc_cli.registration.warp import corners, map_points

SAMPLE = Path(__file__).parents[3] / "sample_data" / "affine"


def test_a_large_pair_is_registered_on_blocks_and_moved_at_full_resolution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large is made to mean more than 100,000 pixels here."""
    monkeypatch.setattr(budget, "MAX_FULL_RESOLUTION_PIXELS", 100_000)
    truth = json.loads((SAMPLE / "truth.json").read_text())
    config = PairConfig(fixed=SAMPLE / "fixed.tif", moving=SAMPLE / "moving.tif", out=tmp_path / "out")
    outcome = align_pair(config, lambda _: None)
    assert "registered on means of 2 x 2 pixels, since the images are large" in outcome.report["notes"]
    assert outcome.report["registered_by"]["blocks"] == 2
    shape = tuple(truth["fixed_shape"])
    at = corners(shape)
    off = np.linalg.norm(map_points(outcome.result.matrix, at) - map_points(np.array(truth["matrix"]), at), axis=1)
    assert off.max() < 0.2  # a tenth of a block; at full resolution 0.02
    assert outcome.result.fixed_shape == shape
    assert tifffile.imread(tmp_path / "out" / "aligned.tif").shape == shape
    z = tifffile.imread(tmp_path / "out" / "zncc.tif")
    assert np.nanmedian(z) > 0.9


def test_pictures_are_the_same_whatever_else_is_written(tmp_path: Path) -> None:
    """The aligned image of the pictures is that of the maps, where there are maps, or else is made for the pictures."""
    files = {}
    for write in ("overlay", "html", "overlay,maps,html"):
        out = tmp_path / write
        config = PairConfig(fixed=SAMPLE / "fixed.tif", moving=SAMPLE / "moving.tif", out=out, write=write)
        assert not align_pair(config, lambda _: None).missing
        files[write] = {path.name: path.read_bytes() for path in out.iterdir()}
        assert set(files[write]) == set(file_names(config))
    whole = files["overlay,maps,html"]
    assert files["overlay"]["overlay.png"] == whole["overlay.png"]
    embedded = [re.findall(rb"data:image[^\"]+", run["report.html"]) for run in (files["html"], whole)]
    assert len(embedded[0]) == 10  # five views and five maps
    assert embedded[0] == embedded[1]


def test_the_overlay_of_a_wide_pair_fits_on_a_screen(tmp_path: Path) -> None:
    scene = np.random.default_rng(0).random((70, 2510))
    scene = sum(np.roll(scene, (i, j), (0, 1)) for i in range(3) for j in range(3)) * 1000
    for name, image in (("a.tif", scene[3:67, 3:2503]), ("b.tif", scene[1:65, :2500])):
        tifffile.imwrite(tmp_path / name, image.astype(np.uint16))
    config = PairConfig(
        fixed=tmp_path / "a.tif",
        moving=tmp_path / "b.tif",
        out=tmp_path / "out",
        write="overlay,report",
        registration=RegistrationConfig(model="translation"),  # type: ignore[arg-type]
    )
    assert not align_pair(config, lambda _: None).missing
    with PillowImage.open(tmp_path / "out" / "overlay.png") as picture:
        height, width = picture.size[::-1]
    assert width == 2 * 834 + 8  # panels of blocks of 3 x 3 pixels, and the gap between them
    assert height < 64  # 22 rows of blocks below the labels


@pytest.fixture
def small(tmp_path: Path) -> PairConfig:
    """A pair of 64 x 64 pixels, shifted by three and two."""
    scene = np.random.default_rng(0).random((70, 70))
    scene = sum(np.roll(scene, (i, j), (0, 1)) for i in range(3) for j in range(3)) * 1000
    for name, image in (("a.tif", scene[3:67, 3:67]), ("b.tif", scene[1:65, :64])):
        tifffile.imwrite(tmp_path / name, image.astype(np.uint16))
    return PairConfig(
        fixed=tmp_path / "a.tif",
        moving=tmp_path / "b.tif",
        out=tmp_path / "out",
        registration=RegistrationConfig(model="translation"),  # type: ignore[arg-type]
    )


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_after_overwriting_the_folder_holds_the_files_of_one_run(small: PairConfig, tmp_path: Path) -> None:
    out = tmp_path / "out"
    union = ResamplingConfig(canvas="union")  # type: ignore[arg-type]
    align_pair(replace(small, resampling=union), lambda _: None)
    (out / "notes.txt").write_text("mine")
    assert {"fixed.tif", "mask.tif"} <= names(out)
    (out / "aligned.tif").unlink()
    with pytest.raises(OutputError, match=r"report\.html: exists already"):  # of the earlier run, unasked
        align_pair(replace(small, write="aligned"), lambda _: None)
    align_pair(replace(small, write="aligned,report", overwrite=True), lambda _: None)
    assert names(out) == {"aligned.tif", "report.json", "notes.txt"}
    align_pair(replace(small, write="transform", overwrite=True), lambda _: None)
    assert names(out) == {"transform.json", "notes.txt"}


def besides_whole_shift(notes: list[str]) -> list[str]:
    """Return the notes but for the one that the pair, which is shifted by (3, 2), is shifted by whole pixels."""
    return [note for note in notes if "a shift by whole pixels, (3, 2)" not in note]


def test_files_that_no_report_names_stay_and_are_noted(small: PairConfig, tmp_path: Path) -> None:
    """In the folder of the images: the fixed one, which is read, and a mask of the user's own."""
    fixed, mask = tmp_path / "fixed.tif", tmp_path / "mask.tif"
    small.fixed.rename(fixed)
    mask.write_text("mine")
    again = replace(small, fixed=fixed, out=tmp_path, write="transform,report", overwrite=True)
    for _ in range(2):  # the second time a report stands there, of a run that wrote neither
        notes = besides_whole_shift(align_pair(again, lambda _: None).report["notes"])
        assert mask.read_text() == "mine"
        assert names(tmp_path) == {"fixed.tif", "b.tif", "mask.tif", "transform.json", "report.json"}
        assert notes == [f"{mask}: stood there before, and is not of this run"]


def test_an_input_file_is_not_removed(small: PairConfig, tmp_path: Path) -> None:
    align_pair(small, lambda _: None)
    aligned = tmp_path / "out" / "aligned.tif"
    before = aligned.read_bytes()
    again = replace(small, moving=aligned, write="transform", overwrite=True)
    with pytest.raises(OutputError, match=r"aligned\.tif: is an input, which would be overwritten"):
        align_pair(again, lambda _: None)
    assert aligned.read_bytes() == before


def test_a_start_made_for_images_of_another_size_is_noted_for_each_image(small: PairConfig, tmp_path: Path) -> None:
    start = tmp_path / "start.json"
    quick = replace(small, init=str(start), write="report", overwrite=True)
    for fixed, moving, said in (
        ((64, 64), (64, 64), []),
        ((32, 48), (64, 64), ["of a fixed image of 48 x 32 pixels, this one has 64 x 64"]),
        ((64, 64), (64, 65), ["of a moving image of 65 x 64 pixels, this one has 64 x 64"]),
    ):
        write_transform(start, model="affine", matrix=np.eye(3), fixed_shape=fixed, moving_shape=moving)
        notes = besides_whole_shift(align_pair(quick, lambda _: None).report["notes"])
        assert notes == [f"{start}: {words}; it is the start all the same, pixel for pixel" for words in said]
    start.write_text("[[1, 0, 0], [0, 1, 0], [0, 0, 1]]")  # which knows no size
    assert besides_whole_shift(align_pair(quick, lambda _: None).report["notes"]) == []


@pytest.mark.parametrize(("dtype", "offset"), [("uint32", 4_000_000_000), ("int64", 2**50), ("float64", 1e12)])
def test_an_offset_that_float32_cannot_hold_changes_nothing(
    small: PairConfig, tmp_path: Path, dtype: str, offset: float
) -> None:
    """At these offsets float32 steps by 256 and more, and the values spread by 900."""
    union = replace(small, resampling=ResamplingConfig(canvas="union"))  # type: ignore[arg-type]
    plain = align_pair(union, lambda _: None)
    for path in (small.fixed, small.moving):
        data = tifffile.imread(path).astype(dtype) + np.dtype(dtype).type(offset)
        tifffile.imwrite(path, data, photometric="minisblack")
    outcome = align_pair(replace(union, out=tmp_path / "offset"), lambda _: None)
    np.testing.assert_allclose(outcome.result.matrix, plain.result.matrix, atol=1e-4)  # pixels; float32 is rounded
    one, other = ({name: tifffile.imread(tmp_path / out / name) for name in MAPS} for out in ("out", "offset"))
    for name in MAPS:
        # float64, in which values between pixels are computed, steps by a quarter at 2^50.
        np.testing.assert_allclose(other[name], one[name], atol=0.25 if name == "std_aligned.tif" else 1e-5)
    covered = tifffile.imread(tmp_path / "offset" / "mask.tif") > 0
    before, after = (tifffile.imread(tmp_path / out / "aligned.tif") for out in ("out", "offset"))
    assert after.dtype == dtype
    # A value is rounded once, and may be beside a half.
    assert np.abs((after[covered].astype(float) - offset) - before[covered]).max() <= 1
    assert (np.isnan(after[~covered]) if dtype == "float64" else after[~covered] == 0).all()


def test_the_report_names_the_registered_planes(tmp_path: Path) -> None:
    scene = tifffile.imread(SAMPLE / "fixed.tif")
    tifffile.imwrite(tmp_path / "stack.tif", np.stack([scene // 9, scene]), imagej=True, metadata={"axes": "CYX"})
    tifffile.imwrite(tmp_path / "rgb.tif", np.stack([scene // 2, scene, scene // 3], -1), photometric="rgb")
    config = PairConfig(
        fixed=tmp_path / "stack.tif",
        moving=tmp_path / "rgb.tif",
        out=tmp_path / "out",
        registration=RegistrationConfig(model="translation"),  # type: ignore[arg-type]
    )
    report = align_pair(config, lambda _: None).report
    assert report["registered_by"]["fixed"]["C"] in (0, 1)
    assert report["registered_by"]["moving"] == {"channel": "luminance"}


def test_the_summary_of_a_failed_result_has_no_expected_error_and_no_contrast(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = PairConfig(fixed=SAMPLE / "fixed.tif", moving=SAMPLE / "moving.tif", out=tmp_path, write="report")
    outcome = align_pair(config, lambda _: None)
    for status in Status:
        result = replace(outcome.result, inverted=True, status=status)
        print_summary(replace(outcome, result=result))
        labels = [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()]
        assert {"inverted", "expected error"} & set(labels) == (
            set() if status == "failed" else {"inverted", "expected error"}
        )


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_everything_is_computed_with_the_chosen_backend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    from zncc_cli.operators import native

    asked = []
    load = native.load
    monkeypatch.setattr(native, "load", lambda device: asked.append(native.selection()) or load(device))
    rng = np.random.default_rng(0)
    image = (1000 * sum(np.roll(rng.random((64, 64)), i, 1) for i in range(4))).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", image)
    config = PairConfig(
        fixed=tmp_path / "a.tif",
        moving=tmp_path / "a.tif",
        out=tmp_path / "out",
        registration=RegistrationConfig(model="translation", backend=backend),  # type: ignore[arg-type]
    )
    align_pair(config, lambda _: None)
    assert {str(one) for one in asked} == {backend}


@pytest.mark.parametrize("canvas", ["fixed", "union", "common"])
@pytest.mark.parametrize("shape", [(96, 1025), (1101, 70), (67, 2053)])
def test_sides_that_no_factor_divides_give_all_files_on_every_canvas(
    tmp_path: Path, shape: tuple[int, int], canvas: str
) -> None:
    """The pictures of the HTML report are reduced by a whole factor from 1024 pixels on."""
    noise = np.random.default_rng(0).random((shape[0] + 4, shape[1] + 4))
    scene = sum(np.roll(noise, (i, j), (0, 1)) for i in range(3) for j in range(3)) * 6000
    tifffile.imwrite(tmp_path / "a.tif", scene[2:-2, 2:-2].astype(np.uint16))
    tifffile.imwrite(tmp_path / "b.tif", scene[3:-1, :-4].astype(np.uint16))
    config = PairConfig(
        fixed=tmp_path / "a.tif",
        moving=tmp_path / "b.tif",
        out=tmp_path / "out",
        registration=RegistrationConfig(model="translation"),  # type: ignore[arg-type]
        resampling=ResamplingConfig(canvas=canvas),  # type: ignore[arg-type]
    )
    outcome = align_pair(config, lambda _: None)
    assert outcome.result.status is Status.OK
    assert names(tmp_path / "out") == set(file_names(config))


def test_gaps_are_left_out_of_registration_and_maps_unless_no_data_is_none(small: PairConfig, tmp_path: Path) -> None:
    for name in ("a.tif", "b.tif"):
        pixels = tifffile.imread(tmp_path / name)
        pixels[::6] = 0
        tifffile.imwrite(tmp_path / name, pixels)
    outcome = align_pair(small, lambda _: None)
    assert outcome.result.status is Status.OK
    np.testing.assert_allclose(outcome.result.matrix[:2, 2], [3, 2], atol=0.05)  # a sixth of the rows are guesses
    said = "pixels of exactly 0 lie in the scene like gaps, and are left out of registration and maps as no data"
    assert [note for note in outcome.report["notes"] if "gaps" in note] == [
        f"{name}: {said}; --no-data none counts them" for name in ("a.tif", "b.tif")
    ]
    filled = tifffile.imread(tmp_path / "out" / "std_fixed.tif")
    # Windows of 11 are crossed by gaps of one row, which are bridged; the first row is one that has but one end.
    assert np.isfinite(filled[6:-5, 5:-5]).all()
    kept = replace(small.registration, no_data="none")
    outcome = align_pair(replace(small, registration=kept, overwrite=True), lambda _: None)
    assert [note for note in outcome.report["notes"] if "gaps" in note and "they count" in note]
    assert np.nanmedian(tifffile.imread(tmp_path / "out" / "std_fixed.tif")) > 2 * np.nanmedian(filled)


def test_hot_pixels_are_noted(small: PairConfig, tmp_path: Path) -> None:
    for name in ("a.tif", "b.tif"):
        pixels = tifffile.imread(tmp_path / name)
        pixels[[20, 50, 33, 11, 40], [30, 9, 51, 44, 25]] = 65535
        tifffile.imwrite(tmp_path / name, pixels)
    outcome = align_pair(small, lambda _: None)
    assert any(note.startswith("5 single pixels stand out") for note in outcome.report["notes"])
    np.testing.assert_allclose(outcome.result.matrix[:2, 2], [3, 2], atol=0.01)


def test_a_value_that_is_no_number_is_refused() -> None:
    with pytest.raises(OptionError, match="`no_data`: expected a number, auto or none, got 'black'"):
        RegistrationConfig(no_data="black")
