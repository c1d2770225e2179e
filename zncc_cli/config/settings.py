"""The settings of a pair as the words of a command, and read back from what a report.json holds of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import get_args, get_type_hints

from zncc_cli.config import PairConfig
from zncc_cli.errors import OptionError


def command_line(config: PairConfig) -> list[str]:
    """Return the arguments of ``zncc-align`` that say what ``config`` says, with defaults left out."""
    words = ["zncc-align", str(config.fixed), str(config.moving)]
    parts: tuple[object, ...] = (config, config.inputs, config.registration, config.resampling)
    for part in parts:
        for field in dataclasses.fields(part):  # type: ignore[arg-type]
            value = getattr(part, field.name)
            if field.name in ("fixed", "moving") or dataclasses.is_dataclass(value) or value == field.default:
                continue
            option = f"--{field.name.replace('_', '-')}"
            # One word, so that a value may begin with a dash.
            words.append(option if value is True else f"{option}={value}")
    return words


def pair_config(settings: object) -> PairConfig:
    """Return the config that ``settings``, of a report.json, describe.

    Raises:
        OptionError: they are no such settings; one is unknown, missing or of another kind.
    """
    config = _from_settings(PairConfig, settings, "settings")
    assert isinstance(config, PairConfig)
    return config


def _from_settings(kind: type, settings: object, name: str) -> object:
    expected = {field.name: field for field in dataclasses.fields(kind)}
    if not isinstance(settings, dict) or set(settings) != set(expected):
        found = sorted(set(settings) ^ set(expected)) if isinstance(settings, dict) else type(settings).__name__
        raise OptionError(f"--from: expected {name} of this version's report.json, found a difference in {found}")
    hints = get_type_hints(kind)
    values: dict[str, object] = {}
    for key, value in settings.items():
        hint = hints[key]
        kinds: list[type] = [one for one in get_args(hint) if one is not type(None)] or [hint]
        optional = type(None) in get_args(hint)
        if dataclasses.is_dataclass(kinds[0]):
            values[key] = _from_settings(kinds[0], value, f"{name}.{key}")
        elif value is None and optional:
            values[key] = None
        elif issubclass(kinds[0], (str, Path)) and isinstance(value, str):
            values[key] = Path(value) if kinds[0] is Path else value
        elif kinds[0] in (int, bool) and type(value) is kinds[0]:
            values[key] = value
        elif kinds[0] is float and type(value) in (int, float):
            values[key] = float(value)
        else:
            raise OptionError(f"--from: expected {name}.{key} of a report.json, got {value!r}")
    built: object = kind(**values)
    return built
