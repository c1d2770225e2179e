"""The channels of two files that agree best, where `--channel best` is said of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from zncc_cli.config import InputConfig, Model, PairConfig, RegistrationConfig
from zncc_cli.config.check import CheckConfig
from zncc_cli.files.images import read_image
from zncc_cli.jobs.channel_view import ChannelView
from zncc_cli.jobs.check import check_files
from zncc_cli.jobs.pair.align import PairOutcome, align_pair
from zncc_cli.jobs.pair.channel_pair import ChannelPairs

SHIFT = 7.25, -4.5  # of the moving image, (x, y) pixels
SIZE = 128


def scene(seed: int, grain_px: float) -> np.ndarray:
    """Return a texture of a mean of 1000 and a deviation of 100, larger than a frame by what it may move by."""
    noise = np.random.default_rng(seed).normal(size=(SIZE + 40, SIZE + 40))
    smooth = ndimage.gaussian_filter(noise, grain_px)
    return np.asarray(1000 + 100 * smooth / smooth.std())


def frame(scene: np.ndarray, shift: tuple[float, float] = (0, 0)) -> np.ndarray:
    return np.asarray(ndimage.shift(scene, shift[::-1], order=3)[20:-20, 20:-20])


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(1000, 50, (SIZE, SIZE))


def write(path: Path, channels: dict[str, np.ndarray]) -> Path:
    data = np.clip(np.stack(list(channels.values())), 0, 65535).round().astype(np.uint16)
    tifffile.imwrite(path, data, ome=True, metadata={"axes": "CYX", "Channel": {"Name": list(channels)}})
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two OME-TIFFs of which only DAPI and Hoechst show the same; the actin has more texture."""
    folder = tmp_path_factory.mktemp("channels")
    nuclei, actin, lysosomes = scene(0, 2.5), scene(1, 1.5), scene(2, 6)
    fixed = {"Empty": np.full((SIZE, SIZE), 100.0), "Actin": frame(actin), "DAPI": frame(nuclei) + noise(3) / 10}
    moving = {"Lysosomes": frame(lysosomes), "Hoechst": 4000 - frame(nuclei, SHIFT) + noise(4) / 10}
    return write(folder / "fixed.ome.tif", fixed), write(folder / "moving.ome.tif", moving)


def align(files: tuple[Path, Path], out: Path, channel: str | None) -> PairOutcome:
    inputs = InputConfig(channel=channel)
    model = RegistrationConfig(model=Model.TRANSLATION)  # the fastest
    config = PairConfig(
        fixed=files[0], moving=files[1], out=out, write="transform,report", inputs=inputs, registration=model
    )
    return align_pair(config, lambda _: None)


def test_the_channels_that_agree_best_are_registered_and_named(files: tuple[Path, Path], tmp_path: Path) -> None:
    outcome = align(files, tmp_path / "out", "best")
    found, notes = outcome.report["registered_by"], " ".join(outcome.report["notes"])
    assert (found["fixed"], found["moving"]) == ({"C": 2}, {"C": 1})
    assert "registered by channel 2 (DAPI) of fixed.ome.tif and channel 1 (Hoechst) of moving.ome.tif" in notes
    assert "of 6 pairs of channels; --channel 2,1 takes them" in notes
    # Noise of a twentieth of the scene's deviation: the expected error is 0.01 px.
    np.testing.assert_allclose(outcome.result.matrix[:2, 2], SHIFT, atol=0.1)


def test_check_compares_the_channels_that_agree_best(files: tuple[Path, Path], tmp_path: Path) -> None:
    aligned = {"Noise": noise(5), "Hoechst": frame(4000 - scene(0, 2.5), (0.5, 0))}
    beside = write(tmp_path / "beside.ome.tif", aligned)
    inputs = InputConfig(channel="best")
    config = CheckConfig(fixed=files[0], aligned=beside, out=tmp_path / "check", inputs=inputs)
    outcome = check_files(config, lambda _: None)
    planes = outcome.report["planes"]
    assert (planes["fixed"], planes["aligned"]) == ({"C": 2}, {"C": 1})


def test_a_window_that_only_the_whole_images_hold_is_none_of_the_reduced_ones(tmp_path: Path) -> None:
    path = tmp_path / "large.ome.tif"
    write(path, {name: np.random.default_rng(0).normal(1000, 50, (600, 600)) for name in "ab"})
    image = read_image(path)
    views = [ChannelView(image, (number,)) for number in range(2)]
    # Of 600 pixels a window may have 300; the images are compared at a half of that.
    pairs = ChannelPairs.of(views, views, RegistrationConfig(window=201, model=Model.TRANSLATION))
    assert pairs.factor == 2
    assert pairs.best(np.eye(3)) is not None
