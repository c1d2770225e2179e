"""Which plane of a file is registered, and what its grey values are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from zncc_cli.config import STAINS, InputConfig
from zncc_cli.errors import InputError, OptionError
from zncc_cli.files.images import Image
from zncc_cli.files.metadata import Metadata
from zncc_cli.jobs.channel_view import Agreeing, ChannelView, choose_views, masked


def image(data: np.ndarray, axes: str, photometric: str = "minisblack") -> Image:
    return Image(data, axes, Metadata(path=Path("image.tif"), format="TIFF", photometric=photometric))  # type: ignore[arg-type]


def texture(seed: int, strength: float, noise: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    blobs = rng.normal(size=(80, 80))
    smooth = sum(np.roll(blobs, (i, j), (0, 1)) for i in range(4) for j in range(4)) / 4
    return (1000 + strength * smooth + noise * rng.normal(size=(80, 80))).astype(np.float32)


def test_the_channel_with_the_most_texture_over_noise_is_chosen_and_noted() -> None:
    channels = np.stack([texture(0, 0, 50), texture(1, 100, 5), texture(2, 20, 50), np.full((80, 80), 9, np.float32)])
    (fixed, moving), notes = choose_views((image(channels, "CYX"), image(channels, "CYX")), (None, None))
    assert (fixed.index, moving.index) == ((1,), (1,))
    np.testing.assert_array_equal(fixed.read()[0], channels[1])
    assert len(notes) == 2
    assert "registered by channel 1 (of 0 to 3)" in notes[0]


def test_both_images_get_the_channel_whose_poorer_image_is_best() -> None:
    good, fair, poor = texture(0, 100, 1), texture(0, 100, 10), texture(0, 10, 50)
    pair = image(np.stack([good, fair]), "CYX"), image(np.stack([poor, fair]), "CYX")
    views, _ = choose_views(pair, (None, None))
    assert [view.index for view in views] == [(1,), (1,)]


def test_channels_that_agree_are_asked_for_where_best_is_said() -> None:
    pair = named("DAPI", "Cy5"), named("Hoechst", "FITC", "Cy3")

    def agreeing(channels: Sequence[Sequence[ChannelView]]) -> Agreeing | None:
        return Agreeing(tuple(len(views) - 1 for views in channels), math.prod(map(len, channels)))

    views, notes = choose_views(pair, ("best", "best"), agreeing=agreeing)
    assert [view.index for view in views] == [(1,), (2,)]
    assert len(notes) == 1
    assert "channel 1 (Cy5) of image.tif and channel 2 (Cy3) of image.tif, which agree best of 6 pairs" in notes[0]
    views, notes = choose_views(pair, ("DAPI", "best"), agreeing=agreeing)
    assert [view.index for view in views] == [(0,), (2,)]
    assert "of 3 pairs of channels; --channel 0,2 takes them" in notes[0]


def test_texture_decides_where_best_is_not_said_or_nothing_agrees() -> None:
    pair = named("DAPI", "Cy5"), named("Hoechst", "FITC", "Cy3")
    for channels, found in (((None, None), Agreeing((1, 2), 6)), (("best", "best"), None)):
        views, notes = choose_views(pair, channels, agreeing=lambda _, found=found: found)  # type: ignore[misc]
        assert [view.index for view in views] == [(0,), (0,)]
        assert all("the one with the most texture over noise" in note for note in notes)


def test_a_number_chooses_a_channel_of_a_stack_and_of_rgb() -> None:
    stack, rgb = np.zeros((2, 3, 8, 9), np.uint8), np.zeros((8, 9, 3), np.uint8)
    stack[0, 2], rgb[..., 1] = 7, 5
    views, notes = choose_views((image(stack, "TCYX"), image(rgb, "YXS", "rgb")), (2, 1))
    assert views[0].read()[0].tolist() == np.full((8, 9), 7).tolist()
    assert views[1].read()[0].tolist() == np.full((8, 9), 5).tolist()
    assert len(notes) == 1  # of the pages
    assert "page 0 (of 0 to 1), T 2" in notes[0]


def named(*names: str) -> Image:
    """An image of channels, each a constant: its number."""
    data = np.arange(len(names), dtype=np.uint8)[:, None, None].repeat(8, 1).repeat(9, 2)
    made = image(data, "CYX")
    return replace(made, metadata=replace(made.metadata, properties={"Channel": {"Name": list(names)}}))


def test_a_channel_is_chosen_by_its_name() -> None:
    def chosen(given: Image, channel: int | str) -> tuple[int, ...]:
        return choose_views([given], [channel])[0][0].index

    assert chosen(named("DAPI", "FITC", "488"), "dapi ") == (0,)
    assert chosen(named("DAPI", "FITC", "488"), 1) == (1,)
    assert chosen(named("DAPI", "FITC", "488"), 488) == (2,)  # no number of a channel, but a name
    assert chosen(named("eosin", "dab"), "dab") == (1,)
    (view,), _ = choose_views([image(np.zeros((8, 9, 3), np.uint8), "YXS", "rgb")], ["green"])
    assert view.sample == 1


def test_a_number_wins_over_a_name_that_is_a_number() -> None:
    """Channels are often named from one, and counted from zero; a line says which one is meant."""
    (view,), notes = choose_views([named("1", "2", "3")], [1])
    assert view.index == (1,)
    assert notes == ("image.tif: channel 1 is taken by its number; the one that is named 1 has number 0",)
    (view,), notes = choose_views([named("1", "2", "3")], [3])  # there is no number 3
    assert (view.index, notes) == ((2,), ())
    assert choose_views([named("0", "1", "2")], [1])[1] == ()


@pytest.mark.parametrize(
    ("given", "channel", "words"),
    [
        (named("DAPI", "FITC"), "Cy5", ("--channel Cy5", "image.tif", "2 channel(s): 0 (DAPI), 1 (FITC)")),
        (named("DAPI", "dapi"), "DAPI", ("2 of this name",)),
        (image(np.zeros((3, 8, 9), np.uint8), "CYX"), 3, ("--channel 3", "numbers from 0 to 2, without names")),
        (image(np.zeros((8, 9), np.uint8), "YX"), "x", ("1 channel(s): its number is 0",)),
        (image(np.zeros((8, 9, 3), np.uint8), "YXS", "rgb"), 4, ("0 (red), 1 (green), 2 (blue)",)),
    ],
)
def test_an_unknown_channel_is_refused_with_the_names(given: Image, channel: int | str, words: tuple[str, ...]) -> None:
    with pytest.raises(OptionError) as error:
        choose_views([given], [channel])
    for word in words:
        assert word in str(error.value)


def test_rgb_is_registered_by_its_luminance_by_default() -> None:
    rgb = np.zeros((8, 9, 3), np.uint8)
    rgb[..., 1] = 100
    (view, _), notes = choose_views((image(rgb, "YXS", "rgb"), image(rgb, "YXS", "rgb")), (None, None))
    np.testing.assert_allclose(view.read()[0], 71.52, rtol=1e-6)
    assert notes == ()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("stain", STAINS)
def test_a_stain_is_seen_without_the_others(stain: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    densities = {name: rng.uniform(0.1, 0.5, (40, 50)) for name in STAINS}
    # The vectors of Ruifrok and Johnston 2001, of length one.
    vectors = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    light = 10.0 ** -np.einsum("sij,sc->ijc", np.stack([*densities.values()]), vectors)
    white = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    rgb = (light * white).round().astype(dtype) if white > 1 else light.astype(dtype)
    (view,), notes = choose_views([image(rgb, "YXS", "rgb")], [stain])
    assert notes == ()
    assert view.described["channel"] == stain
    found, truth = view.read()[0], densities[stain]
    # A grey level of 255 is a hundredth of an optical density where it is dark, and unmixing triples it at most.
    error = (found - found.mean()) - (truth - truth.mean())
    assert np.abs(error).max() < (0.06 if dtype == "uint8" else 0.001)


def test_black_pixels_have_a_density() -> None:
    (view,), _ = choose_views([image(np.zeros((8, 9, 3), np.uint8), "YXS", "rgb")], ["eosin"])
    assert np.isfinite(view.read()[0]).all()


@pytest.mark.parametrize(
    ("channel", "words"),
    [(3, "expected a channel"), ("luminance", "expected an RGB image"), ("hematoxylin", "expected an RGB image")],
)
def test_a_channel_that_is_not_there_is_refused(channel: int | str, words: str) -> None:
    stack = image(np.zeros((3, 8, 9), np.uint8), "CYX")
    with pytest.raises(OptionError, match=f"--channel {channel}: {words}"):
        choose_views((stack, stack), (channel, 0))


LARGE = [
    ("uint32", 4_000_000_000),
    ("int32", -2_000_000_000),
    ("int64", 2**60),
    ("uint64", 2**64 - 99),
    ("float64", 1e9),
]


@pytest.mark.parametrize(("dtype", "offset"), LARGE)
@pytest.mark.parametrize(("axes", "photometric"), [("YX", "minisblack"), ("YX", "miniswhite"), ("YXS", "rgb")])
def test_a_small_signal_on_a_large_offset_keeps_its_digits(
    dtype: str, offset: float, axes: str, photometric: str
) -> None:
    """The steps of one that float32 cannot tell apart at this offset; differences alone are known of a view."""
    signal = np.random.default_rng(0).integers(0, 90, (3000, 7)).astype(dtype)
    data = signal + np.dtype(dtype).type(offset)
    data = np.repeat(data[..., None], 3, axis=-1) if axes == "YXS" else data
    (view,), _ = choose_views([image(data, axes, photometric)], [None])
    grey, valid = view.read()
    assert valid.all()
    sign = -1 if photometric == "miniswhite" else 1
    # Exact, but for the float32 weights of the luminance.
    np.testing.assert_allclose(sign * (grey - grey[0, 0]), signal.astype(float) - float(signal[0, 0]), atol=1e-4)
    np.testing.assert_array_equal(view.read(slice(2000, 2500), slice(3, 5))[0], grey[2000:2500, 3:5])
    np.testing.assert_array_equal(view.grey_of(data[10:20]), grey[10:20])


def test_values_farther_apart_than_a_signed_integer_reaches_stay_apart() -> None:
    data = np.full((8, 9), 100, np.uint64)
    data[0, 0], data[0, 1] = 2**64 - 1, 0
    (view,), _ = choose_views([image(data, "YX")], [None])
    grey, _ = view.read()
    np.testing.assert_array_equal(grey[0, :3] - grey[0, 2], np.array([2.0**64, -100, 0], np.float32))


def test_masked_pixels_do_not_determine_the_offset() -> None:
    """The middle is a masked block of another size of numbers; what counts is a signal of one on 1e9."""
    data = np.zeros((1100, 1100))
    data[1080:] = 1e9 + np.arange(1100) % 2
    mask = np.zeros(data.shape, np.uint8)
    mask[1080:] = 1
    (view,), _ = choose_views([image(data, "YX")], [None])
    grey, valid = masked(view, image(mask, "YX")).read()
    np.testing.assert_array_equal(np.ptp(grey[valid]), 1)


def test_a_value_whose_difference_from_the_offset_float32_cannot_hold_does_not_count() -> None:
    data = np.full((8, 9), -3e38)
    data[0, 0] = 3e38  # float32 holds both, and not their difference
    (view,), _ = choose_views([image(data, "YX")], [None])
    assert view.read()[1].tolist() == (data < 0).tolist()


def test_options_apply_to_both_images_or_to_each() -> None:
    assert InputConfig(page="3").each_page == (3, 3)
    assert InputConfig(channel="luminance, 2").each_channel == ("luminance", 2)
    assert InputConfig().each_series == (None, None)
    for text in ("-1", "a", "1,2,3", "", "1,"):
        with pytest.raises(OptionError, match="`page`: expected"):
            InputConfig(page=text)


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_a_mask_counts_where_its_stored_values_are_set_however_they_look(photometric: str) -> None:
    stored = np.zeros((80, 80), np.uint8)
    stored[10:30, 20:50] = 255
    view = choose_views([image(texture(0, 100, 1), "YX")], [None])[0][0]
    counts = masked(view, image(stored, "YX", photometric)).read()[1]
    np.testing.assert_array_equal(counts, stored > 0)


def test_a_mask_of_another_size_is_refused() -> None:
    (view, _), _ = choose_views((image(np.zeros((8, 9), np.uint8), "YX"),) * 2, (None, None))
    with pytest.raises(InputError, match="expected a mask of 9 x 8 pixels"):
        masked(view, image(np.ones((9, 8), np.uint8), "YX"))
    mask = np.zeros((8, 9), np.uint8)
    mask[2, 3] = 1
    _, valid = masked(view, image(mask, "YX")).read(slice(2, 4), slice(3, 9))
    assert valid.tolist() == (mask[2:4, 3:] > 0).tolist()
