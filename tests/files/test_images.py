"""Images come back from disk as they were, pixel for pixel, in their own dtype."""

import contextlib
import signal
import struct
import warnings
from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from zncc_cli.errors import InputError, OutputError
from zncc_cli.files.image_output import write_image, write_picture
from zncc_cli.files.images import list_images, read_image

DTYPES = ["u1", "u2", "u4", "i1", "i2", "i4", "f2", "f4", "f8"]
H, W = 37, 53


def pixels(dtype="u2", samples=None, seed=0):
    shape = (H, W) if samples is None else (H, W, samples)
    values = np.random.default_rng(seed).random(shape)
    kind = np.dtype(dtype)
    return (values * (1000 if kind.kind == "f" else np.iinfo(kind).max)).astype(kind)


def write_tiff(path, data, **options):
    if data.ndim == 3:
        alpha = {2: ["unassalpha"], 4: ["unassalpha"]}.get(data.shape[-1])
        options = {"photometric": "rgb", "planarconfig": "contig", "extrasamples": alpha, **options}
    tifffile.imwrite(path, data, **options)
    return path


def assert_same(image, data):
    assert image.data.dtype == data.dtype.newbyteorder("=")
    assert image.data.dtype.isnative
    np.testing.assert_array_equal(image.data, data)


@pytest.mark.parametrize("samples", [None, 3, 4], ids=["grey", "RGB", "RGBA"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_tiff_round_trip_keeps_every_pixel(tmp_path, dtype, samples):
    data = pixels(dtype, samples)
    first = read_image(write_tiff(tmp_path / "a.tif", data))
    assert_same(first, data)
    write_image(tmp_path / "b.tif", first.data, like=first)
    second = read_image(tmp_path / "b.tif")
    assert_same(second, data)
    assert second.axes == ("YX" if samples is None else "YXS")
    assert second.metadata.alpha == (samples == 4)
    assert second.metadata.photometric == first.metadata.photometric


@pytest.mark.parametrize("samples", [None, 3], ids=["grey", "RGB"])
@pytest.mark.parametrize(
    "options",
    [
        {"byteorder": ">"},
        {"bigtiff": True},
        {"tile": (16, 16)},
        {"rowsperstrip": 5},
        {"compression": "zlib"},
        {"compression": "zlib", "predictor": True, "tile": (16, 32), "byteorder": ">"},
    ],
    ids=lambda options: " ".join(options),
)
def test_layouts_of_tiff_do_not_matter(tmp_path, options, samples):
    data = pixels("u2", samples)
    assert_same(read_image(write_tiff(tmp_path / "a.tif", data, **options)), data)


def test_planar_rgb_becomes_samples_last(tmp_path):
    data = pixels("u2", 3)
    tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(data, -1, 0), photometric="rgb", planarconfig="separate")
    assert_same(read_image(tmp_path / "a.tif"), data)


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


def test_one_bit_becomes_0_and_255(tmp_path):
    bits = pixels("u1") > 100
    tifffile.imwrite(tmp_path / "a.tif", bits, photometric="minisblack")
    assert_same(read_image(tmp_path / "a.tif"), bits.astype(np.uint8) * np.uint8(255))


def test_grey_with_alpha(tmp_path):
    data = pixels("u1", 2)
    data[:5, :, 1] = 0
    image = read_image(write_tiff(tmp_path / "a.tif", data, photometric="minisblack"))
    assert_same(image, data)
    np.testing.assert_array_equal(image.luminance(), data[..., 0])
    np.testing.assert_array_equal(image.valid(), data[..., 1] > 0)


def test_miniswhite_is_bright_where_it_looks_bright_and_stays_miniswhite(tmp_path):
    data = pixels("u1")
    image = read_image(write_tiff(tmp_path / "a.tif", data, photometric="miniswhite"))
    assert_same(image, data)
    np.testing.assert_array_equal(image.luminance(), 255 - data)
    write_image(tmp_path / "b.tif", data, like=image)
    assert read_image(tmp_path / "b.tif").metadata.photometric == "miniswhite"


def test_pyramid_levels_are_no_further_images(tmp_path):
    data = pixels("u2")
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(data, metadata=None)
        file.write(data[::2, ::2], subfiletype=1, metadata=None)
    assert_same(read_image(tmp_path / "a.tif"), data)


def test_orientation_tag_is_obeyed(tmp_path):
    data = pixels("u2")
    write_tiff(tmp_path / "a.tif", data, extratags=[(274, 3, 1, 6, True)], resolution=(2, 3), resolutionunit=3)
    image = read_image(tmp_path / "a.tif")
    assert_same(image, np.rot90(data, -1))
    assert (image.metadata.resolution.x, image.metadata.resolution.y) == ((3, 1), (2, 1))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_that_of_pillow(tmp_path, orientation):
    from PIL import ImageOps

    picture = PillowImage.fromarray(pixels("u1"))
    exif = PillowImage.Exif()
    exif[274] = orientation
    picture.save(tmp_path / "a.png", exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(PillowImage.open(tmp_path / "a.png")))
    assert_same(read_image(tmp_path / "a.png"), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_note_says_that_an_orientation_tag_turns_the_image(tmp_path, orientation):
    exif = PillowImage.Exif()
    exif[274] = orientation
    PillowImage.fromarray(pixels("u1")).save(tmp_path / "a.jpg", exif=exif)
    write_tiff(tmp_path / "a.tif", pixels("u2"), extratags=[(274, 3, 1, orientation, True)])
    for name in ("a.tif", "a.jpg"):
        notes = read_image(tmp_path / name).notes
        assert [note.startswith(f"{name}: turned or mirrored") for note in notes] == [True] * (orientation > 1)


@pytest.mark.parametrize(("dtype", "samples"), [("u1", None), ("u2", None), ("u1", 2), ("u1", 3), ("u1", 4)])
def test_png(tmp_path, dtype, samples):
    data = pixels(dtype, samples)
    mode = {2: "LA"}.get(samples)
    iio.imwrite(tmp_path / "a.png", data, plugin="pillow", mode=mode)
    image = read_image(tmp_path / "a.png")
    assert_same(image, data)
    assert image.metadata.alpha == (samples in (2, 4))


def test_png_of_one_bit_and_with_palette_and_with_a_transparent_colour(tmp_path):
    grey = PillowImage.fromarray(pixels("u1"))
    grey.convert("1").save(tmp_path / "bits.png")
    assert set(np.unique(read_image(tmp_path / "bits.png").data)) == {0, 255}
    palette = PillowImage.fromarray(pixels("u1", 3)).quantize(200)
    palette.save(tmp_path / "palette.png")
    assert_same(read_image(tmp_path / "palette.png"), np.asarray(palette.convert("RGB")))
    palette.save(tmp_path / "holes.png", transparency=3)
    np.testing.assert_array_equal(read_image(tmp_path / "holes.png").valid(), np.asarray(palette) != 3)


def test_jpeg_is_what_pillow_decodes(tmp_path):
    iio.imwrite(tmp_path / "a.jpg", pixels("u1", 3), plugin="pillow")
    assert_same(read_image(tmp_path / "a.jpg"), np.asarray(PillowImage.open(tmp_path / "a.jpg")))


def test_cmyk_jpeg_becomes_rgb(tmp_path):
    PillowImage.fromarray(pixels("u1", 3)).convert("CMYK").save(tmp_path / "a.jpg")
    image = read_image(tmp_path / "a.jpg")
    assert image.data.shape == (H, W, 3)
    assert not image.metadata.alpha


def test_pgm_of_16_bits(tmp_path):
    data = pixels("u2")
    (tmp_path / "a.pgm").write_bytes(f"P5\n# comment\n{W} {H} 65535\n".encode() + data.astype(">u2").tobytes())
    assert_same(read_image(tmp_path / "a.pgm"), data)


@pytest.mark.parametrize("samples", [None, 3, 4])
@pytest.mark.parametrize("dtype", [*DTYPES, ">u2", ">f4"])
def test_npy(tmp_path, dtype, samples):
    data = pixels(dtype, samples)
    np.save(tmp_path / "a.npy", data)
    assert_same(read_image(tmp_path / "a.npy"), data)


def test_npy_in_column_order_and_with_a_single_sample_and_of_bool(tmp_path):
    data = pixels("f4")
    np.save(tmp_path / "a.npy", np.asfortranarray(data))
    assert_same(read_image(tmp_path / "a.npy"), data)
    np.save(tmp_path / "b.npy", data[..., None])
    assert_same(read_image(tmp_path / "b.npy"), data)
    np.save(tmp_path / "c.npy", data > 500)
    assert_same(read_image(tmp_path / "c.npy"), (data > 500).astype(np.uint8) * np.uint8(255))


def test_content_decides_and_not_the_suffix(tmp_path):
    data = pixels("u1")
    iio.imwrite(tmp_path / "a.png", data, plugin="pillow")
    assert_same(read_image((tmp_path / "a.png").rename(tmp_path / "a.tif")), data)


def test_luminance_of_rgb_has_the_weights_of_rec_709(tmp_path):
    data = pixels("u1", 4)
    luminance = read_image(write_tiff(tmp_path / "a.tif", data)).luminance()
    assert luminance.dtype == np.float32
    expected = data[..., :3].astype(float) @ [0.2126, 0.7152, 0.0722]
    np.testing.assert_allclose(luminance, expected, rtol=1e-6)


def test_luminance_of_16_bits_is_exact(tmp_path):
    data = pixels("u2")
    np.testing.assert_array_equal(read_image(write_tiff(tmp_path / "a.tif", data)).luminance(), data.astype(float))


def test_valid_leaves_out_what_float32_cannot_hold(tmp_path):
    data = pixels("f8")
    data[0, :4] = [np.nan, np.inf, -np.inf, 1e300]
    image = read_image(write_tiff(tmp_path / "a.tif", data))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image.luminance()
        assert np.flatnonzero(~image.valid()).tolist() == [0, 1, 2, 3]


def test_valid_leaves_out_transparent_pixels(tmp_path):
    data = pixels("u2", 4)
    data[:, :9, 3] = 0
    image = read_image(write_tiff(tmp_path / "a.tif", data))
    np.testing.assert_array_equal(image.valid(), data[..., 3] > 0)


def test_missing_value_of_gdal_is_not_valid_and_is_kept(tmp_path):
    data = pixels("i2")
    data[3, 4] = -9999
    image = read_image(write_tiff(tmp_path / "a.tif", data, extratags=[(42113, 2, 0, "-9999", True)]))
    assert np.argwhere(~image.valid()).tolist() == [[3, 4]]
    write_image(tmp_path / "b.tif", data, like=image)
    assert read_image(tmp_path / "b.tif").metadata.nodata == -9999


def test_resolution_is_kept(tmp_path):
    data = pixels()
    like = read_image(write_tiff(tmp_path / "a.tif", data, resolution=((10000, 3), (20000, 7)), resolutionunit=3))
    write_image(tmp_path / "b.tif", data, like=like)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        tags = file.pages.first.tags
        assert [tags[code].value for code in (282, 283)] == [(10000, 3), (20000, 7)]
        assert int(tags[296].value) == 3


def test_unit_of_imagej_is_kept(tmp_path):
    data = pixels()
    tifffile.imwrite(tmp_path / "a.tif", data, imagej=True, resolution=(4, 4), metadata={"unit": "\\u00B5m"})
    like = read_image(tmp_path / "a.tif")
    like = replace(like, metadata=replace(like.metadata, flavor="imagej"))
    write_image(tmp_path / "b.tif", data, like=like)
    assert read_image(tmp_path / "b.tif").metadata.pixel_size == like.metadata.pixel_size
    assert_same(read_image(tmp_path / "b.tif"), data)


def test_georeference_comes_from_the_frame_and_samples_from_like(tmp_path):
    scale = (33550, 12, 3, (10.0, 10.0, 0.0), True)
    tie = (33922, 12, 6, (0.0, 0.0, 0.0, 500000.0, 4.2e6, 0.0), True)
    fixed = read_image(write_tiff(tmp_path / "fixed.tif", pixels("u1"), extratags=[scale, tie]))
    moving = read_image(write_tiff(tmp_path / "moving.tif", pixels("u2", 4)))
    write_image(tmp_path / "aligned.tif", moving.data, like=moving, frame=fixed)
    aligned = read_image(tmp_path / "aligned.tif")
    assert_same(aligned, moving.data)
    assert aligned.metadata.alpha
    assert aligned.metadata.georeference == fixed.metadata.georeference
    assert len(aligned.metadata.georeference) == 2


@pytest.mark.parametrize("samples", [None, 3])
def test_picture(tmp_path, samples):
    write_picture(tmp_path / "a.png", pixels("u1", samples))
    assert_same(read_image(tmp_path / "a.png"), pixels("u1", samples))


def test_list_images_is_sorted_and_holds_only_visible_image_files(tmp_path):
    for name in ("b.TIF", "a.png", "c.npy", "notes.txt", "._a.tif", ".hidden.png"):
        (tmp_path / name).touch()
    (tmp_path / "folder.tif").mkdir()
    assert [path.name for path in list_images(tmp_path)] == ["a.png", "b.TIF", "c.npy"]


def test_list_images_of_no_folder(tmp_path):
    with pytest.raises(InputError, match="expected a folder of images"):
        list_images(tmp_path / "missing")


def test_writing_replaces_a_file_whole(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(b"older and longer" * 10000)
    write_image(path, pixels())
    assert_same(read_image(path), pixels())
    assert [file.name for file in tmp_path.iterdir()] == ["a.tif"]


@pytest.mark.parametrize("write", [write_image, write_picture])
def test_writing_where_no_file_can_be_made(tmp_path, write):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for place in ("file/a.tif", "missing/a.tif", "folder"):
        with pytest.raises(OutputError) as caught:
            write(tmp_path / place, pixels("u1"))
        assert str(caught.value).startswith(str(tmp_path / place))
        assert "\n" not in str(caught.value)
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["file", "folder"]


@contextlib.contextmanager
def room(size):
    """Limit the size of every file, as a full disk would, until the block ends: a test runner writes files too."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("write", [write_image, write_picture])
@pytest.mark.parametrize("size", [10, 1000, 100_000])
def test_writing_when_the_disk_is_full_leaves_nothing(tmp_path, write, size):
    data = np.random.default_rng(0).integers(0, 256, (400, 600), dtype=np.uint8)
    with room(size), pytest.raises(OutputError, match=r"a\.out: cannot be written"):
        write(tmp_path / "a.out", data)
    assert list(tmp_path.iterdir()) == []


def test_writing_when_only_the_last_byte_does_not_fit_leaves_nothing(tmp_path):
    write_image(tmp_path / "a.tif", pixels())
    size = (tmp_path / "a.tif").stat().st_size - 1
    with room(size), pytest.raises(OutputError, match=r"b\.tif: cannot be written"):
        write_image(tmp_path / "b.tif", pixels())
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]
