"""The commands and their parameters, as docs/cli.md and the man pages tell them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, get_args, get_type_hints

from typer.models import ArgumentInfo, ParameterInfo

from zncc_cli.cli.main import app

Function = Callable[..., Any]
# Commands that are installed under a name of their own, too.
_OWN_NAMES = {"align": "zncc-align", "stdmap": "zncc-stdmap", "batch": "zncc-batch"}


@dataclass(frozen=True)
class Parameter:
    """A parameter of a command: its name in Python, its type, what Typer is told of it, and its default."""

    name: str
    kind: Any
    info: Any
    default: Any

    @property
    def positional(self) -> bool:
        """Whether it is told by its place."""
        return isinstance(self.info, ArgumentInfo)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of an option, and what stands for an argument."""
        if self.positional:
            return (self.info.metavar,)
        # In Annotated, Typer takes the first name for the default, until it builds the command.
        return (self.info.default, *self.info.param_decls)

    @property
    def value(self) -> str:
        """What stands for an option's value, or its choices; "" for a flag."""
        return "" if self.positional else self.info.metavar or "|".join(self._choices)

    @property
    def default_words(self) -> str | None:
        """The default in words where the value does not say it, or that it is required."""
        if isinstance(self.info.show_default, str):
            return self.info.show_default
        return "required" if self.default is inspect.Parameter.empty else None

    @property
    def default_value(self) -> str:
        """The default as it would be given; "" where there is none."""
        empty = self.default is None or self.default is False or self.default_words is not None
        return "" if empty else str(self.default)

    @property
    def _choices(self) -> list[str]:
        kinds = [kind for kind in (self.kind, *get_args(self.kind)) if inspect.isclass(kind) and issubclass(kind, Enum)]
        return [str(member) for kind in kinds[:1] for member in kind]


def commands() -> dict[str, Function]:
    """Return the function of each command by its name: "zncc-align", "zncc apply"."""
    functions = [command.callback for command in app.registered_commands if command.callback is not None]
    return {_OWN_NAMES.get(function.__name__, f"zncc {function.__name__}"): function for function in functions}


def paragraphs(function: Function) -> list[str]:
    """Return what a command's help says of it."""
    return inspect.cleandoc(function.__doc__ or "").split("\n\n")


def parameters(function: Function) -> list[Parameter]:
    """Return the parameters that a command's help shows: arguments, then options."""
    shown = [parameter for parameter in _all(function) if not parameter.info.hidden]
    return sorted(shown, key=lambda parameter: not parameter.positional)


def _all(function: Function) -> Iterator[Parameter]:
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        match get_args(hints[name]):
            case [kind, ParameterInfo() as info]:  # the context has none
                yield Parameter(name, kind, info, parameter.default)
