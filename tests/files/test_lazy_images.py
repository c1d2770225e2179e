"""A large image is decoded part by part, and every part equals that part of the whole."""

from contextlib import suppress

import numpy as np
import pytest
import tifffile

from zncc_cli.errors import InputError
from zncc_cli.files import images
from zncc_cli.files.images import read_image
from zncc_cli.files.lazy import Cache, LazyArray
from zncc_cli.files.tiff import segments as tiff_segments
from zncc_cli.files.tiff.orientation import oriented

H, W = 75, 91


@pytest.fixture(autouse=True)
def every_file_counts_as_large(monkeypatch):
    monkeypatch.setattr(images, "_MAX_EAGER_BYTES", 0)


def pixels(*shape, dtype="u2"):
    values = np.random.default_rng(0).integers(0, 60000, shape, dtype="u2")
    return values.astype(dtype)


def assert_parts_equal(image, whole, seed=0):
    """Check random parts of random planes, and the whole, of a lazily read ``image`` against ``whole``."""
    assert isinstance(image.data, LazyArray)
    assert image.data.shape == whole.shape
    assert image.dtype == whole.dtype.newbyteorder("=")
    random = np.random.default_rng(seed)
    height, width = image.shape
    for _ in range(12):
        index = tuple(int(random.integers(size)) for size in image.leading)
        r0, r1 = sorted(random.integers(0, height + 1, 2))
        c0, c1 = sorted(random.integers(0, width + 1, 2))
        part = image.read(index, slice(r0, r1), slice(c0, c1))
        assert part.axes in ("YX", "YXS")
        assert part.data.dtype.isnative
        np.testing.assert_array_equal(part.data, whole[index][r0:r1, c0:c1])
    np.testing.assert_array_equal(np.asarray(image.data), whole)


LAYOUTS = [
    {},
    {"byteorder": ">"},
    {"bigtiff": True},
    {"rowsperstrip": 7},
    {"tile": (16, 32)},
    {"tile": (32, 16), "byteorder": ">"},
    {"tile": (16, 32), "compression": "zlib", "predictor": True},
    {"rowsperstrip": 9, "compression": "zlib"},
    {"rowsperstrip": 9, "compression": "zlib", "predictor": True, "byteorder": ">"},
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda options: " ".join(options) or "plain")
@pytest.mark.parametrize("kind", ["one page", "pages", "RGB", "planar RGB", "channels", "separate channels"])
def test_parts_of_a_tiff_equal_the_whole(tmp_path, layout, kind):
    shape = {
        "pages": (3, H, W),
        "RGB": (H, W, 3),
        "planar RGB": (3, H, W),
        "channels": (H, W, 5),
        "separate channels": (5, H, W),
    }.get(kind, (H, W))
    data = pixels(*shape)
    options = {
        "RGB": {"photometric": "rgb"},
        "planar RGB": {"photometric": "rgb", "planarconfig": "separate"},
        "channels": {"photometric": "minisblack", "planarconfig": "contig"},
        "separate channels": {"photometric": "minisblack", "planarconfig": "separate"},
    }.get(kind, {"photometric": "minisblack"})
    tifffile.imwrite(tmp_path / "a.tif", data, metadata=None, **options, **layout)
    last, first = {"planar RGB": (True, False), "channels": (False, True)}.get(kind, (False, False))
    whole = np.moveaxis(data, 0, -1) if last else np.moveaxis(data, -1, 0) if first else data
    image = read_image(tmp_path / "a.tif")
    expected = {"pages": "IYX", "RGB": "YXS", "planar RGB": "YXS", "one page": "YX"}.get(kind, "CYX")
    assert image.axes == expected
    assert_parts_equal(image, whole)


@pytest.mark.parametrize("dtype", ["u1", "i1", "u4", "i8", "u8", "f2", "f4", "f8"])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib", "tile": (16, 16)}, {"byteorder": ">"}])
def test_parts_keep_the_dtype(tmp_path, dtype, options):
    data = pixels(H, W, dtype=dtype)
    tifffile.imwrite(tmp_path / "a.tif", data, **options)
    assert_parts_equal(read_image(tmp_path / "a.tif"), data)


@pytest.mark.parametrize("compression", ["lzw", "zstd", "lzma", "packbits", "png", "jpegxl", "lerc", "jpeg2000"])
def test_parts_of_tiles_of_every_lossless_codec(tmp_path, compression):
    pytest.importorskip("imagecodecs")
    data = pixels(H, W, dtype="u1")
    options = {"compressionargs": {"level": 0}} if compression == "jpeg2000" else {}
    tifffile.imwrite(tmp_path / "a.tif", data, tile=(32, 16), compression=compression, **options)
    assert_parts_equal(read_image(tmp_path / "a.tif"), data)


@pytest.mark.parametrize("compression", ["jpeg", "webp"])
def test_parts_of_lossy_tiles_are_what_tifffile_decodes(tmp_path, compression):
    pytest.importorskip("imagecodecs")
    data = pixels(H, W, 3, dtype="u1")
    tifffile.imwrite(tmp_path / "a.tif", data, tile=(32, 16), photometric="rgb", compression=compression)
    assert_parts_equal(read_image(tmp_path / "a.tif"), tifffile.imread(tmp_path / "a.tif"))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("options", [{}, {"tile": (16, 32)}])
def test_parts_of_a_turned_tiff_equal_the_turned_whole(tmp_path, orientation, options):
    data = pixels(H, W, 3)
    tags = [(274, 3, 1, orientation, True)]
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="rgb", extratags=tags, **options)
    assert_parts_equal(read_image(tmp_path / "a.tif"), oriented(data, orientation))


def test_parts_of_bits_and_of_a_palette(tmp_path):
    bits = pixels(H, W) > 30000
    tifffile.imwrite(tmp_path / "bits.tif", bits, photometric="minisblack", rowsperstrip=10)
    assert_parts_equal(read_image(tmp_path / "bits.tif"), bits.astype("u1") * np.uint8(255))
    indices, colours = pixels(H, W, dtype="u1"), pixels(3, 256)
    tifffile.imwrite(tmp_path / "palette.tif", indices, photometric="palette", colormap=colours, tile=(16, 16))
    assert_parts_equal(read_image(tmp_path / "palette.tif"), colours.T[indices])


def test_parts_of_a_hyperstack_in_one_run(tmp_path):
    data = pixels(3, 2, 4, H, W)
    tifffile.imwrite(tmp_path / "a.tif", data, imagej=True, metadata={"axes": "TZCYX"})
    image = read_image(tmp_path / "a.tif")
    assert image.axes == "TZCYX"
    assert_parts_equal(image, data)


def test_parts_of_a_volume(tmp_path):
    data = pixels(40, H, W)
    tifffile.imwrite(tmp_path / "a.tif", data, volumetric=True, tile=(16, 16, 32), compression="zlib")
    image = read_image(tmp_path / "a.tif")
    assert image.axes == "ZYX"
    assert_parts_equal(image, data)


@pytest.mark.parametrize("shape", [(H, W), (H, W, 3), (4, H, W), (2, 3, H, W, 4)])
@pytest.mark.parametrize("dtype", ["u2", ">u2", "f4", ">f8"])
def test_parts_of_an_npy(tmp_path, shape, dtype):
    data = pixels(*shape, dtype=dtype)
    np.save(tmp_path / "a.npy", data)
    assert_parts_equal(read_image(tmp_path / "a.npy"), data)


def test_one_page_of_a_lazy_image_is_lazy(tmp_path):
    data = pixels(3, 2, 4, H, W)
    tifffile.imwrite(tmp_path / "a.tif", data, imagej=True, metadata={"axes": "TZCYX"})
    image = read_image(tmp_path / "a.tif", page=3)
    assert image.axes == "CYX"
    assert_parts_equal(image, data[1, 1])


@pytest.mark.parametrize("options", [{"tile": (16, 16)}, {"rowsperstrip": 8}])
@pytest.mark.parametrize("step", [5, 16, 40])
def test_reading_rows_in_order_decodes_each_piece_once(tmp_path, monkeypatch, options, step):
    data = pixels(160, 96)
    tifffile.imwrite(tmp_path / "a.tif", data, compression="zlib", **options)
    decoded = []
    decode = tiff_segments.Planes._decoded

    def counted(self, content, number, tables):
        decoded.append(number)
        return decode(self, content, number, tables)

    monkeypatch.setattr(tiff_segments.Planes, "_decoded", counted)
    image = read_image(tmp_path / "a.tif")
    assert not decoded
    for row in range(0, 160, step):
        np.testing.assert_array_equal(image.read((), slice(row, row + step)).data, data[row : row + step])
    assert len(decoded) == len(set(decoded)) == (60 if "tile" in options else 20)


def test_a_cache_keeps_the_last_used_pieces_within_its_limit():
    cache = Cache(100)
    for key in "abc":
        cache.put(key, np.zeros(40, "u1"))
        cache.get("a")
    assert [cache.get(key) is not None for key in "abc"] == [True, False, True]
    cache.put("large", np.zeros(101, "u1"))
    assert cache.get("large") is None


def test_a_part_that_is_no_part_of_one_plane_is_refused():
    array = LazyArray((2, 8, 9), "u2", 2, lambda *_: np.zeros(0, "u2"))
    for key in [(slice(None),), (0, slice(None, None, 2)), (2,), (0, 1, 2)]:
        with pytest.raises(IndexError):
            array[key]


def test_a_file_that_is_cut_off_after_it_was_opened_is_refused_where_it_is_read(tmp_path):
    path = tmp_path / "a.tif"
    for options in ({}, {"tile": (16, 16)}, {"compression": "zlib", "rowsperstrip": 8}):
        tifffile.imwrite(path, pixels(H, W), **options)
        image = read_image(path)
        path.write_bytes(path.read_bytes()[:3000])
        with pytest.raises(InputError, match="cut off"):
            image.read()


@pytest.mark.parametrize("seed", range(40))
def test_random_damage_of_a_lazy_file_ends_in_parts_or_in_an_input_error(tmp_path, seed, capfd):
    random = np.random.default_rng(seed)
    path = tmp_path / "a.tif"
    for options in (
        {"tile": (16, 16), "compression": "zlib"},
        {"rowsperstrip": 9, "compression": "zlib", "predictor": True},
        {"bigtiff": True, "tile": (32, 16)},
        {"imagej": True},
        {"ome": True, "compression": "zlib"},
    ):
        tifffile.imwrite(path, pixels(3, 40, 60), photometric="minisblack", **options)
        damaged = bytearray(path.read_bytes())
        for place in random.integers(0, len(damaged), 6):
            damaged[place] = random.integers(256)
        for place in (random.integers(min(400, len(damaged))), -1 - random.integers(min(800, len(damaged)))):
            damaged[place] = random.choice([0, 1, 2, 255])
        path.write_bytes(damaged)
        with suppress(InputError):
            image = read_image(path)
            for number in range(3):
                index = tuple(number % size for size in image.leading)
                image.read(index, slice(3, 30), slice(5, 50))
    assert capfd.readouterr() == ("", "")
