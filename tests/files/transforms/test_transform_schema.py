"""The JSON Schema of transform.json accepts every written file and refuses what the reader refuses."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from test_transform_file import GRID, MATRIX, REQUIRED, UNUSABLE

from zncc_cli.files.transforms.transform_json import read_transform, write_transform

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema validates by the schema")
ROOT = Path(__file__).parents[3]


def not_json(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


@pytest.fixture(scope="module")
def valid():
    schema = json.loads((files("zncc_cli.files.transforms") / "transform.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema).is_valid


@pytest.fixture
def content(tmp_path):
    write_transform(
        tmp_path / "t.json",
        model="rigid",
        matrix=MATRIX,
        fixed_shape=(480, 640),
        moving_shape=(1, 2),
        model_asked="auto",
        status="ok",
    )
    return json.loads((tmp_path / "t.json").read_text())


def test_the_schema_accepts_what_is_written(valid, content):
    assert valid(content)
    assert valid({**content, "grid": GRID})
    content["matrix"] = (np.eye(3) * np.finfo(np.float64).max).tolist()
    assert valid(content)


@pytest.mark.parametrize(("key", "value"), UNUSABLE)
def test_the_schema_refuses_what_the_reader_refuses(valid, content, key, value):
    text = json.dumps({**content, key: value})
    if "NaN" in text or "Infinity" in text:
        with pytest.raises(ValueError, match="is no JSON"):  # so no schema is asked
            json.loads(text, parse_constant=not_json)
    else:
        assert not valid(json.loads(text))


BEND = {"version": 2, "model": "bspline", "spline": {"spacing": 8, "coefficients": "warp-spline.npy"}}


def test_the_schema_accepts_a_spline_in_version_2_alone(valid, content):
    content |= BEND
    assert valid(content)
    assert not valid({**content, "version": 1})
    assert not valid({**content, "spline": None})
    assert not valid({key: value for key, value in content.items() if key != "spline"})
    for name in ("../spline.npy", "a/spline.npy", ".spline.npy", "spline", ""):
        assert not valid({**content, "spline": {"spacing": 8, "coefficients": name}})
    for spacing in (0.4, -8, "8", None):
        assert not valid({**content, "spline": {"spacing": spacing, "coefficients": "spline.npy"}})


@pytest.mark.parametrize("key", REQUIRED)
def test_the_schema_refuses_content_that_lacks_a_key(valid, content, key):
    del content[key]
    assert not valid(content)


def test_reader_and_schema_ignore_unknown_keys(valid, content, tmp_path):
    content |= {"note": "from a later version", "fixed_shape": [480.0, 640]}
    assert valid(content)
    (tmp_path / "later.json").write_text(json.dumps(content))
    assert read_transform(tmp_path / "later.json").fixed_shape == (480, 640)


@pytest.mark.parametrize("content", [[], 3, None, "transform", {}])
def test_refuses_what_is_no_transform(valid, content):
    assert not valid(content)


def test_the_documents_link_to_the_one_schema():
    assert "(../zncc_cli/files/transforms/transform.schema.json)" in (ROOT / "docs" / "transforms.md").read_text()
