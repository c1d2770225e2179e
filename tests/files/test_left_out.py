"""Metadata of a file are written into the image that is made from it, or are named in one line."""

import struct
import warnings
import zlib

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from zncc_cli.files.image_output import write_image
from zncc_cli.files.images import read_image
from zncc_cli.files.metadata import PixelSize

H, W = 37, 53
ICC = bytes(range(200))


def pixels(*shape, dtype="u2"):
    return np.random.default_rng(0).integers(0, 250, (*shape, H, W)).astype(dtype)


def tiff(folder, data=None, **options):
    path = folder / "a.tif"
    tifffile.imwrite(path, pixels() if data is None else data, **{"metadata": None, **options})
    return path


def written(path, frame=None):
    """Read ``path`` and write a similar image; return the image, the written file and the notes of writing."""
    image = read_image(path)
    out = path.parent / "out.tif"
    notes = write_image(out, np.asarray(image.data), like=image, frame=frame or image)
    return image, out, notes


def tags(path):
    with tifffile.TiffFile(path) as file:
        return {tag.code: tag.value for tag in file.pages.first.tags}


def raw(path, code):
    with tifffile.TiffFile(path) as file:
        tag = file.pages.first.tags[code]
        file.filehandle.seek(tag.valueoffset)
        return file.filehandle.read(tag.valuebytecount)


# TIFF: tags


def test_every_further_tag_is_copied(tmp_path):
    further = [
        *((65000, 2, 0, "private", True), (65001, 3, 3, (1, 2, 3), True), (65002, 12, 1, 0.1, True)),
        *((285, 2, 0, "page of a book", True), (269, 2, 0, "a book", True), (700, 1, 5, b"<xmp>", True)),
        *((34675, 7, len(ICC), ICC, True), (33723, 7, 9, b"iptc data", True), (50000, 3, 2000, (7,) * 2000, True)),
    ]
    _, out, notes = written(tiff(tmp_path, extratags=further))
    assert notes == ()
    got = tags(out)
    for code, _, _, value, _ in further:
        assert np.array_equal(got[code], value), code


def test_an_ordinary_file_gives_no_note(tmp_path):
    options = {
        "software": "somebody's",
        "datetime": "2020:02:02 20:20:20",
        "resolution": (72, 72),
        "description": "a lamp",
    }
    image, _, notes = written(tiff(tmp_path, **options))
    assert image.notes == notes == ()


def test_a_thumbnail_gives_no_note(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(pixels(), metadata=None)
        file.write(pixels()[:8, :8], subfiletype=1, metadata=None)
    assert written(tmp_path / "a.tif")[2] == ()


@pytest.mark.parametrize("code", [33471, 33560, 33629, 34361, 34386, 43314, 51123, 50706, 65420, 34377])
def test_tags_by_which_a_file_would_be_taken_for_another_format_are_named(tmp_path, code):
    tifffile.imwrite(tmp_path / "a.tif", pixels(), metadata=None, extratags=[(64000, 1, 200, bytes(200), True)])
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content.replace(struct.pack("<H", 64000), struct.pack("<H", code)))
    _, out, (note,) = written(tmp_path / "a.tif")
    assert note.startswith("left out: ")
    assert code not in tags(out)


@pytest.mark.parametrize("magic", [(65000, 2, 0, "<Argos>"), (65001, 7, 10, b"<metadata>")])
def test_private_tags_of_other_formats_are_named(tmp_path, magic):
    _, out, notes = written(tiff(tmp_path, extratags=[(*magic, True)]))
    assert notes == (f"left out: tag {magic[0]}",)
    assert magic[0] not in tags(out)


def test_exif_and_gps_of_a_tiff_are_named(tmp_path):
    said = ImageFileDirectory_v2()
    said[271] = "Maker"
    said[34665] = {33434: 0.01, 37510: b"a comment of the user"}
    said[34853] = {1: "N"}
    PillowImage.fromarray(pixels(dtype="u1")).save(tmp_path / "a.tif", tiffinfo=said)
    _, out, notes = written(tmp_path / "a.tif")
    assert notes == ("left out: EXIF, GPS",)
    assert tags(out)[271] == "Maker"


def test_tags_beyond_the_limit_are_named(tmp_path):
    further = [(65010, 7, 2**22 + 1, bytes(2**22 + 1), True), (65011, 7, 4, b"more", True)]
    _, out, notes = written(tiff(tmp_path, extratags=further))
    assert notes == ("left out: tag 65010",)
    assert tags(out)[65011] == b"more"


def test_many_names_are_counted(tmp_path):
    further = [(65100 + number, 13, 1, 8, True) for number in range(20)]
    notes = written(tiff(tmp_path, extratags=further))[2]
    assert notes == (f"left out: {', '.join(f'tag {65100 + number}' for number in range(12))} and 8 more",)


# TIFF: electron microscopes

ZEISS = b"0\r\n1e-9\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 7.5 nm\r\nAP_WD\r\nWD = 5.1 mm\r\n\0"
FEI = b"[User]\r\nDate=1\r\n[Scan]\r\nPixelWidth=7.5e-009\r\nPixelHeight=5e-009\r\n\0"


@pytest.mark.parametrize(
    ("code", "header", "size"),
    [
        (34118, ZEISS, PixelSize(x=7.5, y=7.5, unit="nm")),
        (34680, FEI, PixelSize(x=7.5, y=5.0, unit="nm")),
        (34682, FEI, PixelSize(x=7.5, y=5.0, unit="nm")),
    ],
)
def test_pixel_size_of_an_electron_microscope_is_read(tmp_path, code, header, size):
    path = tiff(tmp_path, extratags=[(code, 2, len(header), header, True)], resolution=(1, 1))
    image, out, notes = written(path)
    metadata = image.metadata
    assert (metadata.pixel_size.x, metadata.pixel_size.y) == pytest.approx((size.x, size.y))
    assert metadata.pixel_size.unit == size.unit
    assert notes == ()
    assert raw(out, code) == header
    (x1, x2), (y1, y2) = tags(out)[282], tags(out)[283]
    assert (1e7 * x2 / x1, 1e7 * y2 / y1) == pytest.approx((size.x, size.y))  # nm out of cm


def test_header_of_a_microscope_is_named_where_the_grid_is_another(tmp_path):
    tifffile.imwrite(tmp_path / "frame.tif", pixels(), resolution=(1000, 1000), resolutionunit="CENTIMETER")
    path = tiff(tmp_path, extratags=[(34118, 2, len(ZEISS), ZEISS, True)])
    _, out, notes = written(path, read_image(tmp_path / "frame.tif"))
    assert notes == ("left out: CZ_SEM",)
    assert 34118 not in tags(out)


@pytest.mark.parametrize(
    "header", [b"\0" * 9, b"AP_IMAGE_PIXEL_SIZE\nImage Pixel Size = x nm\n", b"AP_PIXEL_SIZE\na=-1 nm\n"]
)
def test_header_of_a_microscope_without_a_size_gives_none(tmp_path, header):
    path = tiff(tmp_path, extratags=[(34118, 2, len(header), header, True)])
    assert read_image(path).metadata.pixel_size is None


# TIFF: place on the Earth

GEO = [
    (33550, 12, 3, (10.0, 10.0, 0.0), True),
    (33922, 12, 6, (0.0, 0.0, 0.0, 5e5, 4.2e6, 0.0), True),
]


@pytest.mark.parametrize("code", [33920, 50844])
def test_polynomials_and_matrices_of_georeferences_are_kept(tmp_path, code):
    _, out, notes = written(tiff(tmp_path, extratags=[(code, 12, 3, (1.0, 2.0, 3.0), True)]))
    assert notes == ()
    assert tags(out)[code] == (1.0, 2.0, 3.0)


def test_many_tiepoints_are_kept(tmp_path):
    points = tuple(float(number) for number in range(6 * 300))
    _, out, _ = written(tiff(tmp_path, extratags=[(33922, 12, len(points), points, True)]))
    np.testing.assert_array_equal(tags(out)[33922], points)


def test_georeference_of_a_turned_image_is_left_out_with_a_note(tmp_path):
    image, out, _ = written(tiff(tmp_path, extratags=[*GEO, (274, 3, 1, 6, True)]))
    assert image.notes[1:] == ("a.tif: the georeference was left out: the orientation tag turns the image",)
    assert image.metadata.georeference == ()
    assert 33922 not in tags(out)
    image, out, _ = written(tiff(tmp_path, extratags=[*GEO, (274, 3, 1, 1, True)]))
    assert image.notes == ()
    assert tags(out)[33922] == GEO[1][3]


# TIFF: what is not as it was stored


def test_palettes_and_odd_depths_are_named(tmp_path):
    colours = np.zeros((3, 256), "u2")
    palette = tiff(tmp_path, pixels(dtype="u1"), photometric="palette", colormap=colours)
    assert written(palette)[2] == ("left out: the palette (RGB instead)",)
    assert written(tiff(tmp_path, pixels() > 99))[2] == ("left out: the depth of 1 bit (8 instead)",)


def test_tags_of_a_stack_of_pages_that_do_not_change_give_no_note(tmp_path):
    further = [(65330, 4, 1, 7, True), (65332, 2, 0, "a text of many letters", True), *GEO]
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for _ in range(3):
            options = {"datetime": "2020:02:02 20:20:20", "extratags": further, "contiguous": False}
            file.write(pixels(), metadata=None, **options)
    assert written(tmp_path / "a.tif")[2] == ()


def test_the_same_description_on_each_page_gives_no_note(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for _ in range(3):
            file.write(pixels(), metadata=None, description="a long word about a lamp", contiguous=False)
    assert written(tmp_path / "a.tif")[2] == ()


def test_levels_of_a_pyramid_and_masks_are_named(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(pixels(), metadata=None, subifds=2)
        file.write(pixels()[::2, ::2], subfiletype=1, metadata=None)
        file.write(pixels()[::4, ::4], subfiletype=1, metadata=None)
        file.write(pixels() > 9, subfiletype=4, metadata=None)
    assert written(tmp_path / "a.tif")[2] == ("left out: 2 smaller copies, the mask",)


# OME


def ome(folder, change):
    """Write an OME-TIFF with a changed description."""
    path = folder / "a.ome.tif"
    options = {"photometric": "minisblack"}
    tifffile.imwrite(path, pixels(2), metadata={"axes": "CYX", "Channel": {"Name": ["a", "b"]}}, **options)
    with tifffile.TiffFile(path) as file:
        xml = file.ome_metadata
    changed = change(xml)
    assert changed != xml
    tifffile.imwrite(path, pixels(2), description=changed.encode(), metadata=None, **options)
    return path


def test_elements_of_ome_that_are_not_kept_are_named(tmp_path):
    instrument = '<Instrument ID="Instrument:0"><Microscope Model="M"/><Objective ID="Objective:0"/></Instrument>'
    annotations = '<StructuredAnnotations><XMLAnnotation ID="Annotation:0"/></StructuredAnnotations>'
    path = ome(
        tmp_path,
        lambda xml: (
            xml.replace("<Image ", f"{instrument}<Image ", 1)
            .replace("</Image>", f"</Image>{annotations}")
            .replace("<Pixels ", '<InstrumentRef ID="Instrument:0"/><ObjectiveSettings ID="Objective:0"/><Pixels ', 1)
            .replace("<Pixels ", '<Pixels SignificantBits="12" ', 1)
        ),
    )
    image, _, notes = written(path)
    assert image.metadata.properties["Channel"] == {"Name": ["a", "b"]}
    names = "Instrument, OME StructuredAnnotations, OME Microscope, OME Objective, OME ObjectiveSettings"
    assert notes == (f"left out: OME {names}, OME SignificantBits",)


def test_attributes_that_some_channels_have_are_named(tmp_path):
    path = ome(tmp_path, lambda xml: xml.replace('Name="a"', 'Name="a" EmissionWavelength="509"'))
    assert written(path)[2] == ("left out: OME Channel EmissionWavelength",)


def test_significant_bits_of_the_whole_type_give_no_note(tmp_path):
    path = ome(tmp_path, lambda xml: xml.replace("<Pixels ", '<Pixels SignificantBits="16" ', 1))
    assert written(path)[2] == ()


# PNG, JPEG


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_dpi_and_colour_profile_are_kept(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    PillowImage.fromarray(pixels(dtype="u1")).save(path, dpi=(300, 150), icc_profile=ICC)
    _, out, notes = written(path)
    assert notes == ()
    got = tags(out)
    assert (got[282][0] / got[282][1], got[283][0] / got[283][1]) == pytest.approx((300, 150), abs=0.02)
    assert got[296] == tifffile.RESUNIT.INCH
    assert got[34675] == ICC


def test_profile_of_a_deep_png_is_kept(tmp_path):
    imagecodecs = pytest.importorskip("imagecodecs")
    content = imagecodecs.png_encode(np.stack([pixels()] * 3, axis=-1))
    size = struct.pack(">IIB", 11811, 5906, 1)
    chunk = struct.pack(">I", 9) + b"pHYs" + size + struct.pack(">I", zlib.crc32(b"pHYs" + size))
    (tmp_path / "a.png").write_bytes(content[:33] + chunk + content[33:])
    got = tags(written(tmp_path / "a.png")[1])
    assert (got[282][0] / got[282][1], got[283][0] / got[283][1]) == pytest.approx((300, 150), abs=0.02)


def test_resolution_turns_with_the_picture(tmp_path):
    exif = PillowImage.Exif()
    exif[274] = 6
    PillowImage.fromarray(pixels(dtype="u1")).save(tmp_path / "a.jpg", dpi=(300, 150), exif=exif)
    resolution = read_image(tmp_path / "a.jpg").metadata.resolution
    assert (resolution.x, resolution.y) == ((150, 1), (300, 1))


def test_fields_of_exif_become_tags_and_the_rest_is_named(tmp_path):
    exif = PillowImage.Exif()
    exif[271], exif[306], exif[270] = "Maker", "2020:02:02 20:20:20", "a lamp"
    exif.get_ifd(34665)[33434] = 0.01
    PillowImage.fromarray(pixels(dtype="u1")).save(tmp_path / "a.jpg", exif=exif)
    _, out, notes = written(tmp_path / "a.jpg")
    assert notes == ("left out: EXIF",)
    got = tags(out)
    assert (got[271], got[306], got[270]) == ("Maker", "2020:02:02 20:20:20", "a lamp")


@pytest.mark.parametrize(
    ("mode", "suffix", "name"),
    [
        ("P", ".png", "the palette (RGB instead)"),
        ("1", ".png", "the depth of 1 bit (8 instead)"),
        ("CMYK", ".jpg", "CMYK (RGB instead)"),
    ],
)
def test_modes_of_pictures_that_are_not_kept_are_named(tmp_path, mode, suffix, name):
    picture = PillowImage.fromarray(np.stack([pixels(dtype="u1")] * 3, axis=-1))
    picture.convert(mode).save(tmp_path / f"a{suffix}", icc_profile=ICC)
    _, out, notes = written(tmp_path / f"a{suffix}")
    assert notes == (f"left out: {name}",)
    assert (34675 in tags(out)) == (mode != "CMYK")  # the profile of inks is not that of RGB


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".pgm"])
def test_an_ordinary_picture_gives_no_note(tmp_path, suffix):
    iio.imwrite(tmp_path / f"a{suffix}", pixels(dtype="u1"), plugin="pillow")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image, _, notes = written(tmp_path / f"a{suffix}")
    assert image.notes == notes == ()


# ImageJ


@pytest.mark.parametrize(
    ("unit", "resolution", "size"),
    [
        ({"unit": "um"}, ((4, 1), (2, 1), "NONE"), PixelSize(x=0.25, y=0.5, unit="um")),
        ({"unit": "um"}, ((40000, 1), (20000, 1), "CENTIMETER"), PixelSize(x=0.25, y=0.5, unit="um")),
        ({"unit": "mm"}, ((4, 1), (2, 1), "CENTIMETER"), PixelSize(x=0.25, y=0.5, unit="mm")),
        ({"unit": "um", "yunit": "nm"}, ((4, 1), (1, 500), "NONE"), PixelSize(x=0.25, y=0.5, unit="um")),
        ({"unit": "um", "yunit": "furlong"}, ((4, 1), (1, 500), "NONE"), None),
    ],
)
def test_units_of_imagej(tmp_path, unit, resolution, size):
    x, y, kind = resolution
    tifffile.imwrite(tmp_path / "a.tif", pixels(), imagej=True, resolution=(x, y), resolutionunit=kind, metadata=unit)
    got = read_image(tmp_path / "a.tif").metadata.pixel_size
    assert (got and (got.x, got.y, got.unit)) == (size and (size.x, pytest.approx(size.y), size.unit))
