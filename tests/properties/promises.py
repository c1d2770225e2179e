"""What every command promises, whatever it is given: how it ends, what it writes, what it leaves."""

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
from commands import Ended, run
from pictures import Picture

from zncc_cli import register
from zncc_cli.errors import ExitCode, ZnccError

_DONE = (ExitCode.OK, ExitCode.NOT_TRUSTED, ExitCode.SOME_FAILED)
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
    """A folder with the files of a case."""
    with tempfile.TemporaryDirectory(prefix="zncc-properties-") as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tifffile speaks of what is odd about files that are meant to be odd
        folder = Path(name)
        for picture in case.files:
            picture.write(folder)
        for name, text in case.texts:
            (folder / name).write_text(text, newline="")
        yield folder


def keep(case: Case) -> int:
    """Run a case, raise `AssertionError` where it breaks a promise, and return its exit code."""
    torch.set_num_threads(1)
    if case.kind == "register":
        return _registered(case)
    with _folder(case) as folder:
        before = _state(folder)
        ended = run(folder, *case.line)
        _spoken(case, ended)
        after = _state(folder)
        assert {name: after.get(name) for name in before} == before, "an input was changed"
        new = {name for name in after if name not in before}
        assert not [name for name in new if ".zncc-" in name], f"left behind: {new}"
        if ended.code in _REFUSED:
            assert not new, f"refused, and yet written: {new}"
        else:
            _CHECKS[case.kind](case, folder, ended, new)
        return ended.code


def _state(folder: Path) -> dict[str, int]:
    """Every file and folder in a folder, by size and time, that of folders left out."""
    return {
        str(path.relative_to(folder)): 0 if path.is_dir() else hash((path.stat().st_size, path.stat().st_mtime_ns))
        for path in folder.rglob("*")
    }


def _spoken(case: Case, ended: Ended) -> None:
    """Check exit code and streams."""
    assert ended.code in (*_DONE, *_REFUSED), f"exit code {ended.code}"
    assert "internal error" not in ended.err, ended.err
    assert "Traceback" not in ended.err, ended.err
    assert "a defect, not your mistake" not in ended.err, ended.err
    lines, errors = ended.err.splitlines(), [line for line in ended.err.splitlines() if ": error: " in line]
    if ended.code in _REFUSED:
        assert ended.out == "", ended.out
        # Each bad image among several is named.
        assert 1 <= len(errors) <= (len(case.files) if case.kind == "zncc-stdmap" else 1), ended.err
        assert lines[-len(errors) :] == errors, ended.err
    if "--quiet" in case.arguments and ended.code == ExitCode.OK:
        assert [line for line in lines if "of a registration that was judged" not in line] == [], ended.err
    if "--quiet" in case.arguments and "--json" not in case.arguments:
        assert ended.out == "", ended.out
    if "--json" in case.arguments and ended.code in _DONE:
        assert isinstance(json.loads(ended.out), dict)


def _image(path: Path, dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Read an image that should be of ``shape``, axes of length one aside."""
    pixels = tifffile.imread(path)
    assert pixels.dtype == dtype, f"{path.name}: {pixels.dtype}, not {dtype}"
    squeezed = tuple(n for n in shape if n > 1)
    assert tuple(n for n in pixels.shape if n > 1) == squeezed, f"{path.name}: {pixels.shape}, not {shape}"
    return pixels.reshape(shape)


def _leading(picture: Picture, one_page: bool) -> tuple[int, ...]:
    """Return the leading axes of what is written: of one page, the channels alone."""
    if not one_page:
        return picture.leading
    return {"imagej": picture.leading[1:], "ome": picture.leading[1:], "pages": ()}.get(picture.layout, picture.leading)


def _aligned(case: Case, folder: Path, ended: Ended, new: set[str]) -> None:
    """Check the files of a pair."""
    fixed, moving = case.files[:2]
    assert ended.code in (ExitCode.OK, ExitCode.NOT_TRUSTED), f"exit code {ended.code}: {ended.err}"
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
        taken = report["status"] == "ok" or (report["status"], case.option("--accept")) == ("suspect", "suspect")
        assert ended.code == (ExitCode.OK if taken else ExitCode.NOT_TRUSTED)
        assert canvas != "fixed" or frame == (fixed.height, fixed.width)
        if "--json" in case.arguments:
            assert json.loads(ended.out) == report
    elif canvas != "fixed":
        # What says nothing of its frame is taken at the word of one of its images.
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
            _applied_again(case, folder)
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


def _applied_again(case: Case, folder: Path) -> None:
    """Check that aligned.tif comes out again, byte for byte."""
    settings = []
    for name in ("--interpolation", "--canvas", "--fill", "--backend", "--page", "--series"):
        if (value := case.option(name)) is not None:
            settings += [name, value.split(",")[-1]]
    again = run(folder, "zncc", "apply", "out/transform.json", "moving.tif", "--out", "again.tif", *settings)
    assert again.code == 0, again.err
    assert (folder / "again.tif").read_bytes() == (folder / "out" / "aligned.tif").read_bytes(), "zncc apply differs"


def _std_maps(case: Case, folder: Path, ended: Ended, new: set[str]) -> None:
    """Check the files of std maps: of each image all of them, or none and a line that says why."""
    assert ended.code in (ExitCode.OK, ExitCode.SOME_FAILED)
    written = 0
    for picture in case.files:
        stem = picture.name.removesuffix(".tif")
        names = {f"out/{stem}_{kind}" for kind in ("std.tif", "std.png", "texture.png")}
        if not names & new:
            assert picture.name in ended.err, ended.err
            continue
        assert names <= new
        written += 1
        values = _image(folder / "out" / f"{stem}_std.tif", np.float32, (picture.height, picture.width))
        assert not (values < 0).any()
        for kind in ("std.png", "texture.png"):
            drawn = iio.imread(folder / "out" / f"{stem}_{kind}")
            assert (drawn.dtype, drawn.shape) == (np.uint8, (picture.height, picture.width))
    assert len(new) == 1 + 3 * written
    assert ended.code == (ExitCode.OK if written == len(case.files) else ExitCode.SOME_FAILED)


def _stacked(case: Case, folder: Path, ended: Ended, new: set[str]) -> None:
    """Check the files of a movie."""
    (movie,) = case.files
    names = {"stack.tif", "drift.csv", "drift.svg", "transforms.json", "report.json"}
    assert new == {"out", *(f"out/{name}" for name in names)}, new
    out = folder / "out"
    report = json.loads((out / "report.json").read_text())
    assert report["missing"] == []
    assert ended.code == (ExitCode.OK if report["status"] == "ok" else ExitCode.NOT_TRUSTED)
    frame = tuple(report["canvas"]["shape"])
    _image(out / "stack.tif", movie.dtype_read, (*movie.leading, *frame, *movie.samples))
    frames = json.loads((out / "transforms.json").read_text())["frames"]
    assert len((out / "drift.csv").read_text().splitlines()) == 1 + len(frames) == 1 + report["frames"]
    assert all(np.isfinite(frame["matrix"]).all() for frame in frames)
    assert (out / "drift.svg").read_text().rstrip().endswith("</svg>")


def _applied(case: Case, folder: Path, ended: Ended, new: set[str]) -> None:
    """Check the images that a transform was applied to."""
    assert ended.code == ExitCode.OK
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


def _mapped(case: Case, folder: Path, ended: Ended, new: set[str]) -> None:
    """Check points against the formula."""
    assert ended.code == ExitCode.OK
    assert new == ({"mapped.csv"} if case.option("--out") else set())
    text = (folder / "mapped.csv").read_bytes().decode() if new else ended.out
    matrix = np.array(json.loads(dict(case.texts)["transform.json"])["matrix"])
    matrix = np.linalg.inv(matrix) if "--inverse" in case.arguments else matrix
    before, after = (
        [_numbers(line) for line in table.splitlines() if line.strip() and "x" not in line]
        for table in (dict(case.texts)["points.csv"], text)
    )
    assert len(before) == len(after)
    for point, found in zip(before, after, strict=True):
        with np.errstate(all="ignore"):
            x, y, w = matrix @ [*point, 1]
            # Of a matrix near a singular one the inverse is known to fewer digits.
            digits = 1e-9 * np.linalg.cond(matrix)
            size = max(1, *map(abs, point), abs(x / w), abs(y / w)) * max(1, 1 / abs(w))
        assert math.dist(found, (x / w, y / w)) <= digits * size, (point, found)


def _numbers(line: str) -> list[float]:
    for between in ",;\t":
        line = line.replace(between, " ")
    return [float(number) for number in line.split()[:2]]


def _registered(case: Case) -> int:
    """Run ``register``, and check that it answers with a matrix, or with an error of ours."""
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
    giving: dict[str, Callable[[np.ndarray], Any]] = {
        "tensor": lambda image: torch.from_numpy(image),
        "masked": lambda image: np.ma.masked_equal(image, image.flat[0]),
        "reversed": lambda image: image[::-1, ::-1],
    }
    if given == "tensor" and fixed.dtype.kind == moving.dtype.kind == "c":
        given = None
    fixed, moving = (image if given is None else giving[given](image) for image in (fixed, moving))
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
            said, code = str(error), int(error.exit_code)
    if result is None:
        assert len(said.splitlines()) == 1
        return code
    assert result.matrix.shape == (3, 3)
    assert np.isfinite(result.matrix).all()
    assert result.matrix[2, 2] == 1
    assert result.reasons
    return 0 if result.status == "ok" else 3


_CHECKS = {
    "zncc-align": _aligned,
    "zncc-stdmap": _std_maps,
    "stack": _stacked,
    "apply": _applied,
    "points": _mapped,
}

os.environ.setdefault("COLUMNS", "200")
