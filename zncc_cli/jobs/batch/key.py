"""The key of a pair: a hash of all that its result depends on."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zncc_cli.config import Contrast, Flip, ImageFormat, PairConfig, Product, Pyramid
from zncc_cli.errors import ZnccError
from zncc_cli.files.paths import MismatchError, read_small_file
from zncc_cli.files.transforms.transform_json import parse_json
from zncc_cli.jobs.pair.rerun import image_digests
from zncc_cli.jobs.pair.run_folder import REPORT
from zncc_cli.report.json import json_text

# Settings that do not change the result: where the files lie.
_PLACES = ("fixed", "moving", "out", "overwrite")
# Products are hashed by the names that they had in version 0.1, so that its batches can be resumed.
_FORMER_NAMES: dict[str, str] = {Product.HTML: "page"}
# Settings that version 0.1 did not have, at the values at which they ask for nothing.
_ADDED_SETTINGS: dict[str, str | float | None] = {
    "flip": Flip.AUTO,
    "contrast": Contrast.AUTO,
    "image_format": ImageFormat.AUTO,
    "pyramid": Pyramid.AUTO,
    "spacing": None,
    "smoothness": 1.0,
    "reproducible": False,
}


def pair_key(config: PairConfig) -> str:
    """Return the key of a pair: a hash of the content of its inputs and of its settings.

    Raises:
        InputError: an input cannot be read.
    """
    return _key(image_digests(config), dataclasses.asdict(config))


def _key(inputs: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    unasked = _ADDED_SETTINGS.items()
    kept = {name: value for name, value in settings.items() if name not in _PLACES and (name, value) not in unasked}
    for part in ("registration", "resampling"):
        kept[part] = {name: value for name, value in kept[part].items() if (name, value) not in unasked}
    if kept["write"] is not None:
        kept["write"] = ",".join(_former_name(name) for name in kept["write"].split(","))
    text = json_text({"inputs": dict(sorted(inputs.items())), "settings": dict(sorted(kept.items()))})
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _former_name(product: str) -> str:
    """Return the name that a product had in version 0.1, with the blanks around it, which were hashed as well."""
    name = product.strip()
    return product.replace(name, _FORMER_NAMES.get(name, name))


def done_before(folder: Path, key: str) -> dict[str, Any] | None:
    """Return the report in a pair's folder if a run with the inputs and settings of ``key`` wrote it, else None."""
    try:
        content = read_small_file(folder / REPORT, expected="a report", advice="remove it")
        report: Any = parse_json(content, "a report")
        same = _key(report["inputs"], report["settings"]) == key
        return report if same and {"status", "reasons", "metrics", "model"} <= report.keys() else None
    except (ZnccError, MismatchError, LookupError, TypeError, AttributeError):
        return None
