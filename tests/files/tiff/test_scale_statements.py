"""What a file says of the size of its pixels is that of the grid that they lie on."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile

from zncc_cli.files.image_output import write_image
from zncc_cli.files.images import read_image
from zncc_cli.files.metadata import PixelSize

METAMORPH = """<MetaData>
<prop id="Description" type="string" value="cells"/>
<prop id="spatial-calibration-state" type="bool" value="on"/>
<prop id="spatial-calibration-x" type="float" value="{x}"/>
<prop id="spatial-calibration-y" type="float" value="{y}"/>
<prop id="spatial-calibration-units" type="string" value="um"/>
</MetaData>"""
MICRO_MANAGER = '{{"Channel": "DAPI", "PixelSize_um": {x}, "Width": 56}}'
APERIO = "Aperio Image Library v1 \r\n56x40 (16x16)|AppMag = {mag}|MPP = {x}|Left = {left}|User = somebody"
SCANIMAGE = (
    "frameNumbers = 1\nSI.hRoiManager.imagingFovUm = [-{x} -{x};{x} {x}]\nSI.hRoiManager.scanZoomFactor = {x}\na = 2"
)


def file(folder: Path, name: str, description: str, **options: object) -> Path:
    data = np.random.default_rng(0).integers(0, 250, (40, 56)).astype(np.uint8)
    tifffile.imwrite(folder / name, data, description=description, metadata=None, **options)
    return folder / name


def aligned(folder: Path, moving: Path, fixed: Path) -> tuple[str, tuple[str, ...], tuple[float, float]]:
    """Write ``moving`` on the grid of ``fixed``; return its description, the notes, and the size of a pixel in µm."""
    image, frame = read_image(moving), read_image(fixed)
    notes = write_image(folder / "aligned.tif", image.data, like=image, frame=frame)
    with tifffile.TiffFile(folder / "aligned.tif") as written:
        page = written.pages.first
        x, y = (page.tags[code].value for code in (282, 283))
        return page.description, notes, (1e4 * x[1] / x[0], 1e4 * y[1] / y[0])


@pytest.mark.parametrize(
    ("text", "values", "size"),
    [
        (METAMORPH, {"x": 0.645, "y": 0.65}, (0.645, 0.65)),
        (MICRO_MANAGER, {"x": 0.108}, (0.108, 0.108)),
        (APERIO, {"x": 0.252, "mag": 20, "left": 1}, (0.252, 0.252)),
    ],
)
def test_the_pixel_size_that_an_instrument_describes_is_read(
    tmp_path: Path, text: str, values: dict[str, float], size: tuple[float, float]
) -> None:
    image = read_image(file(tmp_path, "a.tif", text.format(**values)))
    assert image.metadata.pixel_size == PixelSize(x=size[0], y=size[1], unit="µm")


def test_the_pixel_size_in_tags_of_micro_manager_and_of_gatan_is_read(tmp_path: Path) -> None:
    tags = {
        "m.tif": [(51123, 2, 0, '{"PixelSizeUm": 0.108, "Frame": 0}', True)],
        "g.tif": [*((code, 2, 0, "nm", True) for code in (65003, 65004)), (65009, 12, 1, 0.25, True)],
    }
    tags["g.tif"].append((65010, 12, 1, 0.5, True))
    for name, extratags in tags.items():
        tifffile.imwrite(tmp_path / name, np.zeros((8, 9), "u2"), extratags=extratags, metadata=None)
    assert read_image(tmp_path / "m.tif").metadata.pixel_size == PixelSize(x=0.108, y=0.108, unit="µm")
    assert read_image(tmp_path / "g.tif").metadata.pixel_size == PixelSize(x=0.25, y=0.5, unit="nm")


def test_an_aperio_description_has_the_fields_of_the_grid(tmp_path: Path) -> None:
    moving = file(tmp_path, "m.tif", APERIO.format(x=0.252, mag=40, left=7.5))
    fixed = file(tmp_path, "f.tif", APERIO.format(x=0.499, mag=20, left=25.6).replace("somebody", "another"))
    description, notes, size = aligned(tmp_path, moving, fixed)
    for statement in ("MPP = 0.499", "AppMag = 20", "Left = 25.6", "User = somebody"):
        assert statement in description
    assert notes == ()
    assert size == pytest.approx((0.499, 0.499))


def test_an_aperio_description_on_a_grid_of_unknown_magnification_does_not_name_one(tmp_path: Path) -> None:
    moving = file(tmp_path, "m.tif", APERIO.format(x=0.252, mag=40, left=7.5))
    fixed = file(tmp_path, "f.tif", "", resolution=(20000, 20000), resolutionunit="CENTIMETER")
    description, (note,), size = aligned(tmp_path, moving, fixed)
    assert "MPP = 0.5" in description
    assert "AppMag" not in description
    assert "the description of m.tif says of the scale" in note
    assert size == pytest.approx((0.5, 0.5))


@pytest.mark.parametrize(
    ("text", "new"),
    [(METAMORPH, {"x": 0.5, "y": 0.5}), (MICRO_MANAGER, {"x": 0.5})],
    ids=["MetaMorph", "Micro-Manager"],
)
def test_numbers_of_the_scale_are_those_of_the_grid(tmp_path: Path, text: str, new: dict[str, float]) -> None:
    moving = file(tmp_path, "m.tif", text.format(x=0.645, y=0.65))
    fixed = file(tmp_path, "f.tif", "", resolution=(20000, 20000), resolutionunit="CENTIMETER")
    description, notes, _ = aligned(tmp_path, moving, fixed)
    assert description.replace("\n", "") == text.format(**new).replace("\n", "")
    assert notes == ()


def test_numbers_of_the_scale_that_cannot_be_converted_are_left_out_and_said(tmp_path: Path) -> None:
    moving = file(tmp_path, "m.tif", SCANIMAGE.format(x=250))
    description, (note,), _ = aligned(tmp_path, moving, file(tmp_path, "f.tif", SCANIMAGE.format(x=100)))
    assert description.split() == ["frameNumbers", "=", "1", "a", "=", "2"]
    assert note == "what the description of m.tif says of the scale was left out"
    in_json = file(tmp_path, "j.tif", '{"a": 1, "scanZoomFactor": 3}')
    description, (note,), _ = aligned(tmp_path, in_json, file(tmp_path, "f.tif", ""))
    assert description == ""


@pytest.mark.parametrize("text", [METAMORPH, MICRO_MANAGER, APERIO, SCANIMAGE])
def test_a_description_stays_as_it_is_where_both_grids_have_one_scale(tmp_path: Path, text: str) -> None:
    words = text.format(x=0.645, y=0.65, mag=20, left=3)
    moving, fixed = file(tmp_path, "m.tif", words), file(tmp_path, "f.tif", words)
    description, notes, _ = aligned(tmp_path, moving, fixed)
    assert description.split() == words.split()
    assert notes == ()


# Tags


XMP = """<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description
 tiff:Orientation='6' tiff:XResolution="720000/10000" tiff:YResolution="720000/10000" tiff:ResolutionUnit="2"
 exif:FocalPlaneXResolution="3000" xmp:CreatorTool="a camera"><tiff:ImageWidth>999</tiff:ImageWidth>
<exif:PixelYDimension>888</exif:PixelYDimension>{}</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""


def with_tags(folder, *tags, frame_tags=(), **options):
    """Write an image with tags on the grid of another one, of 10 nm a pixel; return the tags that stay, and notes."""
    data = np.zeros((40, 50), np.uint8)
    tifffile.imwrite(folder / "m.tif", data, metadata=None, extratags=tags, **options)
    size = {"resolution": (1e6, 1e6), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(folder / "f.tif", data, metadata=None, extratags=frame_tags, **size)
    image, frame = read_image(folder / "m.tif"), read_image(folder / "f.tif")
    notes = write_image(folder / "o.tif", np.asarray(image.data), like=image, frame=frame)
    with tifffile.TiffFile(folder / "o.tif") as file:
        return {tag.code: tag.value for tag in file.pages.first.tags}, " ".join(notes)


def test_xmp_has_the_resolution_and_the_size_of_the_grid(tmp_path):
    tags, notes = with_tags(tmp_path, (700, 1, 0, XMP.format("").encode(), True))
    packet = bytes(tags[700]).decode()
    assert 'tiff:XResolution="1000000/1" tiff:YResolution="1000000/1" tiff:ResolutionUnit="3"' in packet
    assert 'tiff:Orientation="1"' in packet
    assert "<tiff:ImageWidth>50</tiff:ImageWidth>" in packet
    assert "<exif:PixelYDimension>40</exif:PixelYDimension>" in packet
    assert "FocalPlane" not in packet
    assert 'xmp:CreatorTool="a camera"' in packet
    assert notes == ""


@pytest.mark.parametrize("tag", [(4, 1, 10**9), (3, 3, (60, 300, 5)), (11, 1, 1.5)])
def test_xmp_that_is_a_number_is_left_out(tmp_path, tag):
    """A number is no count of bytes: a gigabyte of zeros is not made of it."""
    tracemalloc.start()
    tags, notes = with_tags(tmp_path, (700, *tag, True))
    assert tracemalloc.get_traced_memory()[1] < 10**8
    tracemalloc.stop()
    assert 700 not in tags
    assert "left out: XMP" in notes


def test_xmp_that_states_a_scale_in_other_words_is_left_out_and_named(tmp_path):
    scan = '<iScan Magnification="40" ScanRes="0.25"/>'
    tags, notes = with_tags(tmp_path, (700, 1, 0, XMP.format(scan).encode(), True))
    assert 700 not in tags
    assert "left out: XMP" in notes


@pytest.mark.parametrize(
    "tag",
    [
        (65100, 7, 0, b"Pixel Size=0.25 um\0", True),
        (65101, 7, 0, "Pixel Size=0.25 µm".encode("utf-16-le"), True),
        (65102, 1, 0, b'{"micronsPerPixel": 0.25}', True),
        (65103, 12, 2, (0.5, 1.5), True),  # the size itself, µm, and another number
        (65104, 11, 1, 5e-7, True),  # in metres
        (65105, 12, 1, 2000.0 + 1e-3, True),  # pixels per millimetre, rounded
        (65106, 7, 0, bytes(range(128, 256)), True),  # anything
        (41486, 5, 1, (3000, 7), True),  # FocalPlaneXResolution
    ],
)
def test_a_private_tag_that_may_hold_the_scale_is_left_out_and_named(tmp_path, tag):
    tags, notes = with_tags(tmp_path, tag, resolution=(20000, 20000), resolutionunit="CENTIMETER")
    assert tag[0] not in tags
    assert "left out: " in notes


def test_further_private_tags_stay_on_another_grid(tmp_path):
    kept = [(65100, 7, 0, b"exposure 0.25 s", True), (65101, 12, 1, 0.25, True), (65102, 3, 2, (1, 2), True)]
    tags, notes = with_tags(tmp_path, *kept, resolution=(20000, 20000), resolutionunit="CENTIMETER")
    assert {code: tags.get(code) for code, *_ in kept} == {65100: b"exposure 0.25 s", 65101: 0.25, 65102: (1, 2)}
    assert notes == ""


def test_a_private_tag_that_both_files_have_alike_stays(tmp_path):
    tag = (65106, 7, 0, bytes(range(128, 256)), True)
    assert with_tags(tmp_path, tag, frame_tags=(tag,))[0][65106] == tag[3]


def test_labels_and_properties_of_imagej_lose_their_scale(tmp_path):
    data = np.zeros((2, 40, 50), np.uint8)
    said = {"Labels": ["a\n0028,0030 Pixel Spacing: 0.5\\0.5", "b"], "Properties": {"Pixel Size": "2", "Dye": "Cy3"}}
    tifffile.imwrite(tmp_path / "m.tif", data, imagej=True, metadata={"axes": "ZYX", **said})
    tifffile.imwrite(tmp_path / "f.tif", data[0], resolution=(1e6, 1e6), resolutionunit="CENTIMETER")
    image, frame = read_image(tmp_path / "m.tif"), read_image(tmp_path / "f.tif")
    write_image(tmp_path / "o.tif", np.asarray(image.data), like=image, frame=frame)
    with tifffile.TiffFile(tmp_path / "o.tif") as file:
        content = file.imagej_metadata
    assert content["Labels"] == ["a", "b"]
    assert content["Properties"] == {"Dye": "Cy3"}


@pytest.mark.parametrize(
    "text",
    [
        "MICROMETER_PER_PIXEL_X = 0.25",
        "microns per px 0.25",
        "scale: 0.25 um",
        "$CM_MAG 5000",
        "Objective.Lens.Magnificant=20",
        "XResolution: 4.0",
        "pixels/um 4",
        "Scale Factor for X = 0.645",
        "HorFieldsize=0.1",
        '{"Calibration": {"x": 0.25}}',
        '<scn><view sizeX="26564"/></scn>',
    ],
)
@pytest.mark.parametrize("frame_size", [True, False])
def test_words_of_a_scale_do_not_stay_on_a_grid_of_another(tmp_path, text, frame_size):
    """Neither where the grid's scale is known nor where both are unknown, and the grid's file does not say the same."""
    data = np.zeros((40, 50), np.uint8)
    tags = [(65200, 2, 0, text, True), (42112, 2, 0, f"<Item>{text}</Item>", True)]
    tifffile.imwrite(tmp_path / "m.tif", data, metadata=None, description=f"a lamp\n{text}", extratags=tags)
    size = {"resolution": (1e6, 1e6), "resolutionunit": "CENTIMETER"} if frame_size else {}
    tifffile.imwrite(tmp_path / "f.tif", data, metadata=None, **size)
    image, frame = read_image(tmp_path / "m.tif"), read_image(tmp_path / "f.tif")
    notes = write_image(tmp_path / "o.tif", np.asarray(image.data), like=image, frame=frame)
    with tifffile.TiffFile(tmp_path / "o.tif") as file:
        page = file.pages.first
        assert page.description == "a lamp"
        assert not {65200, 42112} & {tag.code for tag in page.tags}
    assert len(notes) == 2


def test_gatans_scale_is_left_out(tmp_path):
    gatan = [(65003, 2, 0, "nm", True), (65009, 12, 1, 0.3, True), (65010, 12, 1, 0.3, True), (65015, 3, 1, 7, True)]
    tags, notes = with_tags(tmp_path, *gatan)
    assert {code for code in tags if code > 65000} == {65015}
    assert "left out: " in notes
