"""Tags that each page has of its own, such as the time of its frame, are in the pages of the file that is written."""

import dataclasses
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile

from zncc_cli.errors import InputError
from zncc_cli.files.image_output import write_image
from zncc_cli.files.images import read_image
from zncc_cli.files.tiff import ifd_chain
from zncc_cli.files.tiff.ifd_chain import follow_pages
from zncc_cli.files.tiff.page_tags import put_page_tags

H, W, N = 24, 33, 4
TIMES = [f"2024:05:06 07:08:{second:02}" for second in range(N)]
ELAPSED, STAGE = 65330, 65331


def movie(path, **options):
    """Write a page for each time, with private tags: seconds of each, and a place that the second one lacks."""
    pixels = np.random.default_rng(0).integers(0, 250, (N, H, W)).astype(np.uint16)
    with tifffile.TiffWriter(path, **options) as file:
        for number, (plane, time) in enumerate(zip(pixels, TIMES, strict=True)):
            tags = [(ELAPSED, 12, 1, number / 8, True), (285, 2, 0, f"frame {number}", True)]
            tags += [(STAGE, 3, 3, (number, 7, 9), True)] if number != 1 else []
            description = f"frameTimestamps_sec = {number / 8}\nframe {number}"
            file.write(plane, datetime=time, extratags=tags, description=description, metadata=None)
    return pixels


def written(path, image=None, frame=None):
    image = image or read_image(path)
    out = path.parent / "out.tif"
    notes = write_image(out, np.asarray(image.data), like=image, frame=frame or image)
    return out, notes


def values(path, code):
    with tifffile.TiffFile(path) as file:
        return [page.tags[code].value if code in page.tags else None for page in file.pages]


@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"bigtiff": True}, {"bigtiff": True, "byteorder": ">"}])
def test_times_and_private_tags_of_every_page_are_kept(tmp_path, options):
    pixels = movie(tmp_path / "a.tif", **options)
    out, notes = written(tmp_path / "a.tif")
    assert notes == ()
    assert np.array_equal(tifffile.imread(out), pixels)
    assert values(out, 306) == TIMES
    assert values(out, ELAPSED) == [number / 8 for number in range(N)]
    assert values(out, STAGE) == [(0, 7, 9), None, (2, 7, 9), (3, 7, 9)]
    assert values(out, 285) == [f"frame {number}" for number in range(N)]
    assert values(out, 270)[2] == "frameTimestamps_sec = 0.25\nframe 2"


def test_tags_of_pages_are_kept_in_compressed_and_rgb_stacks(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 250, (N, H, W, 3)).astype(np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for plane, time in zip(pixels, TIMES, strict=True):
            file.write(plane, photometric="rgb", compression="zlib", datetime=time, metadata=None)
    out, notes = written(tmp_path / "a.tif")
    assert notes == ()
    assert np.array_equal(tifffile.imread(out), pixels)
    assert values(out, 306) == TIMES


def test_times_of_pages_are_kept_beside_imagejs_and_omes_description(tmp_path):
    image = read_image(with_movie(tmp_path))
    for flavor in ("imagej", "ome"):
        like = dataclasses.replace(image, axes="TYX", metadata=dataclasses.replace(image.metadata, flavor=flavor))
        out, notes = written(tmp_path / "a.tif", like)
        assert notes == ()
        with tifffile.TiffFile(out) as file:
            assert getattr(file, f"is_{flavor}")
            assert file.series[0].axes == "TYX"
            assert np.array_equal(file.asarray(), image.data)
        assert values(out, 306) == TIMES


def with_movie(folder):
    movie(folder / "a.tif")
    return folder / "a.tif"


def test_one_page_of_a_movie_has_its_own_tags(tmp_path):
    image = read_image(with_movie(tmp_path), page=2)
    out, notes = written(tmp_path / "a.tif", image)
    assert notes == ()
    assert values(out, 306) == [TIMES[2]]
    assert values(out, STAGE) == [(2, 7, 9)]
    assert values(out, 270) == ["frameTimestamps_sec = 0.25\nframe 2"]
    assert values(written(tmp_path / "a.tif", read_image(tmp_path / "a.tif", page=1))[0], STAGE) == [None]


def test_tags_of_pages_that_are_written_are_read_again(tmp_path):
    image = read_image(with_movie(tmp_path))
    out, _ = written(tmp_path / "a.tif")
    assert read_image(out).metadata.page_tags == image.metadata.page_tags


def test_tags_of_pages_that_cannot_be_copied_are_named(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for number in range(2):
            tags = [(51123, 2, 0, f'{{"t": {number}}}', True), (65000, 7, 2**17, bytes([number]) * 2**17, True)]
            file.write(np.zeros((H, W), np.uint8), extratags=tags, metadata=None)
    _, (note,) = written(tmp_path / "a.tif")
    assert "tag 51123 of further pages" in note
    assert "tag 65000 of further pages" in note


def test_a_scale_that_further_pages_state_is_not_that_of_another_grid(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for number in range(3):
            text = f"frame {number}\nimagingFovUm = [0 0;250 250]\nframeTimestamps_sec = {number}"
            tags = [(65010, 2, 0, f"pixel size {number} nm", True)]
            file.write(np.zeros((H, W), np.uint8), description=text, extratags=tags, metadata=None)
    tifffile.imwrite(tmp_path / "f.tif", np.zeros((H, W), np.uint8), resolution=(1000, 1000), resolutionunit=3)
    out, notes = written(tmp_path / "a.tif", frame=read_image(tmp_path / "f.tif"))
    assert values(out, 270)[1:] == [f"frame {number}\nframeTimestamps_sec = {number}" for number in (1, 2)]
    assert values(out, 65010) == [None] * 3
    assert any("of further pages" in note for note in notes)


def test_a_table_of_tags_cut_off_is_refused_or_read_without_them(tmp_path):
    movie(tmp_path / "a.tif")
    content = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        place = file.pages[2].tags[306].offset
    struct.pack_into("<I", content, place + 8, len(content) - 3)  # the value's offset
    (tmp_path / "a.tif").write_bytes(content)
    out, (note,) = written(tmp_path / "a.tif")
    assert "times (DateTime) of further pages" in note
    assert values(out, 306)[0] == TIMES[0]


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_tags_of_every_type_are_put_into_a_file_of_either_order_and_size(tmp_path, bigtiff, byteorder):
    pixels = np.random.default_rng(0).integers(0, 250, (N, H, W)).astype(np.uint16)
    how = {"bigtiff": bigtiff, "byteorder": byteorder, "photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "a.tif", pixels, **how, metadata=None)
    given = {65001: (3, "<2H", (7, 300)), 65002: (5, "<4I", (1, 3, 2, 7)), 65003: (12, "<d", (0.125,))}
    given |= {65004: (9, "<i", (-5,)), 65005: (1, "<3B", (1, 2, 3)), 65006: (11, "<f", (0.5,))}
    tags = tuple((code, kind, 0, struct.pack(form, *value)) for code, (kind, form, value) in given.items())
    text = (270, 2, 0, b"the second page\0")
    with (tmp_path / "a.tif").open("r+b") as file:
        put_page_tags(file, [tags, (text, *tags), (), tags])
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert np.array_equal(file.asarray(), pixels)
        for number, page in enumerate(file.pages):
            found = {tag.code: tag.value for tag in page.tags if tag.code > 65000}
            expected = {code: value[0] if len(value) == 1 else value for code, (_, _, value) in given.items()}
            expected[65005] = bytes((1, 2, 3))
            assert found == (expected if number in (1, 3) else {})
        assert file.pages[1].description == "the second page"


def test_tags_that_the_first_page_alone_has_are_none_of_further_pages(tmp_path):
    """Nor is a note made of them where the grid is another: of OME's description, a time, a private tag."""
    pixels = np.zeros((3, H, W), np.uint8)
    tags = [(65331, 13, 1, 8, True), (65330, 12, 1, 0.25, True)]  # the first is a place in the file, and not copied
    size = {"PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.5, "PhysicalSizeYUnit": "µm"}
    how = {"photometric": "minisblack", "datetime": TIMES[0]}
    tifffile.imwrite(tmp_path / "a.tif", pixels, **how, extratags=tags, metadata=None)
    tifffile.imwrite(tmp_path / "b.tif", pixels, **how, ome=True, metadata={"axes": "TYX", **size})
    tifffile.imwrite(tmp_path / "f.tif", pixels[0], resolution=(1000, 1000), resolutionunit=3)
    frame = read_image(tmp_path / "f.tif")
    for name, expected in (("a.tif", ("left out: tag 65331",)), ("b.tif", ())):
        image = read_image(tmp_path / name)
        assert image.metadata.page_tags == ()
        assert written(tmp_path / name, image, frame)[1] == expected


def _pages_of_tags(path: Path, pages: int, tags: int) -> None:
    """Write tables of private tags alone, whose values overlap: a few bytes of the file for a kilobyte each."""
    content = bytearray(b"II*\0" + struct.pack("<I", 8))
    for page in range(pages):
        content += struct.pack("<H", tags)
        for number in range(tags):
            content += struct.pack(
                "<HHII", 65000 + number, 1, 1500, 8 + 8 * (page * tags + number) % (12 * tags * pages)
            )
        content += struct.pack("<I", 0 if page == pages - 1 else len(content) + 4)
    path.write_bytes(content)


def test_tags_of_pages_take_no_more_memory_than_they_may(tmp_path: Path) -> None:
    _pages_of_tags(tmp_path / "a.tif", 2000, 32)
    tracemalloc.start()
    chain = follow_pages(tmp_path / "a.tif", 2**20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert chain.pages == 2000
    assert chain.is_cut
    assert peak < 2**20  # without a bound 100 MB, of a file of 800 kB
    with pytest.raises(InputError, match="pages that fit in 100000 bytes"):
        follow_pages(tmp_path / "a.tif", 100_000)


def test_tags_of_pages_that_were_not_all_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ifd_chain, "_MAX_HELD_BYTES", 1000)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for number in range(5):
            file.write(np.full((8, 9), number, "u1"), extratags=[(65000, 4, 1, number, True)], metadata=None)
    image = read_image(tmp_path / "a.tif")
    assert image.data.shape == (5, 8, 9)
    assert "the tags of further pages" in image.metadata.left_out
    assert "all were read like the first one" in image.notes[0]
