"""Images come back from disk as they were, pixel for pixel, in their own dtype."""

import warnings
from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from tests.files.image_cases import H, W, assert_same, pixels, room, write_tiff
from zncc_cli.errors import InputError, OutputError
from zncc_cli.files.image_output import write_image, write_picture
from zncc_cli.files.images import list_images, read_image

DTYPES = ["u1", "u2", "u4", "i1", "i2", "i4", "f2", "f4", "f8"]


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
