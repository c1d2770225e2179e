"""Which plane of a file the registration sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zncc_cli.config import InputConfig
from zncc_cli.errors import InputError, OptionError
from zncc_cli.files.images import Image
from zncc_cli.files.metadata import Metadata
from zncc_cli.jobs.views import choose_views, masked


def image(data: np.ndarray, axes: str, photometric: str = "minisblack") -> Image:
    return Image(data, axes, Metadata(path=Path("image.tif"), format="TIFF", photometric=photometric))  # type: ignore[arg-type]


def texture(seed: int, strength: float, noise: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    blobs = rng.normal(size=(80, 80))
    smooth = sum(np.roll(blobs, (i, j), (0, 1)) for i in range(4) for j in range(4)) / 4
    return (1000 + strength * smooth + noise * rng.normal(size=(80, 80))).astype(np.float32)


def test_the_channel_with_the_most_texture_over_noise_is_taken_and_said() -> None:
    channels = np.stack([texture(0, 0, 50), texture(1, 100, 5), texture(2, 20, 50), np.full((80, 80), 9, np.float32)])
    (fixed, moving), notes = choose_views((image(channels, "CYX"), image(channels, "CYX")), (None, None))
    assert (fixed.index, moving.index) == ((1,), (1,))
    np.testing.assert_array_equal(fixed.read()[0], channels[1])
    assert len(notes) == 2
    assert "registered by channel 1 (of 0 to 3)" in notes[0]


def test_both_images_are_registered_by_one_channel_the_poorer_of_which_is_best() -> None:
    good, fair, poor = texture(0, 100, 1), texture(0, 100, 10), texture(0, 10, 50)
    pair = image(np.stack([good, fair]), "CYX"), image(np.stack([poor, fair]), "CYX")
    views, _ = choose_views(pair, (None, None))
    assert [view.index for view in views] == [(1,), (1,)]


def test_a_number_takes_a_channel_of_a_stack_and_of_rgb() -> None:
    stack, rgb = np.zeros((2, 3, 8, 9), np.uint8), np.zeros((8, 9, 3), np.uint8)
    stack[0, 2], rgb[..., 1] = 7, 5
    views, notes = choose_views((image(stack, "TCYX"), image(rgb, "YXS", "rgb")), (2, 1))
    assert views[0].read()[0].tolist() == np.full((8, 9), 7).tolist()
    assert views[1].read()[0].tolist() == np.full((8, 9), 5).tolist()
    assert len(notes) == 1  # of the pages
    assert "page 0 (of 0 to 1), T 2" in notes[0]


def test_rgb_is_registered_by_its_luminance_unless_asked() -> None:
    rgb = np.zeros((8, 9, 3), np.uint8)
    rgb[..., 1] = 100
    (view, _), notes = choose_views((image(rgb, "YXS", "rgb"), image(rgb, "YXS", "rgb")), (None, None))
    np.testing.assert_allclose(view.read()[0], 71.52, rtol=1e-6)
    assert notes == ()


@pytest.mark.parametrize(("channel", "words"), [(3, "expected at most 2"), ("luminance", "expected an RGB image")])
def test_a_channel_that_is_not_there_is_refused(channel: int | str, words: str) -> None:
    stack = image(np.zeros((3, 8, 9), np.uint8), "CYX")
    with pytest.raises(OptionError, match=f"--channel {channel}: {words}"):
        choose_views((stack, stack), (channel, 0))


def test_options_are_of_both_or_of_each() -> None:
    assert InputConfig(page="3").each_page == (3, 3)
    assert InputConfig(channel="luminance, 2").each_channel == ("luminance", 2)
    assert InputConfig().each_series == (None, None)
    for text in ("-1", "a", "1,2,3", "", "1,"):
        with pytest.raises(OptionError, match="--page: expected"):
            InputConfig(page=text)


def test_a_mask_of_another_size_is_refused() -> None:
    (view, _), _ = choose_views((image(np.zeros((8, 9), np.uint8), "YX"),) * 2, (None, None))
    with pytest.raises(InputError, match="expected a mask of 9 x 8 pixels"):
        masked(view, image(np.ones((9, 8), np.uint8), "YX"))
    mask = np.zeros((8, 9), np.uint8)
    mask[2, 3] = 1
    _, valid = masked(view, image(mask, "YX")).read(slice(2, 4), slice(3, 9))
    assert valid.tolist() == (mask[2:4, 3:] > 0).tolist()
