"""docs/cli.md, written from the commands themselves: ``python -m zncc_cli.cli.reference > docs/cli.md``."""

from __future__ import annotations

import re
from collections.abc import Iterator

from zncc_cli.cli.parameters import Function, Parameter, commands, paragraphs, parameters

_HEADER = """\
# Commands

`python -m zncc_cli.cli.reference > docs/cli.md` writes this page from the commands themselves; `--help` prints the
same. Results go to stdout, messages and progress to stderr. `zncc --version` prints the version.

`zncc`, `zncc-align`, `zncc-batch` and `zncc-stdmap` complete their options in Bash, Zsh, Fish and PowerShell:
`zncc-align --install-completion` sets that up for your shell, `--show-completion` prints the script. The wheel installs
man pages: `man zncc-align`, `man zncc-apply`.
"""


def reference() -> str:
    """Return docs/cli.md: for each command its usage, what it does, and a table of its arguments and options."""
    index = [
        f"- [`{name}`](#{name.replace(' ', '-')}): {paragraphs(function)[0]}" for name, function in commands().items()
    ]
    sections = ("\n".join(_section(name, function)) for name, function in commands().items())
    return "\n".join((_HEADER, *index, "", "\n\n".join(sections), ""))


def _escaped(text: str) -> str:
    """Return a text whose characters Markdown takes for themselves."""
    return re.sub(r"[<*]", r"\\\g<0>", text)


def _section(name: str, function: Function) -> Iterator[str]:
    shown = parameters(function)
    yield f"## {name}\n"
    words = [name, *(parameter.names[0] for parameter in shown if parameter.positional), "[OPTIONS]"]
    also = f", also `zncc {function.__name__}`" if name.startswith("zncc-") else ""
    yield f"`{' '.join(words)}`{also}\n"
    yield _escaped("\n\n".join(paragraphs(function))) + "\n"
    yield "| argument or option | what it does | default |"
    yield "|---|---|---|"
    for parameter in shown:
        cells = _spelling(parameter), _escaped(parameter.info.help), _default(parameter)
        yield "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _spelling(parameter: Parameter) -> str:
    """Return how a parameter is given: its names, and what stands for its value, or the choices."""
    names = ", ".join(f"`{name}`" for name in parameter.names)
    return f"{names} `{parameter.value}`" if parameter.value else names


def _default(parameter: Parameter) -> str:
    if parameter.default_words is not None:
        return _escaped(parameter.default_words)
    return f"`{parameter.default_value}`" if parameter.default_value else ""


if __name__ == "__main__":
    print(reference(), end="")
