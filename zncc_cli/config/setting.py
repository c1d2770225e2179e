"""What the commands, the errors and docs/cli.md say about a setting: the metadata of a config's field."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from zncc_cli.errors import OptionError

_KEY = "setting"


@dataclass(frozen=True, kw_only=True)
class Range:
    """The values that a number may have: finite, ``above`` and ``at_least`` a lower and ``at_most`` an upper bound."""

    kind: str
    """What the number is, and what stands before its bounds: "pixels", "a whole number,"."""
    above: float = -math.inf
    at_least: float = -math.inf
    at_most: float = math.inf

    def __contains__(self, value: float) -> bool:
        """Tell whether ``value`` is allowed; NaN and infinities are not."""
        finite = isinstance(value, int) or math.isfinite(value)  # isfinite takes no int beyond the floats
        return finite and self.above < value and self.at_least <= value <= self.at_most

    def __str__(self) -> str:
        """Return the range in words: "a fraction above 0 and at most 1"."""
        bounds = {"above": self.above, "at least": self.at_least, "at most": self.at_most}
        words = (f"{name} {bound:g}" for name, bound in bounds.items() if math.isfinite(bound))
        return f"{self.kind} {' and '.join(words)}"


class Setting(NamedTuple):
    """What is said about one field of a config.

    Attributes:
        help: what the setting does, one or two sentences. Other settings stand in backticks, by their fields' names.
        metavar: what stands for the value in a command's help; None leaves it to the type.
        option: the option's name; None for the field's name, ``--min-overlap`` of ``min_overlap``.
        alias: a second name, as ``-w``.
        default: the default in words, where the value itself does not say it.
        range: the values that are allowed; None where the type or ``__post_init__`` says it.
        positional: a command takes it by its place, not as an option.
    """

    help: str
    metavar: str | None = None
    option: str | None = None
    alias: str | None = None
    default: str | None = None
    range: Range | None = None
    positional: bool = False

    def names(self, field: str) -> tuple[str, ...]:
        """Return the names of the option of a field: the first one, and the alias if there is one."""
        name = self.option or f"--{field.replace('_', '-')}"
        return (name, self.alias) if self.alias else (name,)


def setting(text: str, **rest: Any) -> dict[str, Setting]:
    """Return the metadata of a config's field: a `Setting` with the help ``text``, and further fields of it."""
    return {_KEY: Setting(help=text, **rest)}


def settings_of(config: type) -> dict[str, Setting]:
    """Return the settings of a config by the names of their fields; a field that is a config itself is none."""
    fields = dataclasses.fields(config)
    return {field.name: field.metadata[_KEY] for field in fields if _KEY in field.metadata}


def check_ranges(config: Any) -> None:
    """Raise `OptionError` where a number of a config lies outside its setting's range; None is no number."""
    for name, about in settings_of(type(config)).items():
        value = getattr(config, name)
        if about.range is not None and value is not None and value not in about.range:
            raise OptionError(f"`{name}`: expected {about.range}, got {value}")
