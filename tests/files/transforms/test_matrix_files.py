"""Matrices of NumPy and in plain text are read with any separator; nothing is unpickled."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import pytest

from tests.files.transforms.transform_texts import linear, read_text, refused
from zncc_cli.files.transforms.formats import read_linear, write_linear


@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<i2", "u1"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("rows", [2, 3])
def test_arrays_of_any_plain_dtype_are_read(tmp_path: Path, dtype: str, order: str, rows: int) -> None:
    array = np.array([[1, 2, 3], [4, 5, 7], [0, 0, 1]][:rows], dtype=dtype, order=order)
    np.save(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(read_linear(tmp_path / "a.npy").matrix, [[1, 2, 3], [4, 5, 7], [0, 0, 1]])


def npy(array: object) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('unpickled')",))


@pytest.mark.parametrize(
    "content",
    [
        npy(np.array([[Evil()] * 3] * 3)),
        npy(np.eye(4)),
        npy(np.eye(3, dtype=complex)),
        npy(np.full((3, 3), np.nan)),
        npy(np.zeros((3, 3))),
        npy(np.eye(3))[:-1],
        npy(np.eye(3)) + b"\0",
        npy(np.eye(3))[:20],
        npy(np.eye(3)).replace(b"(3, 3)", b"(3,3,1" + b"0" * 6 + b")")[:128],
        b"\x93NUMPY\x09\x00" + b"\0" * 100,
        npy(np.eye(3)).replace(b"'<f8'", b"'<zz'"),
    ],
    ids=range(11),
)
def test_unusable_arrays_are_refused(tmp_path: Path, content: bytes) -> None:
    refused(tmp_path, content)


def test_a_pickle_is_no_transform(tmp_path: Path) -> None:
    assert "bytes that begin with 80" in refused(tmp_path, pickle.dumps(Evil()))


@pytest.mark.parametrize(
    "text",
    [
        "1 0 5\n0 1 -2\n",
        "# fixed -> moving\n1, 0, 5\r\n0, 1, -2\r\n0, 0, 1",
        "\ufeff1;0;5\n\n0;1;-2",
        "1.0\t0\t5e0\n-0.\t+1\t-2\n.0 0 1\n",
    ],
)
def test_text_is_read_with_any_separator(tmp_path: Path, text: str) -> None:
    np.testing.assert_array_equal(read_text(tmp_path, text).matrix, [[1, 0, 5], [0, 1, -2], [0, 0, 1]])


@pytest.mark.parametrize(
    "text",
    [
        "1 0\n0 1",
        "1 0 5\n0 1",
        "1 0 5",
        "1,,5\n0,1,2",
        "1 0 5\n0 1_0 2",
        "1 0 inf\n0 1 2",
        "1 2 3 4\n" * 3,
        "1 " * 400_000,
    ],
)
def test_unusable_text_is_refused(tmp_path: Path, text: str) -> None:
    refused(tmp_path, text)


def test_savetxt_and_loadtxt_agree(tmp_path: Path) -> None:
    for name, delimiter in (("m.csv", ","), ("m.txt", None)):
        write_linear(tmp_path / name, linear())
        np.testing.assert_array_equal(np.loadtxt(tmp_path / name, delimiter=delimiter), linear().matrix)
    np.savetxt(tmp_path / "s.txt", linear().matrix, header="by NumPy")
    np.testing.assert_array_equal(read_linear(tmp_path / "s.txt").matrix, linear().matrix)


def test_a_json_list_of_rows_is_read(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_text(tmp_path, "[[1,0,5],[0,1,2],[0,0,1]]").matrix[0], [1, 0, 5])
