"""The other tools, reading our files of transforms that bend, map the same points as we do, and the other way round.

pytest -s tests/files/transforms/test_bends_by_their_tools.py      prints the largest differences, in pixels
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tifffile

from tests.registration.spline_fields import AFFINE, pixels, random_field
from zncc_cli.config import TransformFormat
from zncc_cli.errors import InputError, OutputError
from zncc_cli.files.transforms.fitted import fitted
from zncc_cli.files.transforms.formats import Linear, read_linear, write_linear
from zncc_cli.registration.transforms.spline_field import SplineField

FIXED, MOVING = (90, 121), (110, 130)  # 120 pixels are a whole number of spacings: the last pixel lies on a node
FIELDS = {
    "a spline alone": random_field(FIXED, spacing=12.0, matrix=np.eye(3)),
    "a spline upon a matrix": random_field(FIXED, spacing=12.0),
    "an odd spacing": random_field(FIXED, spacing=11.3),
}

Record = Callable[[str, float], None]


@pytest.fixture(scope="module")
def record() -> Iterator[Record]:
    """Collect the largest differences of each tool; the table of all is printed at the end."""
    rows: dict[str, float] = {}

    def add(peer: str, off: float) -> None:
        rows[peer] = max(off, rows.get(peer, 0.0))

    yield add
    print(f"\n\n{'':60}  points, px")
    for peer, off in rows.items():
        print(f"{peer:60}  {off:.1e}")


def linear(field: SplineField) -> Linear:
    return Linear(field.matrix, FIXED, MOVING, bend=field)


def farthest(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b, axis=-1).max())


def read_as_spline(path: Path) -> tuple[Linear, float | None]:
    """Return a transform on our fixed frame, with a spline of ours, and the error that is stated for it."""
    read = read_linear(path)
    assert read.bend is not None
    fit = fitted(Linear(read.matrix, FIXED, MOVING, bend=read.bend))
    return fit.transform, fit.error


# SimpleITK ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sitk() -> ModuleType:
    module: ModuleType = pytest.importorskip("SimpleITK", reason="SimpleITK reads .tfm and .mha files")
    return module


def mapped_by(transform: object, points: np.ndarray) -> np.ndarray:
    return np.array([transform.TransformPoint(point) for point in points.tolist()])  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", FIELDS)
def test_simpleitk_reads_the_spline_that_we_write(sitk: ModuleType, tmp_path: Path, record: Record, name: str) -> None:
    field = FIELDS[name]
    write_linear(tmp_path / "t.tfm", linear(field))
    off = farthest(
        mapped_by(sitk.ReadTransform(str(tmp_path / "t.tfm")), pixels(FIXED)), field.map_points(pixels(FIXED))
    )
    record("SimpleITK reads our BSplineTransform", off)
    assert off < 1e-11  # the same sums in another order


@pytest.mark.parametrize("name", FIELDS)
def test_what_we_write_for_itk_is_read_back(tmp_path: Path, name: str) -> None:
    field = FIELDS[name]
    write_linear(tmp_path / "t.tfm", linear(field))
    back, error = read_as_spline(tmp_path / "t.tfm")
    assert error is None
    got = back.transform
    assert isinstance(got, SplineField)
    assert (got.spacing, got.shape) == (field.spacing, field.shape)
    if name == "a spline alone":
        assert got.coefficients.tobytes() == field.coefficients.tobytes()
    np.testing.assert_allclose(
        got.coefficients, field.coefficients, rtol=0, atol=1e-14
    )  # times a matrix and its inverse


def itk_transforms(sitk: ModuleType) -> dict[str, object]:
    frame = sitk.Image(FIXED[1], FIXED[0], sitk.sitkFloat64)
    rng = np.random.default_rng(3)
    splines = []
    for mesh in ([7, 5], [9, 6]):
        spline = sitk.BSplineTransformInitializer(frame, mesh, 3)  # a grid of its own: the steps differ
        spline.SetParameters(rng.normal(0, 1.5, len(spline.GetParameters())).tolist())
        splines.append(spline)
    affine = sitk.AffineTransform(AFFINE[:2, :2].ravel().tolist(), AFFINE[:2, 2].tolist(), (0, 0))
    near = sitk.TranslationTransform(2, (0.25, -0.5))
    return {
        "alone": splines[0],
        "then affine": sitk.CompositeTransform([affine, splines[0]]),
        "after a shift": sitk.CompositeTransform([splines[0], near]),
        "three": sitk.CompositeTransform([affine, splines[1], splines[0]]),
    }


@pytest.mark.parametrize("name", ["alone", "then affine", "after a shift", "three"])
def test_we_read_the_spline_that_simpleitk_writes(sitk: ModuleType, tmp_path: Path, record: Record, name: str) -> None:
    transform = itk_transforms(sitk)[name]
    sitk.WriteTransform(transform, str(tmp_path / "t.tfm"))
    # Where ITK's splines end, they are zero at once: the points that are compared lie within.
    some = pixels(FIXED)
    some = some[((some > 8) & (some < [112, 81])).all(axis=1)][::7]
    bend = read_linear(tmp_path / "t.tfm").bend
    assert bend is not None
    off = farthest(bend.map_points(some), mapped_by(transform, some))
    record("SimpleITK writes BSplineTransforms, we map points", off)
    assert off < 1e-11
    if name in ("alone", "then affine"):  # the others end within the frame
        back, error = read_as_spline(tmp_path / "t.tfm")
        assert error is not None
        got = back.transform
        assert isinstance(got, SplineField)
        assert farthest(got.map_points(some), mapped_by(transform, some)) <= error <= 0.001
        record("SimpleITK writes BSplineTransforms, our fitted spline", error)


def test_simpleitk_reads_the_displacements_that_we_write(sitk: ModuleType, tmp_path: Path, record: Record) -> None:
    field = FIELDS["a spline upon a matrix"]
    write_linear(tmp_path / "t.mha", linear(field))
    image = sitk.ReadImage(str(tmp_path / "t.mha"), sitk.sitkVectorFloat64)
    some = pixels(FIXED)[::7]
    off = farthest(mapped_by(sitk.DisplacementFieldTransform(image), some), field.map_points(some))
    record("SimpleITK reads our displacements", off)
    assert off < 1e-12


@pytest.mark.parametrize("kind", ["sitkVectorFloat64", "sitkVectorFloat32"])
def test_we_read_the_displacements_that_simpleitk_writes(
    sitk: ModuleType, tmp_path: Path, record: Record, kind: str
) -> None:
    spline = itk_transforms(sitk)["then affine"]
    frame = sitk.Image(FIXED[1], FIXED[0], sitk.sitkFloat64)
    image = sitk.TransformToDisplacementField(spline, sitk.sitkVectorFloat64, frame.GetSize())
    sitk.WriteImage(sitk.Cast(image, getattr(sitk, kind)), str(tmp_path / "t.mha"))
    some = pixels(FIXED)
    some = some[((some > 8) & (some < [112, 81])).all(axis=1)][::7]
    back, error = read_as_spline(tmp_path / "t.mha")
    assert error is not None
    got = back.transform
    assert isinstance(got, SplineField)
    off = farthest(got.map_points(some), mapped_by(spline, some))
    record("SimpleITK writes displacements, our fitted spline", off)
    assert off <= error + 2e-6  # float32 displacements of up to 16 pixels
    assert error <= 0.001


# elastix --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def elastix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which `run_elastix` ran, on our parameter files and on its own."""
    if find_spec("itk") is None or find_spec("itk.itkElastixRegistrationMethodPython") is None:
        pytest.skip("itk-elastix applies elastix's parameter files")
    folder = tmp_path_factory.mktemp("elastix")
    moving = np.random.default_rng(0).standard_normal(MOVING)
    for axis in (0, 1):
        for _ in range(4):
            moving = (np.roll(moving, 1, axis) + 2 * moving + np.roll(moving, -1, axis)) / 4
    np.save(folder / "moving.npy", moving)
    np.save(folder / "fixed.npy", moving[5 : 5 + FIXED[0], 4 : 4 + FIXED[1]])
    for number, field in enumerate(FIELDS.values()):
        write_linear(folder / f"ours{number}.txt", linear(field), TransformFormat.ELASTIX)
    program = Path(__file__).resolve().with_name("run_elastix.py")
    subprocess.run([sys.executable, program, folder], check=True, capture_output=True, timeout=300, cwd=folder)
    return folder


@pytest.mark.parametrize("number", range(len(FIELDS)))
def test_transformix_reads_the_spline_that_we_write(elastix: Path, record: Record, number: int) -> None:
    field = list(FIELDS.values())[number]
    moved = np.load(elastix / f"ours{number}_moved.npy")
    off = farthest(moved, field.displacements(range(FIXED[0]), range(FIXED[1])))
    record("transformix reads our B-spline (float32)", off)
    assert off < 2e-6  # float32 displacements of up to 16 pixels


@pytest.mark.parametrize("number", range(len(FIELDS)))
def test_what_we_write_for_elastix_is_read_back_bit_for_bit(elastix: Path, number: int) -> None:
    field = list(FIELDS.values())[number]
    back, error = read_as_spline(elastix / f"ours{number}.txt")
    got = back.transform
    assert isinstance(got, SplineField)
    assert error is None
    assert got.coefficients.tobytes() == field.coefficients.tobytes()
    assert got.matrix.tobytes() == field.matrix.tobytes()


def test_we_read_the_spline_that_elastix_writes_after_an_affine_one(elastix: Path, record: Record) -> None:
    moved = np.load(elastix / "found_then_bspline_moved.npy").reshape(-1, 2)
    read, points = read_linear(elastix / "found_then_bspline.txt"), pixels(FIXED)
    assert read.fixed_shape == FIXED
    assert read.bend is not None
    off = farthest(read.bend.map_points(points), points + moved)
    record("elastix registers and writes, we map points (float32)", off)
    assert off < 2e-6  # float32 displacements
    back, error = read_as_spline(elastix / "found_then_bspline.txt")
    assert error is not None
    got = back.transform
    assert isinstance(got, SplineField)
    off = farthest(got.map_points(points), points + moved)
    record("elastix registers and writes, our fitted spline", off)
    assert off <= error + 2e-6
    assert error <= 0.001


def test_an_initial_transform_is_looked_for_beside_the_file(elastix: Path, tmp_path: Path) -> None:
    shutil.copy(elastix / "found_then_bspline.txt", tmp_path / "t.txt")
    with pytest.raises(InputError, match=r"t\.txt: expected the initial transform found_first\.txt beside it"):
        read_linear(tmp_path / "t.txt")
    text = (tmp_path / "t.txt").read_text()
    (tmp_path / "t.txt").write_text(text.replace(str(elastix / "found_first.txt"), "C:\\elsewhere\\t.txt"))
    with pytest.raises(InputError, match="a circle"):
        read_linear(tmp_path / "t.txt")


# TIFF and bUnwarpJ ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["ours", "interleaved", "bands", "pages"])
def test_a_tiff_of_two_bands_is_read(tmp_path: Path, record: Record, layout: str) -> None:
    field = FIELDS["a spline upon a matrix"]
    u = field.displacements(range(FIXED[0]), range(FIXED[1])).astype(np.float32)
    if layout == "ours":
        write_linear(tmp_path / "t.tif", linear(field))
        assert np.array_equal(tifffile.imread(tmp_path / "t.tif"), u)
    elif layout == "interleaved":
        tifffile.imwrite(tmp_path / "t.tif", u, photometric="minisblack", planarconfig="contig")
    elif layout == "bands":
        tifffile.imwrite(tmp_path / "t.tif", np.moveaxis(u, -1, 0), photometric="minisblack", planarconfig="separate")
    else:
        tifffile.imwrite(tmp_path / "t.tif", np.moveaxis(u, -1, 0), photometric="minisblack")
    back, error = read_as_spline(tmp_path / "t.tif")
    assert error is not None
    got = back.transform
    assert isinstance(got, SplineField)
    off = farthest(got.map_points(pixels(FIXED)), field.map_points(pixels(FIXED)))
    record("TIFF of two float32 bands, our fitted spline", off)
    assert off <= error + 2e-6 <= 0.001 + 2e-6


def test_what_is_nan_in_a_tiff_is_filled_smoothly(tmp_path: Path) -> None:
    field = random_field(FIXED, amplitude=0.3, spacing=30.0)
    u = field.displacements(range(FIXED[0]), range(FIXED[1])).astype(np.float32)
    u[:, 100:], u[40:44, 50:53] = np.nan, np.nan
    tifffile.imwrite(tmp_path / "t.tif", u, photometric="minisblack", planarconfig="contig")
    back, error = read_as_spline(tmp_path / "t.tif")
    assert error is not None
    got = back.transform
    assert isinstance(got, SplineField)
    off = np.linalg.norm(got.map_points(pixels(FIXED)) - field.map_points(pixels(FIXED)), axis=1).reshape(FIXED)
    known = np.isfinite(u).all(axis=-1)
    assert off[known].max() <= error + 2e-6
    assert off[40:44, 50:53].max() < 0.3
    assert off.max() < 3  # of displacements of up to 7 pixels


def read_as_bunwarpj_does(path: Path) -> np.ndarray:
    """Return the places (H, W, 2) that bUnwarpJ's loadRawTransformation reads, line by line."""
    lines = iter(path.read_text().split("\n"))
    width, height = (int(next(lines).split("=")[1]) for _ in range(2))
    planes = []
    for _ in "xy":
        next(lines), next(lines)
        rows = [next(lines).split() for _ in range(height)]
        assert {len(row) for row in rows} == {width}
        planes.append(np.array(rows, dtype=float))
    return np.stack(planes, axis=-1)


def test_a_raw_transformation_of_bunwarpj_holds_the_places_of_all_pixels(tmp_path: Path, record: Record) -> None:
    field = FIELDS["an odd spacing"]
    write_linear(tmp_path / "raw.txt", linear(field), TransformFormat.BUNWARPJ)
    places = read_as_bunwarpj_does(tmp_path / "raw.txt").reshape(-1, 2)
    off = farthest(places, field.map_points(pixels(FIXED)))
    record("bUnwarpJ's raw transformation, read line by line as it does", off)
    assert off < 1e-12
    back, error = read_as_spline(tmp_path / "raw.txt")
    assert error is not None
    got = back.transform
    assert isinstance(got, SplineField)
    off = farthest(got.map_points(pixels(FIXED)), places)
    record("bUnwarpJ's raw transformation, our fitted spline", off)
    assert off <= error + 1e-12 <= 0.001 + 1e-12


# OME-Zarr -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def zarr() -> ModuleType:
    module: ModuleType = pytest.importorskip("zarr", reason="zarr reads OME-Zarr")
    return module


def test_zarr_reads_the_scene_that_we_write(zarr: ModuleType, tmp_path: Path, record: Record) -> None:
    field = FIELDS["a spline upon a matrix"]
    write_linear(tmp_path / "t.ome.zarr", linear(field))
    assert [path.name for path in tmp_path.iterdir()] == ["t.ome.zarr"]
    group = zarr.open_group(tmp_path / "t.ome.zarr", mode="r")
    (transformation,) = group.attrs["ome"]["scene"]["coordinateTransformations"]
    assert transformation["type"] == "displacements"
    assert (transformation["input"], transformation["output"]) == ({"name": "fixed"}, {"name": "moving"})
    axes = group[transformation["path"]].attrs["ome"]["multiscales"][0]["coordinateSystems"][0]["axes"]
    assert [axis["name"] for axis in axes] == ["c", "y", "x"]
    dy, dx = group[transformation["path"]]["s0"][:]
    off = farthest(np.stack([dx, dy], axis=-1), field.displacements(range(FIXED[0]), range(FIXED[1])))
    record("zarr reads our OME-Zarr displacements", off)
    assert off == 0
    back, error = read_as_spline(tmp_path / "t.ome.zarr")
    assert error is not None
    got = back.transform
    assert isinstance(got, SplineField)
    off = farthest(got.map_points(pixels(FIXED)), field.map_points(pixels(FIXED)))
    record("OME-Zarr displacements, our fitted spline", off)
    assert off <= error + 1e-12 <= 0.001 + 1e-12


def test_a_tall_frame_in_several_chunks_and_one_that_zarr_compressed_are_read(zarr: ModuleType, tmp_path: Path) -> None:
    field = random_field((1030, 7), spacing=40.0)
    write_linear(tmp_path / "t.zarr", Linear(field.matrix, field.shape, MOVING, bend=field))
    want = field.displacements(range(1030), range(7))
    group = zarr.open_group(tmp_path / "t.zarr", mode="r+")
    np.testing.assert_array_equal(group["displacements/s0"][:], want[..., ::-1].transpose(2, 0, 1))
    values = group["displacements/s0"][:]
    del group["displacements/s0"]
    group["displacements"].create_array("s0", data=values, chunks=(2, 100, 7))  # zarr compresses it
    got = read_linear(tmp_path / "t.zarr").bend
    assert got is not None
    points = pixels(field.shape)
    np.testing.assert_array_equal(got.map_points(points), points + want.reshape(-1, 2))


SCENE = ("attributes", "ome", "scene", "coordinateTransformations", 0)
FIELD = ("attributes", "ome", "multiscales", 0)


@pytest.mark.parametrize(
    ("file", "keys", "value", "found"),
    [
        ("zarr.json", (*SCENE, "type"), "affine", "displacements"),
        ("zarr.json", (*SCENE, "path"), "../../elsewhere", "in the folder itself"),
        ("zarr.json", (*SCENE, "path"), "nowhere", "nothing there"),
        ("zarr.json", SCENE[:-1], [], "number of transformations"),
        ("zarr.json", SCENE[:3], 3, "no scene"),
        ("zarr.json", SCENE[:2], 3, "no metadata"),
        ("displacements/zarr.json", (*FIELD, "coordinateSystems", 0, "axes", 0, "type"), "channel", "channel"),
        ("displacements/zarr.json", (*FIELD, "coordinateSystems", 0, "axes", 1, "name"), "x", "axes"),
        (
            "displacements/zarr.json",
            (*FIELD, "datasets", 0, "coordinateTransformations", 0, "scale"),
            [1, 2, 2],
            "scale",
        ),
        ("displacements/zarr.json", (*FIELD, "datasets"), 3, "metadata without"),
        ("displacements/zarr.json", (*FIELD, "datasets", 0, "path"), "../../s0", "displacements"),
        ("displacements/s0/zarr.json", ("shape",), [3, 90, 121], "(3, 90, 121)"),
        ("displacements/s0/zarr.json", ("shape",), [2, 2**40, 2**40], "expected"),
        ("displacements/s0/zarr.json", ("data_type",), "int64", "int64"),
    ],
)
def test_an_unusable_scene_is_refused_in_one_line(
    tmp_path: Path, zarr: ModuleType, file: str, keys: tuple[Any, ...], value: object, found: str
) -> None:
    field = FIELDS["a spline alone"]
    write_linear(tmp_path / "t.zarr", linear(field))
    content = json.loads((tmp_path / "t.zarr" / file).read_text())
    part = content
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = value
    (tmp_path / "t.zarr" / file).write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"t\.zarr: expected") as caught:
        read_linear(tmp_path / "t.zarr")
    assert found in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_that_stands_there_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "t.zarr").mkdir()
    with pytest.raises(OutputError, match="exists already"):
        write_linear(tmp_path / "t.zarr", linear(FIELDS["a spline alone"]))
    assert [path.name for path in tmp_path.iterdir()] == ["t.zarr"]
