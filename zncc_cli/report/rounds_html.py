"""The HTML report of rounds of one scene: a verdict and a picture before and after for each, and the channels."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zncc_cli.report.html import write_html
from zncc_cli.report.json import plain
from zncc_cli.report.layers import Layers
from zncc_cli.report.overlay import overlay
from zncc_cli.report.pair_figures import EmbeddedImage, embedded_image, jpeg
from zncc_cli.report.pair_html import link, verdict
from zncc_cli.report.tables import VERSIONS, mapping, plain_tables
from zncc_cli.report.words import MEASURES, described, probability_text, shell_line, text_lines, value_text

_SIDE, _QUALITY = 512, 80  # pixels of a panel, and its JPEG quality: some ten rounds are a megabyte
# The figures of a round that are shown; report.json has all.
_SHOWN_METRICS = ("zncc_before", "zncc_after", "overlap", "motion")


def round_picture(layers: Layers) -> NDArray[np.uint8]:
    """Return the overlay of a round on the fixed one, before and after, uint8 (H, W, 3)."""
    return overlay(layers.reduced(_SIDE))


def write_rounds_html(
    path: str | os.PathLike[str],
    report: Mapping[str, Any],
    pictures: Sequence[NDArray[np.uint8] | None],
    *,
    files: Sequence[str] = (),
) -> None:
    """Write the HTML report of rounds to ``path``: one file that works offline.

    Args:
        path: the file.
        report: the content of the report.json.
        pictures: what `round_picture` returned of each round; None of the fixed one.
        files: names of the files in the same folder, to be linked.

    Raises:
        OutputError: the file cannot be written.
    """
    report = plain(report)
    rounds, channels = report["rounds"], report["channels"]
    seconds = [report["seconds"]["total"]] if "seconds" in report else []
    content = {
        "verdict": verdict(report.get("status")),
        "status": report.get("status"),
        "reasons": text_lines(report.get("reasons")),
        "notes": text_lines(report.get("notes")),
        "name": PurePath(str(mapping(report, "settings").get("out") or "rounds")).name,
        "highlights": [
            {"label": "Rounds", "value": str(len(rounds))},
            {"label": "Channels", "value": str(len(channels))},
            {"label": "Pixels", "value": value_text(report.get("dtype"))},
            {"label": "Model", "value": value_text(report.get("model"))},
            *({"label": "Time", "value": f"{value_text(total, digits=3)} s"} for total in seconds),
        ],
        "rounds": [_round(entry, picture) for entry, picture in zip(rounds, pictures, strict=True)],
        "channels": [{**channel, "round_name": rounds[channel["round"]]["name"]} for channel in channels],
        "tables": plain_tables(
            [
                ("Settings", mapping(report, "settings")),
                ("Seconds", mapping(report, "seconds")),
                (VERSIONS, mapping(report, "versions")),
                ("Canvas", mapping(report, "canvas")),
            ]
        ),
        "command": shell_line(report["command"]) if report.get("command") else None,
        "files": [{"name": name, "link": link(name), "meaning": _meaning(name)} for name in files],
    }
    write_html(Path(path), "rounds.html.j2", ("copy.js",), content)


def _round(entry: Mapping[str, Any], picture: NDArray[np.uint8] | None) -> dict[str, Any]:
    """Return what the template needs of one round."""
    metrics = mapping(entry, "metrics")
    figures = [
        {"label": measure.label, "value": text, "unit": measure.unit}
        for measure, text in described({k: metrics[k] for k in _SHOWN_METRICS if k in metrics}, MEASURES, digits=3)
    ]
    if entry.get("expected_error") is not None and entry.get("status") != "failed":
        value = value_text(entry["expected_error"], digits=2)
        figures.append({"label": "Expected error", "value": value, "unit": "px"})
    if entry.get("probability") is not None:
        text = probability_text(entry["probability"])
        figures.append({"label": "Probability of being right", "value": text, "unit": ""})
    return {
        "name": entry["name"],
        "status": entry["status"],
        "verdict": verdict(entry["status"]),
        "fixed": entry["fixed"],
        "by": mapping(entry, "registered_by").get("channel"),
        "reasons": text_lines(entry.get("reasons")),
        "figures": figures,
        "picture": None if picture is None else _embedded(picture),
    }


def _embedded(picture: NDArray[np.uint8]) -> EmbeddedImage:
    return embedded_image(jpeg(picture, _QUALITY), "image/jpeg", picture.shape)


def _meaning(name: str) -> str:
    if name.endswith("_transform.json"):
        return "the transform of a round, fixed -> round"
    return "everything shown here, for programs" if name.endswith(".json") else "all channels of all rounds"
