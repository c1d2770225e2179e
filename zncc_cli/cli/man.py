"""The man pages, written from the commands themselves: ``python -m zncc_cli.cli.man docs/man``.

The wheel installs them. They hold no version and no date, so that only a change of the commands changes them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from zncc_cli.cli.main import zncc
from zncc_cli.cli.parameters import Function, Parameter, commands, paragraphs, parameters

_EXIT_CODES = "Exit codes: "
_COMPLETION = (
    "zncc, zncc-align, zncc-batch and zncc-stdmap take --install-completion, which completes their options in the "
    "shell that runs them, and --show-completion, which prints the script for it."
)


def man_pages() -> dict[str, str]:
    """Return the page of each command, and that of ``zncc``, by the names of their files."""
    pages = {_page_name(name): "\n".join(_page(name, function)) + "\n" for name, function in commands().items()}
    return {"zncc.1": "\n".join(_overview()) + "\n", **pages}


def _page_name(command: str) -> str:
    return f"{command.replace(' ', '-')}.1"


def _escaped(text: str) -> str:
    """Return a text that roff prints as it is."""
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def _head(command: str, summary: str) -> Iterator[str]:
    name = _escaped(command.replace(" ", "-"))
    yield f'.TH {name.upper()} 1 "" "zncc\\-cli" "User Commands"'
    yield ".SH NAME"
    yield f"{name} \\- {_escaped(summary.rstrip('.'))}"
    yield ".SH SYNOPSIS"


def _page(name: str, function: Function) -> Iterator[str]:
    shown, (summary, *described) = parameters(function), paragraphs(function)
    yield from _head(name, summary)
    yield f".B {_escaped(name)}"
    yield _escaped(" ".join([*(p.names[0] for p in shown if p.positional), "[OPTIONS]"]))
    codes = [text for text in described if text.startswith(_EXIT_CODES)]
    if others := [text for text in described if text not in codes]:
        yield ".SH DESCRIPTION"
        yield "\n.PP\n".join(map(_escaped, others))
    yield ".SH OPTIONS"
    for parameter in shown:
        yield from _option(parameter)
    for text in codes:
        yield ".SH EXIT STATUS"
        for code in re.split(r";\s+(?=\d)", text.removeprefix(_EXIT_CODES).rstrip(".")):
            number, _, meaning = code.partition(" ")
            yield f".TP\n.B {number}\n{_escaped(meaning)}"
    yield ".SH SEE ALSO\n.BR zncc (1)"


def _option(parameter: Parameter) -> Iterator[str]:
    names = ", ".join(f"\\fB{_escaped(name)}\\fR" for name in parameter.names)
    value = f" \\fI{_escaped(parameter.value)}\\fR" if parameter.value else ""
    default = parameter.default_words or parameter.default_value
    words = "" if not default else " Required." if default == "required" else f" Default: {default}."
    yield f".TP\n{names}{value}\n{_escaped(parameter.info.help + words)}"


def _overview() -> Iterator[str]:
    yield from _head("zncc", paragraphs(zncc)[0])
    yield ".B zncc\nCOMMAND [OPTIONS]\n.SH COMMANDS"
    for name, function in commands().items():
        page = _escaped(name.replace(" ", "-"))
        yield f".TP\n.BR {page} (1)\n{_escaped(paragraphs(function)[0])}"
    yield f".SH SHELL COMPLETION\n{_escaped(_COMPLETION)}"


if __name__ == "__main__":
    for file, content in man_pages().items():
        Path(sys.argv[1], file).write_text(content, encoding="utf-8")
