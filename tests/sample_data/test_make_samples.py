"""The committed sample pairs are what the script draws, moved as their truth says, in the promised formats."""

import json
import subprocess
import sys
from pathlib import Path

import imageio.v3 as iio
import make_samples
import numpy as np
import pytest
import tifffile

map_coordinates = pytest.importorskip("scipy.ndimage").map_coordinates

SAMPLES = Path(__file__).parents[2] / "sample_data"
FORMATS = {  # model: file suffix, dtype, shape
    "translation": (".tif", np.uint16, (384, 512)),
    "rigid": (".tif", np.uint16, (384, 512)),
    "similarity": (".png", np.uint8, (384, 512)),
    "affine": (".tif", np.uint16, (384, 512)),
    "homography": (".png", np.uint8, (384, 512, 3)),
}
BATCH = ["cells", "grains", "stars"]
KEYS = {
    "format": "zncc-transform",
    "version": 1,
    "direction": "fixed -> moving",
    "axis_order": "xy",
    "pixel_origin": "centre of the top-left pixel is (0, 0)",
}


def read(path):
    return tifffile.imread(path) if path.suffix == ".tif" else iio.imread(path)


def load(name):
    """Return truth, fixed and moving image of a pair, by its model or its name in batch/."""
    if name in FORMATS:
        folder, suffix = SAMPLES / name, FORMATS[name][0]
        truth = json.loads((folder / "truth.json").read_text())
        return truth, read(folder / f"fixed{suffix}"), read(folder / f"moving{suffix}")
    folder = SAMPLES / "batch"
    truth = json.loads((folder / "truth.json").read_text())[name]
    return truth, read(folder / f"{name}_fixed.png"), read(folder / f"{name}_moving.png")


def correlation_with_fixed(fixed, moving, matrix):
    """Return the Pearson correlation of the fixed image and the resampled moving image in their overlap."""
    if fixed.ndim == 3:
        fixed, moving = fixed.mean(axis=2), moving.mean(axis=2)
    y, x = np.indices(fixed.shape)
    u, v, w = (matrix[i, 0] * x + matrix[i, 1] * y + matrix[i, 2] for i in range(3))
    aligned = map_coordinates(moving.astype(float), [v / w, u / w], order=3, mode="constant", cval=np.nan)
    inside = np.isfinite(aligned)
    return np.corrcoef(fixed[inside], aligned[inside])[0, 1]


@pytest.fixture(scope="module")
def redrawn(tmp_path_factory):
    out = tmp_path_factory.mktemp("samples")
    subprocess.run([sys.executable, SAMPLES / "make_samples.py", "--out", out], check=True)
    return out


def test_script_reproduces_the_committed_files(redrawn):
    names = sorted(path.relative_to(redrawn) for path in redrawn.rglob("*") if path.is_file())
    assert len(names) == 5 * 3 + 7
    for name in names:
        if name.suffix == ".json":
            assert (redrawn / name).read_text() == (SAMPLES / name).read_text(), name
            continue
        new, old = read(redrawn / name), read(SAMPLES / name)
        assert (new.shape, new.dtype) == (old.shape, old.dtype), name
        # Another processor's exp() may differ in its last bit, and a value halfway between two grey levels then rounds
        # the other way.
        difference = np.abs(new.astype(int) - old.astype(int))
        assert difference.max() <= 1, name
        assert (difference > 0).mean() < 1e-4, name


def test_the_folder_holds_no_other_image(redrawn):
    images = {path.relative_to(SAMPLES) for kind in ("*.tif", "*.png") for path in SAMPLES.rglob(kind)}
    assert images == {path.relative_to(redrawn) for kind in ("*.tif", "*.png") for path in redrawn.rglob(kind)}


def test_the_folder_is_smaller_than_5_megabytes():
    assert sum(path.stat().st_size for path in SAMPLES.rglob("*") if path.is_file()) < 5_000_000


@pytest.mark.parametrize("name", FORMATS)
def test_a_pair_has_the_promised_dtype_and_shape(name):
    truth, fixed, moving = load(name)
    _, dtype, shape = FORMATS[name]
    assert fixed.dtype == moving.dtype == dtype
    assert fixed.shape == moving.shape == shape
    assert truth["model"] == name


@pytest.mark.parametrize("name", BATCH)
def test_a_pair_of_the_batch_has_the_promised_dtype_and_shape(name):
    truth, fixed, moving = load(name)
    assert fixed.dtype == moving.dtype == np.uint8
    assert fixed.shape == moving.shape == (128, 160)
    assert truth["model"] == "rigid"


@pytest.mark.parametrize("name", [*FORMATS, *BATCH])
def test_truth_has_the_keys_of_a_transform(name):
    truth, fixed, moving = load(name)
    assert {key: truth[key] for key in KEYS} == KEYS
    assert truth["fixed_shape"] == list(fixed.shape[:2])
    assert truth["moving_shape"] == list(moving.shape[:2])
    assert np.shape(truth["matrix"]) == (3, 3)
    assert truth["matrix"][2][2] == 1
    assert truth["made_by"] == "sample_data/make_samples.py"
    assert {"seed", "noise"} < truth.keys()


def is_rotation_times(matrix, scale):
    linear = matrix[:2, :2]
    return np.allclose(linear @ linear.T, scale**2 * np.eye(2), atol=1e-10) and np.linalg.det(linear) > 0


@pytest.mark.parametrize("name", [*FORMATS, *BATCH])
def test_the_matrix_has_the_form_of_its_model(name):
    truth, _, _ = load(name)
    matrix = np.array(truth["matrix"])
    scale = np.sqrt(np.linalg.det(matrix[:2, :2]))
    if truth["model"] != "homography":
        np.testing.assert_array_equal(matrix[2], [0, 0, 1])
    match truth["model"]:
        case "translation":
            np.testing.assert_array_equal(matrix[:2, :2], np.eye(2))
        case "rigid":
            assert is_rotation_times(matrix, 1.0)
        case "similarity":
            assert is_rotation_times(matrix, scale)
            assert abs(scale - 1) > 0.02, "a rigid motion would do"
        case "affine":
            assert not is_rotation_times(matrix, scale), "a similarity would do"
        case "homography":
            assert np.abs(matrix[2, :2]).max() > 1e-6, "an affine motion would do"


@pytest.mark.parametrize("pair", make_samples.pairs() + make_samples.batch(), ids=lambda pair: pair.name)
def test_a_scene_point_lies_in_both_views_where_the_matrix_says(pair):
    """Points of the scene on pixel centres of the moving frame have the same brightness in both views."""
    y, x = np.array([[40.0, 61.0, 77.0, 90.0], [33.0, 12.0, 101.0, 57.0]])
    u, v, w = np.linalg.solve(pair.matrix, np.stack([x, y, np.ones(4)]))
    here = pair.scene(np.atleast_2d(u / w), np.atleast_2d(v / w), pair.seed)[0]
    moved = make_samples.view(pair.scene, pair.seed, (91, 102), pair.matrix)[y.astype(int), x.astype(int)]
    np.testing.assert_allclose(moved, here, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", [*FORMATS, *BATCH])
def test_truth_aligns_the_images_better_than_its_neighbours(name):
    """The resampling is SciPy's: a wrong direction, axis order or half pixel would move the optimum."""
    truth, fixed, moving = load(name)
    matrix = np.array(truth["matrix"])
    best = correlation_with_fixed(fixed, moving, matrix)
    assert best > 0.9  # the noise keeps the rigid pair, an electron microscope's, near this
    assert best > correlation_with_fixed(fixed, moving, np.eye(3)) + 0.1
    assert best > correlation_with_fixed(fixed, moving, np.linalg.inv(matrix)) + 0.1
    for dx, dy in [(0.3, 0), (-0.3, 0), (0, 0.3), (0, -0.3)]:
        shifted = np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1]]) @ matrix
        assert best > correlation_with_fixed(fixed, moving, shifted)


@pytest.mark.parametrize("name", [*FORMATS, *BATCH])
def test_images_use_their_range_without_clipping(name):
    _, fixed, moving = load(name)
    for image in (fixed, moving):
        assert image.max() > 0.5 * np.iinfo(image.dtype).max or image.max() > 1000
        for edge in (0, np.iinfo(image.dtype).max):
            assert (image == edge).mean() < 1e-4
