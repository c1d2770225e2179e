"""docs/cli.md, written from the commands themselves: ``python -m zncc_cli.cli.reference > docs/cli.md``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, get_args, get_type_hints

from typer.models import ArgumentInfo, ParameterInfo

from zncc_cli.cli.main import app

# Commands that are installed under a name of their own, too.
_OWN_NAMES = {"align": "zncc-align", "stdmap": "zncc-stdmap", "batch": "zncc-batch"}
_HEADER = """\
# Commands

`python -m zncc_cli.cli.reference > docs/cli.md` writes this page from the commands themselves; `--help` prints the
same. Results go to stdout, messages and progress to stderr. `zncc --version` prints the version.
"""


@dataclass(frozen=True)
class _Parameter:
    """A parameter of a command: its name in Python, its type, what Typer is told of it, and its default."""

    name: str
    kind: Any
    info: Any
    default: Any

    @property
    def positional(self) -> bool:
        return isinstance(self.info, ArgumentInfo)

    @property
    def spelling(self) -> str:
        """How it is given: its names, and what stands for its value, or the choices."""
        if self.positional:
            return f"`{self.info.metavar}`"
        # In Annotated, Typer takes the first name for the default, until it builds the command.
        names = ", ".join(f"`{name}`" for name in (self.info.default, *self.info.param_decls))
        value = self.info.metavar or "|".join(self.choices)
        return f"{names} `{value}`" if value else names

    @property
    def choices(self) -> list[str]:
        kinds = [kind for kind in (self.kind, *get_args(self.kind)) if inspect.isclass(kind) and issubclass(kind, Enum)]
        return [str(member) for kind in kinds[:1] for member in kind]

    @property
    def default_words(self) -> str:
        if isinstance(self.info.show_default, str):
            return _escaped(self.info.show_default)
        if self.default is inspect.Parameter.empty:
            return "required"
        return "" if self.default is None or self.default is False else f"`{self.default}`"


def reference() -> str:
    """Return docs/cli.md: for each command its usage, what it does, and a table of its arguments and options."""
    functions = [command.callback for command in app.registered_commands if command.callback is not None]
    commands = {_OWN_NAMES.get(function.__name__, f"zncc {function.__name__}"): function for function in functions}
    index = [
        f"- [`{name}`](#{name.replace(' ', '-')}): {_paragraphs(function)[0]}" for name, function in commands.items()
    ]
    sections = ("\n".join(_section(name, function)) for name, function in commands.items())
    return "\n".join((_HEADER, *index, "", "\n\n".join(sections), ""))


def _paragraphs(function: Callable[..., Any]) -> list[str]:
    return inspect.cleandoc(function.__doc__ or "").split("\n\n")


def _escaped(text: str) -> str:
    """Return a text whose characters Markdown takes for themselves."""
    return re.sub(r"[<*]", r"\\\g<0>", text)


def _section(name: str, function: Callable[..., Any]) -> Iterator[str]:
    parameters = [parameter for parameter in _parameters(function) if not parameter.info.hidden]
    arguments = [parameter for parameter in parameters if parameter.positional]
    yield f"## {name}\n"
    words = [name, *(argument.info.metavar for argument in arguments), "[OPTIONS]"]
    also = f", also `zncc {function.__name__}`" if name.startswith("zncc-") else ""
    yield f"`{' '.join(words)}`{also}\n"
    yield _escaped("\n\n".join(_paragraphs(function))) + "\n"
    yield "| argument or option | what it does | default |"
    yield "|---|---|---|"
    for parameter in (*arguments, *(parameter for parameter in parameters if not parameter.positional)):
        cells = parameter.spelling, _escaped(parameter.info.help), parameter.default_words
        yield "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _parameters(function: Callable[..., Any]) -> Iterator[_Parameter]:
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        match get_args(hints[name]):
            case [kind, ParameterInfo() as info]:  # the context has none
                yield _Parameter(name, kind, info, parameter.default)


if __name__ == "__main__":
    print(reference(), end="")
