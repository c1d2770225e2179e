"""What a pair's result depends on, as one short text."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zncc_cli.config import PairConfig
from zncc_cli.errors import ZnccError
from zncc_cli.files.paths import MismatchError, read_small_file
from zncc_cli.files.transforms.transform_json import parse_json
from zncc_cli.jobs.pair.rerun import image_digests
from zncc_cli.report.report import json_text

# Where the files lie is no part of it.
_PLACES = ("fixed", "moving", "out", "overwrite")


def pair_key(config: PairConfig) -> str:
    """Return the key of a pair's inputs, by their content, and settings.

    Raises:
        InputError: an input cannot be read.
    """
    return _key(image_digests(config), dataclasses.asdict(config))


def _key(inputs: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    kept = {name: value for name, value in settings.items() if name not in _PLACES}
    text = json_text({"inputs": dict(sorted(inputs.items())), "settings": dict(sorted(kept.items()))})
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def done_before(folder: Path, key: str) -> dict[str, Any] | None:
    """Return the report that stands in a pair's folder, if it is of the inputs and settings of ``key``."""
    try:
        content = read_small_file(folder / "report.json", expected="a report", advice="remove it")
        report: Any = parse_json(content, "a report")
        same = _key(report["inputs"], report["settings"]) == key
        return report if same and {"status", "reasons", "metrics", "model"} <= report.keys() else None
    except (ZnccError, MismatchError, LookupError, TypeError, AttributeError):
        return None
