"""How reports name and write what they show: metrics with label, unit and meaning, numbers, files, command lines."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Measure:
    """How a number is shown: its label, unit and meaning, and the factor that converts it to that unit."""

    label: str
    unit: str
    meaning: str
    factor: float = 1.0


# Of the fields of `zncc_cli.registration.quality.verdict.Evidence`.
_EVIDENCE: Mapping[str, Measure] = {
    "zncc_before": Measure(
        "ZNCC before", "", "Mean local correlation of the images as they came: 1 is the same, 0 is unrelated."
    ),
    "zncc_after": Measure("ZNCC after", "", "The same after the alignment; noise alone keeps it below 1."),
    "overlap": Measure(
        "Overlap",
        "%",
        "Share of the smaller image's windows that both images show; of its pixels where too few do.",
        100,
    ),
    "block_significance": Measure(
        "Agreement",
        "",
        "How much better the parts of the overlap agree than chance would have them: unrelated images stayed below 51, "
        "aligned ones came above 85.",
    ),
    "ending": Measure("Ending", "", "How the last level's optimisation ended."),
    "motion": Measure("Motion", "px", "Largest displacement of a corner of the fixed image."),
    "start_ratio": Measure(
        "Distinctness",
        "",
        "How many times better this place is than the next best; empty where nothing had to be searched.",
    ),
    "peak_ratio": Measure(
        "Peak ratio",
        "",
        "How many times better the aligned images agree than at the best other shift; repeated texture stays near 1.",
    ),
    "single_pixel_ratio": Measure(
        "Held by single pixels",
        "",
        "How many times better the images agree with the pixels that stand out by themselves than without.",
    ),
    "zncc_coarse": Measure("ZNCC, coarse", "", "ZNCC after, on a coarser level, where noise hides less."),
    "held_out_before": Measure("Held out, before", "", "ZNCC of the windows held out, as the images came."),
    "held_out_after": Measure(
        "Held out, after", "", "ZNCC of windows that took no part in the fit that puts them on each other."
    ),
    "fold_distance": Measure("Halves apart", "px", "Distance between what two halves of the overlap find."),
    "fold_distance_ratio": Measure(
        "Halves apart / chance", "", "The same squared, over what chance explains: about 1."
    ),
    "model_misfit": Measure("Richer model", "px", "How far a richer model would move the result beyond chance."),
    "round_trip": Measure("Round trip", "px", "What a step with fixed and moving exchanged would still change."),
    "expected_error": Measure("Expected error", "px", "Predicted standard deviation of a position in the overlap."),
    "border_pull": Measure("Border pull", "px", "How far a border that both images have alike had pulled a corner."),
    "border_left_out": Measure("Border left out", "", "Whether that border was left out of the result."),
    "beyond": Measure(
        "Beyond the bound", "px", "How far from the start what was found lies that --max-motion refuses."
    ),
    "least_scale": Measure("Least scale", "", "Least moving pixels per fixed pixel, along any direction."),
    "most_scale": Measure("Most scale", "", "Most moving pixels per fixed pixel, along any direction."),
    "shear": Measure("Shear", "", "How much more one direction is scaled than another; 1 is not at all."),
}
# Of what report.json holds in `metrics`. A metric without an entry is shown under its own name.
MEASURES: Mapping[str, Measure] = {
    **_EVIDENCE,
    "clipped_values": Measure(
        "Clipped values", "samples", "Values beyond the range of the data type, set to its limits in aligned.tif."
    ),
    "filled_pixels": Measure(
        "Filled pixels", "px", "Pixels of the frame that the moving image does not reach, filled in aligned.tif."
    ),
}

# What the files hold that may lie beside a report.
FILES: Mapping[str, str] = {
    "aligned.tif": "the moving image, aligned to the fixed image",
    "mask.tif": "255 where aligned.tif shows the moving image, else 0",
    "fixed.tif": "the fixed image on the same canvas",
    "transform.json": "the transform from fixed to moving coordinates",
    "displacement.tif": "the displacement of every pixel",
    "std_fixed.tif": "local standard deviation of the fixed image",
    "std_aligned.tif": "local standard deviation of the aligned image",
    "zncc.tif": "local ZNCC of the aligned images",
    "overlay.png": "before and after, on the canvas of aligned.tif",
    "report.json": "everything shown here, for programs",
}

NO_VALUE = "–"  # noqa: RUF001 - an en dash


def value_text(value: Any, factor: float = 1.0, digits: int = 4) -> str:
    """Return ``value`` as text: ``digits`` significant digits of a float, yes or no, a dash for None and NaN."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return NO_VALUE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number_text(value * factor, digits) if factor != 1 or isinstance(value, float) else str(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {value_text(item)}" for key, item in value.items()) or NO_VALUE
    if isinstance(value, list | tuple):
        return ", ".join(
            f"({value_text(item)})" if isinstance(item, list | tuple) else value_text(item) for item in value
        )
    return str(value)


def number_text(value: float, digits: int = 4) -> str:
    """Return ``value`` with ``digits`` significant digits, or with all digits before its point if they are more."""
    if math.isinf(value):
        return "infinite" if value > 0 else "minus infinite"
    if 10**digits <= abs(value) < 1e15:
        return f"{value:.0f}"
    text = f"{value:.{digits}g}"
    return "0" if text == "-0" else text


def described(
    metrics: Mapping[str, Any], measures: Mapping[str, Measure] = MEASURES, digits: int = 4
) -> Iterator[tuple[Measure, str]]:
    """Yield how each of ``metrics`` is shown and its value as text, in their order; nested mappings are flattened.

    A metric without an entry in ``measures`` is shown under its own name.
    """
    for key, value in flattened(metrics):
        value = value.replace("_", " ") if key == "ending" and isinstance(value, str) else value
        measure = measures.get(key) or Measure(plain_name(key), "", "")
        text = value_text(value, measure.factor, digits)
        yield (replace(measure, unit="") if text == NO_VALUE else measure), text


def flattened(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (name, value) of ``mapping``; an item of a mapping inside it is named "outer.inner"."""
    for key, value in mapping.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from flattened(value, f"{name}.")
        else:
            yield name, value


def plain_name(key: str) -> str:
    """Return a key as words: "Corner error" for "corner_error"."""
    words = str(key).replace("_", " ").replace(".", ": ")
    return words[:1].upper() + words[1:]


def shell_line(arguments: Iterable[str | os.PathLike[str]]) -> str:
    """Return ``arguments`` as one line that a POSIX shell splits into the same arguments."""
    return " ".join(_quoted(os.fspath(argument)) for argument in arguments)


def _quoted(argument: str) -> str:
    """Return ``argument`` quoted for a shell, as `shlex.quote` does.

    Characters that cannot be printed (line breaks, escapes) are spelt out in the form that bash and zsh read.
    """
    if argument.isprintable():
        return shlex.quote(argument)
    letters = (
        {"'": "\\'", "\\": "\\\\"}.get(letter, letter)
        if letter.isprintable()
        else "".join(f"\\x{byte:02x}" for byte in os.fsencode(letter))
        for letter in argument
    )
    return f"$'{''.join(letters)}'"


def text_lines(values: object) -> Sequence[str]:
    """Return the sentences of a report's entry, which is a list, one sentence or None."""
    if values is None:
        return ()
    return (values,) if isinstance(values, str) else tuple(map(str, values)) if isinstance(values, list | tuple) else ()
