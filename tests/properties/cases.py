"""Random commands with the files that they read; each can be written as text and run again from that text."""

from __future__ import annotations

import dataclasses
import json
import shlex
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from image_files import ImageFile, image_files, shapes

_MODELS = ("translation", "rigid", "similarity", "affine", "homography", "auto")
_PRODUCTS = ("aligned", "transform", "mask", "maps", "overlay", "html", "report")


@dataclass(frozen=True)
class Case:
    """A command and the files that it reads.

    Attributes:
        line: the command and its arguments; ``register`` stands for the Python function with its options.
        files: the image files.
        texts: names and contents of further files.
    """

    line: tuple[str, ...]
    files: tuple[ImageFile, ...]
    texts: tuple[tuple[str, str], ...] = ()

    @property
    def kind(self) -> str:
        """The command: zncc-align, zncc-stdmap, stack, apply, points or register."""
        name = self.line[1] if self.line[0] == "zncc" else self.line[0]
        return {"align": "zncc-align", "stdmap": "zncc-stdmap"}.get(name, name)

    @property
    def arguments(self) -> tuple[str, ...]:
        """The arguments of the command."""
        return self.line[2 if self.line[0] == "zncc" else 1 :]

    def option(self, *names: str) -> str | None:
        """Return the last value of an option; None where the line does not have it."""
        values = [value for name, value in zip(self.arguments, self.arguments[1:], strict=False) if name in names]
        return values[-1] if values else None

    def __repr__(self) -> str:
        """Return the command, and the ``make`` line that runs the case again."""
        text = json.dumps(dataclasses.asdict(self), separators=(",", ":"))
        return f"{shlex.join(self.line)}\n    make soak CASE={shlex.quote(text)}"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Let Hypothesis print `repr`."""
        printer.text(repr(self))

    @classmethod
    def from_json(cls, text: str) -> Case:
        """Return the case from the text that `repr` writes after CASE."""
        content: dict[str, Any] = json.loads(text)
        return cls(
            tuple(content["line"]),
            tuple(ImageFile(**fields) for fields in content["files"]),
            tuple((name, text) for name, text in content["texts"]),
        )


def _rarely(draw: st.DrawFn, odds: int = 3) -> bool:
    """Draw true once in ``odds`` + 1 times."""
    return draw(st.integers(0, odds)) == 0


def _options(draw: st.DrawFn, **choices: tuple[str, str]) -> list[str]:
    """Draw some options with a value each: mostly a valid one, at times an invalid or extreme one."""
    line = []
    for name, (valid, extreme) in choices.items():
        if _rarely(draw, 4):
            values = extreme if extreme and _rarely(draw, 7) else valid
            line += [f"--{name.replace('_', '-')}", draw(st.sampled_from(values.split()))]
    return line


def _flags(draw: st.DrawFn, *names: str) -> list[str]:
    return [name for name in names if _rarely(draw, 5)]


_RESAMPLING: dict[str, tuple[str, str]] = {
    "interpolation": ("nearest linear cubic lanczos", ""),
    "canvas": ("fixed union common", ""),
    "fill": ("0 7 edge", "nan -1 1.5 1e9 inf much"),
    "pyramid": ("auto no", "yes"),
}
_OUTPUT_FLAGS = ("--json", "--quiet")


@st.composite
def alignments(draw: st.DrawFn, long: bool | None = None) -> Case:
    """Draw ``zncc-align`` of two images, perhaps of different sizes, with or without masks and a start."""
    plain = draw(st.integers(0, 2)) > 0
    shape = draw(shapes(long))
    other = shape if draw(st.booleans()) else tuple(max(16, n + draw(st.integers(-7, 7))) for n in shape)
    seed = draw(st.integers(0, 2))
    files = [draw(image_files("fixed.tif", shape, seed, plain)), draw(image_files("moving.tif", other, seed, plain))]
    texts: list[tuple[str, str]] = []
    line = [*draw(st.sampled_from([("zncc-align",), ("zncc", "align")])), "fixed.tif", "moving.tif"]
    for picture, side in zip(tuple(files), ("fixed", "moving"), strict=True):
        if _rarely(draw, 6):
            content = draw(st.sampled_from(("texture", "texture", "holes", "constant", "no_number")))
            mask = dataclasses.replace(picture, name=f"{side}_mask.tif", dtype="uint8", layout="grey", content=content)
            files.append(mask if draw(st.booleans()) else dataclasses.replace(mask, dtype="bool"))
            line += [f"--{side}-mask", mask.name]
    if _rarely(draw, 4):
        start = draw(st.sampled_from(("identity", "start.json", "start.json", "start.txt", "none.json")))
        matrix = [[1, 0, files[0].dx - files[1].dx], [0, 1, files[0].dy - files[1].dy], [0, 0, 1]]
        if start == "start.json":
            texts.append((start, json.dumps(matrix)))
        if start == "start.txt":
            broken = draw(st.sampled_from(("nonsense", "0 0 0\n0 0 0\n0 0 0", "1 0 900\n0 1 900\n0 0 1")))
            texts.append((start, broken))
        line += ["--init", start]
    line += ["--model", draw(st.sampled_from(_MODELS if _rarely(draw, 3) else ("translation", "rigid", "affine")))]
    line += ["--max-iterations", str(draw(st.integers(1, 12)))] if draw(st.booleans()) else []
    if _rarely(draw, 4):
        line += ["--write", ",".join(draw(st.lists(st.sampled_from(_PRODUCTS), min_size=1, max_size=4)))]
    line += _options(
        draw,
        window=("3 4 5 9 11 21", "2 47 96"),
        min_overlap=("0.1 0.5 0.7", "0 0.9 1"),
        optimizer=("bfgs gauss-newton gradient-descent", ""),
        tolerance=("0.0001 0.1 1", "2"),
        backend=("auto reference native", ""),
        device=("auto cpu", "tpu"),
        accept=("ok suspect", ""),
        channel=("0 best best,0", "1 1,0 9 luminance"),
        page=("0", "1 0,1 11 x"),
        series=("0", "1"),
        **_RESAMPLING,
    )
    return Case((*line, "--out", "out", *_flags(draw, "--overwrite", *_OUTPUT_FLAGS)), tuple(files), tuple(texts))


@st.composite
def std_maps(draw: st.DrawFn, long: bool | None = None) -> Case:
    """Draw ``zncc-stdmap`` of one to three images."""
    count = draw(st.sampled_from((1, 1, 1, 2, 3)))
    files = [draw(image_files(f"{name}.tif", draw(shapes(long)), 0)) for name in "abc"[:count]]
    line = [*draw(st.sampled_from([("zncc-stdmap",), ("zncc", "stdmap")])), *(file.name for file in files)]
    line += _options(
        draw,
        window=("3 4 5 11 48", "64 97 1200 1"),
        channel=("0 best", "1 9 luminance"),
        page=("0", "1 11"),
        series=("0", "1"),
        scale=("population norm", ""),
        method=("auto box fft", ""),
        device=("auto cpu", "tpu"),
        backend=("auto reference native", ""),
    )
    return Case((*line, "--out", "out", *_flags(draw, "--overwrite", *_OUTPUT_FLAGS)), tuple(files))


@st.composite
def stacks(draw: st.DrawFn, long: bool | None = None) -> Case:
    """Draw ``zncc stack`` of a file with few frames."""
    picture = draw(image_files("movie.tif", draw(shapes(long)), 0, plain=draw(st.booleans())))
    layouts = (*["pages"] * 6, *["imagej"] * 2, *["ome"] * 2, "channels", "grey", "rgb")
    layout = draw(st.sampled_from(layouts))
    if picture.dtype not in ("uint8", "uint16", "float32"):
        layout = "pages"
    picture = dataclasses.replace(picture, layout=layout, count=draw(st.integers(2, 5)))
    line = ["zncc", "stack", "movie.tif"]
    line += _options(
        draw,
        to=("first previous mean 0 1", "9 last"),
        axis=("T" if layout in ("imagej", "ome") else "Q", "T Z C"),
        model=("translation rigid similarity affine homography", "auto"),
        window=("3 9 11", "47 2"),
        channel=("0 best", "1 9 luminance"),
        series=("0", "1"),
        backend=("auto reference native", ""),
        **_RESAMPLING,
    )
    return Case((*line, "--out", "out", *_flags(draw, "--overwrite", *_OUTPUT_FLAGS)), (picture,))


def _matrix(draw: st.DrawFn) -> list[list[float]]:
    """Draw a matrix: mostly near the identity, at times far from it, singular, or with a horizon in the frame."""
    small, far = st.floats(-0.05, 0.05), st.floats(-1e6, 1e6)
    matrix = [[1 + draw(small), draw(small), 9 * draw(small)], [draw(small), 1 + draw(small), 9 * draw(small)]]
    if _rarely(draw, 5):
        matrix[draw(st.integers(0, 1))][draw(st.integers(0, 2))] = draw(st.one_of(far, st.just(0.0)))
    perspective = draw(st.one_of(st.floats(-1e-4, 1e-4), st.floats(-0.1, 0.1))) if _rarely(draw, 3) else 0.0
    return [*matrix, [perspective, 0.0, 1.0]]


def _transform(matrix: list[list[float]], fixed: tuple[int, int], moving: tuple[int, int]) -> str:
    content = {
        **{"format": "zncc-transform", "version": 1, "model": "homography", "matrix": matrix},
        **{"fixed_shape": list(fixed), "moving_shape": list(moving)},
        **{"direction": "fixed -> moving", "axis_order": "xy"},
        "pixel_origin": "centre of the top-left pixel is (0, 0)",
    }
    return json.dumps(content)


@st.composite
def applications(draw: st.DrawFn, long: bool | None = None) -> Case:
    """Draw ``zncc apply`` of any matrix to one or two images."""
    shape, fixed = draw(shapes(long)), draw(shapes(None))
    names = ("a.tif", "b.tif") if _rarely(draw) else ("a.tif",)
    files = [draw(image_files(name, shape, 0)) for name in names]
    line = ["zncc", "apply", "transform.json", *names]
    line += _options(draw, page=("0", "1 11"), series=("0", "1"), backend=("auto reference native", ""), **_RESAMPLING)
    line += _flags(draw, "--inverse", "--overwrite", *_OUTPUT_FLAGS)
    sizes = (fixed, shape) if "--inverse" not in line or _rarely(draw, 5) else (shape, fixed)
    text = _transform(_matrix(draw), *sizes)
    return Case((*line, "--out", "out"), tuple(files), (("transform.json", text),))


@st.composite
def point_tables(draw: st.DrawFn, long: bool | None = None) -> Case:
    """Draw ``zncc points`` of a table in one of several notations."""
    separator = draw(st.sampled_from((",", ";", "\t", " ")))
    number = st.one_of(st.floats(-3000, 3000), st.integers(-5, 5), st.sampled_from(("nan", "x", "", "1e300", "-0.0")))
    plain = st.floats(-3000, 3000)
    rows = draw(st.lists(st.tuples(plain, plain) if draw(st.booleans()) else st.tuples(number, number), max_size=8))
    lines = [separator.join(map(str, row)) for row in rows]
    header = [separator.join(("x", "y"))] if draw(st.booleans()) else []
    line = ["zncc", "points", "transform.json", "points.csv", *_flags(draw, "--inverse", "--overwrite")]
    line += ["--out", "mapped.csv"] if draw(st.booleans()) else []
    text = _transform(_matrix(draw), (64, 64), (64, 64))
    table = draw(st.sampled_from(("\n", "\r\n"))).join([*header, *lines, ""])
    return Case(tuple(line), (), (("transform.json", text), ("points.csv", table)))


@st.composite
def registrations(draw: st.DrawFn, long: bool | None = None) -> Case:
    """Draw ``register`` of two arrays."""
    shape, seed, plain = draw(shapes(long)), draw(st.integers(0, 2)), draw(st.booleans())
    other = shape if draw(st.booleans()) else tuple(max(4, n + draw(st.integers(-7, 7))) for n in shape)
    files = [draw(image_files(name, size, seed, plain)) for name, size in (("fixed", shape), ("moving", other))]
    line = ["register", "--model", draw(st.sampled_from(_MODELS if _rarely(draw, 3) else ("translation", "affine")))]
    line += ["--max-iterations", str(draw(st.integers(1, 12)))]
    line += _options(
        draw,
        window=("3 4 11", "47 2"),
        min_overlap=("0.1 0.5", "0.9 1 0"),
        optimizer=("bfgs gauss-newton gradient-descent", ""),
        tolerance=("0.0001 1", "2"),
        backend=("auto reference native", ""),
        init=("identity", "far singular no_number"),
        mask=("all holes", "none wrong"),
        given=("tensor masked reversed", ""),
    )
    return Case(tuple(line), tuple(dataclasses.replace(file, layout="grey") for file in files))


KINDS = {
    "zncc-align": alignments,
    "zncc-stdmap": std_maps,
    "stack": stacks,
    "apply": applications,
    "points": point_tables,
    "register": registrations,
}
"""Strategies by `Case.kind`; ``long`` asks for a side of more than 1024 pixels (None: at times)."""
