"""Displacements as an OME-Zarr 0.6 scene: a folder with a transformation "displacements" from fixed to moving.

    NAME.zarr/zarr.json                    the scene: coordinate systems "fixed" and "moving", in pixels, and the
                                           transformation from one to the other
    NAME.zarr/displacements/zarr.json      the image of displacements, axes c (displacement), y, x
    NAME.zarr/displacements/s0/            the array, float64 (2, H, W): dy, then dx, as the axes of the systems

Its direction is ours: a point of the input, FIXED pixels, plus its displacement is the point of the output. Between
pixels it is interpolated linearly.

https://ngff.openmicroscopy.org/specifications/dev/ (0.6, "coordinates and displacements", "scene")
https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from zncc_cli.errors import InputError
from zncc_cli.files.ome_zarr import read_ome_zarr
from zncc_cli.files.options import ReadOptions
from zncc_cli.files.output_folder import atomic_folder
from zncc_cli.files.paths import MismatchError, read_small_file
from zncc_cli.files.tiff.layout import STRIP_ROWS
from zncc_cli.files.transforms.bends import DisplacementImage, check_field_size
from zncc_cli.files.transforms.linear import Linear
from zncc_cli.files.transforms.side_files import whole_strips
from zncc_cli.files.transforms.transform_json import parse_json

_EXPECTED = 'an OME-Zarr 0.6 scene with one transformation, "displacements" of y and x in pixels'
_MAX_BYTES = 2**32  # of the displacements, which are decoded one component at a time
# The release candidate of the specification, whose schemas the files satisfy; of others the version is not looked at.
_VERSION = "0.6rc0"
_ARRAY, _FIELD = "s0", "displacements"
_PLANE = [{"name": name, "type": "space"} for name in "yx"]
_COMPONENTS = {"name": "c", "type": "displacement", "discrete": True}


def parse(_: bytes, path: Path) -> Linear:
    """Read the scene in the folder ``path``."""
    try:
        scene = _attributes(path).get("scene")
        transformations = scene.get("coordinateTransformations") if isinstance(scene, dict) else None
        if not isinstance(transformations, list) or len(transformations) != 1:
            raise MismatchError(_EXPECTED, "no scene, or another number of transformations")
        transformation = transformations[0]
        if not isinstance(transformation, dict) or transformation.get("type") != "displacements":
            raise MismatchError(_EXPECTED, f"a transformation {transformation!r:.80}")
        folder = path / str(transformation.get("path"))
        if not folder.resolve().is_relative_to(path.resolve()):
            raise MismatchError("displacements in the folder itself", transformation.get("path"))
        _check_field(_attributes(folder))
        image = read_ome_zarr(folder, ReadOptions(name="OME-Zarr", max_bytes=_MAX_BYTES))
        height, width = image.shape
        if image.leading != (2,) or image.dtype.kind != "f":
            raise MismatchError(_EXPECTED, f"{image.dtype} {image.data.shape}")
        check_field_size(height * width)
        dy, dx = (np.asarray(image.read((component,)).data, dtype=np.float64) for component in range(2))
    except InputError as error:
        raise MismatchError(_EXPECTED, str(error)) from error
    displacements = np.stack([dx, dy], axis=-1)
    if not np.isfinite(displacements).all():
        raise MismatchError("finite displacements", "others")
    field = DisplacementImage(displacements)
    return Linear(field.nearest_matrix(), fixed_shape=(height, width), bend=field)


def _attributes(folder: Path) -> dict[str, Any]:
    """Return what a group says under "ome"."""
    content = parse_json(
        read_small_file(folder / "zarr.json", expected="a group of Zarr 3", advice="name the folder of the scene"),
        _EXPECTED,
    )
    attributes = content.get("attributes") if isinstance(content, dict) else None
    ome = attributes.get("ome") if isinstance(attributes, dict) else None
    if not isinstance(ome, dict):
        raise MismatchError(_EXPECTED, f"no metadata of OME in {folder.name}")
    return ome


def _check_field(ome: dict[str, Any]) -> None:
    """Raise `MismatchError` where an image is none of displacements of y and x, in pixels from the first one on."""
    try:
        (multiscale,) = ome["multiscales"]
        axes = [axis["name"] for axis in multiscale["coordinateSystems"][0]["axes"]]
        kind = multiscale["coordinateSystems"][0]["axes"][0]["type"]
        steps = [step for dataset in multiscale["datasets"][:1] for step in dataset["coordinateTransformations"]]
        in_pixels = all(
            step["type"] == "identity" or (step["type"] == "scale" and set(step["scale"]) == {1}) for step in steps
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise MismatchError(_EXPECTED, f"metadata without {error!r}") from error
    if axes[1:] != ["y", "x"] or kind != "displacement":
        raise MismatchError("axes of displacement, y and x", f"{axes}, the first of type {kind}")
    if not in_pixels:
        raise MismatchError("displacements in pixels, scale 1", f"{steps!r:.100}")


def write(transform: Linear, path: Path) -> None:
    """Write the displacements of the fixed frame into a new folder.

    Raises:
        OutputError: the horizon crosses the frame, or the folder cannot be written.
    """
    assert transform.fixed_shape is not None
    height, width = transform.fixed_shape
    rows = min(STRIP_ROWS, height)
    with atomic_folder(path) as folder:
        _write_json(folder, {"node_type": "group", "attributes": {"ome": _scene()}})
        _write_json(folder / _FIELD, {"node_type": "group", "attributes": {"ome": _field()}})
        array = folder / _FIELD / _ARRAY
        _write_json(array, _array((2, height, width), (1, rows, width)))
        for number, strip in enumerate(whole_strips(path, transform.transform, transform.fixed_shape)):
            for component, values in enumerate((strip[..., 1], strip[..., 0])):
                chunk = np.zeros((rows, width), dtype="<f8")  # all chunks are whole
                chunk[: len(values)] = values
                file = array / "c" / str(component) / str(number) / "0"
                file.parent.mkdir(parents=True)
                file.write_bytes(chunk.tobytes())


def _write_json(folder: Path, content: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "zarr.json").write_text(json.dumps({"zarr_format": 3, **content}, indent=2) + "\n")


def _scene() -> dict[str, Any]:
    return {
        "version": _VERSION,
        "scene": {
            "coordinateSystems": [{"name": name, "axes": _PLANE} for name in ("fixed", "moving")],
            "coordinateTransformations": [
                {
                    "type": "displacements",
                    "input": {"name": "fixed"},
                    "output": {"name": "moving"},
                    "path": _FIELD,
                    "interpolation": "linear",
                }
            ],
        },
    }


def _field() -> dict[str, Any]:
    step = {"type": "scale", "scale": [1.0] * 3, "input": {"path": _ARRAY}, "output": {"name": "fixed"}}
    multiscale = {
        "name": _FIELD,
        "coordinateSystems": [{"name": "fixed", "axes": [_COMPONENTS, *_PLANE]}],
        "datasets": [{"path": _ARRAY, "coordinateTransformations": [step]}],
    }
    return {"version": _VERSION, "multiscales": [multiscale]}


def _array(shape: tuple[int, ...], chunk: tuple[int, ...]) -> dict[str, Any]:
    return {
        "node_type": "array",
        "shape": shape,
        "data_type": "float64",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0.0,
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "dimension_names": ["c", "y", "x"],
    }
