"""The options of the commands, made from the settings of the configs; and those that belong to no config."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

import zncc_cli
from zncc_cli.cli.console import open_log, set_debug, set_verbose
from zncc_cli.config import (
    Accept,
    Backend,
    Canvas,
    Contrast,
    Device,
    Flip,
    ImageFormat,
    InputConfig,
    Interpolation,
    Model,
    Optimizer,
    PairConfig,
    Pyramid,
    RegistrationConfig,
    ResamplingConfig,
)
from zncc_cli.config.setting import Setting, settings_of
from zncc_cli.config.shared import ONE_SERIES
from zncc_cli.config.spelling import as_options
from zncc_cli.errors import OptionError

_Config = TypeVar("_Config")


def option(config: type, name: str, *, parser: Callable[[str], Any] | None = None) -> Any:
    """Return the Typer option of a config's setting."""
    return option_of(name, settings_of(config)[name], parser=parser)


def option_of(name: str, about: Setting, *, parser: Callable[[str], Any] | None = None) -> Any:
    """Return the Typer option of the setting ``about`` of the field ``name``."""
    return typer.Option(
        *about.names(name),
        metavar=about.metavar,
        help=as_options(about.help),
        show_default=True if about.default is None else as_options(about.default),
        parser=parser,
    )


def argument(config: type, name: str, *, show_default: bool = True) -> Any:
    """Return the Typer argument of a config's setting that is positional."""
    about = settings_of(config)[name]
    return typer.Argument(metavar=about.metavar, help=as_options(about.help), show_default=show_default)


def _folder(text: str) -> Path:
    """Return ``--out``; an empty text, from a variable that is not set, does not stand for the working folder."""
    if not text:
        raise OptionError("`out`: expected a folder, got an empty text; give . for the working folder")
    return Path(text)


ModelOption = Annotated[Model, option(RegistrationConfig, "model")]
WindowOption = Annotated[int | None, option(RegistrationConfig, "window")]
MinOverlapOption = Annotated[float | None, option(RegistrationConfig, "min_overlap")]
MaxMotionOption = Annotated[float | None, option(RegistrationConfig, "max_motion")]
FlipOption = Annotated[Flip, option(RegistrationConfig, "flip")]
ContrastOption = Annotated[Contrast, option(RegistrationConfig, "contrast")]
OptimizerOption = Annotated[Optimizer, option(RegistrationConfig, "optimizer")]
MaxIterationsOption = Annotated[int, option(RegistrationConfig, "max_iterations")]
ToleranceOption = Annotated[float, option(RegistrationConfig, "tolerance")]
SpacingOption = Annotated[float | None, option(RegistrationConfig, "spacing")]
SmoothnessOption = Annotated[float, option(RegistrationConfig, "smoothness")]
NoDataOption = Annotated[str, option(RegistrationConfig, "no_data")]
DeviceOption = Annotated[Device, option(RegistrationConfig, "device")]
BackendOption = Annotated[Backend, option(RegistrationConfig, "backend")]
SeriesOption = Annotated[str | None, option(InputConfig, "series")]
PageOption = Annotated[str | None, option(InputConfig, "page")]
ChannelOption = Annotated[str | None, option(InputConfig, "channel")]
OneSeriesOption = Annotated[int | None, option_of("series", *ONE_SERIES.values())]
InterpolationOption = Annotated[Interpolation, option(ResamplingConfig, "interpolation")]
CanvasOption = Annotated[Canvas, option(ResamplingConfig, "canvas")]
FillOption = Annotated[str | None, option(ResamplingConfig, "fill")]
FormatOption = Annotated[ImageFormat, option(ResamplingConfig, "image_format")]
PyramidOption = Annotated[Pyramid, option(ResamplingConfig, "pyramid")]
OutOption = Annotated[Path | None, option(PairConfig, "out", parser=_folder)]
RequiredOutOption = Annotated[Path, option(PairConfig, "out", parser=_folder)]
WriteOption = Annotated[str | None, option(PairConfig, "write")]
AcceptOption = Annotated[Accept, option(PairConfig, "accept")]
OverwriteOption = Annotated[bool, option(PairConfig, "overwrite")]
ReproducibleOption = Annotated[bool, option(PairConfig, "reproducible")]

JsonOption = Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print no progress, notes or summary; errors and warnings only.")
]
SAYING = ("json", "quiet", "verbose", "log", "debug")
"""The parameters that change what a command says, not what it does."""

VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Say each step on stderr.", callback=set_verbose, is_eager=True)
]
LogOption = Annotated[
    Path | None,
    typer.Option(
        "--log",
        metavar="FILE",
        help="Add each step, notes, warnings and errors to the end of this file, with the time.",
        callback=open_log,
        is_eager=True,
    ),
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


def gather(kind: type[_Config], values: Mapping[str, Any]) -> _Config:
    """Return the config of ``kind`` whose fields bear the names of a command's parameters, ``locals()``."""
    return kind(**{field.name: values[field.name] for field in dataclasses.fields(kind) if field.name in values})  # type: ignore[arg-type]


def refuse_others(context: typer.Context, option: str, *, allowed: Sequence[str]) -> None:
    """Raise `OptionError` where a parameter was given that ``option`` would silently overrule."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if name not in allowed and source is not None and source.name == "COMMANDLINE":
            given = name.upper() if name in ("fixed", "moving") else f"--{name.replace('_', '-')}"
            raise OptionError(
                f"{option}: cannot be combined with {given}, which would have no effect; leave one of them out"
            )
