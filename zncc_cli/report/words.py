"""What is measured, in words: names, units and one sentence each, and numbers as they are read."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from zncc_cli.registration.quality.evidence import MEASURES as EVIDENCE
from zncc_cli.text import Measure

# The figures under `metrics` in report.json. A figure that is not here is shown under its own name.
MEASURES: Mapping[str, Measure] = {
    **EVIDENCE,
    "clipped_values": Measure(
        "Clipped values", "samples", "Aligned values beyond the range of the data type, set to its end."
    ),
    "filled_pixels": Measure(
        "Filled pixels", "px", "Pixels of the frame that the moving image does not reach, filled in aligned.tif."
    ),
}

# What may lie beside a report.
FILES: Mapping[str, str] = {
    "aligned.tif": "the moving image, put on the fixed image",
    "mask.tif": "where aligned.tif shows the moving image: 255, else 0",
    "fixed.tif": "the fixed image on the same canvas",
    "transform.json": "the transform, fixed to moving coordinates",
    "displacement.tif": "the displacement of every pixel",
    "std_fixed.tif": "local standard deviation of the fixed image",
    "std_aligned.tif": "local standard deviation of the aligned image",
    "zncc.tif": "local ZNCC of the aligned images",
    "uncertainty.tif": "one standard deviation of every pixel's position",
    "overlay.png": "before and after, on the canvas of aligned.tif",
    "report.json": "everything on this page, for programs",
}

NOTHING = "–"  # noqa: RUF001 - an en dash, where there is no value


def value_text(value: Any, factor: float = 1.0, digits: int = 4) -> str:
    """``value`` as it is read: so many digits of a float, yes or no, a dash where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number_text(value * factor, digits) if factor != 1 or isinstance(value, float) else str(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {value_text(item)}" for key, item in value.items()) or NOTHING
    if isinstance(value, list | tuple):
        return ", ".join(
            f"({value_text(item)})" if isinstance(item, list | tuple) else value_text(item) for item in value
        )
    return str(value)


def number_text(value: float, digits: int = 4) -> str:
    """``value`` in so many digits, or in those before its point."""
    if math.isinf(value):
        return "infinite" if value > 0 else "minus infinite"
    if 10**digits <= abs(value) < 1e15:
        return f"{value:.0f}"
    text = f"{value:.{digits}g}"
    return "0" if text == "-0" else text


def measured(
    metrics: Mapping[str, Any], measures: Mapping[str, Measure] = MEASURES, digits: int = 4
) -> Iterator[tuple[Measure, str]]:
    """What ``metrics`` holds, in its order, with the words of ``measures``; mappings in it are taken apart."""
    for key, value in flat(metrics):
        value = value.replace("_", " ") if key == "ending" and isinstance(value, str) else value
        measure = measures.get(key) or Measure(plain_name(key), "", "")
        text = value_text(value, measure.factor, digits)
        yield (replace(measure, unit="") if text == NOTHING else measure), text


def flat(mapping: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """(name, value) of ``mapping``; what lies in a mapping inside it is named "outer.inner"."""
    for key, value in mapping.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{name}.")
        else:
            yield name, value


def plain_name(key: str) -> str:
    """A key as words: "corner_error" as "Corner error"."""
    words = str(key).replace("_", " ").replace(".", ": ")
    return words[:1].upper() + words[1:]


def shell_line(arguments: Iterable[str | os.PathLike[str]]) -> str:
    """``arguments`` as one line that a POSIX shell splits into them again."""
    return " ".join(_quoted(os.fspath(argument)) for argument in arguments)


def _quoted(argument: str) -> str:
    """As `shlex.quote`, but letters that cannot be shown (line breaks, escapes) are spelt out, as bash and zsh read."""
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
    """``values`` as a list of sentences: a list of them, one, or none."""
    if values is None:
        return ()
    return (values,) if isinstance(values, str) else tuple(map(str, values)) if isinstance(values, list | tuple) else ()
