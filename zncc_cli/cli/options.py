"""Options that several commands share, spelled once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

import zncc_cli
from zncc_cli.cli.console import set_debug
from zncc_cli.config import (
    DEFAULT_MIN_OVERLAP,
    DEFAULT_WINDOW,
    LEAST_MIN_OVERLAP,
    Accept,
    Backend,
    Canvas,
    Device,
    Interpolation,
    Model,
    Optimizer,
)
from zncc_cli.errors import OptionError

_Config = TypeVar("_Config")

ModelOption = Annotated[
    Model,
    typer.Option("--model", "-m", help="The richest motion allowed, or auto for the simplest that explains the pair."),
]
WindowOption = Annotated[
    int | None,
    typer.Option(
        "--window",
        "-w",
        metavar="PIXELS",
        help=f"Side of the square window [default: {DEFAULT_WINDOW}, less where images are small or narrow].",
    ),
]
MinOverlapOption = Annotated[
    float | None,
    typer.Option(
        metavar="FRACTION",
        help="Least share of the smaller image that must stay in the overlap "
        f"[default: {DEFAULT_MIN_OVERLAP}; where nothing is found, {LEAST_MIN_OVERLAP}].",
    ),
]
MaxMotionOption = Annotated[
    float | None,
    typer.Option(
        metavar="PIXELS",
        help="Most that a corner may move from the start, --init or else the identity; nothing beyond is searched "
        "or returned [default: any].",
    ),
]
OptimizerOption = Annotated[
    Optimizer, typer.Option(help="How the loss is descended on the coarse levels; the finest is refined either way.")
]
MaxIterationsOption = Annotated[
    int, typer.Option(metavar="N", help="Most iterations on one pyramid level; on the finest 20, or a third if more.")
]
ToleranceOption = Annotated[
    float, typer.Option(metavar="PIXELS", help="A step that moves the corners by less ends the search.")
]
NoDataOption = Annotated[
    str,
    typer.Option(
        "--no-data",
        metavar="VALUE|auto|none",
        help="Pixels of this value hold no data; auto finds values that lie in the scene like gaps.",
    ),
]
_EACH = "N|N,M"
SeriesOption = Annotated[
    str | None,
    typer.Option(
        metavar=_EACH, help="Series of a file with several, counted from 0 [default: 0]; N,M: FIXED's, MOVING's."
    ),
]
PageOption = Annotated[
    str | None,
    typer.Option(
        metavar=_EACH, help="Read this page alone, counted from 0 [default: all are kept, the first is registered]."
    ),
]
ChannelOption = Annotated[
    str | None,
    typer.Option(
        metavar=_EACH,
        help="Register by this channel, counted from 0, by luminance, or by the best, with the most texture "
        "[default: luminance of RGB, else best]; all are moved.",
    ),
]
OneSeriesOption = Annotated[
    int | None, typer.Option(min=0, metavar="N", help="Series of a file with several, counted from 0 [default: 0].")
]
OnePageOption = Annotated[
    int | None,
    typer.Option(min=0, metavar="N", help="Read this page alone, counted from 0 [default: all, or the first]."),
]
InterpolationOption = Annotated[
    Interpolation, typer.Option(help="How the values written are found between pixels; nearest for labels.")
]
CanvasOption = Annotated[
    Canvas, typer.Option(help="Frame of what is written: FIXED's, one that holds both images, or what both have.")
]
FillOption = Annotated[
    str | None,
    typer.Option(
        metavar="VALUE|nan|edge",
        help="What pixels hold that the image does not cover [default: its nodata value, else 0, NaN for floats].",
    ),
]
WriteOption = Annotated[
    str | None,
    typer.Option(
        metavar="WHAT,...",
        help="Write this alone: aligned, transform, mask, maps, overlay, page, report [default: all].",
    ),
]
AcceptOption = Annotated[
    Accept, typer.Option(help="End with exit code 0 also where a result is suspect; never where it failed.")
]
DeviceOption = Annotated[
    Device, typer.Option(help="Where to compute; auto takes a GPU for images of 1024 x 1024 pixels and more.")
]
BackendOption = Annotated[Backend, typer.Option(help="Compiled kernels, plain torch, or the first that works.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress, notes or summary; errors, warnings and --json only.")
]
DebugOption = Annotated[
    bool, typer.Option("--debug", help="Show the traceback of an error.", callback=set_debug, is_eager=True)
]


def _show_version(value: bool) -> None:
    if value:
        print(f"zncc-cli {zncc_cli.__version__}")
        raise typer.Exit


VersionOption = Annotated[
    bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
]


def _folder(text: str) -> Path:
    """Return ``--out``; an empty text, of a variable that is not set, is not the working folder."""
    if not text:
        raise OptionError("--out: expected a folder, got an empty text; give . for the working folder")
    return Path(text)


OutOption = Annotated[
    Path | None, typer.Option("--out", "-o", metavar="DIR", help="Output folder.", show_default=False, parser=_folder)
]
RequiredOutOption = Annotated[
    Path, typer.Option("--out", "-o", metavar="DIR", help="Output folder.", show_default=False, parser=_folder)
]


def gather(kind: type[_Config], values: Mapping[str, Any]) -> _Config:
    """Return the config of ``kind`` whose fields bear the names of a command's parameters, ``locals()``."""
    return kind(**{field.name: values[field.name] for field in dataclasses.fields(kind) if field.name in values})  # type: ignore[arg-type]


def refuse_others(context: typer.Context, option: str, *, allowed: Sequence[str]) -> None:
    """Raise `OptionError` where a parameter was given that ``option`` would make go unheard."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if name not in allowed and source is not None and source.name == "COMMANDLINE":
            given = name.upper() if name in ("fixed", "moving") else f"--{name.replace('_', '-')}"
            raise OptionError(f"{option}: expected without {given}, which would go unheard; leave one of them out")
