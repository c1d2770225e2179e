"""Patterns for the names of files, with fields in braces: ``{well}/{site}_ch{channel}.tif``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from zncc_cli.config.batch import EXAMPLE
from zncc_cli.errors import OptionError
from zncc_cli.files.paths import refusal
from zncc_cli.text import shown

_FIELD = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Pattern:
    """A pattern for paths, and a condition that tells which of the files that match it are the fixed images.

    A field matches any text without "/", as short as the rest allows. A field that occurs twice matches the same text
    both times.

    Args:
        text: the pattern, relative to a folder, with "/" between folders.
        where: fields and values of the fixed images, such as ``channel=0``, with commas between several.

    Raises:
        OptionError: the pattern has no field, or a brace too many, or ``where`` names a field that it does not have.
    """

    def __init__(self, text: str, where: str) -> None:
        names = _FIELD.findall(text)
        rest = _FIELD.sub("", text)
        if not names or "{" in rest or "}" in rest:
            raise OptionError(f"--pattern: expected names with fields in braces, as in {EXAMPLE}, got {text!r}")
        if any(part in ("", ".", "..") for part in text.split("/")):
            raise OptionError(f"--pattern: expected a path below the folder, got {text!r}")
        self.where = where
        conditions = [self._condition(part, names) for part in where.split(",")]
        self._fixed = dict(conditions)
        if len(self._fixed) < len(conditions):
            raise OptionError(f"--fixed-where: expected each field once, got {where!r}")
        self._parts: list[re.Pattern[str]] = []
        self._fields: list[str] = []
        for part in text.split("/"):
            self._parts.append(re.compile(self._expression(part), re.DOTALL))
        self._grouped = [name for name in self._fields if name not in self._fixed]

    @staticmethod
    def _condition(text: str, names: list[str]) -> tuple[str, str]:
        name, equals, value = text.strip().partition("=")
        if not equals or name not in names:
            fields = ", ".join(dict.fromkeys(names))
            raise OptionError(
                f"--fixed-where: expected FIELD=VALUE with a field of the pattern ({fields}), got {text!r}"
            )
        return name, value

    def _expression(self, part: str) -> str:
        """Return the regular expression of one part of the path; fields of earlier parts are compared in `_below`."""
        expression, end, own = "", 0, set()
        for match in _FIELD.finditer(part):
            expression += re.escape(part[end : match.start()])
            name = match[1]
            expression += f"(?P={name})" if name in own else f"(?P<{name}>[^/]+?)"
            own.add(name)
            if name not in self._fields:
                self._fields.append(name)
            end = match.end()
        return expression + re.escape(part[end:])

    def files(self, folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield the path below ``folder`` and the fields of every file that matches; hidden files never do.

        Raises:
            InputError: a folder cannot be listed.
        """
        yield from self._below(folder, "", 0, {})

    def _below(
        self, folder: Path, path: str, depth: int, earlier: Mapping[str, str]
    ) -> Iterator[tuple[str, dict[str, str]]]:
        last = depth == len(self._parts) - 1
        try:
            with os.scandir(folder / path) as entries:
                names = sorted(entry.name for entry in entries if last or entry.is_dir())
        except OSError as error:
            advice = "check its name and permissions"
            raise refusal(folder / path, expected="a folder of images", found=error.strerror, advice=advice) from error
        for name in names:
            match = None if name.startswith(".") else self._parts[depth].fullmatch(name)
            if match is None:
                continue
            fields = match.groupdict()
            if any(earlier.get(key, value) != value for key, value in fields.items()):
                continue
            below = f"{path}/{name}" if path else name
            if last:
                yield below, {**earlier, **fields}
            else:
                yield from self._below(folder, below, depth + 1, {**earlier, **fields})

    def is_fixed(self, fields: Mapping[str, str]) -> bool:
        """Tell whether a file with these fields is a fixed image."""
        return all(fields[name] == value for name, value in self._fixed.items())

    def group(self, fields: Mapping[str, str]) -> tuple[str, ...]:
        """Return the values of the fields that are not in ``where``: files with the same values belong together."""
        return tuple(fields[name] for name in self._grouped)

    def described(self, group: tuple[str, ...]) -> str:
        """Return a group in words: "well=A1 site=2"."""
        words = (f"{name}={shown(value)}" for name, value in zip(self._grouped, group, strict=True))
        return " ".join(words) or "the folder"
