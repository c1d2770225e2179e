"""The other tools, reading our files, map the same points and resample the same pixels as we do.

    pytest -s tests/files/transforms/test_formats_by_their_tools.py      prints the largest differences

Points are compared in pixels, images in fractions of their standard deviation, away from the edges of the moving image,
where each tool has its own way of going on.
"""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from zncc_cli.config import Interpolation, Model, TransformFormat
from zncc_cli.files.transforms.formats import Linear, read_linear, write_linear
from zncc_cli.files.transforms.transform_json import write_transform
from zncc_cli.registration.resampling.resample import array_reader, resample
from zncc_cli.registration.transforms.matrices import invert, map_points

FIXED, MOVING = (180, 230), (200, 240)
DEEP = 24  # pixels from the edge: 0.268^24 of what lies beyond it reaches a cubic spline there, 2e-14
COS, SIN = math.cos(0.2), math.sin(0.2)
MATRICES = {
    Model.TRANSLATION: [[1, 0, 4.37], [0, 1, 7.81], [0, 0, 1]],
    Model.RIGID: [[COS, -SIN, 31.3], [SIN, COS, -14.5], [0, 0, 1]],
    Model.SIMILARITY: [[0.9 * COS, -0.9 * SIN, 31.3], [0.9 * SIN, 0.9 * COS, -4.5], [0, 0, 1]],
    Model.AFFINE: [[0.98, 0.04, 5.5], [-0.03, 1.03, 7.25], [0, 0, 1]],
    Model.HOMOGRAPHY: [[1.02, 0.04, 3.5], [-0.03, 0.97, 9.25], [2e-4, -1e-4, 1]],
}
NAMES = {1: "linear", 3: "cubic"}
AFFINES = [model for model in MATRICES if model is not Model.HOMOGRAPHY]

Record = Callable[..., None]


def linear(model: Model) -> Linear:
    return Linear(np.array(MATRICES[model], dtype=float), FIXED, MOVING)


@pytest.fixture(scope="module")
def moving() -> np.ndarray:
    """Return white noise, smoothed twice: texture down to a few pixels, float64 (H, W), mean 0, variance 1."""
    image = np.random.default_rng(0).standard_normal(MOVING)
    for axis in (0, 1):
        for _ in range(2):
            image = (np.roll(image, 1, axis) + 2 * image + np.roll(image, -1, axis)) / 4
    return np.asarray((image - image.mean()) / image.std())


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    """Return the centres of the fixed frame's pixels, (H, W, 2), (x, y)."""
    return np.stack(np.meshgrid(np.arange(FIXED[1]), np.arange(FIXED[0])), axis=-1).astype(float)


@pytest.fixture(scope="module")
def record() -> Iterator[Record]:
    """Collect the largest differences of each tool; the table of all is printed at the end."""
    rows: list[tuple[str, float, float]] = []
    yield lambda peer, pixels=math.nan, at=math.nan: rows.append((peer, pixels, at))
    print(f"\n\n{'':50}  pixels   points, px")
    for peer, group in itertools.groupby(sorted(rows), key=lambda row: row[0]):
        columns = zip(*(row[1:] for row in group), strict=True)
        largest = (max((value for value in column if not math.isnan(value)), default=math.nan) for column in columns)
        print(f"{peer:50}  " + "  ".join("       " if math.isnan(value) else f"{value:.1e}" for value in largest))


def ours(image: np.ndarray, matrix: np.ndarray, order: int, shape: tuple[int, int] = FIXED) -> np.ndarray:
    """Return our resampled image on a frame of ``shape``, by splines of ``order``."""
    interpolation = {1: Interpolation.LINEAR, 3: Interpolation.CUBIC}[order]
    read = array_reader(image, np.ones(image.shape, bool))
    return resample(read, image.shape, matrix, range(shape[0]), range(shape[1]), interpolation)[0]


def apart(a: np.ndarray, b: np.ndarray, matrix: np.ndarray, points: np.ndarray) -> float:
    """Return the largest difference of two images on the fixed frame, far from the edges of the moving image."""
    there = map_points(matrix, points)
    deep = ((there >= DEEP) & (there <= np.array(MOVING[::-1]) - 1 - DEEP)).all(axis=-1)
    assert deep.mean() > 0.3
    return float(np.abs(a - b)[deep].max())


def farthest(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b, axis=-1).max())


# SimpleITK ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sitk() -> ModuleType:
    module: ModuleType = pytest.importorskip("SimpleITK", reason="SimpleITK reads .tfm files")
    return module


@pytest.mark.parametrize("model", AFFINES)
def test_simpleitk_reads_what_we_write(
    sitk: ModuleType, tmp_path: Path, moving: np.ndarray, points: np.ndarray, record: Record, model: Model
) -> None:
    path, matrix = tmp_path / "t.tfm", linear(model).matrix
    write_linear(path, linear(model))
    transform = sitk.ReadTransform(str(path))
    some = points.reshape(-1, 2)[::97]
    got = np.array([transform.TransformPoint(point) for point in some.tolist()])
    off = farthest(got, map_points(matrix, some))
    assert off < 1e-12  # the same sums of products in another order
    image, frame = sitk.GetImageFromArray(moving), sitk.Image(FIXED[1], FIXED[0], sitk.sitkFloat64)
    # Both count in float64: a few roundings of values up to 5.
    for order, kind in ((3, sitk.sitkBSpline), (1, sitk.sitkLinear)):
        there = sitk.GetArrayFromImage(sitk.Resample(image, frame, transform, kind, 0.0, sitk.sitkFloat64))
        pixels = apart(there, ours(moving, matrix, order), matrix, points)
        record(f"SimpleITK {NAMES[order]}", pixels, off)
        assert pixels < 1e-9


def sitk_transforms(sitk: ModuleType) -> list[object]:
    affine = sitk.AffineTransform([1.1, 0.2, -0.1, 0.9], (3, 4), (50, 60))
    euler = sitk.Euler2DTransform((50, 60), 0.3, (1.5, -2.25))
    similarity = sitk.Similarity2DTransform(1.1, -0.3, (1.5, -2.25), (50, 60))
    shift = sitk.TranslationTransform(2, (1.5, -2.25))
    return [affine, euler, similarity, shift, sitk.CompositeTransform([affine, euler, shift])]


@pytest.mark.parametrize("number", range(5))
def test_we_read_what_simpleitk_writes(
    sitk: ModuleType, tmp_path: Path, points: np.ndarray, record: Record, number: int
) -> None:
    transform = sitk_transforms(sitk)[number]
    sitk.WriteTransform(transform, str(tmp_path / "t.tfm"))
    some = points.reshape(-1, 2)[::97]
    want = np.array([transform.TransformPoint(point) for point in some.tolist()])  # type: ignore[attr-defined]
    off = farthest(map_points(read_linear(tmp_path / "t.tfm").matrix, some), want)
    record("SimpleITK writes, we read", at=off)
    assert off < 1e-11


# elastix --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def elastix(tmp_path_factory: pytest.TempPathFactory, moving: np.ndarray) -> Path:
    """Return the folder in which `run_elastix` ran, on our parameter files MODEL_ORDER.txt and on its own."""
    if find_spec("itk") is None or find_spec("itk.itkElastixRegistrationMethodPython") is None:
        pytest.skip("itk-elastix applies elastix's parameter files")
    folder = tmp_path_factory.mktemp("elastix")
    np.save(folder / "moving.npy", moving)
    np.save(folder / "fixed.npy", ours(moving, linear(Model.TRANSLATION).matrix, 1))
    for model, order in itertools.product(AFFINES, (1, 3)):
        path = folder / f"{model}_{order}.txt"
        write_linear(path, linear(model), TransformFormat.ELASTIX)
        path.write_text(path.read_text().replace("InterpolationOrder 3", f"InterpolationOrder {order}"))
    program = Path(__file__).resolve().with_name("run_elastix.py")
    # Beside what it is asked for, transformix writes deformationField.* to where it runs.
    subprocess.run([sys.executable, program, folder], check=True, capture_output=True, timeout=300, cwd=folder)
    return folder


def far_in_float32(moving: np.ndarray) -> float:
    """Return the error of pixels when coordinates up to 240 are rounded to float32: 2^-17 times the steepest slopes."""
    return float(2**-17 * sum(np.abs(np.diff(moving, axis=axis)).max() for axis in (0, 1)))


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("model", AFFINES)
def test_transformix_reads_what_we_write(
    elastix: Path, moving: np.ndarray, points: np.ndarray, record: Record, model: Model, order: int
) -> None:
    matrix = linear(model).matrix
    there, moved = (np.load(elastix / f"{model}_{order}_{what}.npy") for what in ("image", "moved"))
    pixels = apart(there, ours(moving, matrix, order), matrix, points)
    off = farthest(points + moved, map_points(matrix, points))
    record(f"transformix {NAMES[order]} (float32)", pixels, off)
    assert there.shape == FIXED
    assert pixels < far_in_float32(moving)
    assert off < 1e-5  # float32 displacements of up to 64 pixels are rounded to 4e-6, in x and in y


@pytest.mark.parametrize("kind", ["Translation", "Euler", "Similarity", "Affine"])
def test_we_read_what_elastix_writes(
    elastix: Path, moving: np.ndarray, points: np.ndarray, record: Record, kind: str
) -> None:
    there, moved = (np.load(elastix / f"found_{kind}_{what}.npy") for what in ("image", "moved"))
    got = read_linear(elastix / f"found_{kind}.txt")
    off = farthest(map_points(got.matrix, points), points + moved)
    pixels = apart(there, ours(moving, got.matrix, 3), got.matrix, points)
    record("elastix registers and writes, we read (float32)", pixels, off)
    assert got.fixed_shape == FIXED
    assert pixels < far_in_float32(moving)
    assert off < 1e-5


# OpenCV ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cv2() -> ModuleType:
    module: ModuleType = pytest.importorskip("cv2", reason="OpenCV reads FileStorage files")
    return module


@pytest.mark.parametrize("suffix", ["yml", "json"])
@pytest.mark.parametrize("model", MATRICES)
def test_opencv_reads_what_we_write(
    cv2: ModuleType, tmp_path: Path, moving: np.ndarray, points: np.ndarray, record: Record, model: Model, suffix: str
) -> None:
    path, matrix = tmp_path / f"m.{suffix}", linear(model).matrix
    write_linear(path, linear(model), TransformFormat.OPENCV)
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_READ)
    read = storage.getNode("matrix").mat()
    storage.release()
    assert read.tobytes() == matrix.tobytes()
    off = farthest(cv2.perspectiveTransform(points, read), map_points(matrix, points))
    assert off < 1e-12
    flags, size = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, FIXED[::-1]
    want = ours(moving, matrix, 1)
    # OpenCV may round places to 1/32 of a pixel, so that they are off by up to 1/64 in x and in y: times the steepest
    # slopes in both that is the largest difference of pixels.
    slopes = sum(np.abs(np.diff(moving, axis=axis)).max() for axis in (0, 1))
    images = [cv2.warpPerspective(moving, read, size, flags=flags)]
    if model is not Model.HOMOGRAPHY:
        images.append(cv2.warpAffine(moving, read[:2], size, flags=flags))
    for image in images:
        pixels = apart(image, want, matrix, points)
        record("OpenCV linear (places rounded to 1/32)", pixels, off)
        assert pixels < slopes / 64


@pytest.mark.parametrize("suffix", ["yml", "json"])
@pytest.mark.parametrize("rows", [2, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_we_read_what_opencv_writes(cv2: ModuleType, tmp_path: Path, suffix: str, rows: int, dtype: type) -> None:
    matrix = np.array(MATRICES[Model.AFFINE], dtype=dtype)
    storage = cv2.FileStorage(str(tmp_path / f"m.{suffix}"), cv2.FILE_STORAGE_WRITE)
    storage.write("error", 0.5)
    storage.write("warp", matrix[:rows])
    storage.release()
    got = read_linear(tmp_path / f"m.{suffix}").matrix
    # float32 is written with 9 digits, which name it and are read as float64.
    np.testing.assert_array_equal(got.astype(dtype), matrix)


def test_what_find_homography_returns_for_moving_points_is_the_inverse(cv2: ModuleType, points: np.ndarray) -> None:
    matrix, some = linear(Model.HOMOGRAPHY).matrix, points.reshape(-1, 2)[::997]
    found, _ = cv2.findHomography(map_points(matrix, some), some)
    assert (
        farthest(map_points(invert(found), some), map_points(matrix, some)) < 1e-4
    )  # it ends its iterations near there


# scikit-image, NumPy, SciPy -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MATRICES)
def test_scikit_image_takes_what_we_write(
    tmp_path: Path, moving: np.ndarray, points: np.ndarray, record: Record, model: Model
) -> None:
    transform = pytest.importorskip("skimage.transform", reason="scikit-image warps by the matrix")
    path, matrix = tmp_path / "m.npy", linear(model).matrix
    write_linear(path, linear(model))
    kind = transform.ProjectiveTransform if model is Model.HOMOGRAPHY else transform.AffineTransform
    pull = kind(matrix=np.load(path, allow_pickle=False))
    off = farthest(pull(points.reshape(-1, 2)), map_points(matrix, points).reshape(-1, 2))
    assert off < 1e-12
    # The matrix itself takes a short cut that knows no splines, so the cubic one is asked for by a function.
    for order, by in ((1, pull), (3, pull.__call__)):
        there = transform.warp(
            moving, by, output_shape=FIXED, order=order, mode="reflect", preserve_range=True, clip=False
        )
        pixels = apart(there, ours(moving, matrix, order), matrix, points)
        record(f"scikit-image {NAMES[order]}", pixels, off)
        assert pixels < 1e-9


@pytest.mark.parametrize("name", ["m.txt", "m.csv", "m.npy"])
@pytest.mark.parametrize("model", MATRICES)
def test_numpy_reads_what_we_write(
    tmp_path: Path, moving: np.ndarray, points: np.ndarray, record: Record, model: Model, name: str
) -> None:
    ndimage = pytest.importorskip("scipy.ndimage", reason="SciPy resamples by its own splines")
    write_linear(tmp_path / name, linear(model))
    if name == "m.npy":
        matrix = np.load(tmp_path / name, allow_pickle=False)
    else:
        matrix = np.loadtxt(tmp_path / name, delimiter="," if name == "m.csv" else None)
    assert matrix.tobytes() == linear(model).matrix.tobytes()
    x, y, w = matrix @ np.concatenate([points, np.ones((*FIXED, 1))], axis=-1).reshape(-1, 3).T
    off = farthest(np.stack([x / w, y / w], axis=-1), map_points(matrix, points).reshape(-1, 2))
    for order in (1, 3):
        there = ndimage.map_coordinates(moving, [y / w, x / w], order=order, mode="mirror").reshape(FIXED)
        pixels = apart(there, ours(moving, matrix, order), matrix, points)
        record(f"NumPy and SciPy {NAMES[order]}", pixels, off)
        assert pixels < 1e-9
    assert off < 1e-12


# TurboReg -------------------------------------------------------------------------------------------------------------


def landmarks(path: Path) -> tuple[str, np.ndarray, np.ndarray]:
    """Return kind, source and target landmarks of a TurboReg file, read line by line like its own loader."""
    lines = path.read_text().split("\n")
    assert lines[0] == "Transformation"
    assert [lines[2], lines[3], lines[5], lines[6], lines[8], lines[9]] == [
        *("", "Source size"),
        *("", "Target size"),
        *("", "Refined source landmarks"),
    ]
    count = {"TRANSLATION": 1, "RIGID_BODY": 3, "SCALED_ROTATION": 2, "AFFINE": 3}[lines[1]]
    assert lines[10 + count : 12 + count] == ["", "Target landmarks"]
    source, target = (
        np.array([[float(word) for word in line.split("\t")] for line in lines[at : at + count]])
        for at in (10, 12 + count)
    )
    return lines[1], source, target


@pytest.mark.parametrize("model", AFFINES)
def test_landmarks_solved_by_least_squares_give_the_matrix(
    tmp_path: Path, points: np.ndarray, record: Record, model: Model
) -> None:
    """Each kind has exactly as many landmarks as it needs: all fit, so any way of solving them gives the same."""
    write_linear(tmp_path / "l.txt", linear(model), TransformFormat.TURBOREG)
    kind, source, target = landmarks(tmp_path / "l.txt")
    (x, y), one, none = target.T, np.ones(len(target)), np.zeros(len(target))
    if kind == "AFFINE":
        a, b, c, d, tx, ty = np.linalg.lstsq(
            np.block([[x, y, none, none, one, none], [none, none, x, y, none, one]])
            .reshape(2, 6, -1)
            .transpose(0, 2, 1)
            .reshape(-1, 6),
            source.T.ravel(),
            rcond=None,
        )[0]
    elif kind == "TRANSLATION":
        a, b, c, d, (tx, ty) = 1, 0, 0, 1, (source - target)[0]
    else:  # a similarity (a, -c; c, a): for a rigid body its scale comes out as 1
        rows = np.concatenate([np.stack([x, -y, one, none], 1), np.stack([y, x, none, one], 1)])
        a, c, tx, ty = np.linalg.lstsq(rows, source.T.ravel(), rcond=None)[0]
        b, d = -c, a
    solved = np.array([[a, b, tx], [c, d, ty], [0, 0, 1]])
    off = farthest(map_points(solved, points), map_points(linear(model).matrix, points))
    record("TurboReg landmarks, solved by least squares", at=off)
    assert off < 1e-10  # landmarks of 230 pixels are rounded to 3e-14, and spread over half the frame


@pytest.mark.parametrize("kind", ["TRANSLATION", "RIGID_BODY", "SCALED_ROTATION", "AFFINE"])
def test_landmarks_that_turboreg_found_give_its_own_matrix_and_image(
    tmp_path: Path, moving: np.ndarray, points: np.ndarray, record: Record, kind: str
) -> None:
    """pystackreg is TurboReg in C++; its landmarks are those that TurboReg would save."""
    pystackreg = pytest.importorskip("pystackreg", reason="pystackreg is TurboReg in C++")
    reg = pystackreg.StackReg(getattr(pystackreg.StackReg, kind))
    pull = np.array([[1.0, 0.01, 2.3], [-0.01, 1.0, -1.7], [0, 0, 1]])
    fixed = ours(moving, pull, 3, MOVING)
    found = reg.register(fixed, moving)
    target, source = reg.get_points()
    sizes = f"Source size\n{MOVING[1]}\t{MOVING[0]}\n\nTarget size\n{MOVING[1]}\t{MOVING[0]}\n"
    lists = ("".join(f"{x!r}\t{y!r}\n" for x, y in np.asarray(each).tolist()) for each in (source, target))
    text = (
        f"Transformation\n{kind}\n\n{sizes}\nRefined source landmarks\n{next(lists)}\nTarget landmarks\n{next(lists)}"
    )
    (tmp_path / "l.txt").write_text(text)
    matrix = read_linear(tmp_path / "l.txt").matrix
    off = farthest(map_points(matrix, points), map_points(found, points))
    there = reg.transform(moving)[: FIXED[0], : FIXED[1]]
    pixels = apart(there, ours(moving, matrix, 3), matrix, points)
    record("TurboReg (pystackreg) registers, we read", pixels, off)
    assert off < 1e-9
    assert pixels < 1e-5


# Our own --------------------------------------------------------------------------------------------------------------


def test_sample_truths_are_transforms_of_ours(tmp_path: Path) -> None:
    truth = json.loads((Path(__file__).parents[3] / "sample_data" / "homography" / "truth.json").read_text())
    write_transform(
        tmp_path / "t.json",
        model=truth["model"],
        matrix=truth["matrix"],
        fixed_shape=tuple(truth["fixed_shape"]),
        moving_shape=tuple(truth["moving_shape"]),
    )
    assert read_linear(tmp_path / "t.json").matrix.tolist() == truth["matrix"]
