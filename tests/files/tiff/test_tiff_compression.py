"""A TIFF is written with the compression of the moving image, where that loses nothing."""

import subprocess
import sys

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from tests.files.tiff.tiff_images import H, W, image, tags, written
from zncc_cli.files.image_output import write_image
from zncc_cli.files.images import read_image

KEPT = [
    *[(c, p, dtype) for c in (5, 8, 32946, 34925, 50000) for p in (1, 2) for dtype in ("u1", "u2", "i4", "f4")],
    *[(c, 1, dtype) for c in (1, 32773) for dtype in ("u1", "u2", "i4", "f4")],
    *[(34887, 1, dtype) for dtype in ("u1", "u2", "i4")],
]


@pytest.mark.parametrize(("compression", "predictor", "dtype"), KEPT)
def test_lossless_compression_is_kept_with_its_predictor(tmp_path, compression, predictor, dtype):
    pytest.importorskip("imagecodecs")
    for axes, shape in (("IYX", (2, H, W)), ("YXS", (H, W, 3))):
        like = image(axes, shape, dtype, compression=compression, predictor=predictor)
        path, notes = written(tmp_path, like)
        assert notes == ()
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            assert page.compression == compression
            has_predictor = compression not in (1, 32773, 34887)
            # Floats hardly compress without one, and get it in any case.
            assert page.predictor == (3 if dtype == "f4" and has_predictor else 2 if predictor == 2 else 1)
            np.testing.assert_array_equal(file.asarray(), like.data)


@pytest.mark.parametrize("compression", [7, 33007, 34712, 50001, 50002, 4, 12345])
def test_lossy_compression_becomes_deflate_and_a_note(tmp_path, compression):
    like = image(compression=compression)
    path, (note,) = written(tmp_path, like)
    assert "deflate was used" in note
    assert tags(path)[259] == tifffile.COMPRESSION.ADOBE_DEFLATE
    assert tags(path)[317] == 2
    np.testing.assert_array_equal(tifffile.imread(path), like.data)


def test_floats_of_imagej_have_no_predictor_which_it_cannot_read(tmp_path):
    path, _ = written(tmp_path, image(dtype="f4", flavor="imagej", compression=8))
    assert tags(path).get(317, 1) == 1


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_picture_of_compressed_pixels_becomes_a_compressed_tiff(tmp_path, suffix):
    PillowImage.fromarray(np.add.outer(np.arange(H), np.arange(W)).astype("u1")).save(tmp_path / f"a{suffix}")
    path, notes = written(tmp_path, read_image(tmp_path / f"a{suffix}"))
    assert notes == ()
    assert (tags(path)[259], tags(path)[317]) == (8, 2)
    assert path.stat().st_size < H * W / 4


@pytest.mark.parametrize(("compression", "dtype"), [(34887, "f4"), (34887, "u8"), (34887, "f2")])
def test_pixels_that_a_codec_does_not_keep_become_deflate_and_a_note(tmp_path, compression, dtype):
    like = image(dtype=dtype, compression=compression)
    if dtype != "u8":
        like.data[3, 4] = np.nan
    path, (note,) = written(tmp_path, like)
    assert "deflate was used" in note
    np.testing.assert_array_equal(tifffile.imread(path), like.data)


def test_missing_codec_becomes_deflate_and_a_note(tmp_path):
    program = (
        "import sys; sys.modules['imagecodecs'] = None\n"
        "from tests.files.tiff.tiff_images import *\n"
        "for predictor in (1, 2):\n"
        f"    path, notes = written(Path({str(tmp_path)!r}), image(compression=5, predictor=predictor))\n"
        "    print(notes, tags(path)[259], (tifffile.imread(path) == image().data).all())\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    for line in run.stdout.splitlines():
        assert line.startswith("('the compression LZW needs pip install")
        assert line.endswith("8 True") or line.endswith("ADOBE_DEFLATE True")


@pytest.mark.parametrize("dtype", ["f4", "u1"])
def test_results_that_are_like_no_image_are_compressed(tmp_path, dtype):
    """Maps of floats by a predictor for floats; but not beside an image of ImageJ, which reads none."""
    data = np.add.outer(np.linspace(0, 9, 300), np.linspace(0, 7, 400)).astype(dtype)
    write_image(tmp_path / "a.tif", data)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert int(file.pages.first.compression) == 8
        assert int(file.pages.first.predictor) == (3 if dtype == "f4" else 1)
        assert np.array_equal(file.asarray(), data)
    assert (tmp_path / "a.tif").stat().st_size < data.nbytes / 2
    tifffile.imwrite(tmp_path / "f.tif", data, imagej=True)
    write_image(tmp_path / "b.tif", data, frame=read_image(tmp_path / "f.tif"))
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert int(file.pages.first.compression) == 1
