"""Frames of animations, pictures of cameras and planes of arrays are read with their axes."""

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image as PillowImage

from tests.files.tiff.tiff_planes import H, W, pixels
from zncc_cli.files.images import read_image


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_frames_of_an_animation_are_an_axis(tmp_path, suffix):
    frames = np.zeros((4, H, W, 3), "u1")
    for number in range(4):
        frames[number, :, : 5 + number] = (255, 0, 30 * number)
    options = {"lossless": True} if suffix == ".webp" else {}
    iio.imwrite(tmp_path / f"a{suffix}", frames, plugin="pillow", **options)
    image = read_image(tmp_path / f"a{suffix}")
    assert image.axes == "TYXS"
    assert image.leading == (4,)
    # A GIF has a palette; these few colours fit into it.
    np.testing.assert_array_equal(image.data[..., :3], frames)
    np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}", page=2).data[..., :3], frames[2])


def palette_frames(colours):
    """Return three frames of numbers of ``colours``, as pictures."""
    frames = []
    for seed in range(3):
        numbers = np.random.default_rng(seed).integers(0, len(colours), (H, W)).astype("u1")
        frames.append(PillowImage.fromarray(numbers, "P"))
        frames[-1].putpalette(colours.astype("u1").tobytes())
    return frames


def test_frames_of_an_animated_png_with_a_palette_have_its_colours(tmp_path):
    colours = np.random.default_rng(3).integers(0, 256, (200, 3))
    frames = palette_frames(colours)
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    numbers = np.stack([np.asarray(frame) for frame in frames])
    image = read_image(tmp_path / "a.png")
    assert image.axes == "TYXS"
    np.testing.assert_array_equal(image.data, colours.astype("u1")[numbers])
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", indices=True).data, numbers)


def test_frames_of_a_grey_gif_are_grey(tmp_path):
    frames = palette_frames(np.stack([np.arange(256)] * 3, axis=1))
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    image = read_image(tmp_path / "a.gif")
    assert image.axes == "TYX"
    np.testing.assert_array_equal(image.data, np.stack([np.asarray(frame) for frame in frames]))


@pytest.mark.parametrize("second", [(W, H), (W // 2, H // 2)])
def test_a_further_picture_in_the_jpeg_of_a_camera_is_no_frame(tmp_path, second):
    picture = PillowImage.fromarray(np.stack([pixels(dtype="u1")] * 3, axis=-1))
    picture.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[picture.resize(second)])
    image = read_image(tmp_path / "a.jpg")
    assert image.axes == "YXS"
    assert image.shape == (H, W)
    with PillowImage.open(tmp_path / "a.jpg") as opened:
        np.testing.assert_array_equal(image.data, np.asarray(opened))
    assert image.notes == ("a.jpg: the first of 2 pictures was read; the others are previews or views of a camera",)


@pytest.mark.parametrize("samples", [3, 4])
def test_png_of_16_bits_in_colour_is_exact(tmp_path, samples):
    imagecodecs = pytest.importorskip("imagecodecs")
    data = np.random.default_rng(0).integers(0, 65536, (H, W, samples), dtype="u2")
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(data))
    image = read_image(tmp_path / "a.png")
    assert image.axes == "YXS"
    assert image.data.dtype == np.uint16
    assert image.metadata.alpha == (samples == 4)
    np.testing.assert_array_equal(image.data, data)


@pytest.mark.parametrize(
    ("shape", "axes"), [((5, H, W), "QYX"), ((2, 3, H, W), "QQYX"), ((1, 1, H, W), "YX"), ((2, H, W, 3), "QYXS")]
)
def test_npy_of_several_planes(tmp_path, shape, axes):
    data = np.random.default_rng(0).random(shape)
    np.save(tmp_path / "a.npy", data)
    image = read_image(tmp_path / "a.npy")
    assert image.axes == axes
    np.testing.assert_array_equal(image.data, data.squeeze() if shape[0] == 1 else data)
