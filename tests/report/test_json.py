"""JSON files are strict: numbers, text, lists and mappings; NaN and infinity are null."""

import enum
import json
from pathlib import Path

import numpy as np
import pytest

from zncc_cli.errors import OutputError
from zncc_cli.report.json import write_json


class Status(enum.Enum):
    ALIGNED = "aligned"


def test_json_is_strict_and_plain(tmp_path):
    content = {
        "nan": float("nan"),
        "infinity": np.float32("inf"),
        "numbers": [np.int64(3), np.float64(0.1), np.bool_(True), 2, None],
        "array": np.array([[1.0, np.nan], [3.0, 4.0]]),
        "path": Path("a") / "b",
        "status": Status.ALIGNED,
        Status.ALIGNED: ("tuple", {"deeper": np.uint8(7)}),
    }
    write_json(tmp_path / "report.json", content)

    def forbidden(constant):
        raise AssertionError(constant)

    assert json.loads((tmp_path / "report.json").read_text(), parse_constant=forbidden) == {
        "nan": None,
        "infinity": None,
        "numbers": [3, 0.1, True, 2, None],
        "array": [[1.0, None], [3.0, 4.0]],
        "path": str(Path("a/b")),
        "status": "aligned",
        "aligned": ["tuple", {"deeper": 7}],
    }


def test_json_of_another_type_is_a_type_error(tmp_path):
    with pytest.raises(TypeError, match="found object"):
        write_json(tmp_path / "report.json", {"a": object()})
    assert list(tmp_path.iterdir()) == []


def test_json_into_a_missing_folder_is_an_output_error(tmp_path):
    with pytest.raises(OutputError):
        write_json(tmp_path / "no" / "report.json", {})
