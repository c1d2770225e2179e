"""Files that are unusual, and right: each is read as it is meant, or refused in words that say what it is."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from zncc_cli.errors import InputError
from zncc_cli.files import pnm
from zncc_cli.files.image_output import write_image
from zncc_cli.files.images import read_image

H, W = 40, 56


def pixels(*shape: int, top: int = 250, dtype: str = "u1") -> np.ndarray:
    return np.random.default_rng(0).integers(0, top, (H, W, *shape)).astype(dtype)


def refused(path: Path, *words: str) -> None:
    with pytest.raises(InputError) as error:
        read_image(path)
    for word in (str(path), *words):
        assert word in str(error.value)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def test_a_png_of_16_bits_with_a_transparent_colour_has_opacity(tmp_path: Path) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    data = pixels(3, top=65536, dtype="u2")
    data[3:5, 7:9] = 100, 200, 300
    content = imagecodecs.png_encode(data)
    place = content.index(b"IDAT") - 4
    key = chunk(b"tRNS", struct.pack(">3H", 100, 200, 300))
    (tmp_path / "a.png").write_bytes(content[:place] + key + content[place:])
    image = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(image.data[..., :3], data)
    assert image.metadata.alpha
    np.testing.assert_array_equal(image.valid(), (data != (100, 200, 300)).any(axis=-1))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("count", [2, 5, 16])
def test_samples_at_the_end_of_an_npy_are_channels(tmp_path: Path, count: int, order: str) -> None:
    data = pixels(count, top=60000, dtype=">u2")
    np.save(tmp_path / "a.npy", np.asarray(data, order=order))
    image = read_image(tmp_path / "a.npy")
    assert image.axes == "CYX"
    np.testing.assert_array_equal(image.data, np.moveaxis(data, -1, 0))
    assert image.notes == (f"a.npy: the {count} samples of a pixel were read as channels",)
    np.testing.assert_array_equal(image.read((1,), slice(3, 9), slice(8, 20)).data, data[3:9, 8:20, 1])


def test_pages_of_an_npy_stay_pages(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((5, H, 12)))
    assert read_image(tmp_path / "a.npy").axes == "QYX"


@pytest.mark.parametrize(("dpi", "resolution"), [(None, None), ((300, 300), ((300, 1), (300, 1)))])
def test_a_jpeg_has_a_resolution_only_where_it_says_so(
    tmp_path: Path, dpi: tuple[int, int] | None, resolution: tuple[tuple[int, int], tuple[int, int]] | None
) -> None:
    exif = PillowImage.Exif()
    exif[271] = "Camera"
    PillowImage.fromarray(pixels()).save(tmp_path / "a.jpg", exif=exif, **({} if dpi is None else {"dpi": dpi}))
    found = read_image(tmp_path / "a.jpg").metadata.resolution
    assert (None if found is None else (found.x, found.y)) == resolution


def test_a_resolution_in_exif_alone_is_read(tmp_path: Path) -> None:
    exif = PillowImage.Exif()
    exif[282] = exif[283] = 240.0
    exif[296] = 2
    PillowImage.fromarray(pixels()).save(tmp_path / "a.jpg", exif=exif)
    found = read_image(tmp_path / "a.jpg").metadata.resolution
    assert found is not None
    assert found.x == (240, 1)


@pytest.mark.parametrize("text", ["-3.4028235E38", "-3.40282e+38", "-3.4028234663852886e+38"])
def test_the_lowest_float_that_a_program_printed_is_the_missing_value(tmp_path: Path, text: str) -> None:
    lowest = np.finfo("f4").min
    if text == "-3.40282e+38":
        lowest = np.float32(text)
    data = pixels().astype("f4")
    data[:5] = lowest
    tifffile.imwrite(tmp_path / "a.tif", data, metadata=None, extratags=[(42113, 2, 0, text, True)])
    image = read_image(tmp_path / "a.tif")
    assert image.metadata.nodata == lowest
    np.testing.assert_array_equal(image.valid(), data != lowest)
    write_image(tmp_path / "b.tif", data, like=image)
    assert read_image(tmp_path / "b.tif").metadata.nodata == lowest


def test_tiles_left_out_of_a_file_whose_missing_value_is_the_lowest_float_hold_it(tmp_path: Path) -> None:
    tag = [(42113, 2, 0, "-3.4028235E38", True)]
    tifffile.imwrite(tmp_path / "a.tif", pixels().astype("f4"), tile=(16, 16), metadata=None, extratags=tag)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        page = file.pages.first
        page.tags[325].overwrite((*page.databytecounts[:-1], 0))
        page.tags[324].overwrite((*page.dataoffsets[:-1], 0))
    assert (np.asarray(read_image(tmp_path / "a.tif").data)[32:, 48:] == np.finfo("f4").min).all()


def test_other_riff_files_are_no_webp(tmp_path: Path) -> None:
    (tmp_path / "a.avi").write_bytes(b"RIFF" + struct.pack("<I", 72) + b"AVI LIST" + bytes(60))
    refused(tmp_path / "a.avi", "bytes that begin with 52 49 46 46")


def test_old_style_jpeg_in_a_tiff_is_called_that(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels(), metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        file.pages.first.tags[259].overwrite(6)
    refused(tmp_path / "a.tif", "old-style JPEG (compression 6)")


def test_a_jpeg_of_12_bits_is_read_at_its_depth(tmp_path: Path) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    ramp = (np.arange(H)[:, None] * 50 + np.arange(W) * 30).astype(np.uint16)
    (tmp_path / "a.jpg").write_bytes(imagecodecs.jpeg_encode(ramp, level=98, bitspersample=12))
    image = read_image(tmp_path / "a.jpg")
    assert image.dtype == np.uint16
    # At level 98 the steps of the quantization are a few values, of 4096.
    np.testing.assert_allclose(image.data, ramp, atol=24)


def test_a_lossless_jpeg_of_16_bits_is_exact(tmp_path: Path) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    data = pixels(top=65536, dtype="u2")
    (tmp_path / "a.jpg").write_bytes(imagecodecs.jpeg_encode(data, lossless=True, bitspersample=16))
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg").data, data)


@pytest.mark.parametrize("code", [256, 257, 258, 277, 278])
@pytest.mark.parametrize(("kind", "value"), [(11, struct.pack("<f", 64)), (9, struct.pack("<i", -64)), (2, b"64\0\0")])
def test_sizes_of_a_tiff_that_are_no_whole_numbers_are_refused(
    tmp_path: Path, code: int, kind: int, value: bytes
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels(), metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        offset = file.pages.first.tags[code].offset
    content = bytearray((tmp_path / "a.tif").read_bytes())
    content[offset : offset + 12] = struct.pack("<HHI", code, kind, 4 if kind == 2 else 1) + value
    (tmp_path / "a.tif").write_bytes(content)
    refused(tmp_path / "a.tif", "is no unsigned whole number")


@pytest.mark.parametrize("artist", ["Jörg Müller", "山田"])
def test_names_beyond_ascii_are_kept(tmp_path: Path, artist: str) -> None:
    exif = PillowImage.Exif()
    exif[315] = artist.encode()
    PillowImage.fromarray(pixels()).save(tmp_path / "a.jpg", exif=exif)
    image = read_image(tmp_path / "a.jpg")
    assert write_image(tmp_path / "b.tif", image.data, like=image) == ()
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.pages.first.tags[315].value == artist
    again = read_image(tmp_path / "b.tif")
    assert write_image(tmp_path / "c.tif", again.data, like=again) == ()
    with tifffile.TiffFile(tmp_path / "c.tif") as file:
        assert file.pages.first.tags[315].value == artist


@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_a_tiff_of_inks_becomes_rgb_like_a_jpeg_of_inks(tmp_path: Path, dtype: str, planar: str) -> None:
    inks = pixels(4, top=256).astype(dtype) * (257 if dtype == "u2" else 1)
    stored = inks if planar == "contig" else np.moveaxis(inks, -1, 0)
    options = {"photometric": "separated", "planarconfig": planar, "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", stored.astype(dtype), **options, iccprofile=bytes(range(100)))
    image = read_image(tmp_path / "a.tif")
    assert image.axes == "YXS"
    shown = np.asarray(
        PillowImage.fromarray((inks // (257 if dtype == "u2" else 1)).astype("u1"), "CMYK").convert("RGB")
    )
    # Pillow rounds to 8 bits in two steps.
    np.testing.assert_allclose(np.asarray(image.data) / (257 if dtype == "u2" else 1), shown, atol=1.01)
    assert write_image(tmp_path / "b.tif", image.data, like=image) == ("left out: CMYK (RGB instead)",)


def test_a_tiff_of_inks_in_jpeg_and_one_with_opacity_are_read(tmp_path: Path) -> None:
    inks = pixels(4, top=256).astype("u1")
    PillowImage.fromarray(inks, "CMYK").save(tmp_path / "a.tif", compression="jpeg", quality=95)
    shown = np.asarray(PillowImage.open(tmp_path / "a.tif").convert("RGB"))
    np.testing.assert_allclose(np.asarray(read_image(tmp_path / "a.tif").data), shown, atol=1.01)  # rounded twice
    five = np.dstack([inks, inks[..., :1]])
    options = {"planarconfig": "contig", "extrasamples": ["unassalpha"], "metadata": None}
    tifffile.imwrite(tmp_path / "b.tif", five, photometric="separated", **options)
    image = read_image(tmp_path / "b.tif")
    assert image.metadata.alpha
    assert np.array_equal(np.asarray(image.data)[..., 3], inks[..., 0])
    shown = np.asarray(PillowImage.fromarray(inks, "CMYK").convert("RGB"))
    np.testing.assert_allclose(np.asarray(image.data)[..., :3], shown, atol=1.01)


def test_other_inks_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels(5), photometric="separated", planarconfig="contig", metadata=None)
    refused(tmp_path / "a.tif", "cyan, magenta, yellow and black")


def test_a_tiny_gif_that_claims_a_large_picture_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    screen = b"GIF89a" + struct.pack("<HHBBB", 12000, 12000, 0x80, 0, 0) + bytes(6)
    picture = b"," + struct.pack("<HHHHB", 0, 0, 12000, 12000, 0) + b"\x02\x02\x4c\x01\x00;"
    (tmp_path / "a.gif").write_bytes(screen + picture)
    refused(tmp_path / "a.gif", "12000 x 12000 pixels", "can hold")


def test_a_gif_of_one_colour_is_not_taken_for_a_claim(tmp_path: Path) -> None:
    content = io.BytesIO()
    PillowImage.new("P", (2000, 2000)).save(content, format="GIF")
    (tmp_path / "a.gif").write_bytes(content.getvalue())
    assert read_image(tmp_path / "a.gif").shape == (2000, 2000)


# BMP of numbers of colours


def bmp(
    path: Path, indices: np.ndarray, bits: int, colours: np.ndarray, *, core: bool = False, down: bool = False
) -> None:
    """Write a BMP of numbers of colours; ``colours``: (n, 3). ``core``: of OS/2. ``down``: from the first row on."""
    height, width = indices.shape
    stride = (width * bits + 31) // 32 * 4
    bit_planes = np.unpackbits(indices[:, :, None].astype("u1"), axis=2)[:, :, 8 - bits :].reshape(height, -1)
    rows = np.pad(np.packbits(bit_planes, axis=1), ((0, 0), (0, stride)))[:, :stride]
    table = b"".join(bytes(colour[::-1]) + b"\0" * (not core) for colour in colours.astype("u1"))
    lines = height * (-1 if down else 1)
    info = struct.pack("<IiiHHIIiiII", 40, width, lines, 1, bits, 0, 0, 2835, 2835, len(colours), 0)
    info = struct.pack("<IHHHH", 12, width, height, 1, bits) if core else info
    start = 14 + len(info) + len(table)
    content = (rows if down else rows[::-1]).tobytes()
    head = b"BM" + struct.pack("<IHHI", start + len(content), 0, 0, start)
    path.write_bytes(head + info + table + content)


GREYS = np.array([[0, 0, 0], [255, 255, 255]])
RAINBOW = np.random.default_rng(3).integers(0, 256, (16, 3))


@pytest.mark.parametrize("colours", [GREYS, GREYS[::-1]])
def test_a_bmp_of_8_bits_with_two_greys_has_8_bits(tmp_path: Path, colours: np.ndarray) -> None:
    indices = pixels(top=2)
    bmp(tmp_path / "a.bmp", indices, 8, colours)
    image = read_image(tmp_path / "a.bmp")
    assert np.array_equal(image.data, indices)
    assert np.array_equal((bright := image.luminance()) == bright.max(), indices == np.argmax(colours[:, 0]))


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("how", [{}, {"core": True}, {"down": True}])
def test_a_bmp_of_colours_is_read_in_them_or_as_numbers(tmp_path: Path, bits: int, how: dict[str, bool]) -> None:
    indices = pixels(top=16)[:, :53]
    colours = RAINBOW if not how.get("core") or bits == 4 else np.pad(RAINBOW, ((0, 240), (0, 0)))
    bmp(tmp_path / "a.bmp", indices, bits, colours, **how)
    assert np.array_equal(read_image(tmp_path / "a.bmp").data, RAINBOW[indices])
    assert np.array_equal(np.asarray(PillowImage.open(tmp_path / "a.bmp").convert("RGB")), RAINBOW[indices])
    assert np.array_equal(read_image(tmp_path / "a.bmp", indices=True).data, indices)


def test_a_bmp_of_4_bits_whose_greys_are_its_numbers_has_4_bits(tmp_path: Path) -> None:
    indices = pixels(top=16)
    bmp(tmp_path / "a.bmp", indices, 4, np.repeat(np.arange(16)[:, None], 3, axis=1))
    assert np.array_equal(read_image(tmp_path / "a.bmp").data, indices)


def test_a_bmp_cut_off_or_of_more_pixels_than_bytes_is_refused(tmp_path: Path) -> None:
    bmp(tmp_path / "a.bmp", pixels(top=2), 8, GREYS)
    content = (tmp_path / "a.bmp").read_bytes()
    (tmp_path / "a.bmp").write_bytes(content[:-9])
    refused(tmp_path / "a.bmp", "cut off")
    (tmp_path / "a.bmp").write_bytes(content[:18] + struct.pack("<ii", 2**30, 2**30) + content[26:])
    refused(tmp_path / "a.bmp")


# Animations


def test_the_palette_of_an_animation_is_that_of_all_its_frames(tmp_path: Path) -> None:
    """A ramp of which the first frame shows the dark half only."""
    ramp = np.stack([np.arange(256), np.arange(256) // 2, np.zeros(256)], axis=1).astype("u1")
    numbers = [pixels(top=100), pixels(top=250)]
    frames = [PillowImage.fromarray(frame, "P") for frame in numbers]
    for frame in frames:
        frame.putpalette(ramp.tobytes())
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    image = read_image(tmp_path / "a.png")
    assert np.array_equal(image.data, numbers)
    assert image.metadata.palette is not None
    assert np.array_equal(image.metadata.palette.colours[:250] // 257, ramp[:250])


def test_numbers_of_colours_of_a_gif_with_one_palette_stay(tmp_path: Path) -> None:
    """Labels that move: `zncc stack --interpolation nearest` keeps their numbers."""
    imagecodecs = pytest.importorskip("imagecodecs")
    first = np.kron(np.arange(20).reshape(4, 5), np.ones((10, 11))).astype("u1")
    labels = [np.roll(first, k, axis=1) for k in range(3)]
    colours = np.random.default_rng(5).integers(0, 256, (256, 3)).astype("u1")
    (tmp_path / "a.gif").write_bytes(imagecodecs.gif_encode(np.array(labels), colormap=colours))
    assert np.array_equal(read_image(tmp_path / "a.gif").data, colours[np.array(labels)])
    image = read_image(tmp_path / "a.gif", indices=True)
    assert image.axes == "TYX"
    assert image.metadata.palette is not None
    assert np.array_equal(image.data, labels)
    assert np.array_equal(image.metadata.palette.colours // 257, colours)


def test_times_of_the_frames_of_an_animation_are_named(tmp_path: Path) -> None:
    frames = [PillowImage.fromarray(pixels() // step) for step in (1, 2, 3)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:], duration=[40, 50, 60])
    image = read_image(tmp_path / "a.png")
    (note,) = write_image(tmp_path / "b.tif", np.asarray(image.data), like=image)
    assert note == "left out: the times of frames"


def test_frames_of_grey_with_opacity_stay_that(tmp_path: Path) -> None:
    stored = [pixels(2), pixels(2) // 2]
    frames = [PillowImage.fromarray(frame, "LA") for frame in stored]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:], blend=0)
    assert np.array_equal(read_image(tmp_path / "a.png").data, stored)


def test_all_frames_of_a_png_of_16_bit_colours_are_read(tmp_path: Path) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    stored = np.random.default_rng(0).integers(0, 65536, (3, H, W, 3)).astype(np.uint16)
    (tmp_path / "a.png").write_bytes(imagecodecs.apng_encode(stored))
    image = read_image(tmp_path / "a.png")
    assert image.axes == "TYXS"
    assert np.array_equal(image.data, stored)


# PNG


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_the_transparent_grey_of_a_png_is_that_of_its_depth(tmp_path: Path, bits: int) -> None:
    stored = pixels(top=2**bits)
    bit_planes = np.unpackbits(stored[:, :, None], axis=2)[:, :, 8 - bits :].reshape(H, -1)
    rows = b"".join(b"\0" + row.tobytes() for row in np.packbits(bit_planes, axis=1))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", W, H, bits, 0, 0, 0, 0)) + chunk(b"tRNS", struct.pack(">H", 1))
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + head + body)
    image = read_image(tmp_path / "a.png")
    assert np.array_equal(image.valid(), stored != 1)
    assert np.array_equal(np.asarray(image.data)[..., 0], stored * (255 // (2**bits - 1)))


# TIFF


@pytest.mark.parametrize("rows", [H, 7])
def test_strips_whose_lengths_an_old_program_left_zero_are_read(tmp_path: Path, rows: int) -> None:
    data = pixels()
    tifffile.imwrite(tmp_path / "a.tif", data, rowsperstrip=rows, metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        tag = file.pages.first.tags[279]
        tag.overwrite([0] * tag.count)
    assert np.array_equal(read_image(tmp_path / "a.tif").data, data)


def test_integers_of_24_bits_are_refused(tmp_path: Path) -> None:
    """Programs do not agree on the order of their bytes."""
    tifffile.imwrite(tmp_path / "a.tif", pixels(3), photometric="minisblack", planarconfig="contig", metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        file.pages.first.tags[277].overwrite(1)
        file.pages.first.tags[258].overwrite(24)
    refused(tmp_path / "a.tif", "24 bits")


@pytest.mark.parametrize("kind", ["LERC_DEFLATE", "LERC_ZSTD"])
def test_lerc_that_is_compressed_again_is_read(tmp_path: Path, kind: str) -> None:
    rasterio = pytest.importorskip("rasterio")
    pytest.importorskip("imagecodecs")
    data = np.random.default_rng(0).normal(size=(H, W)).astype(np.float32)
    options = {"driver": "GTiff", "height": H, "width": W, "count": 1, "dtype": "float32", "compress": kind}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(tmp_path / "a.tif", "w", **options) as file:
            file.write(data, 1)
    assert np.array_equal(read_image(tmp_path / "a.tif").data, data)


def test_the_missing_value_of_64_bit_integers_is_written_digit_by_digit(tmp_path: Path) -> None:
    lowest = np.iinfo(np.int64).min
    tags = [(42113, 2, 0, str(lowest), True)]
    tifffile.imwrite(tmp_path / "a.tif", pixels(dtype="i8"), metadata=None, extratags=tags)
    image = read_image(tmp_path / "a.tif")
    write_image(tmp_path / "b.tif", np.asarray(image.data), like=image)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.pages.first.tags[42113].value == str(lowest)


# PNM


def test_netpbms_formats_hold_what_is_stored(tmp_path: Path) -> None:
    bits, top = pixels(top=2), 4095
    grey, rgb = pixels(top=top + 1, dtype="u2"), pixels(3, top=top + 1, dtype="u2")
    size, black = f"{W} {H}\n".encode(), ((1 - bits) * 255).astype("u1")
    text = [" ".join(map(str, values.ravel())).encode() for values in (bits, grey, rgb)]
    packed = np.packbits(bits, axis=1).tobytes()
    pam = f"P7\nWIDTH {W}\nHEIGHT {H}\nDEPTH 4\nMAXVAL {top}\nTUPLTYPE RGB_ALPHA\nENDHDR\n".encode()
    rgba = pixels(4, top=top + 1, dtype="u2")
    floats = np.random.default_rng(1).normal(size=(H, W)).astype("f4")
    for name, content, expected in (
        ("a.pbm", b"P1\n# made by hand\n" + size + text[0], black),
        ("b.pbm", b"P1 " + size + text[0].replace(b" ", b""), black),
        ("c.pbm", b"P4\n" + size + packed, black),
        ("d.pgm", b"P2\n" + size + b"4095\n" + text[1], grey),
        ("e.pgm", b"P5\n" + size + b"# top\n4095\n" + grey.astype(">u2").tobytes(), grey),
        ("f.pgm", b"P5\n" + size + b"15\n" + (grey // 256).astype("u1").tobytes(), (grey // 256).astype("u1")),
        ("n.pgm", b"P5\n" + size + b"4095# bits\n" + grey.astype(">u2").tobytes(), grey),
        ("g.ppm", b"P3\n" + size + b"4095\n" + text[2], rgb),
        ("h.ppm", b"P6\n" + size + b"4095\n" + rgb.astype(">u2").tobytes(), rgb),
        ("i.pam", pam + rgba.astype(">u2").tobytes(), rgba),
        ("j.pfm", b"Pf\n" + size + b"-1.0\n" + floats[::-1].astype("<f4").tobytes(), floats),
        ("k.pfm", b"Pf\n" + size + b"1.0\n" + floats[::-1].astype(">f4").tobytes(), floats),
    ):
        (tmp_path / name).write_bytes(content)
        image = read_image(tmp_path / name)
        assert image.dtype == expected.dtype, name
        assert np.array_equal(image.data, expected), name
        (tmp_path / name).write_bytes(content[:-100])
        refused(tmp_path / name, "complete PNM")


def test_a_long_text_of_netpbm_is_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pnm, "_TEXT_BYTES", 10)
    values = pixels(3, top=4096, dtype="u2")
    text = " ".join(map(str, values.ravel())).encode()
    for name, content in (("a", text), ("b", text.replace(b" ", b" # a note, 7\n", 5)), ("c", text + b" 99999")):
        (tmp_path / f"{name}.ppm").write_bytes(f"P3 {W} {H} 4095\n".encode() + content)
        assert np.array_equal(read_image(tmp_path / f"{name}.ppm").data, values)


@pytest.mark.parametrize(
    "head",
    [
        *(b"P5\n9 9\n0\n", b"P5\n9 9\n70000\n", b"P5\n-9 9\n255\n", b"P5\n9\n", b"P7\nWIDTH 9\n"),
        b"P5 99999999 99999999 255\n",
    ],
)
def test_a_damaged_header_of_netpbm_is_refused(tmp_path: Path, head: bytes) -> None:
    (tmp_path / "a.pgm").write_bytes(head + bytes(200))
    refused(tmp_path / "a.pgm")


# World files


@pytest.mark.parametrize(
    "text", ["10,5\n0\n0\n-10,5\n5\n6\n", "\ufeff10.5 0 0 -10.5 5 6", "10.5\n0\n0\n-10.5\n5\n6\n\nfoo"]
)
def test_world_files_of_other_programs_are_read(tmp_path: Path, text: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels(), metadata=None)
    (tmp_path / "a.tfw").write_text(text, encoding="utf-8")
    (scale, *_) = read_image(tmp_path / "a.tif").metadata.georeference
    assert scale[3] == (10.5, 10.5, 0.0)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_the_opacity_of_bands_does_not_count_as_one_more_of_them(tmp_path: Path, planar: str) -> None:
    """Red, green, blue, infrared and opacity, as satellites have it: what is transparent is no data."""
    bands = pixels(5, dtype="u2")
    bands[:9, :, 4] = 0
    bands[9:, :, 4] = 65535
    stored = bands if planar == "contig" else np.moveaxis(bands, -1, 0)
    extra = ["unspecified", "unassalpha"]
    options = {"photometric": "rgb", "planarconfig": planar, "extrasamples": extra, "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", stored, **options)
    image = read_image(tmp_path / "a.tif")
    assert np.array_equal(image.data, np.moveaxis(bands, -1, 0))
    assert np.array_equal(image.read((0,)).valid(), bands[..., 4] > 0)
    (note,) = write_image(tmp_path / "b.tif", np.asarray(image.data), like=image)
    assert note == "left out: that the last band is opacity"
