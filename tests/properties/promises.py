"""The promises of every command, whatever its input: its exit code, its messages, and the files that it writes."""

from __future__ import annotations

import contextlib
import json
import math
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import tifffile
import torch
from cases import Case
from commands import CommandResult, run
from image_files import ImageFile

from zncc_cli import register
from zncc_cli.errors import ExitCode, ZnccError

_FINISHED = (ExitCode.OK, ExitCode.NOT_TRUSTED, ExitCode.INCOMPLETE)
_REFUSED = (ExitCode.ERROR, ExitCode.USAGE)

_FILES = {
    "html": ("report.html",),
    "aligned": ("aligned.tif",),
    "transform": ("transform.json",),
    "mask": ("mask.tif",),
    "maps": ("std_fixed.tif", "std_aligned.tif", "zncc.tif"),
    "overlay": ("overlay.png",),
    "report": ("report.json",),
}  # as the README lists them


@contextlib.contextmanager
def _folder(case: Case) -> Iterator[Path]:
    """Write the files of a case into a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="zncc-properties-") as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tifffile warns about files that are unusual on purpose
        folder = Path(name)
        for picture in case.files:
            picture.write(folder)
        for name, text in case.texts:
            (folder / name).write_text(text, newline="")
        yield folder


def check_promises(case: Case) -> int:
    """Run a case and return its exit code; raise `AssertionError` where it breaks a promise."""
    torch.set_num_threads(1)
    if case.kind == "register":
        return _check_register(case)
    with _folder(case) as folder:
        before = _state(folder)
        result = run(folder, *case.line)
        _check_streams(case, result)
        after = _state(folder)
        assert {name: after.get(name) for name in before} == before, "an input was changed"
        new = {name for name in after if name not in before}
        assert not [name for name in new if ".zncc-" in name], f"unfinished files are left: {new}"
        if result.code in _REFUSED:
            assert not new, f"refused, but files were written: {new}"
        else:
            _CHECKS[case.kind](case, folder, result, new)
        return result.code


def _state(folder: Path) -> dict[str, int]:
    """Return the paths in a folder with a hash of size and time; 0 for a folder."""
    return {
        str(path.relative_to(folder)): 0 if path.is_dir() else hash((path.stat().st_size, path.stat().st_mtime_ns))
        for path in folder.rglob("*")
    }


def _check_streams(case: Case, result: CommandResult) -> None:
    """Check the exit code and the streams."""
    assert result.code in (*_FINISHED, *_REFUSED), f"exit code {result.code}"
    assert "internal error" not in result.err, result.err
    assert "Traceback" not in result.err, result.err
    assert "a defect, not your mistake" not in result.err, result.err
    lines, errors = result.err.splitlines(), [line for line in result.err.splitlines() if ": error: " in line]
    if result.code in _REFUSED:
        assert result.out == "", result.out
        # Each bad image among several is named.
        assert 1 <= len(errors) <= (len(case.files) if case.kind == "zncc-stdmap" else 1), result.err
        assert lines[-len(errors) :] == errors, result.err
    if "--quiet" in case.arguments and result.code == ExitCode.OK:
        assert [line for line in lines if "of a registration that was judged" not in line] == [], result.err
    if "--quiet" in case.arguments and "--json" not in case.arguments:
        assert result.out == "", result.out
    if "--json" in case.arguments and result.code in _FINISHED:
        assert isinstance(json.loads(result.out), dict)


def _image(path: Path, dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Read an image and check its dtype and shape; axes of length one do not count."""
    pixels = tifffile.imread(path)
    assert pixels.dtype == dtype, f"{path.name}: {pixels.dtype}, not {dtype}"
    squeezed = tuple(n for n in shape if n > 1)
    assert tuple(n for n in pixels.shape if n > 1) == squeezed, f"{path.name}: {pixels.shape}, not {shape}"
    return pixels.reshape(shape)


def _leading(picture: ImageFile, one_page: bool) -> tuple[int, ...]:
    """Return the leading axes of an output image; with one page these are the channels alone."""
    if not one_page:
        return picture.leading
    return {"imagej": picture.leading[1:], "ome": picture.leading[1:], "pages": ()}.get(picture.layout, picture.leading)


def _check_pair(case: Case, folder: Path, result: CommandResult, new: set[str]) -> None:
    """Check the files of a pair."""
    fixed, moving = case.files[:2]
    assert result.code in (ExitCode.OK, ExitCode.NOT_TRUSTED), f"exit code {result.code}: {result.err}"
    asked = (case.option("--write") or ",".join(_FILES)).split(",")
    canvas = case.option("--canvas") or "fixed"
    names = {name for product in asked for name in _FILES[product]}
    names |= {"fixed.tif"} if canvas != "fixed" and "aligned" in asked else set()
    assert new == {"out", *(f"out/{name}" for name in names)}, f"expected {sorted(names)}, found {sorted(new)}"
    out, frame = folder / "out", (fixed.height, fixed.width)
    report: dict[str, Any] = {}
    if "report.json" in names:
        report = json.loads((out / "report.json").read_text())
        frame = tuple(report["canvas"]["shape"])
        assert report["missing"] == []
        accepted = report["status"] == "ok" or (report["status"], case.option("--accept")) == ("suspect", "suspect")
        assert result.code == (ExitCode.OK if accepted else ExitCode.NOT_TRUSTED)
        assert canvas != "fixed" or frame == (fixed.height, fixed.width)
        if "--json" in case.arguments:
            assert json.loads(result.out) == report
    elif canvas != "fixed":
        # Without a report the shape of the canvas is read from one of the images.
        for name in [name for name in ("mask.tif", "zncc.tif") if name in names][:1]:
            frame = tifffile.imread(out / name).shape
        if not names & {"mask.tif", "zncc.tif"} and "aligned.tif" in names:
            frame = (
                tifffile.imread(out / "fixed.tif")
                .squeeze()
                .shape[len(_leading(fixed, "--page" in case.arguments)) :][:2]
            )
    if "transform.json" in names:
        transform = json.loads((out / "transform.json").read_text())
        assert np.isfinite(transform["matrix"]).all()
        assert transform["fixed_shape"] == [fixed.height, fixed.width]
        assert transform["moving_shape"] == [moving.height, moving.width]
    for name in names & {"std_fixed.tif", "std_aligned.tif", "zncc.tif"}:
        values = _image(out / name, np.float32, frame)
        assert not (np.abs(values) > 1).any() or name != "zncc.tif"
        assert not (values < 0).any() or name == "zncc.tif"
    one_page = "--page" in case.arguments
    if "aligned.tif" in names:
        shape = (*_leading(moving, one_page), *frame, *moving.samples)
        pixels = _image(out / "aligned.tif", moving.dtype_read, shape)
        if "transform.json" in names and "written on the fixed frame" not in str(report.get("notes")):
            _check_apply_repeats(case, folder)
        if "mask.tif" in names and moving.layout == "grey" and moving.dtype_read.kind in "ui":
            fill = case.option("--fill") or "0"
            mask = _image(out / "mask.tif", np.uint8, frame)
            assert fill == "edge" or (pixels[mask == 0] == int(float(fill))).all()
    if "mask.tif" in names:
        assert set(np.unique(_image(out / "mask.tif", np.uint8, frame))) <= {0, 255}
    if "fixed.tif" in names:
        _image(out / "fixed.tif", fixed.dtype_read, (*_leading(fixed, one_page), *frame, *fixed.samples))
    if "overlay.png" in names:
        picture = iio.imread(out / "overlay.png")
        assert (picture.dtype, picture.ndim) == (np.uint8, 3)
    if "report.html" in names:
        page = (out / "report.html").read_text()
        assert page.rstrip().endswith("</html>")
        assert all(f'href="./{name}"' in page for name in names - {"report.html"})


def _check_apply_repeats(case: Case, folder: Path) -> None:
    """Check that ``zncc apply`` writes the bytes of aligned.tif again."""
    settings = []
    for name in ("--interpolation", "--canvas", "--fill", "--backend", "--page", "--series"):
        if (value := case.option(name)) is not None:
            settings += [name, value.split(",")[-1]]
    repeated = run(folder, "zncc", "apply", "out/transform.json", "moving.tif", "--out", "again.tif", *settings)
    assert repeated.code == 0, repeated.err
    assert (folder / "again.tif").read_bytes() == (folder / "out" / "aligned.tif").read_bytes(), "zncc apply differs"


def _check_std_maps(case: Case, folder: Path, result: CommandResult, new: set[str]) -> None:
    """Check the files of ``zncc-stdmap``: all files for each image, or none and a message that names the image."""
    assert result.code in (ExitCode.OK, ExitCode.INCOMPLETE)
    written = 0
    for picture in case.files:
        stem = picture.name.removesuffix(".tif")
        names = {f"out/{stem}_{kind}" for kind in ("std.tif", "std.png", "texture.png")}
        if not names & new:
            assert picture.name in result.err, result.err
            continue
        assert names <= new
        written += 1
        values = _image(folder / "out" / f"{stem}_std.tif", np.float32, (picture.height, picture.width))
        assert not (values < 0).any()
        for kind in ("std.png", "texture.png"):
            drawn = iio.imread(folder / "out" / f"{stem}_{kind}")
            assert (drawn.dtype, drawn.shape) == (np.uint8, (picture.height, picture.width))
    assert len(new) == 1 + 3 * written
    assert result.code == (ExitCode.OK if written == len(case.files) else ExitCode.INCOMPLETE)


def _check_stack(case: Case, folder: Path, result: CommandResult, new: set[str]) -> None:
    """Check the files of ``zncc stack``."""
    (movie,) = case.files
    names = {"stack.tif", "drift.csv", "drift.svg", "transforms.json", "report.json", "report.html"}
    assert new == {"out", *(f"out/{name}" for name in names)}, new
    out = folder / "out"
    report = json.loads((out / "report.json").read_text())
    assert report["missing"] == []
    assert result.code == (ExitCode.OK if report["status"] == "ok" else ExitCode.NOT_TRUSTED)
    frame = tuple(report["canvas"]["shape"])
    _image(out / "stack.tif", movie.dtype_read, (*movie.leading, *frame, *movie.samples))
    frames = json.loads((out / "transforms.json").read_text())["frames"]
    assert len((out / "drift.csv").read_text().splitlines()) == 1 + len(frames) == 1 + report["frames"]
    assert all(np.isfinite(frame["matrix"]).all() for frame in frames)
    assert (out / "drift.svg").read_text().rstrip().endswith("</svg>")


def _check_applied(case: Case, folder: Path, result: CommandResult, new: set[str]) -> None:
    """Check the files of ``zncc apply``."""
    assert result.code == ExitCode.OK
    names = {f"out/{picture.name.removesuffix('.tif')}_aligned.tif" for picture in case.files}
    assert new == {"out", *names}, new
    transform = json.loads((folder / "transform.json").read_text())
    frame = transform["fixed_shape"] if "--inverse" not in case.arguments else transform["moving_shape"]
    for picture in case.files:
        path = folder / "out" / f"{picture.name.removesuffix('.tif')}_aligned.tif"
        if case.option("--canvas") in (None, "fixed"):
            shape = (*_leading(picture, "--page" in case.arguments), *frame, *picture.samples)
            _image(path, picture.dtype_read, shape)
        else:
            assert tifffile.imread(path).dtype == picture.dtype_read


def _check_points(case: Case, folder: Path, result: CommandResult, new: set[str]) -> None:
    """Check the points that ``zncc points`` writes against the formula."""
    assert result.code == ExitCode.OK
    assert new == ({"mapped.csv"} if case.option("--out") else set())
    text = (folder / "mapped.csv").read_bytes().decode() if new else result.out
    matrix = np.array(json.loads(dict(case.texts)["transform.json"])["matrix"])
    matrix = np.linalg.inv(matrix) if "--inverse" in case.arguments else matrix
    before, after = (
        [_numbers(line) for line in table.splitlines() if line.strip() and "x" not in line]
        for table in (dict(case.texts)["points.csv"], text)
    )
    assert len(before) == len(after)
    for point, mapped in zip(before, after, strict=True):
        with np.errstate(all="ignore"):
            x, y, w = matrix @ [*point, 1]
            # The inverse of a nearly singular matrix has fewer correct digits.
            tolerance = 1e-9 * np.linalg.cond(matrix)
            size = max(1, *map(abs, point), abs(x / w), abs(y / w)) * max(1, 1 / abs(w))
        assert math.dist(mapped, (x / w, y / w)) <= tolerance * size, (point, mapped)


def _numbers(line: str) -> list[float]:
    for separator in ",;\t":
        line = line.replace(separator, " ")
    return [float(number) for number in line.split()[:2]]


def _check_register(case: Case) -> int:
    """Run ``register``; check that it returns a matrix or raises a `ZnccError`, and return the exit code of that."""
    fixed, moving = (picture.plane() for picture in case.files)
    options = dict(zip(case.arguments[::2], case.arguments[1::2], strict=True))
    start, mask, given = (options.pop(f"--{name}", None) for name in ("init", "mask", "given"))
    settings: dict[str, Any] = {name.removeprefix("--").replace("-", "_"): value for name, value in options.items()}
    for name, kind in (("max_iterations", int), ("window", int), ("min_overlap", float), ("tolerance", float)):
        if name in settings:
            settings[name] = kind(settings[name])
    starts = {
        "identity": np.eye(3),
        "far": np.array([[1, 0, 1e5], [0, 1, 0], [0, 0, 1.0]]),
        "singular": np.zeros((3, 3)),
        "no_number": np.full((3, 3), np.nan),
    }
    masks: dict[str, Callable[[], np.ndarray]] = {
        "all": lambda: np.ones(moving.shape, np.bool_),
        "none": lambda: np.zeros(moving.shape, np.bool_),
        "holes": lambda: np.arange(math.prod(moving.shape)).reshape(tuple(moving.shape)) % 7 > 0,
        "wrong": lambda: np.ones((5, 5), np.bool_),
    }
    conversions: dict[str, Callable[[np.ndarray], Any]] = {
        "tensor": lambda image: torch.from_numpy(image),
        "masked": lambda image: np.ma.masked_equal(image, image.flat[0]),
        "reversed": lambda image: image[::-1, ::-1],
    }
    if given == "tensor" and fixed.dtype.kind == moving.dtype.kind == "c":
        given = None
    fixed, moving = (image if given is None else conversions[given](image) for image in (fixed, moving))
    result = None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            result = register(
                fixed,
                moving,
                init=None if start is None else starts[start],
                moving_mask=None if mask is None else masks[mask](),
                **settings,
            )
        except ZnccError as error:
            message, code = str(error), int(error.exit_code)
    if result is None:
        assert len(message.splitlines()) == 1
        return code
    assert result.matrix.shape == (3, 3)
    assert np.isfinite(result.matrix).all()
    assert result.matrix[2, 2] == 1
    assert result.reasons
    return 0 if result.status == "ok" else 3


_CHECKS = {
    "zncc-align": _check_pair,
    "zncc-stdmap": _check_std_maps,
    "stack": _check_stack,
    "apply": _check_applied,
    "points": _check_points,
}

os.environ.setdefault("COLUMNS", "200")
