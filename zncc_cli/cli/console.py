"""Streams, errors and exit codes, alike for every command: results on stdout, all else on stderr."""

from __future__ import annotations

import contextlib
import errno
import gc
import io
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn, TextIO

import typer

from zncc_cli.config.spelling import as_options
from zncc_cli.errors import ExitCode, ZnccError, is_memory_error
from zncc_cli.process import keep_freed_memory
from zncc_cli.text import shown

# typer raises the click exceptions of its own copy of click, or click's, by version; this is their common base.
_ClickException: Any = typer.BadParameter.__mro__[2]

_debug = False


def set_debug(value: bool) -> None:
    """Show tracebacks of errors from now on."""
    global _debug
    _debug = _debug or value
    if _debug:
        logging.getLogger("zncc_cli").setLevel(logging.DEBUG)


class _Unheard(io.FileIO):
    """Write to a file; what nobody reads any more, as behind ``| head -1``, is let be: it changes no exit code."""

    def write(self, content: Any) -> int:
        try:
            return super().write(content)
        except BrokenPipeError:
            return memoryview(content).nbytes


def _unheard(stream: TextIO, errors: str) -> TextIO:
    """Return a stream to the same file as ``stream`` which does not mind that its reader has gone."""
    if type(stream) is not io.TextIOWrapper:  # there is none, or it is a test's
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(_Unheard(stream.fileno(), "w", closefd=False)),
        encoding=stream.encoding,
        errors=errors,
        line_buffering=stream.line_buffering or stream.write_through,
    )


class _Stderr(logging.Handler):
    """Write to whatever sys.stderr is now: rich puts itself there while it redraws its line of progress."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)


class _Spelt(logging.Formatter):
    """Spell settings as options and names of files in printable characters; a traceback keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        return shown(as_options(super().formatMessage(record)))


def _terminate(*_: object) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)  # as an exception, so that what is half-written is removed


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Import torch and what needs it: without Python's collector, a fifth of the time, here and when the process ends.

    Modules are not freed; the collector only looks through them again and again as they come. An interrupt waits until
    all are there: numpy would swallow it, or be left half imported.
    """
    came: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in handlers:
        if handlers[number] is not signal.SIG_IGN:
            signal.signal(number, lambda number, _: came.append(number))
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for waiting in came:
        signal.raise_signal(waiting)


def _unraisable(problem: sys.UnraisableHookArgs) -> None:
    """Keep what a half-made object says in its destructor, when an interrupt came in its constructor, to --debug."""
    if _debug:
        sys.__unraisablehook__(problem)


def run(app: typer.Typer, prog: str) -> NoReturn:
    """Run ``app`` and end the process: every error is one line on stderr and an exit code."""
    # Threads that wait spin by default: with anything else running, that made a registration four times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_freed_memory()
    sys.unraisablehook = _unraisable
    sys.stdout = _unheard(sys.stdout, "surrogateescape")  # a file's name may be any bytes
    sys.stderr = _unheard(sys.stderr, "backslashreplace")
    signal.signal(signal.SIGTERM, _terminate)
    handler = _Stderr()
    handler.setFormatter(_Spelt(f"{prog}: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("zncc_cli").setLevel(logging.INFO)
    try:
        code = typer.main.get_command(app).main(
            prog_name=prog, standalone_mode=False, help_option_names=["-h", "--help"]
        )
        if code == ExitCode.INTERRUPTED:  # typer has turned the interrupt into its exit code, silently
            raise KeyboardInterrupt
    except ZnccError as error:
        code = _fail(prog, str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = _fail(prog, "interrupted; nothing half-written is left", ExitCode.INTERRUPTED)
    except _ClickException as error:
        command = error.ctx.command_path if getattr(error, "ctx", None) else prog
        code = _fail(prog, f"{_usage(error)} (see {command} --help)", ExitCode.USAGE)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        full = "; free some space or choose another --out" if error.errno == errno.ENOSPC else ""
        code = _fail(prog, f"{where}{error.strerror or error}{full}", ExitCode.ERROR)
    except Exception as error:
        if is_memory_error(error):
            sys.exit(_fail(prog, "not enough memory for images of this size", ExitCode.ERROR))
        line = str(error).strip().splitlines()[:1]
        code = _fail(
            prog,
            f"internal error, {type(error).__name__}: {line[0] if line else ''}; this is a defect, not your mistake: "
            "run it again with --debug and report what it prints",
            ExitCode.ERROR,
        )
    sys.exit(int(code or 0))


def _usage(error: Any) -> str:
    """Return what typer says of a command line, with what was given."""
    message = str(error.format_message()).replace("Value error, ", "").rstrip(".")
    details = getattr(error.__cause__, "errors", None)
    given = details()[0].get("input") if details else None
    return message if given is None or repr(given) in message else f"{message}, got {given!r}"


def _fail(prog: str, message: str, code: ExitCode) -> ExitCode:
    if _debug:
        logging.getLogger("zncc_cli").error("%s", message, exc_info=True)
    else:
        print(f"{prog}: error: {shown(as_options(' '.join(message.split())))}", file=sys.stderr)
    return code


@contextlib.contextmanager
def progress(quiet: bool) -> Iterator[Callable[[str], None]]:
    """Yield a function that shows what is going on, on stderr and only on a terminal."""
    if quiet and not _debug:
        logging.getLogger("zncc_cli").setLevel(logging.WARNING)
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    with console.status("starting") as status:
        yield lambda text: status.update(Text(shown(text)))


def print_path(path: Path) -> None:
    """Print a path on stdout: as it is for the next program, spelt out for a person."""
    print(shown(path) if sys.stdout.isatty() else path)


def show_warning(command: str, text: str) -> None:
    """Say on stderr what is said with ``--quiet``, too."""
    logging.getLogger(f"zncc_cli.{command}").warning("%s", text)


def show_notes(command: str, notes: Iterable[str]) -> None:
    """Say on stderr, a line each, what was chosen for the user and what could not be kept; not with ``--quiet``."""
    for note in notes:
        logging.getLogger(f"zncc_cli.{command}").info("%s", note)
