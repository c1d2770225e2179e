"""How reports name and write what they show: metrics with label, unit and meaning, numbers, files, command lines."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from zncc_cli.config.spelling import as_options
from zncc_cli.files.output_formats import OUTPUT_FORMATS
from zncc_cli.registration.quality.evidence import MEASURES as EVIDENCE
from zncc_cli.text import Measure

# The metrics of report.json. A metric without an entry is shown under its own name.
MEASURES: Mapping[str, Measure] = {
    **{name: measure._replace(meaning=as_options(measure.meaning)) for name, measure in EVIDENCE.items()},
    "clipped_values": Measure(
        "Clipped values", "samples", "Values beyond the range of the data type, set to its limits in the aligned image."
    ),
    "folds": Measure(
        "Folds", "px", "Pixels of the fixed frame at which the transform folds (its determinant is zero or less)."
    ),
    "filled_pixels": Measure(
        "Filled pixels", "px", "Pixels of the frame that the moving image does not reach, filled in the aligned image."
    ),
}

_IMAGE_SUFFIXES = [entry.suffix for entry in OUTPUT_FORMATS.values()]
# What the files hold that may lie beside a report.
FILES: Mapping[str, str] = {
    **{f"aligned{suffix}": "the moving image, aligned to the fixed image" for suffix in _IMAGE_SUFFIXES},
    "mask.tif": "255 where the aligned image shows the moving image, else 0",
    **{f"fixed{suffix}": "the fixed image on the same canvas" for suffix in _IMAGE_SUFFIXES},
    "transform.json": "the transform from fixed to moving coordinates",
    "spline.npy": "coefficients of the transform's spline, which transform.json names",
    "displacement.tif": "moving less fixed coordinates (dx, dy) of every fixed pixel, for other tools",
    "expected_error.tif": "how far the transform may be off at every fixed pixel: standard deviation, pixels",
    "trusted.tif": "255 at the fixed pixels where the transform is expected to be off by a pixel or less, else 0",
    "jacobian.tif": "determinant of the transform: the ratio of areas; zero or less where it folds",
    "std_fixed.tif": "local standard deviation of the fixed image",
    "std_aligned.tif": "local standard deviation of the aligned image",
    "zncc.tif": "local ZNCC of the aligned images",
    "overlay.png": "before and after, on the canvas of the aligned image",
    "report.json": "everything shown here, for programs",
}

# What the files hold that `zncc stack` writes.
STACK_FILES: Mapping[str, str] = {
    **{f"stack{suffix}": "the aligned frames" for suffix in _IMAGE_SUFFIXES},
    "drift.csv": "every frame's place, for programs",
    "drift.svg": "the plot of the drift",
    "transforms.json": "the transform from the reference to each frame",
    "report.json": "everything shown here, for programs",
    "splines.npy": "coefficients of the splines, which transforms.json names",
    "displacement.tif": "where the points of the reference lie in each frame, less their place in the reference",
    "incremental.tif": "how far the points moved since the frame before",
    "expected_error.tif": "how far the displacements may be off: standard deviation, pixels",
}
# The metrics of the report.json of `zncc stack`.
STACK_MEASURES: Mapping[str, Measure] = {
    "pairs": Measure("Pairs", "", "Pairs of frames whose motion was measured."),
    "pairs_left_out": Measure("Pairs left out", "", "Pairs that contradict the others."),
    "pair_expected_error": Measure(
        "Expected error of a pair", "px", "By how much the motions between frames disagree, RMS."
    ),
    "largest_expected_error": Measure("Largest expected error", "px", "Of the place of the worst frame, RMS."),
    "misfit": Measure("Misfit", "px", "How far a richer model moves frames that are far from each other."),
    "clipped_values": Measure(
        "Clipped values", "samples", "Values beyond the range of the data type, set to its limits in the aligned stack."
    ),
    "largest_uncertain_share": Measure(
        "Uncertain", "%", "The share of the worst frame in which the displacement is uncertain.", 100
    ),
    "composition_error": Measure("Composition error", "px", "By how much splines that stand for compositions are off."),
    "least_zncc": Measure("Least ZNCC", "", "The ZNCC of the frame that agrees least."),
}

# What the files hold that `zncc check` writes.
CHECK_FILES: Mapping[str, str] = {
    "shift.tif": "the length of the shift at every pixel of the fixed image",
    "shift.png": "the shifts as arrows, and the map",
    "shifts.csv": "every window's shift, for programs",
    "report.json": "everything shown here, for programs",
}
# The metrics of the report.json of `zncc check`.
CHECK_MEASURES: Mapping[str, Measure] = {
    "ce90": Measure(
        "CE90", "px", "The circular error: 90 percent of the frame that is known lie within this distance."
    ),
    "known": Measure("Known", "%", "The share of the frame in which the shift is known.", 100),
    "expected_error": Measure("Expected error of the map", "px", "How far the map may be off, as noise has it: RMS."),
    "largest": Measure("Largest", "px", "The longest shift of the map."),
    "largest_at": Measure("Largest at", "px", "Its place, x and y."),
    "mean_shift": Measure("Mean shift", "px", "Of the windows, along x and y (x to the right, y down)."),
    "median_sigma": Measure("Median sigma", "px", "The standard deviation of a window's shift."),
    "consensus": Measure(
        "Consensus", "", "-log10 of the probability that windows fit to each other as these do by chance; 3 is needed."
    ),
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


def probability_text(probability: float) -> str:
    """Return ``probability`` with three decimals, never as certain: 0.001 to 0.999."""
    return f"{min(max(probability, 0.001), 0.999):.3f}"


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
        yield (measure._replace(unit="") if text == NO_VALUE else measure), text


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
