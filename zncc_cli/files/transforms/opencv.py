"""OpenCV's FileStorage: a matrix as YAML (.yml, .yaml) or JSON. XML is not read: OpenCV writes the other two as well.

The matrix takes FIXED pixels to MOVING pixels, the centre of the first pixel is (0, 0): cv2.warpPerspective and, for
its first two rows, cv2.warpAffine take it with WARP_INVERSE_MAP. What cv2.findHomography(moving points, fixed points)
returns goes the other way: invert it.

https://docs.opencv.org/4.x/da/d56/classcv_1_1FileStorage.html
https://docs.opencv.org/4.x/da/d54/group__imgproc__transform.html

YAML is read by a pattern of the form in which OpenCV writes matrices, so that no YAML tag can create an object.
"""

from __future__ import annotations

import json
import re
from typing import Any

from zncc_cli.files.paths import MismatchError
from zncc_cli.files.transforms.linear import Linear, Matrix, as_matrix, decode_text, exact_text, parse_numbers
from zncc_cli.files.transforms.transform_json import parse_json

_EXPECTED = "an OpenCV FileStorage in YAML or JSON"
_NODE = "matrix"

# Numbers end at the next colon or bracket. So the search for a missing end of a matrix does not run through the whole
# file, again for every matrix.
_YAML = re.compile(
    r"^(?P<name>[^\s:#][^:\n]*):[ ]*!!opencv-matrix[ ]*\n"
    r"[ ]+rows:[ ]*(?P<rows>[0-9]{1,9})[ ]*\n"
    r"[ ]+cols:[ ]*(?P<cols>[0-9]{1,9})[ ]*\n"
    r"[ ]+dt:[ ]*\"?(?P<dt>\w+)\"?[ ]*\n"
    r"[ ]+data:[ ]*\[(?P<data>[^\]\[:]*)\]",
    re.MULTILINE,
)


def recognizes(content: bytes) -> bool:
    """Tell whether the content is of this format: YAML or XML by its head, JSON by OpenCV's name for matrices."""
    head = content.lstrip()[:5]
    return head in (b"%YAML", b"<?xml") or (head[:1] == b"{" and b'"opencv-matrix"' in content)


def parse(content: bytes) -> Linear:
    """Read the node "matrix", or the only matrix of the file; 2x3 or 3x3."""
    text = decode_text(content, _EXPECTED)
    if text.lstrip().startswith("<"):
        raise MismatchError(_EXPECTED, "XML")
    nodes = _json_nodes(content) if text.lstrip().startswith("{") else _yaml_nodes(text)
    if _NODE not in nodes and len(nodes) != 1:
        found = ", ".join(nodes) or "no matrix"
        raise MismatchError(f'a node "{_NODE}", or one matrix alone', found)
    rows, columns, kind, data = nodes[_NODE] if _NODE in nodes else next(iter(nodes.values()))
    if (rows, columns) not in ((2, 3), (3, 3)) or kind not in ("d", "f", "i"):
        raise MismatchError("a matrix of 2x3 or 3x3 numbers", f"{rows}x{columns} of type {kind}")
    values = parse_numbers(data, rows * columns, "the matrix")
    return Linear(as_matrix([values[3 * row : 3 * row + 3] for row in range(rows)]))


# rows, columns, type, numbers
_Node = tuple[int, int, str, list[str]]


def _yaml_nodes(text: str) -> dict[str, _Node]:
    return {
        match["name"]: (int(match["rows"]), int(match["cols"]), match["dt"], match["data"].replace(",", " ").split())
        for match in _YAML.finditer(text)
    }


def _json_nodes(content: bytes) -> dict[str, _Node]:
    nodes: dict[str, _Node] = {}
    for name, node in parse_json(content, _EXPECTED).items():
        if isinstance(node, dict) and node.get("type_id") == "opencv-matrix":
            rows, columns, kind, data = (node.get(key) for key in ("rows", "cols", "dt", "data"))
            if type(rows) is not int or type(columns) is not int or not isinstance(data, list):
                raise MismatchError("rows, cols, dt and data of a matrix", f"others in {name}")
            nodes[name] = rows, columns, str(kind), [repr(value) for value in data]
    return nodes


def serialize(transform: Linear, suffix: str) -> bytes:
    """Write the node "matrix", 3x3 doubles: JSON into .json files, YAML into others."""
    matrix = transform.matrix
    return _json(matrix) if suffix == ".json" else _yaml(matrix)


def _json(matrix: Matrix) -> bytes:
    node: dict[str, Any] = {
        "type_id": "opencv-matrix",
        "rows": 3,
        "cols": 3,
        "dt": "d",
        "data": matrix.ravel().tolist(),
    }
    return (json.dumps({_NODE: node}, indent=4) + "\n").encode()


def _yaml(matrix: Matrix) -> bytes:
    rows = ",\n       ".join(exact_text(row, ", ") for row in matrix)
    return (
        f"%YAML:1.0\n---\n{_NODE}: !!opencv-matrix\n   rows: 3\n   cols: 3\n   dt: d\n   data: [ {rows} ]\n"
    ).encode()
