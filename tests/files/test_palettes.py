"""Pixels that are numbers of colours are read as what they mean: colours, values, labels or a mask."""

import struct

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from tests.files.image_cases import assert_same, pixels, write_tiff
from zncc_cli.files.image_output import write_image
from zncc_cli.files.images import read_image


@pytest.mark.parametrize("scale", [257, 256, 1])
def test_palette_becomes_rgb_of_8_bits(tmp_path, scale):
    indices = pixels("u1")
    colours = np.random.default_rng(1).integers(0, 256, (3, 256), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", indices, photometric="palette", colormap=colours * np.uint16(scale))
    image = read_image(tmp_path / "a.tif")
    assert_same(image, colours.T.astype(np.uint8)[indices])
    assert image.metadata.photometric == "rgb"


def test_palette_of_16_bits_is_kept(tmp_path):
    indices = pixels("u1")
    colours = np.random.default_rng(1).integers(0, 65536, (3, 256), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", indices, photometric="palette", colormap=colours)
    assert_same(read_image(tmp_path / "a.tif"), colours.T[indices])


def write_palette(path, indices, colours, **options):
    """Write a TIFF of numbers of ``colours``, (N, 3) of 8 bits."""
    stored = colours.T.astype(np.uint16) * np.uint16(257)
    return write_tiff(path, indices, photometric="palette", colormap=stored, **options)


FIRE = np.stack([(np.arange(256) * 3 - 255 * k).clip(0, 255) for k in range(3)], axis=1)
RANDOM = np.random.default_rng(2).integers(0, 256, (256, 3))


@pytest.mark.parametrize("colours", [FIRE, FIRE[::-1]], ids=["rising", "falling"])
def test_a_ramp_of_colours_shows_measured_values_which_are_kept_with_it(tmp_path, colours):
    indices = pixels("u1")
    image = read_image(write_palette(tmp_path / "a.tif", indices, colours))
    assert_same(image, indices)
    np.testing.assert_array_equal(image.luminance(), indices if colours is FIRE else 255 - indices)
    assert write_image(tmp_path / "b.tif", indices, like=image) == ()
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        np.testing.assert_array_equal(file.asarray(), indices)
        np.testing.assert_array_equal(file.pages.first.colormap.T // 257, colours)


FEW = np.array([[0, 0, 0], [255, 0, 0], [255, 255, 0], [255, 255, 255]])  # from dark to bright


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_a_few_colours_are_no_ramp_whose_numbers_may_be_interpolated(tmp_path, suffix):
    """Halfway from number 0, black, to number 2, yellow, lies number 1, red, which neither of the pixels has."""
    numbers = pixels("u1") % 4
    path = tmp_path / f"a{suffix}"
    if suffix == ".tif":
        write_palette(path, numbers, np.pad(FEW, ((0, 252), (0, 0)), mode="edge"))
    else:
        picture = PillowImage.fromarray(numbers, "P")
        picture.putpalette(FEW.astype(np.uint8).tobytes())
        picture.save(path)
    assert_same(read_image(path), FEW.astype(np.uint8)[numbers])


def test_a_few_greys_are_a_ramp(tmp_path):
    greys = np.stack([[0, 90, 170, 255] + [255] * 252] * 3, axis=1)
    assert_same(read_image(write_palette(tmp_path / "a.tif", pixels("u1") % 4, greys)), pixels("u1") % 4)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_the_look_up_table_of_an_imagej_file_is_kept_beside_its_values(tmp_path, dtype):
    data = pixels(dtype)
    options = {"photometric": "palette"} if dtype == "u1" else {}
    stored = RANDOM.T.astype(np.uint16) * np.uint16(257)
    tifffile.imwrite(tmp_path / "a.tif", data, imagej=True, colormap=stored, **options)
    image = read_image(tmp_path / "a.tif")
    assert_same(image, data)
    np.testing.assert_array_equal(image.luminance(), data)
    assert write_image(tmp_path / "b.tif", data, like=image) == ()
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.is_imagej
        np.testing.assert_array_equal(file.asarray(), data)
        np.testing.assert_array_equal(file.pages.first.colormap.T // 257, RANDOM)


def test_the_look_up_table_of_an_ome_tiff_is_kept_beside_its_values(tmp_path):
    stored = RANDOM.T.astype(np.uint16) * np.uint16(257)
    options = {"photometric": "palette", "colormap": stored, "ome": True, "metadata": {"axes": "YX"}}
    tifffile.imwrite(tmp_path / "a.ome.tif", pixels("u1"), **options)
    image = read_image(tmp_path / "a.ome.tif")
    assert_same(image, pixels("u1"))
    assert write_image(tmp_path / "b.tif", pixels("u1"), like=image) == ()
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.is_ome
        np.testing.assert_array_equal(file.pages.first.colormap.T // 257, RANDOM)


def test_channels_of_an_imagej_composite_are_not_painted_in_the_colours_of_the_first(tmp_path):
    data = np.stack([pixels("u1"), 255 - pixels("u1")])
    stored = FIRE.T.astype(np.uint16) * np.uint16(257)
    tifffile.imwrite(tmp_path / "a.tif", data, imagej=True, colormap=stored, metadata={"axes": "CYX"})
    image = read_image(tmp_path / "a.tif")
    assert image.axes == "CYX"
    np.testing.assert_array_equal(image.data, data)


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_numbers_of_colours_are_read_as_labels_where_they_are_asked_for(tmp_path, suffix):
    labels = pixels("u1")
    if suffix == ".tif":
        write_palette(tmp_path / "a.tif", labels, RANDOM)
    else:
        picture = PillowImage.fromarray(labels, "P")
        picture.putpalette(RANDOM.astype(np.uint8).tobytes())
        picture.save(tmp_path / "a.png")
    path = tmp_path / f"a{suffix}"
    assert_same(read_image(path), RANDOM.astype(np.uint8)[labels])
    image = read_image(path, indices=True)
    assert_same(image, labels)
    brightness = RANDOM @ [0.2126, 0.7152, 0.0722]
    # float32 holds brightnesses of up to 255 to 1e-5.
    np.testing.assert_allclose(image.luminance(), brightness[labels], atol=1e-4)
    assert write_image(tmp_path / "b.tif", labels, like=image) == ()
    again = read_image(tmp_path / "b.tif", indices=True)
    assert_same(again, labels)
    np.testing.assert_array_equal(again.metadata.palette.colours // 257, RANDOM)


def test_indices_of_16_bits_keep_their_palette(tmp_path):
    labels = pixels("u2")
    colours = np.random.default_rng(3).integers(0, 2**16, (3, 2**16), dtype=np.uint16)
    image = read_image(write_tiff(tmp_path / "a.tif", labels, photometric="palette", colormap=colours), indices=True)
    write_image(tmp_path / "b.tif", labels, like=image)
    assert_same(read_image(tmp_path / "b.tif", indices=True), labels)
    assert_same(read_image(tmp_path / "b.tif"), colours.T[labels])


def test_a_grey_palette_is_grey(tmp_path):
    greys = np.stack([np.arange(256)] * 3, axis=1)
    image = read_image(write_palette(tmp_path / "a.tif", pixels("u1"), greys))
    assert_same(image, pixels("u1"))
    assert image.metadata.palette is None


def bilevel_palette_tiff(bits, colours):
    """Return the bytes of a TIFF of 1 bit (H, W multiples of 8) with a palette of two colours, of 16 bits each."""
    packed = np.packbits(bits, axis=1).tobytes()
    height, width = bits.shape
    palette = struct.pack("<6H", *np.transpose(colours).ravel())
    ascending = {256: (3, 1, width), 257: (3, 1, height), 258: (3, 1, 1), 259: (3, 1, 1), 262: (3, 1, 3)}
    ascending |= {273: (4, 1, 164), 278: (3, 1, height), 279: (4, 1, len(packed)), 320: (3, 6, 152)}
    entries = b"".join(struct.pack("<HHII", code, *entry) for code, entry in ascending.items())
    directory = struct.pack("<H", len(ascending)) + entries + bytes(4)
    return (b"II*\0" + struct.pack("<I", 8) + directory).ljust(152, b"\0") + palette + packed


@pytest.mark.parametrize("colours", [[[0] * 3, [65535] * 3], [[65535] * 3, [0] * 3], [[65535, 0, 0], [0, 0, 65535]]])
def test_one_bit_with_a_palette_is_0_and_1(tmp_path, colours):
    bits = np.random.default_rng(4).integers(0, 2, (24, 32)).astype(bool)
    (tmp_path / "a.tif").write_bytes(bilevel_palette_tiff(bits, colours))
    image = read_image(tmp_path / "a.tif")
    assert_same(image, bits.astype(np.uint8))
    write_image(tmp_path / "b.tif", image.data, like=image)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        np.testing.assert_array_equal(file.pages.first.colormap.T[file.asarray()], np.array(colours)[bits.astype(int)])


def test_a_mask_is_set_where_its_stored_values_are_however_programs_show_them(tmp_path):
    inside = pixels("u1") > 100
    stored = inside.astype(np.uint8)
    white_first = np.stack([np.arange(255, -1, -1)] * 3, axis=1)
    paths = [
        write_tiff(tmp_path / "inverting.tif", stored * np.uint8(255), photometric="miniswhite"),
        write_palette(tmp_path / "white_first.tif", stored, white_first),
        write_palette(tmp_path / "red_first.tif", stored, np.array([[255, 0, 0]] * 128 + [[0, 9, 0]] * 128)),
        write_tiff(tmp_path / "grey.tif", stored, photometric="minisblack"),
        write_tiff(tmp_path / "colour.tif", np.stack([stored] * 3, axis=-1), photometric="rgb"),
    ]
    for path in paths:
        np.testing.assert_array_equal(read_image(path, indices=True).is_set(), inside, err_msg=path.name)


@pytest.mark.parametrize("suffix", [".png", ".gif", ".bmp"])
@pytest.mark.parametrize("colours", [[[255] * 3, [0] * 3], [[0] * 3, [255] * 3], [[0, 200, 0], [0] * 3]])
def test_a_mask_of_colours_is_set_where_it_is_not_black_whatever_number_black_has(tmp_path, suffix, colours):
    """The program that writes a PNG, GIF or BMP chooses the order of its colours."""
    numbers = (pixels("u1") > 100).astype(np.uint8)
    picture = PillowImage.fromarray(numbers, "P")
    # Pillow takes a BMP of 8 bits with two greys, as it writes it, for one of 1 bit: a third colour stands behind.
    picture.putpalette(np.array([*colours, [9, 8, 7]], np.uint8).tobytes())
    picture.save(tmp_path / f"a{suffix}")
    inside = np.array(colours).any(axis=1)[numbers]
    np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}", indices=True).is_set(), inside)


def test_a_mask_of_inverted_greys_in_a_png_is_set_where_it_is_not_black(tmp_path):
    picture = PillowImage.fromarray(np.where(pixels("u1") > 100, 255, 0).astype(np.uint8), "P")
    picture.putpalette(np.repeat(np.arange(255, -1, -1, dtype=np.uint8), 3).tobytes())
    picture.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", indices=True).is_set(), pixels("u1") <= 100)
