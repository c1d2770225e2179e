"""transform.json of a transform that bends: its spline is read back bit for bit, and its side files are checked."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from tests.registration.spline_fields import random_field
from zncc_cli.config import TransformFormat
from zncc_cli.errors import InputError, OutputError
from zncc_cli.files.transforms.formats import FORMATS, read_linear, write_linear
from zncc_cli.files.transforms.linear import Linear
from zncc_cli.files.transforms.transform_json import read_transform, write_transform

FIXED, MOVING = (60, 85), (70, 80)
FIELD = random_field(FIXED, spacing=7.3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_transform(
        tmp_path / "transform.json",
        model="bspline",
        matrix=FIELD.matrix,
        fixed_shape=FIXED,
        moving_shape=MOVING,
        field=FIELD,
    )
    return tmp_path / "transform.json"


def test_the_spline_is_read_back_bit_for_bit(path: Path) -> None:
    file, linear = read_transform(path), read_linear(path)
    for field in (file.field, linear.bend):
        assert field is not None
        assert field.coefficients.tobytes() == FIELD.coefficients.tobytes()  # type: ignore[attr-defined]
        assert field.spacing == 7.3
    assert file.model == linear.model == "bspline"
    assert file.matrix.tobytes() == FIELD.matrix.tobytes()


def test_the_displacement_is_moving_less_fixed_and_nan_outside_the_moving_frame(path: Path) -> None:
    displacement = tifffile.imread(path.with_name("displacement.tif"))
    assert displacement.dtype == np.float32
    assert displacement.shape == (*FIXED, 2)
    want = FIELD.displacements(range(60), range(85))
    moving = want + np.stack(np.meshgrid(range(85), range(60)), axis=-1)
    inside = ((moving >= 0) & (moving <= [79, 69])).all(axis=-1)
    assert 0 < inside.mean() < 1
    assert np.array_equal(displacement[inside], want[inside].astype(np.float32))
    assert np.isnan(displacement[~inside]).all()


def test_files_beside_a_name_of_ones_own_bear_that_name(tmp_path: Path) -> None:
    write_linear(tmp_path / "warp.json", Linear(FIELD.matrix, FIXED, MOVING, bend=FIELD))
    assert {p.name for p in tmp_path.iterdir()} == {"warp.json", "warp-spline.npy", "warp-displacement.tif"}
    content = json.loads((tmp_path / "warp.json").read_text())
    digest = hashlib.sha256(FIELD.coefficients.tobytes()).hexdigest()
    assert content["spline"] == {"spacing": 7.3, "coefficients": "warp-spline.npy", "sha256": digest}
    assert content["displacement"] == "warp-displacement.tif"
    assert content["version"] == 2  # for what knows the matrix alone
    assert content["model"] == "bspline"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("spline", []),
        ("spline", "spline.npy"),
        ("version", 1),
        ("sha256", 3),
        *(("spacing", spacing) for spacing in (None, 0, -8, 0.4, "8", True, 1e300, 10**400)),
        *(("coefficients", name) for name in (None, 3, "", ".npy", "spline", "../spline.npy", "/etc/spline.npy")),
        *(
            ("coefficients", name)
            for name in ("a/spline.npy", "a\\spline.npy", ".spline.npy", "spline.npy\0", "é/.npy")
        ),
    ],
)
def test_unusable_content_is_refused(path: Path, key: str, value: Any) -> None:
    content = json.loads(path.read_text())
    content["spline"][key] = value
    if key in content:
        content[key] = value
    path.write_text(json.dumps(content))
    with pytest.raises(InputError) as caught:
        read_transform(path)
    assert f'"{key}"' in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_coefficients_of_another_transform_are_refused(path: Path) -> None:
    np.save(path.with_name("spline.npy"), FIELD.coefficients + 1)
    with pytest.raises(InputError, match="one of another transform"):
        read_transform(path)
    content = json.loads(path.read_text())
    del content["spline"]["sha256"]  # as another program may write it
    path.write_text(json.dumps(content))
    assert read_transform(path).field is not None


def test_the_model_alone_makes_no_spline(path: Path) -> None:
    content = json.loads(path.read_text())
    del content["spline"]
    path.write_text(json.dumps({**content, "version": 1}))
    with pytest.raises(InputError, match='"spline": spacing and coefficients'):
        read_transform(path)


def damaged(file: Path, damage: str) -> None:
    """Damage the file of the coefficients."""
    coefficients = FIELD.coefficients
    if damage == "missing":
        file.unlink()
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-8])
    elif damage == "longer":
        file.write_bytes(file.read_bytes() + b"12345678")
    elif damage == "pipe":
        file.unlink()
        os.mkfifo(file)
    elif damage == "pickled":
        np.save(file, np.array([{}], dtype=object))
    elif damage == "text":
        file.write_text("1 2 3")
    else:
        changed = {
            "float32": coefficients.astype(np.float32),
            "big-endian": coefficients.astype(">f8"),
            "fewer": coefficients[:, :-1],
            "columns first": np.asfortranarray(coefficients),
            "nan": np.where(coefficients == coefficients.max(), np.nan, coefficients),
        }
        np.save(file, changed[damage])


DAMAGES = ["missing", "empty", "cut", "longer", "pipe", "pickled", "text"]
OTHER_ARRAYS = ["float32", "big-endian", "fewer", "columns first", "nan"]


@pytest.mark.parametrize("damage", [*DAMAGES, *OTHER_ARRAYS])
def test_unusable_coefficients_are_refused_in_one_line(path: Path, damage: str) -> None:
    damaged(path.with_name("spline.npy"), damage)
    with pytest.raises(InputError) as caught:
        read_transform(path)
    assert str(caught.value).startswith(str(path))
    assert "spline.npy" in str(caught.value) or "npy" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [[2**31 - 1, 2**31 - 1], [2**20, 2**20], [61, 185]])
def test_coefficients_of_another_size_than_the_frame_needs_take_no_memory(path: Path, shape: list[int]) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "fixed_shape": shape}))
    with pytest.raises(InputError, match=r"nodes|spline\.npy"):
        read_transform(path)


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if not FORMATS[kind].bends])
def test_formats_of_matrices_refuse_a_bend(tmp_path: Path, kind: TransformFormat) -> None:
    with pytest.raises(OutputError, match="found a transform that bends; choose one of"):
        write_linear(tmp_path / "out", Linear(FIELD.matrix, FIXED, MOVING, bend=FIELD), kind)
    assert not list(tmp_path.iterdir())
