"""A calibration on beads moves the channels of other images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from zncc_cli.config import RegistrationConfig
from zncc_cli.config.apply import ApplyConfig
from zncc_cli.config.calibrate import CalibrateConfig
from zncc_cli.errors import ExitCode, InputError, OptionError
from zncc_cli.files.images import read_image
from zncc_cli.files.transforms.calibration_json import read_calibration
from zncc_cli.jobs.apply import apply_transform
from zncc_cli.jobs.calibrate import calibrate

SHAPE = (256, 256)
# A lens that magnifies red by a thousandth more than green and shifts it; blue is shifted alone.
RED = np.array([[1.002, 0, -0.9], [0, 1.002, 0.4], [0, 0, 1]])
BLUE = np.array([[1.0, 0, 0.37], [0, 1.0, -0.61], [0, 0, 1]])


def beads(matrix: np.ndarray, seed: int = 3, count: int = 160) -> np.ndarray:
    """Beads as a channel of ``matrix`` (fixed -> channel) shows them, with noise: sigma 1.6 px, exact centres."""
    random = np.random.default_rng(seed)
    places = np.column_stack([random.uniform(-5, SHAPE[1] + 5, count), random.uniform(-5, SHAPE[0] + 5, count)])
    heights = random.uniform(2000, 6000, count)
    places = places @ matrix[:2, :2].T + matrix[:2, 2]
    y, x = np.ogrid[: SHAPE[0], : SHAPE[1]]
    image = np.full(SHAPE, 300.0)
    for (px, py), height in zip(places, heights, strict=True):
        image += height * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 1.6**2))
    noise = np.random.default_rng(int(1e6 * abs(matrix[0, 2])) + seed).normal(0, 15, SHAPE)
    return np.rint(image + noise).clip(0, 65535).astype(np.uint16)


def save_channels(path: Path, pixels: list[np.ndarray], names: list[str]) -> Path:
    metadata = {"axes": "CYX", "PhysicalSizeX": 0.1, "PhysicalSizeY": 0.1, "Channel": {"Name": names}}
    tifffile.imwrite(path, np.stack(pixels), photometric="minisblack", metadata=metadata)
    return path


def largest_error(found: np.ndarray, truth: np.ndarray) -> float:
    corners = np.array([[0, 0, 1], [SHAPE[1] - 1, 0, 1], [0, SHAPE[0] - 1, 1], [SHAPE[1] - 1, SHAPE[0] - 1, 1]]).T
    return float(np.hypot(*((found - truth) @ corners)[:2]).max())


@pytest.fixture(scope="module")
def calibration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("calibration")
    path = save_channels(folder / "beads.ome.tif", [beads(np.eye(3)), beads(RED), beads(BLUE)], ["GFP", "RFP", "BFP"])
    outcome = calibrate(CalibrateConfig(images=(path,), out=folder / "chromatic.json"), lambda _: None)
    assert outcome.exit_code is ExitCode.OK
    return outcome.out


def test_the_matrices_of_the_channels_are_found(calibration: Path) -> None:
    """To a twentieth of a pixel at the corners, of 160 beads: the expected error is a hundredth on average."""
    found = read_calibration(calibration)
    assert [channel.name for channel in found.channels] == ["GFP", "RFP", "BFP"]
    np.testing.assert_array_equal(found.channels[0].matrix, np.eye(3))
    for channel, truth in zip(found.channels[1:], (RED, BLUE), strict=True):
        assert channel.status == "ok"
        assert largest_error(channel.matrix, truth) < 0.05
    content = json.loads(calibration.read_text())
    assert content["fixed"] == "GFP"
    assert content["channels"][1]["expected_error"] < 0.05


def test_the_channels_of_another_image_are_moved_by_their_names(calibration: Path, tmp_path: Path) -> None:
    """Other beads: what is left between the channels is the noise of both, 15 each, which was 180 before."""
    path = save_channels(tmp_path / "cells.ome.tif", [beads(BLUE, 8), beads(np.eye(3), 8)], ["bfp", "gfp"])
    (applied,) = apply_transform(ApplyConfig(transform=calibration, images=(path,), out=tmp_path / "out.ome.tif"))
    image = read_image(applied.file)
    assert image.axes == "CYX"
    assert image.metadata.properties["Channel"]["Name"] == ["bfp", "gfp"]
    assert image.metadata.pixel_size is not None
    blue, green = np.asarray(image.data).astype(float)[:, 8:-8, 8:-8]
    np.testing.assert_array_equal(green, beads(np.eye(3), 8)[8:-8, 8:-8])
    assert (beads(BLUE, 8).astype(float)[8:-8, 8:-8] - green).std() > 150
    assert (blue - green).std() < 25


def test_the_colours_of_an_image_are_moved_each_by_itself(calibration: Path, tmp_path: Path) -> None:
    """Three colours for three channels, in their order; the same bounds as above. Opacity is no colour."""
    colours = np.stack([beads(matrix, 8) for matrix in (np.eye(3), RED, BLUE)], axis=-1)
    opaque = np.concatenate([colours, np.full_like(colours[..., :1], 65535)], axis=-1)
    tifffile.imwrite(tmp_path / "rgb.tif", colours, photometric="rgb", resolution=(300, 300))
    tifffile.imwrite(tmp_path / "rgba.tif", opaque, photometric="rgb", extrasamples=["unassalpha"])
    images = (tmp_path / "rgb.tif", tmp_path / "rgba.tif")
    applied = apply_transform(ApplyConfig(transform=calibration, images=images, out=tmp_path / "out"))
    moved = tifffile.imread(applied[0].file)
    assert (moved.shape, moved.dtype) == (colours.shape, colours.dtype)
    inner = moved[8:-8, 8:-8].astype(float)
    np.testing.assert_array_equal(inner[..., 0], colours[8:-8, 8:-8, 0])
    for colour in (1, 2):
        assert (colours[8:-8, 8:-8, colour].astype(float) - inner[..., 0]).std() > 150
        assert (inner[..., colour] - inner[..., 0]).std() < 25
    with tifffile.TiffFile(applied[0].file) as tiff:
        assert tiff.pages[0].photometric == tifffile.PHOTOMETRIC.RGB
        assert tiff.pages[0].tags["XResolution"].value == (300, 1)
    np.testing.assert_array_equal(tifffile.imread(applied[1].file), moved)
    assert any("opacity" in note for note in applied[1].notes)


def test_an_image_of_one_channel_is_told_which_one_it_is(calibration: Path, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "one.tif", beads(RED, 8))
    config = {"transform": calibration, "images": (tmp_path / "one.tif",), "out": tmp_path / "out.tif"}
    with pytest.raises(InputError, match=r"expected channels of the calibration \(GFP, RFP, BFP\), found one; give"):
        apply_transform(ApplyConfig(**config))
    with pytest.raises(OptionError, match="expected one of GFP, RFP, BFP"):
        apply_transform(ApplyConfig(**config, channel="CFP"))
    apply_transform(ApplyConfig(**config, channel="rfp"))
    moved, truth = tifffile.imread(tmp_path / "out.tif").astype(float), beads(np.eye(3), 8).astype(float)
    assert np.corrcoef(moved[8:-8, 8:-8].ravel(), truth[8:-8, 8:-8].ravel())[0, 1] > 0.998


def test_cameras_are_calibrated_on_an_image_of_each(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "left.tif", beads(np.eye(3)))
    tifffile.imwrite(tmp_path / "right.tif", beads(BLUE))
    images = (tmp_path / "left.tif", tmp_path / "right.tif")
    registration = RegistrationConfig(model="translation")
    config = CalibrateConfig(images=images, out=tmp_path / "c.json", fixed="right", registration=registration)
    calibrate(config, lambda _: None)
    left, right = read_calibration(tmp_path / "c.json").channels
    assert (left.name, right.name) == ("left", "right")
    assert largest_error(left.matrix, np.linalg.inv(BLUE)) < 0.02


def test_what_cannot_be_calibrated_or_moved_is_refused(calibration: Path, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "one.tif", beads(RED))
    with pytest.raises(OptionError, match="an image of several channels"):
        calibrate(CalibrateConfig(images=(tmp_path / "one.tif",), out=tmp_path / "c.json"), lambda _: None)
    registration = RegistrationConfig(model="bspline")
    with pytest.raises(OptionError, match="bspline"):
        CalibrateConfig(images=(tmp_path / "one.tif",), out=tmp_path / "c.json", registration=registration)
    small = save_channels(tmp_path / "small.ome.tif", [beads(RED)[:99]] * 3, ["GFP", "RFP", "BFP"])
    with pytest.raises(InputError, match="expected 256 x 256 pixels, as the calibration"):
        apply_transform(ApplyConfig(transform=calibration, images=(small,), out=tmp_path / "out.tif"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, '"version"'),
        ({"channels": []}, '"channels"'),
        ({"channels": [{"name": "a", "status": "ok", "matrix": [[0, 0, 0]] * 3}] * 2}, "inverted"),
        ({"channels": [{"name": "a", "status": "ok", "matrix": [[1, 0]]}] * 2}, "3 rows"),
        ({"channels": [{"name": 1, "status": "ok"}] * 2}, '"name"'),
        ({"shape": [0, 5]}, '"shape"'),
    ],
)
def test_a_file_that_is_no_calibration_is_refused(
    calibration: Path, tmp_path: Path, change: dict[str, object], words: str
) -> None:
    path = tmp_path / "bad.json"
    path.write_text(json.dumps({**json.loads(calibration.read_text()), **change}))
    with pytest.raises(InputError, match=words):
        read_calibration(path)


def test_pages_that_are_taken_for_channels_are_told(tmp_path: Path) -> None:
    """Of pages that nobody has named a movie is one as well as channels are."""
    pages = np.stack([beads(np.eye(3)), beads(BLUE)])
    tifffile.imwrite(tmp_path / "pages.tif", pages, photometric="minisblack", metadata=None)
    images, registration = (tmp_path / "pages.tif",), RegistrationConfig(model="translation")
    calibrate(CalibrateConfig(images=images, out=tmp_path / "c.json", registration=registration), lambda _: None)
    (applied,) = apply_transform(ApplyConfig(transform=tmp_path / "c.json", images=images, out=tmp_path / "o.tif"))
    assert applied.notes == ("pages.tif: its 2 pages are taken for channels",)


def test_a_calibration_that_leads_out_of_every_image_is_refused(calibration: Path, tmp_path: Path) -> None:
    content = json.loads(calibration.read_text())
    content["channels"][1]["matrix"][0][2] = 1e12
    (tmp_path / "far.json").write_text(json.dumps(content))
    path = save_channels(tmp_path / "a.ome.tif", [beads(RED)] * 3, ["GFP", "RFP", "BFP"])
    with pytest.raises(InputError, match="expected a matrix that takes the frame's pixels to pixels"):
        apply_transform(ApplyConfig(transform=tmp_path / "far.json", images=(path,), out=tmp_path / "o.tif"))
