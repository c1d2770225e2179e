"""transform.json is read back bit for bit, and all of it is checked."""

import json
import os

import numpy as np
import pytest

from zncc_cli.errors import InputError, OutputError
from zncc_cli.files.transforms.formats import read_linear
from zncc_cli.files.transforms.transform_json import read_transform, write_transform

MATRIX = [[1 / 3, -1e-17, 12.3], [np.nextafter(0, 1), 0.1 + 0.2, -7e300], [0, 0, 1]]

GRID = {
    "pixel_size": {"x": 0.25, "y": 0.5, "unit": "µm"},
    "resolution": {"x": [4, 1], "y": [2, 1], "unit": 3},
    "origin": [10.0, -2.5],
    "georeference": [
        [33550, 12, 3, [10.0, 20.0, 0.0]],
        [33922, 12, 6, [0.0, 0.0, 0.0, 5e5, 4.2e6, 0.0]],
        [34737, 2, 8, "WGS 84|"],
    ],
}


def grid(key, value):
    return "grid", {**GRID, key: value}


UNUSABLE_GRIDS = [
    ("grid", []),
    ("grid", "µm"),
    ("grid", True),
    *(grid("pixel_size", size) for size in (3, [], {}, {"x": 1, "y": 1}, {"x": 1, "unit": "µm"})),
    *(grid("pixel_size", {"x": x, "y": 1, "unit": "µm"}) for x in (0, -1, "1", True, None, 1e301, 10**400)),
    *(grid("pixel_size", {"x": float(x), "y": 1, "unit": "µm"}) for x in ("nan", "inf")),
    *(grid("pixel_size", {"x": 1, "y": 1, "unit": unit}) for unit in (None, 3, "u" * 64)),
    *(grid("resolution", {"x": x, "y": [1, 1], "unit": 1}) for x in (4, [4], [4, 0], [4, -1], [4, 2**32], [4.5, 1])),
    *(grid("resolution", {"x": [4, 1], "y": [2, 1], "unit": unit}) for unit in (0, 4, "cm", True, None)),
    *(grid("origin", origin) for origin in ([], [1], [1, 2, 3], ["1", 2], [True, 2], [1e301, 0], {"x": 1})),
    *(grid("georeference", tags) for tags in (None, {}, [[]], [33550], [[33550, 12, 3]])),
    *(grid("georeference", [tag]) for tag in ([270, 2, 2, "a"], ["33550", 12, 1, [1.0]], [[33550], 12, 1, [1.0]])),
    *(grid("georeference", [tag]) for tag in ([33550, 5, 1, [1.0]], [33550, 12, -1, [1.0]], [33550, 12, 2**31, [1]])),
    *(grid("georeference", [[33550, 12, 3, value]]) for value in (None, {}, ["1"], [[1.0]], [True], [1.0] * 2049)),
    grid("georeference", [[34737, 2, 3000, "x" * 3000]]),
]

UNUSABLE = [
    *UNUSABLE_GRIDS,
    ("format", "itk-transform"),
    ("version", 2),
    ("version", True),
    ("version", None),
    ("direction", "moving -> fixed"),
    ("axis_order", "yx"),
    ("pixel_origin", "corner"),
    ("model", ""),
    ("model", 3),
    ("status", 3),
    ("status", ["ok"]),
    ("matrix", None),
    ("matrix", [[1, 0, 0], [0, 1, 0]]),
    ("matrix", [[1, 0], [0, 1], [0, 0]]),
    ("matrix", [1, 0, 0]),
    ("matrix", [[1, 0, 0], [0, float("nan"), 0], [0, 0, 1]]),
    ("matrix", [[1, 0, 0], [0, float("inf"), 0], [0, 0, 1]]),
    ("matrix", [[1, 0, 0], [0, 10**400, 0], [0, 0, 1]]),
    ("matrix", [[1, 0, 0], [0, "1", 0], [0, 0, 1]]),
    ("matrix", [[1, 0, 0], [0, True, 0], [0, 0, 1]]),
    ("fixed_shape", [480]),
    ("fixed_shape", [480, 640, 3]),
    ("moving_shape", [480.5, 640]),
    ("moving_shape", [0, 640]),
    ("moving_shape", [-1, 640]),
    ("moving_shape", "480x640"),
]
REQUIRED = [
    "format",
    "version",
    "model",
    "matrix",
    "fixed_shape",
    "moving_shape",
    "direction",
    "axis_order",
    "pixel_origin",
]


@pytest.fixture
def path(tmp_path):
    write_transform(
        tmp_path / "transform.json", model="affine", matrix=MATRIX, fixed_shape=(480, 640), moving_shape=(500, 700)
    )
    return tmp_path / "transform.json"


def test_round_trip_is_exact(path):
    transform = read_transform(path)
    assert transform.matrix.tobytes() == np.array(MATRIX).tobytes()
    assert transform.model == "affine"
    assert transform.fixed_shape == (480, 640)
    assert transform.moving_shape == (500, 700)


def test_the_verdict_is_read_back_and_files_without_one_are_read_all_the_same(path):
    assert "status" not in json.loads(path.read_text())
    assert read_transform(path).status is None
    write_transform(path, model="m", matrix=MATRIX, fixed_shape=(1, 1), moving_shape=(1, 1), status="suspect")
    assert read_transform(path).status == read_linear(path).status == "suspect"


def test_random_matrices_round_trip_exactly(tmp_path):
    random = np.random.default_rng(0)
    for _ in range(50):
        matrix = random.standard_normal((3, 3)) * 10.0 ** random.integers(-20, 20, (3, 3))
        write_transform(tmp_path / "t.json", model="m", matrix=matrix, fixed_shape=(1, 1), moving_shape=(1, 1))
        assert read_transform(tmp_path / "t.json").matrix.tobytes() == matrix.tobytes()


def test_the_file_states_its_conventions(path):
    content = json.loads(path.read_text())
    assert content["format"] == "zncc-transform"
    assert content["version"] == 1
    assert content["direction"] == "fixed -> moving"
    assert content["axis_order"] == "xy"
    assert content["pixel_origin"] == "centre of the top-left pixel is (0, 0)"
    assert content["fixed_shape"] == [480, 640]
    assert len(content["matrix"]) == 3


@pytest.mark.parametrize(("key", "value"), UNUSABLE)
def test_refuses_unusable_content(path, key, value):
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(InputError) as caught:
        read_transform(path)
    named = [part for part in GRID if key == "grid" and isinstance(value, dict) and value[part] != GRID[part]] or [key]
    assert f'"{named[0]}"' in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize("tag", [[33550, 3, 1, [0.5]], [34737, 2, 3, [1]], [33550, 12, 1, "1"], [34735, 3, 1, True]])
def test_refuses_a_tag_whose_value_is_not_of_its_type(path, tag):
    path.write_text(json.dumps({**json.loads(path.read_text()), "grid": {"georeference": [tag]}}))
    with pytest.raises(InputError, match='"georeference"'):
        read_transform(path)


@pytest.mark.parametrize("key", REQUIRED)
def test_refuses_missing_content(path, key):
    content = json.loads(path.read_text())
    del content[key]
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=f'"{key}"'):
        read_transform(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0\1\2", b"[]", b"3", b"null", b"{", b"not json", b"\xff\xfe{}", b"[" * 100_000, b"1" * 10_000],
    ids=["empty", "bytes", "list", "number", "null", "cut", "text", "utf-16", "nested", "digits"],
)
def test_refuses_what_is_no_transform(tmp_path, content):
    (tmp_path / "t.json").write_bytes(content)
    with pytest.raises(InputError, match=r"t\.json: expected"):
        read_transform(tmp_path / "t.json")


def test_refuses_a_large_file_unread(tmp_path):
    with (tmp_path / "t.json").open("wb") as file:
        file.truncate(2**40)  # sparse: takes no room on the disk, but would take the memory
    with pytest.raises(InputError, match="1099511627776 bytes"):
        read_transform(tmp_path / "t.json")


def test_refuses_a_named_pipe_and_a_folder_and_nothing(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", ".", "missing"):
        with pytest.raises(InputError):
            read_transform(tmp_path / name)


def test_writing_into_a_missing_folder(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"):
        write_transform(
            tmp_path / "no" / "t.json", model="m", matrix=np.eye(3), fixed_shape=(1, 1), moving_shape=(1, 1)
        )


def test_a_matrix_is_read_from_a_transform_or_a_plain_list(path, tmp_path):
    assert read_linear(path).matrix.tobytes() == np.array(MATRIX).tobytes()
    plain = tmp_path / "matrix.json"
    plain.write_text("[[0, -1, 5.5], [1, 0, 2], [0, 0, 1]]")
    np.testing.assert_array_equal(read_linear(plain).matrix, [[0, -1, 5.5], [1, 0, 2], [0, 0, 1]])


@pytest.mark.parametrize(
    "text",
    ["", "[[1, 0], [0, 1]]", "[[1, 0, 0], [0, 1, 0], [0, 0, NaN]]", "3", '{"matrix": [[1, 0, 0]]}', "[" * 100000],
)
def test_what_is_no_matrix_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "matrix.json").write_text(text)
    with pytest.raises(InputError, match=r"matrix\.json: expected") as error:
        read_linear(tmp_path / "matrix.json")
    assert "\n" not in str(error.value)


def test_a_file_too_large_to_be_a_matrix_is_not_read(tmp_path):
    (tmp_path / "matrix.json").write_text("[" + "0," * 2**20 + "0]")
    with pytest.raises(InputError, match="bytes"):
        read_linear(tmp_path / "matrix.json")
