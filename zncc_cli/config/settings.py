"""The settings of a pair as the words of a command, and read back from what a report.json holds of them."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import get_args, get_type_hints

from zncc_cli.config import PairConfig
from zncc_cli.config.check import CheckConfig
from zncc_cli.config.rounds import RoundsConfig
from zncc_cli.config.stack import StackConfig
from zncc_cli.errors import OptionError

_RENAMED_PRODUCTS = {"page": "html"}  # in ``write``, by reports of version 0.1


def command_line(config: PairConfig) -> list[str]:
    """Return the arguments of ``zncc-align`` that say what ``config`` says, with defaults left out."""
    parts = config, config.inputs, config.registration, config.resampling
    return ["zncc-align", str(config.fixed), str(config.moving), *_options(parts, without=("fixed", "moving"))]


def stack_command_line(config: StackConfig) -> list[str]:
    """Return the arguments of ``zncc stack`` that say what ``config`` says, with defaults left out."""
    return ["zncc", "stack", str(config.image), *_options((config, config.resampling), without=("image",))]


def check_command_line(config: CheckConfig) -> list[str]:
    """Return the arguments of ``zncc check`` that say what ``config`` says, with defaults left out."""
    pair = str(config.fixed), str(config.aligned)
    return ["zncc", "check", *pair, *_options((config, config.inputs), without=("fixed", "aligned"))]


def rounds_command_line(config: RoundsConfig) -> list[str]:
    """Return the arguments of ``zncc rounds`` that say what ``config`` says, with defaults left out."""
    parts = config, config.registration, config.resampling
    return ["zncc", "rounds", *map(str, config.images), *_options(parts, without=("images",))]


def _options(parts: Sequence[object], without: Sequence[str]) -> list[str]:
    """Return the options for the settings of some configs that differ from their defaults."""
    words = []
    for part in parts:
        for field in dataclasses.fields(part):  # type: ignore[arg-type]
            value = getattr(part, field.name)
            if field.name in without or dataclasses.is_dataclass(value) or value == field.default:
                continue
            option = f"--{field.name.replace('_', '-')}"
            # One word, so that a value may begin with a dash.
            words.append(option if value is True else f"{option}={value}")
    return words


def pair_config(settings: object) -> PairConfig:
    """Return the config that the settings of a report.json describe, also those that an earlier version wrote.

    A setting that is missing has its default. One that this version does not know is ignored where its value asks for
    nothing, and refused otherwise. Products have their names of today.

    Raises:
        OptionError: a setting has a wrong value, or is not known, or an image is missing.
    """
    if isinstance(settings, dict) and isinstance(settings.get("write"), str):
        names = settings["write"].split(",")
        settings = {**settings, "write": ",".join(_RENAMED_PRODUCTS.get(name.strip(), name) for name in names)}
    config = _from_settings(PairConfig, settings, "settings")
    assert isinstance(config, PairConfig)
    return config


def _from_settings(kind: type, settings: object, name: str) -> object:
    """Return the dataclass ``kind`` with the fields that ``settings``, called ``name`` in messages, hold."""
    if not isinstance(settings, dict):
        raise OptionError(f"--rerun: expected {name} of a report.json, got {settings!r}; name a report of zncc-align")
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for key, value in settings.items():
        if key not in fields and value is not None and value is not False:
            raise OptionError(
                f"--rerun: expected {name} that this version knows, got {name}.{key} = {value!r}; "
                "use the version that wrote the report"
            )
    missing = [key for key, field in fields.items() if _is_required(field) and key not in settings]
    if missing:
        raise OptionError(
            f"--rerun: expected {name}.{missing[0]} in a report.json, found none; name a report of zncc-align"
        )
    hints = get_type_hints(kind)
    values = {key: _value(hints[key], value, f"{name}.{key}") for key, value in settings.items() if key in fields}
    built: object = kind(**values)
    return built


def _is_required(field: dataclasses.Field[object]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _value(hint: object, value: object, name: str) -> object:
    """Return a field's value from JSON; ``hint`` is its type, one type or that type or None."""
    kinds: list[type] = [kind for kind in get_args(hint) if kind is not type(None)] or [hint]  # type: ignore[list-item]
    kind = kinds[0]
    if dataclasses.is_dataclass(kind):
        return _from_settings(kind, value, name)
    if value is None and type(None) in get_args(hint):
        return None
    if issubclass(kind, (str, Path)) and isinstance(value, str):
        return Path(value) if kind is Path else value
    if kind in (int, bool) and type(value) is kind:
        return value
    if kind is float and type(value) in (int, float):
        with contextlib.suppress(OverflowError):  # an int beyond the floats is refused below
            return float(value)  # type: ignore[arg-type]
    raise OptionError(f"--rerun: expected {name} of a report.json, got {value!r}; name a report of zncc-align")
