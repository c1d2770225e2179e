"""Reports that are the same, byte by byte, whenever the same command runs again on the same machine."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, TypeVar

from zncc_cli.config import PairConfig
from zncc_cli.config.calibrate import CalibrateConfig
from zncc_cli.config.check import CheckConfig
from zncc_cli.config.rounds import RoundsConfig
from zncc_cli.config.stack import StackConfig

_Config = TypeVar("_Config", PairConfig, StackConfig, CheckConfig, RoundsConfig, CalibrateConfig)


def reported_settings(config: _Config) -> _Config:
    """Return the settings that a report tells; of a reproducible run without where it writes, and what it replaces."""
    if not config.reproducible:
        return config
    if isinstance(config, RoundsConfig | CalibrateConfig):  # a file, whose name tells those of the others
        return dataclasses.replace(config, out=Path(config.out.name), overwrite=False)
    return dataclasses.replace(config, out=None, overwrite=False)


def finished_report(
    report: dict[str, Any], config: PairConfig | StackConfig | CheckConfig | RoundsConfig
) -> dict[str, Any]:
    """Return what is written of a report; of a reproducible run without seconds.

    Nor does it tell where its kernels came from: the first run compiles them, and the next finds them in a cache.
    """
    if not config.reproducible:
        return report
    rest = {key: value for key, value in report.items() if key != "seconds"}
    if "rounds" in rest:
        rest["rounds"] = [_without(one, "seconds") for one in rest["rounds"]]
    if "levels" in rest:
        rest["levels"] = [_without(level, "seconds") for level in rest["levels"]]
    if "backend" in rest:
        rest["backend"] = _without(rest["backend"], "reason")
    return rest


def _without(entries: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in entries.items() if key != name}
