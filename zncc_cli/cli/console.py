"""Streams, errors and exit codes of all commands: results go to stdout, everything else to stderr."""

from __future__ import annotations

import atexit
import contextlib
import errno
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
from zncc_cli.process import keep_freed_memory, without_collector
from zncc_cli.text import shown

# Depending on its version, typer raises exceptions of click or of its own copy of click; this is their common base.
_ClickException: Any = typer.BadParameter.__mro__[2]

_debug = False


def set_debug(value: bool) -> None:
    """Show tracebacks of errors from now on."""
    global _debug
    _debug = _debug or value
    if _debug:
        logging.getLogger("zncc_cli").setLevel(logging.DEBUG)


class _PipeFile(io.FileIO):
    """A file whose reader may go, as ``| head -1`` does: what it does not read is dropped, and changes no exit code."""

    def write(self, content: Any) -> int:
        try:
            return super().write(content)
        except BrokenPipeError:
            return memoryview(content).nbytes


def _ignore_broken_pipe(stream: TextIO, errors: str) -> TextIO:
    """Return a stream to the same file as ``stream`` that drops what its reader does not read any more."""
    if type(stream) is not io.TextIOWrapper:  # there is no stream, or a test replaced it
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(_PipeFile(stream.fileno(), "w", closefd=False)),
        encoding=stream.encoding,
        errors=errors,
        line_buffering=stream.line_buffering or stream.write_through,
    )


class _StderrHandler(logging.Handler):
    """Writes to the current sys.stderr, which rich replaces while it redraws its line of progress."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)


class _MessageFormatter(logging.Formatter):
    """Spells settings as options and escapes what does not print; a traceback keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        return shown(as_options(super().formatMessage(record)))


def _terminate(*_: object) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)  # as an exception, so that half-written files are removed


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Import torch in this context, see `without_collector`.

    A signal waits until all modules are loaded: numpy would swallow it, or be left half imported.
    """
    received: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in handlers:
        if handlers[number] is not signal.SIG_IGN:
            signal.signal(number, lambda number, _: received.append(number))
    try:
        with without_collector():
            yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for waiting in received:
        signal.raise_signal(waiting)


def _unraisable(problem: sys.UnraisableHookArgs) -> None:
    """Report errors in destructors only with --debug: they come from objects whose constructor was interrupted."""
    if _debug:
        sys.__unraisablehook__(problem)


def run(app: typer.Typer, prog: str) -> NoReturn:
    """Run ``app`` and end the process with its `exit_code`."""
    code = exit_code(app, prog)
    # A program that calls a command's `main` has an end of its own.
    if "torch" in sys.modules and Path(sys.argv[0]).name == prog:
        with contextlib.suppress(Exception):  # what cannot be written is reported by the usual end below
            _end_at_once(code)
    sys.exit(code)


def _end_at_once(code: int) -> None:
    """End the process as Python does, but without freeing the objects of torch one by one, which takes 0.1 seconds."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def exit_code(app: typer.Typer, prog: str) -> int:
    """Run ``app`` and return its exit code; every error becomes one line on stderr and an exit code."""
    # Waiting threads spin by default: with anything else running, that made a registration four times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_freed_memory()
    sys.unraisablehook = _unraisable
    sys.stdout = _ignore_broken_pipe(sys.stdout, "surrogateescape")  # the name of a file may be any bytes
    sys.stderr = _ignore_broken_pipe(sys.stderr, "backslashreplace")
    signal.signal(signal.SIGTERM, _terminate)
    handler = _StderrHandler()
    handler.setFormatter(_MessageFormatter(f"{prog}: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("zncc_cli").setLevel(logging.INFO)
    try:
        code = typer.main.get_command(app).main(
            prog_name=prog, standalone_mode=False, help_option_names=["-h", "--help"]
        )
        if code == ExitCode.INTERRUPTED:  # typer turns an interrupt into this exit code, silently
            raise KeyboardInterrupt
    except ZnccError as error:
        code = _fail(prog, str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = _fail(prog, "interrupted; no half-written file is left", ExitCode.INTERRUPTED)
    except _ClickException as error:
        command = error.ctx.command_path if getattr(error, "ctx", None) else prog
        code = _fail(prog, f"{_usage(error)} (see {command} --help)", ExitCode.USAGE)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        full = "; free some space or choose another --out" if error.errno == errno.ENOSPC else ""
        code = _fail(prog, f"{where}{error.strerror or error}{full}", ExitCode.ERROR)
    except Exception as error:
        if is_memory_error(error):
            message = "not enough memory for images of this size; close other programs"
            return int(_fail(prog, message, ExitCode.ERROR))
        line = str(error).strip().splitlines()[:1]
        code = _fail(
            prog,
            f"internal error, {type(error).__name__}: {line[0] if line else ''}; this is a defect, not your mistake: "
            "run the command again with --debug and report what it prints",
            ExitCode.ERROR,
        )
    return int(code or 0)


def _usage(error: Any) -> str:
    """Return typer's message about a command line, with the value that was given."""
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
    """Yield a function that shows a text as progress on stderr, if that is a terminal and not ``quiet``."""
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
    """Print a path on stdout: on a terminal with escapes for what does not print, otherwise as it is."""
    print(shown(path) if sys.stdout.isatty() else path)


def show_warning(command: str, text: str) -> None:
    """Print a warning on stderr, even with ``--quiet``."""
    logging.getLogger(f"zncc_cli.{command}").warning("%s", text)


def show_notes(command: str, notes: Iterable[str]) -> None:
    """Print notes on stderr, a line each, unless ``--quiet``: choices that were made, and what could not be kept."""
    for note in notes:
        logging.getLogger(f"zncc_cli.{command}").info("%s", note)
