"""Rounds of one scene become one image of all channels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from made_rounds import MOTIONS, PIXEL_UM, SHAPE, MadeRound, channel, largest_error, save_rounds, waves

from zncc_cli.config import Canvas, Model, RegistrationConfig, ResamplingConfig
from zncc_cli.config.rounds import RoundsConfig
from zncc_cli.errors import ExitCode, InputError, OptionError, OutputError
from zncc_cli.files.images import read_image
from zncc_cli.jobs.rounds import align as rounds_job
from zncc_cli.jobs.rounds.align import RoundsOutcome, merge_rounds
from zncc_cli.jobs.rounds.inputs import read_rounds
from zncc_cli.jobs.rounds.merging import merged_channels, merged_dtype


def merge(paths: list[Path], out: Path, **settings: object) -> RoundsOutcome:
    return merge_rounds(RoundsConfig(images=tuple(paths), out=out, **settings), lambda _: None)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[MadeRound]:
    return save_rounds(tmp_path_factory.mktemp("rounds"))


@pytest.fixture(scope="module")
def merged(made: list[MadeRound]) -> RoundsOutcome:
    return merge([one.path for one in made], made[0].path.with_name("merged.ome.tif"))


def test_every_round_lies_on_the_first_one(made: list[MadeRound], merged: RoundsOutcome) -> None:
    """Below 0.02 px everywhere: the expected error of these textures is 0.003 px RMS."""
    assert merged.exit_code is ExitCode.OK
    assert [entry["status"] for entry in merged.report["rounds"]] == ["ok"] * 4
    for entry, motion in zip(merged.report["rounds"], MOTIONS, strict=True):
        transform = json.loads((merged.out.parent / entry["transform"]).read_text())
        assert largest_error(np.array(transform["matrix"]), motion) < 0.02
        assert (transform["fixed_shape"], transform["status"]) == ([*SHAPE], "ok")


def test_the_channels_of_all_rounds_show_the_same_places(made: list[MadeRound], merged: RoundsOutcome) -> None:
    """Of a stain that was not registered: noise of 40, and a hundredth of a pixel of 0.25 rad/px * 1500."""
    pixels = tifffile.imread(merged.out)
    assert (pixels.shape, pixels.dtype) == ((20, *SHAPE), np.uint16)
    np.testing.assert_array_equal(pixels[:5], made[0].pixels)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    inner = np.s_[20:-20, 20:-20]
    for k in range(1, 4):
        truth = 8000 + 1500 * waves(100 + 10 * k, x, y)
        assert (pixels[5 * k + 1] - truth)[inner].std() < 45


def test_the_merged_file_keeps_the_metadata(made: list[MadeRound], merged: RoundsOutcome) -> None:
    image = read_image(merged.out)
    assert image.axes == "CYX"
    size = image.metadata.pixel_size
    assert size is not None
    assert (size.x, size.y, size.unit) == (PIXEL_UM, PIXEL_UM, "µm")
    columns, planes = image.metadata.properties["Channel"], image.metadata.properties["Plane"]
    stains = [name for one in made for name in one.names[1:]]
    assert [name for name in columns["Name"] if "DAPI" not in name] == stains
    assert columns["Name"][::5] == ["DAPI round1", "DAPI round2", "DAPI round3", "DAPI round4"]
    assert columns["EmissionWavelength"] == [str(461 + 50 * n) for n in range(5)] * 4
    assert planes["ExposureTime"] == pytest.approx([0.1 * (n + 1) + k for k in range(4) for n in range(5)])
    assert image.metadata.properties["Name"] == "slide 7, round 1"
    assert image.metadata.compression != 1


def test_the_page_shows_each_round(merged: RoundsOutcome) -> None:
    page = (merged.out.parent / "merged_report.html").read_text()
    for words in ("3 of 3 rounds are aligned", "stays where it is", "DAPI round2", "CD33", "zncc rounds "):
        assert words in page
    assert page.count("before and after") >= 3


def test_a_page_that_fails_is_missing_and_all_else_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = save(tmp_path, "a.tif", channel(1, MOTIONS[0], 0)), save(tmp_path, "b.tif", moved())
    monkeypatch.setattr(rounds_job, "round_picture", lambda _: 1 / 0)
    outcome = merge([a, b], tmp_path / "m.ome.tif", registration=RegistrationConfig(model=Model.RIGID))
    assert outcome.exit_code is ExitCode.INCOMPLETE
    assert list(outcome.missing) == outcome.report["missing"] == ["m_report.html"]
    assert not (tmp_path / "m_report.html").exists()
    assert outcome.out.exists()


def test_an_ome_reader_opens_the_merged_file(merged: RoundsOutcome) -> None:
    ome_types = pytest.importorskip("ome_types", reason="an OME reader: pip install ome-types")
    pixels = ome_types.from_tiff(merged.out).images[0].pixels
    assert (pixels.size_c, pixels.size_y, pixels.size_x, pixels.type.value) == (20, *SHAPE, "uint16")
    assert (pixels.physical_size_x, pixels.physical_size_x_unit.value) == (PIXEL_UM, "µm")
    assert [one.name for one in pixels.channels][5:7] == ["DAPI round2", "CD10"]
    assert [one.emission_wavelength for one in pixels.channels][:2] == [461, 511]
    assert len(pixels.planes) == 20


def save(folder: Path, name: str, pixels: np.ndarray, **options: object) -> Path:
    tifffile.imwrite(folder / name, pixels, photometric=options.pop("photometric", "minisblack"), **options)
    return folder / name


def moved(seed: int = 1, k: int = 1) -> np.ndarray:
    return channel(seed, MOTIONS[k], k)


def test_rounds_without_names_of_another_dtype_and_size_fit_together(tmp_path: Path) -> None:
    a = save(tmp_path, "a.tif", (channel(1, MOTIONS[0], 0) // 64).astype(np.uint8))
    b = save(tmp_path, "b.tif", np.stack([moved(), moved(2)])[:, :-10])
    config = {"fixed": "b.tif", "resampling": ResamplingConfig(canvas=Canvas.UNION)}
    outcome = merge([a, b], tmp_path / "out" / "m.tif", **config)
    assert outcome.exit_code is ExitCode.OK
    image = read_image(outcome.out)
    assert (image.dtype, image.metadata.flavor) == (np.uint16, "ome")
    assert image.metadata.properties["Channel"]["Name"] == ["a", "channel 0", "channel 1"]
    report = outcome.report
    left, top = report["canvas"]["offset"]
    assert image.shape == tuple(report["canvas"]["shape"])
    assert left <= 0
    assert image.shape[0] > SHAPE[0] - 10
    np.testing.assert_array_equal(
        np.asarray(image.data)[1:, -top : SHAPE[0] - 10 - top, -left : SHAPE[1] - left],
        np.stack([moved(), moved(2)])[:, :-10],
    )
    assert any("written as uint16" in note for note in report["notes"])
    assert any("its 2 pages are taken for channels" in note for note in report["notes"])
    transform = json.loads((tmp_path / "out" / "m_a_transform.json").read_text())
    assert largest_error(np.array(transform["matrix"]), np.linalg.inv(MOTIONS[1])) < 0.05  # of 8 bits


def test_a_round_that_shows_another_scene_is_not_trusted_and_all_is_written(tmp_path: Path) -> None:
    a, b = save(tmp_path, "a.tif", channel(1, MOTIONS[0], 0)), save(tmp_path, "b.tif", channel(7, MOTIONS[0], 1))
    outcome = merge([a, b], tmp_path / "m.ome.tif", registration=RegistrationConfig(model=Model.TRANSLATION))
    assert outcome.exit_code is ExitCode.NOT_TRUSTED
    assert outcome.report["reasons"][0] == "0 of 1 rounds are aligned"
    assert outcome.report["reasons"][1].startswith("b is failed: ")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "a.tif",
        "b.tif",
        "m.ome.tif",
        "m_a_transform.json",
        "m_b_transform.json",
        "m_report.json",
        "m_report.html",
    }
    with pytest.raises(OutputError, match="exists already"):
        merge([a, b], tmp_path / "m.ome.tif")


def test_a_colour_image_gives_three_channels(tmp_path: Path) -> None:
    grey = [channel(seed, MOTIONS[0], seed) // 64 for seed in (1, 2, 3)]
    a = save(tmp_path, "a.tif", np.stack(grey, axis=-1).astype(np.uint8), photometric="rgb")
    b = save(tmp_path, "b.tif", (channel(2, MOTIONS[1], 5) // 64).astype(np.uint8))
    outcome = merge([a, b], tmp_path / "m.ome.tif", channel="green, 0")
    assert outcome.exit_code is ExitCode.OK
    assert [one["name"] for one in outcome.report["channels"]] == ["red", "green", "blue", "b"]
    np.testing.assert_array_equal(tifffile.imread(outcome.out)[:3], np.stack(grey))


def test_a_transform_that_bends_is_written_with_its_files(tmp_path: Path) -> None:
    a, b = save(tmp_path, "a.tif", channel(1, MOTIONS[0], 0)), save(tmp_path, "b.tif", moved())
    outcome = merge([a, b], tmp_path / "m.ome.tif", registration=RegistrationConfig(model=Model.BSPLINE))
    assert outcome.exit_code is ExitCode.OK
    names = {path.name for path in tmp_path.glob("m_b_*")}
    beside = {f"m_b_transform-{name}" for name in ("spline.npy", "displacement.tif", "expected_error.tif")}
    assert names == {"m_b_transform.json", *beside}


def test_slices_stay_with_their_channel(tmp_path: Path) -> None:
    """Planes in the order Z, C of the file are written in that order; each is moved as the registered one."""
    paths = []
    for k in (0, 1):
        pixels = np.stack([np.stack([channel(seed, MOTIONS[k], seed) for seed in (1, 2 + z)]) for z in range(3)])
        metadata = {"axes": "ZCYX", "Channel": {"Name": ["DAPI", f"s{k}"]}, "PhysicalSizeZ": 2.0}
        paths.append(save(tmp_path, f"r{k}.ome.tif", pixels, metadata=metadata))
    outcome = merge(paths, tmp_path / "m.ome.tif", registration=RegistrationConfig(model=Model.RIGID))
    image = read_image(outcome.out)
    assert (image.axes, image.leading) == ("ZCYX", (3, 4))
    assert image.metadata.properties["PhysicalSizeZ"] == 2.0
    pixels = np.asarray(image.data).astype(float)
    for z in range(3):
        same = np.corrcoef(pixels[z, 1, 20:-20, 20:-20].ravel(), pixels[z, 3, 20:-20, 20:-20].ravel())[0, 1]
        assert same > 0.99
    single = save(tmp_path, "single.tif", moved())
    with pytest.raises(InputError, match=r"single.tif: expected the axes .* \(Z 3\), found none"):
        merge([paths[0], single], tmp_path / "n.ome.tif")


def test_a_name_that_rounds_share_gets_the_rounds_name(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    paths = []
    for folder in folders:
        folder.mkdir()
        metadata = {"axes": "CYX", "Channel": {"Name": ["dapi", "x, y"]}}
        paths.append(save(folder, "same.ome.tif", np.stack([moved(), moved()]), metadata=metadata))
    rounds = read_rounds(RoundsConfig(images=tuple(paths), out=Path("m.tif")))
    names = [one.name for one in merged_channels(rounds)]
    assert names == ["dapi same 1", "x, y same 1", "dapi same 2", "x, y same 2"]
    by_name = read_rounds(RoundsConfig(images=tuple(paths), out=Path("m.tif"), channel="X, y"))
    assert [one.by for one in by_name] == [1, 1]


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        (("u1", "u2"), "uint16"),
        (("u2", "i2"), "int32"),
        (("u4", "i4"), "float64"),
        (("u2", "f4"), "float32"),
        (("f2", "f2"), "float32"),
        (("u8", "u1"), None),
        (("i8", "f8"), None),
    ],
)
def test_the_written_dtype_holds_all_values_as_they_are(
    tmp_path: Path, dtypes: tuple[str, str], expected: str | None
) -> None:
    paths = tuple(save(tmp_path, f"{k}.tif", np.ones((40, 40), dtype)) for k, dtype in enumerate(dtypes))
    rounds = read_rounds(RoundsConfig(images=paths, out=Path("m.tif")))
    if expected is None:
        with pytest.raises(InputError, match="expected pixels that OME-TIFF holds"):
            merged_dtype(rounds)
    else:
        assert merged_dtype(rounds)[0] == expected


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"channel": "FITC"}, "expected a channel of .* by its name"),
        ({"channel": "0,1,0"}, "one for each of 2 rounds, got 3"),
        ({"fixed": "2"}, "--fixed 2: expected one of the rounds, or its number from 0 to 1"),
        ({"out": Path("m.png")}, "expected a file named"),
        ({"images": (Path("a.tif"),)}, "two files or more"),
    ],
)
def test_a_choice_that_there_is_not_is_refused(tmp_path: Path, settings: dict[str, object], words: str) -> None:
    paths = tuple(save(tmp_path, f"{k}.tif", moved()) for k in (0, 1))
    with pytest.raises(OptionError, match=words):
        read_rounds(RoundsConfig(**{"images": paths, "out": Path("m.tif"), **settings}))


def test_the_names_of_rounds_differ_as_names_of_files(tmp_path: Path) -> None:
    names = ("a 1.tif", "a_1.tif", "b/c.tif", "d/c.tif", "c 2.tif")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / name, np.zeros((40, 40), np.uint8))
    images = tuple(tmp_path / name for name in names)
    rounds = read_rounds(RoundsConfig(images=images, out=tmp_path / "o.ome.tif"))
    assert [one.name for one in rounds] == ["a 1 1", "a_1 2", "c 1", "c 3", "c 2"]


def test_values_of_missing_pixels_that_differ_are_told(made: list[MadeRound], tmp_path: Path) -> None:
    for one, nodata in zip(made[:2], ("0", "7"), strict=True):
        tags = [(42113, 2, 0, nodata, True)]
        tifffile.imwrite(tmp_path / one.path.name, one.pixels[0], metadata=None, extratags=tags)
    outcome = merge([tmp_path / one.path.name for one in made[:2]], tmp_path / "m.ome.tif")
    assert read_image(outcome.out).metadata.nodata is None
    assert any("the values of missing pixels, which differ" in note for note in outcome.report["notes"])
