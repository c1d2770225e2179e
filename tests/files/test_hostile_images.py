"""Files that are no images, or whose headers lie, give an error of one line that says so."""

import io
import os
import pickle
import shutil
import struct
import subprocess
import sys
import zlib
from contextlib import suppress

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

from zncc_cli.errors import InputError, OptionError
from zncc_cli.files.images import read_image
from zncc_cli.files.tiff.segments import Planes


def refused(path, *words, **options):
    """Read ``path``; check that the error is one line that names it and contains ``words``; return the line."""
    with pytest.raises(InputError) as caught:
        read_image(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: expected ")
    for word in words:
        assert word in message
    return message


def grey(dtype="u2"):
    return np.random.default_rng(0).integers(0, 255, (40, 60)).astype(dtype)


def tiff_bytes(data=None, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, grey() if data is None else data, metadata=None, **options)
    return buffer.getvalue()


def with_tag(content, code, value):
    """Return ``content``, a little-endian TIFF, with the number in tag ``code`` replaced by ``value`` (as a long)."""
    (offset,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, offset)
    changed = bytearray(content)
    for entry in range(offset + 2, offset + 2 + 12 * count, 12):
        if struct.unpack_from("<H", content, entry)[0] == code:
            struct.pack_into("<HII", changed, entry + 2, 4, 1, value)
            return bytes(changed)
    raise AssertionError(f"no tag {code}")


def test_refuses_a_missing_file(tmp_path):
    refused(tmp_path / "missing.tif", "missing.tif: expected a file, found nothing there; check the name")


def test_refuses_a_folder(tmp_path):
    refused(tmp_path, "a folder")


def test_refuses_an_empty_file(tmp_path):
    (tmp_path / "a.tif").touch()
    refused(tmp_path / "a.tif", "an empty file")


def test_refuses_a_named_pipe_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "a.tif")  # nobody ever writes to it
    refused(tmp_path / "a.tif", "a named pipe")


def test_refuses_a_device():
    refused("/dev/zero", "a device")


def test_refuses_a_link_to_itself(tmp_path):
    (tmp_path / "a.tif").symlink_to("a.tif")
    refused(tmp_path / "a.tif")


def test_refuses_a_name_that_no_file_can_have(tmp_path):
    refused(tmp_path / ("a" * 300))
    with pytest.raises(InputError, match=r"a\\x00b"):
        read_image(f"{tmp_path}/a\0b")


def test_spells_out_line_breaks_and_escapes_in_names(tmp_path):
    with pytest.raises(InputError) as caught:
        read_image(tmp_path / "a\n\x1b[31mb.tif")
    assert r"a\n\x1b[31mb.tif" in str(caught.value)


SETPRIV = shutil.which("setpriv")


@pytest.mark.skipif(os.geteuid() == 0 and not SETPRIV, reason="root may read everything, and setpriv is missing")
def test_refuses_a_file_without_permission(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(tiff_bytes())
    path.chmod(0)
    drop = [SETPRIV, "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    code = "import sys; from zncc_cli.files.images import read_image; read_image(sys.argv[1])"
    run = subprocess.run([*drop, sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert run.stderr.splitlines()[-1].endswith(
        f"InputError: {path}: expected a readable file, found Permission denied; check its permissions"
    )


def test_refuses_text_named_tif(tmp_path):
    (tmp_path / "a.tif").write_text("x,y\n1,2\n")
    refused(tmp_path / "a.tif", 'text that begins with "x,y 1,2')


def test_refuses_unknown_bytes(tmp_path):
    (tmp_path / "a.tif").write_bytes(bytes(range(128, 160)))
    refused(tmp_path / "a.tif", "bytes that begin with 80 81 82")


def test_refuses_a_tiff_without_pages(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0\0\0\0\0")
    refused(tmp_path / "a.tif")


def test_refuses_a_tiff_whose_first_page_lies_beyond_its_end(tmp_path, caplog, capfd):
    (tmp_path / "a.tif").write_bytes(b"II*\0" + struct.pack("<I", 10**6))
    refused(tmp_path / "a.tif")
    assert caplog.text == ""
    assert capfd.readouterr() == ("", "")


def test_refuses_pages_that_follow_each_other_in_a_circle(tmp_path):
    content = bytearray(tiff_bytes())
    (offset,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, offset)
    struct.pack_into("<I", content, offset + 2 + 12 * count, offset)
    (tmp_path / "a.tif").write_bytes(content)
    try:
        assert read_image(tmp_path / "a.tif").shape == (40, 60)
    except InputError:
        refused(tmp_path / "a.tif")


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"tile": (16, 16)}, {"rowsperstrip": 7}])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_refuses_a_truncated_tiff(tmp_path, options, share):
    content = tiff_bytes(**options)
    (tmp_path / "a.tif").write_bytes(content[: int(len(content) * share)])
    refused(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".gif", ".bmp", ".webp", ".ppm"])
@pytest.mark.parametrize("share", [0.1, 0.6, 0.9])
def test_refuses_a_truncated_picture(tmp_path, suffix, share):
    data = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    content = iio.imwrite("<bytes>", data, extension=suffix, plugin="pillow")
    (tmp_path / "a").write_bytes(content[: int(len(content) * share)])
    message = refused(tmp_path / "a")
    assert not any(inward in message for inward in ("unpack", "<_io", "index", "NoneType"))


def test_a_picture_that_ends_in_its_header_is_said_to_be_damaged(tmp_path):
    content = iio.imwrite("<bytes>", grey("u1"), extension=".png", plugin="pillow")
    for length in (9, 30, len(content) // 2):
        (tmp_path / "a.png").write_bytes(content[:length])
        refused(tmp_path / "a.png", "a complete PNG file, found a truncated or damaged one; copy or export")


@pytest.mark.parametrize(("tag", "value"), [(256, 10**6), (257, 10**6), (257, 41)])
def test_refuses_a_tiff_that_claims_more_pixels_than_it_holds(tmp_path, tag, value):
    (tmp_path / "a.tif").write_bytes(with_tag(tiff_bytes(), tag, value))
    refused(tmp_path / "a.tif")


def test_refuses_a_tiff_whose_size_would_fill_the_memory(tmp_path):
    content = with_tag(with_tag(tiff_bytes(compression="zlib"), 256, 2**31 - 1), 257, 2**31 - 1)
    (tmp_path / "a.tif").write_bytes(content)
    refused(tmp_path / "a.tif", "strips of at most 268435456 bytes", "smaller tiles or strips")


def test_refuses_a_tile_that_would_fill_the_memory(tmp_path):
    content = with_tag(tiff_bytes(compression="zlib", tile=(16, 16)), 322, 2**30)
    (tmp_path / "a.tif").write_bytes(content)
    refused(tmp_path / "a.tif")


def test_refuses_a_png_whose_size_would_fill_the_memory(tmp_path):
    content = bytearray(iio.imwrite("<bytes>", grey("u1"), extension=".png", plugin="pillow"))
    struct.pack_into(">II", content, 16, 2**30, 2**30)
    struct.pack_into(">I", content, 29, zlib.crc32(content[12:29]))
    (tmp_path / "a.png").write_bytes(content)
    refused(tmp_path / "a.png", "1152921504606846976 pixels", "save it as TIFF")


@pytest.mark.parametrize("kind", ["png", "one strip", "columns first"])
def test_limit_of_what_is_decoded_whole_is_the_callers(tmp_path, kind):
    path = tmp_path / "a"
    if kind == "png":
        path.write_bytes(iio.imwrite("<bytes>", grey("u1"), extension=".png", plugin="pillow"))
    elif kind == "one strip":
        path.write_bytes(tiff_bytes(grey("u1"), compression="zlib"))
    else:
        with path.open("wb") as file:
            np.save(file, np.asfortranarray(grey("u1")))
    refused(path, "at most 2399 bytes", max_bytes=2399)
    assert read_image(path, max_bytes=2400).shape == (40, 60)


@pytest.mark.parametrize("suffix", [".tif", ".npy"])
def test_what_is_larger_than_the_limit_is_read_in_parts(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    {".tif": tifffile.imwrite, ".npy": np.save}[suffix](path, grey("u1"))
    image = read_image(path, max_bytes=2399)
    assert not isinstance(image.data, np.ndarray)
    np.testing.assert_array_equal(image.read((), slice(3, 9)).data, grey("u1")[3:9])


@pytest.mark.parametrize("series", [3, -1])
def test_refuses_a_series_that_is_not_there_and_says_how_many_are(tmp_path, series):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for height in (40, 25, 13):
            file.write(grey()[:height], metadata=None)
    with pytest.raises(OptionError, match=rf"`series` {series}: expected a number from 0 to 2, in .*a\.tif"):
        read_image(tmp_path / "a.tif", series=series)


def test_refuses_a_series_of_a_file_that_has_one(tmp_path):
    np.save(tmp_path / "a.npy", grey())
    with pytest.raises(OptionError, match=r"`series` 1: expected 0, the only one, in .*a\.npy"):
        read_image(tmp_path / "a.npy", series=1)


@pytest.mark.parametrize("page", [5, -1])
def test_refuses_a_page_that_is_not_there_and_says_how_many_are(tmp_path, page):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 40, 60), "u2"), photometric="minisblack")
    with pytest.raises(OptionError, match=rf"`page` {page}: expected a number from 0 to 4, in .*a\.tif"):
        read_image(tmp_path / "a.tif", page=page)


def test_refuses_a_circle_of_many_pages(tmp_path):
    content = bytearray(tiff_bytes(np.zeros((300, 4, 4), "u1"), photometric="minisblack"))
    (offset,) = struct.unpack_from("<I", content, 4)
    offsets = []
    while offset:
        offsets.append(offset)
        (count,) = struct.unpack_from("<H", content, offset)
        link = offset + 2 + 12 * count
        (offset,) = struct.unpack_from("<I", content, link)
    struct.pack_into("<I", content, link, offsets[150])
    (tmp_path / "a.tif").write_bytes(content)
    refused(tmp_path / "a.tif", "lead back")


def test_refuses_a_stack_of_imagej_that_claims_more_planes_than_it_holds(tmp_path):
    data = np.zeros((3, 40, 60), "u2")
    tifffile.imwrite(tmp_path / "a.tif", data, imagej=True)
    content = (tmp_path / "a.tif").read_bytes().replace(b"images=3\nslices=3", b"images=9\nslices=9")
    (tmp_path / "a.tif").write_bytes(content)
    image = read_image(tmp_path / "a.tif")
    assert image.leading == (3,)  # the pages are there, whatever the text says


@pytest.mark.parametrize("claim", ['SizeT="1000000000"', 'PlaneCount="1000000000"'])
def test_ignores_ome_xml_that_claims_more_planes_than_there_are_pages(tmp_path, claim):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, np.zeros((3, 40, 60), "u2"), photometric="minisblack", metadata={"axes": "TYX"})
    with tifffile.TiffFile(path) as file:
        xml = file.ome_metadata
    name = claim.split("=")[0]
    changed = xml.replace(f'{name}="3"', claim)
    assert changed != xml
    tifffile.imwrite(path, np.zeros((3, 40, 60), "u2"), photometric="minisblack", description=changed, metadata=None)
    image = read_image(path)
    assert image.axes == "IYX"
    assert "OME-XML was not used" in image.notes[0]


def test_ignores_ome_xml_that_takes_minutes_to_parse(tmp_path):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, grey(), metadata={"axes": "YX"})
    with tifffile.TiffFile(path) as file:
        xml = file.ome_metadata
    long = xml.replace("</Pixels>", '<Plane TheZ="0" TheC="0" TheT="0"/>' * 300_000 + "</Pixels>")
    tifffile.imwrite(path, grey(), description=long, metadata=None)
    image = read_image(path)
    assert "OME-XML was not used: it has 1" in image.notes[0]
    np.testing.assert_array_equal(image.data, grey())


def test_refuses_a_description_of_a_gigabyte_unread(tmp_path):
    content = tiff_bytes(description="a" * 99)
    (offset,) = struct.unpack_from("<I", content, 4)
    changed = bytearray(content)
    entry = next(
        place for place in range(offset + 2, len(content), 12) if struct.unpack_from("<H", content, place)[0] == 270
    )
    struct.pack_into("<I", changed, entry + 4, 2**30)
    with (tmp_path / "a.tif").open("wb") as file:
        file.write(changed)
        file.truncate(2**31)  # sparse
    refused(tmp_path / "a.tif", "a description of at most", "1073741824 bytes")


def test_opens_no_further_file_that_ome_xml_names(tmp_path):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, grey(), metadata={"axes": "YX"})
    tifffile.imwrite(tmp_path / "secret.tif", grey() + 1)
    with tifffile.TiffFile(path) as file:
        xml = file.ome_metadata
    data = '<TiffData IFD="0" PlaneCount="1">'
    uuid = '<UUID FileName="{}">urn:uuid:{}</UUID></TiffData>'
    both = data + uuid.format("a.ome.tif", "1") + data.replace("0", "1") + uuid.format("secret.tif", "2")
    changed = xml.replace('<TiffData IFD="0" PlaneCount="1"/>', both)
    assert changed != xml
    tifffile.imwrite(path, grey(), description=changed, metadata=None)
    image = read_image(path)
    np.testing.assert_array_equal(image.data, grey())
    assert "further files" in image.notes[0]


def test_refuses_more_pixels_than_the_file_can_hold_under_its_compression(tmp_path):
    content = tiff_bytes(np.zeros((400, 600), "u1"), compression="zlib", rowsperstrip=1)
    (tmp_path / "a.tif").write_bytes(with_tag(content, 256, 200_000))
    refused(tmp_path / "a.tif", "can hold")


@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000", "png", "webp", "jpegxl", "lerc"])
def test_refuses_a_tile_whose_picture_is_larger_than_the_tile(tmp_path, compression):
    pytest.importorskip("imagecodecs")
    options = {"tile": (512, 512), "compression": compression, "photometric": "rgb"}
    content = tiff_bytes(np.zeros((512, 512, 3), "u1"), **options)
    for tag in (256, 257, 322, 323):
        content = with_tag(content, tag, 64)
    (tmp_path / "a.tif").write_bytes(content)
    refused(tmp_path / "a.tif")


@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000"])
def test_refuses_a_tile_whose_picture_has_more_samples_than_the_tile(tmp_path, compression):
    pytest.importorskip("imagecodecs")
    colour = tiff_bytes(np.zeros((64, 64, 3), "u1"), tile=(64, 64), compression=compression, photometric="rgb")
    assert read_bytes(tmp_path, colour).axes == "YXS"
    grey_tags = with_tag(with_tag(colour, 277, 1), 262, 1)
    with pytest.raises(InputError, match="claims the size"):
        read_bytes(tmp_path, with_tag(grey_tags, 258, 8))


def read_bytes(folder, content):
    (folder / "a.tif").write_bytes(content)
    return read_image(folder / "a.tif")


def test_refuses_tiff_of_another_colour_space(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((40, 60, 3), "u1"), photometric="cielab")
    refused(tmp_path / "a.tif", "CIELAB")


def test_refuses_complex_pixels(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", grey("c8"))
    refused(tmp_path / "a.tif", "complex64")


def test_refuses_an_animation_that_would_fill_the_memory(tmp_path):
    frames = np.random.default_rng(0).integers(0, 255, (4, 40, 60, 3), dtype=np.uint8)
    iio.imwrite(tmp_path / "a.gif", frames, plugin="pillow")
    refused(tmp_path / "a.gif", "at most 28799 bytes", max_bytes=28799)


def test_refuses_colour_png_of_16_bits_rather_than_rounding_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header + bytes(4))
    refused(tmp_path / "a.png", "16-bit colour PNG", "TIFF")


@pytest.mark.skipif(5 in tifffile.TIFF.DECOMPRESSORS, reason="imagecodecs is installed")
def test_names_the_extra_that_reads_a_compression(tmp_path):
    (tmp_path / "a.tif").write_bytes(with_tag(tiff_bytes(compression="zlib"), 259, 5))
    refused(tmp_path / "a.tif", "LZW", 'pip install "zncc-cli[codecs]"')


class Payload:
    def __reduce__(self):
        return os.mkdir, ("pickle-ran",)


def test_refuses_pickled_npy_and_runs_none_of_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", np.array([[Payload()]], dtype=object), allow_pickle=True)
    refused("a.npy", "Python objects")
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Payload()))
    refused("b.npy")
    assert not (tmp_path / "pickle-ran").exists()


@pytest.mark.parametrize("shape", [(40,), (0, 60), (3, 0, 60)])
def test_refuses_npy_that_is_no_2d_image(tmp_path, shape):
    np.save(tmp_path / "a.npy", np.zeros(shape))
    refused(tmp_path / "a.npy")


@pytest.mark.parametrize("dtype", ["c8", "S3", "U2", "M8[s]", "V4"])
@pytest.mark.parametrize("shape", [(40, 50), (40, 50, 5)])
def test_refuses_npy_of_no_numbers(tmp_path, dtype, shape):
    np.save(tmp_path / "a.npy", np.zeros(shape, dtype))
    refused(tmp_path / "a.npy", "of integers or floats")


@pytest.mark.parametrize("size", [8, 60, 1000])
def test_refuses_truncated_npy(tmp_path, size):
    np.save(tmp_path / "a.npy", grey())
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:size])
    refused(tmp_path / "a.npy")


def test_refuses_npy_that_claims_more_than_it_holds(tmp_path):
    np.save(tmp_path / "a.npy", grey())
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content.replace(b"(40, 60)", b"(40000000, 60000000)"[:8].ljust(8)))
    refused(tmp_path / "a.npy")


def test_running_out_of_memory_is_an_input_error(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", grey())

    def exhausted(*args, **options):
        raise MemoryError

    monkeypatch.setattr(Planes, "read", exhausted)
    with pytest.raises(InputError, match="does not fit into memory"):
        read_image(tmp_path / "a.tif")


def test_an_interruption_is_not_turned_into_an_error(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", grey())

    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(Planes, "read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("seed", range(60))
def test_random_damage_ends_in_an_image_or_in_an_input_error(tmp_path, seed, capfd):
    random = np.random.default_rng(seed)
    rgb = random.integers(0, 255, (20, 30, 3), dtype=np.uint8)
    contents = [tiff_bytes(), tiff_bytes(compression="zlib", rowsperstrip=9), tiff_bytes(tile=(16, 16), bigtiff=True)]
    contents += [iio.imwrite("<bytes>", rgb, extension=kind, plugin="pillow") for kind in (".png", ".jpg", ".gif")]
    for content in contents:
        damaged = bytearray(content)
        for place in random.integers(0, len(damaged), 4):
            damaged[place] = random.integers(256)
        for place in (random.integers(min(300, len(damaged))), -1 - random.integers(min(300, len(damaged)))):
            damaged[place] = random.choice([0, 1, 2, 255])
        (tmp_path / "a").write_bytes(damaged)
        with suppress(InputError):
            read_image(tmp_path / "a")
    assert capfd.readouterr() == ("", "")
