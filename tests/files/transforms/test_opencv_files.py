"""Matrices in files of OpenCV are read and written; what cannot be used is refused in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.files.transforms.transform_texts import linear, read_text, refused
from zncc_cli.config import TransformFormat
from zncc_cli.files.transforms.formats import write_linear

YAML = "%YAML:1.0\n---\n{node}"
NODE = "{name}: !!opencv-matrix\n   rows: {rows}\n   cols: 3\n   dt: d\n   data: [ {data} ]\n"
SIX = "1., 0., 5.,\n       0., 1., .5"


def test_opencv_matrices_of_two_rows_are_affine(tmp_path: Path) -> None:
    want = [[1, 0, 5], [0, 1, 0.5], [0, 0, 1]]
    node = NODE.format(name="warp", rows=2, data=SIX)
    np.testing.assert_array_equal(read_text(tmp_path, YAML.format(node=node)).matrix, want)
    data = [1, 0, 5, 0.0, 1, 0.5]
    node = {"type_id": "opencv-matrix", "rows": 2, "cols": 3, "dt": "f", "data": data}
    np.testing.assert_array_equal(read_text(tmp_path, json.dumps({"n": 3, "warp": node})).matrix, want)


def test_the_node_named_matrix_is_read_of_several(tmp_path: Path) -> None:
    other = NODE.format(name="camera", rows=3, data="1, 0, 0, 0, 2, 0, 0, 0, 1")
    matrix = NODE.format(name="matrix", rows=2, data=SIX)
    assert read_text(tmp_path, YAML.format(node=other + matrix)).matrix[0, 2] == 5
    assert "camera, lens" in refused(tmp_path, YAML.format(node=other + matrix.replace("matrix:", "lens:", 1)))


def test_json_is_written_into_json_files(tmp_path: Path) -> None:
    write_linear(tmp_path / "matrix.json", linear(), TransformFormat.OPENCV)
    assert json.loads((tmp_path / "matrix.json").read_text())["matrix"]["type_id"] == "opencv-matrix"


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;">]><opencv_storage>&c;</opencv_storage>'
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (BOMB, "found XML"),
        (YAML.format(node="a: !!python/object/apply:os.system [touch x]\n"), "no matrix"),
        (YAML.format(node=NODE.format(name="m", rows=4, data=SIX)), "4x3"),
        (YAML.format(node=NODE.format(name="m", rows=2, data=SIX + ", 3.")), "7"),
        (YAML.format(node=NODE.format(name="m", rows=2, data=SIX.replace(".5", ".Nan"))), ".Nan"),
        (YAML.format(node=NODE.format(name="m", rows=2, data="9" * 500_000)), "finite"),
        (YAML.format(node="a" * 500_000), "no matrix"),
        ('{"m": {"type_id": "opencv-matrix", "rows": "2", "cols": 3, "dt": "d", "data": []}}', "others in m"),
        ('{"m": {"type_id": "opencv-matrix", "rows": 2, "cols": 3, "dt": "d", "data": [1,0,0,0,1,true]}}', "True"),
        ('{"m": {"type_id": "opencv-matrix", ' + "[" * 100_000, "no valid JSON"),
    ],
)
def test_unusable_opencv_files_are_refused(tmp_path: Path, text: str, found: str) -> None:
    assert found in refused(tmp_path, text)


def test_many_matrices_without_an_end_are_refused_without_a_search_from_each_to_the_end(tmp_path: Path) -> None:
    """Runs in a process that can be ended: the search took 80 seconds for half as many, four times that for these."""
    one = "a: !!opencv-matrix\n   rows: 3\n   cols: 3\n   dt: d\n   data: [ 1, 2,\n"
    (tmp_path / "file").write_text("%YAML:1.0\n---\n" + one * (2_000_000 // len(one)))
    read = (
        "import sys; from pathlib import Path; from zncc_cli.config import TransformFormat; "
        "from zncc_cli.files.transforms.formats import read_linear; "
        "read_linear(Path(sys.argv[1]), TransformFormat.OPENCV)"
    )
    command = [sys.executable, "-c", read, str(tmp_path / "file")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "InputError" in done.stderr
    assert "file: expected" in done.stderr
