"""Streams, errors and exit codes of all commands: results go to stdout, everything else to stderr."""

from __future__ import annotations

import atexit
import contextlib
import copy
import errno
import io
import logging
import os
import re
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn, TextIO

import typer

from zncc_cli.config.spelling import as_options
from zncc_cli.errors import ExitCode, OptionError, OutputError, ZnccError, is_memory_error
from zncc_cli.process import keep_freed_memory, without_collector
from zncc_cli.progress import Listener, listened, say
from zncc_cli.text import shown

# Depending on its version, typer raises exceptions of click or of its own copy of click; this is their common base.
_ClickException: Any = typer.BadParameter.__mro__[2]

_debug = _verbose = False
_stderr: logging.Handler | None = None
_log: logging.Handler | None = None
_DIGITS = re.compile(r"[0-9]+")
# What a line of a log begins with.
_LOG_LINE = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:")


def set_debug(value: bool) -> None:
    """Show tracebacks of errors, and all that --verbose shows, from now on."""
    global _debug
    _debug = _debug or value
    if value:
        set_verbose(True)


def set_verbose(value: bool) -> None:
    """Say each step from now on."""
    global _verbose
    _verbose = _verbose or value
    if _verbose and _stderr is not None:
        _stderr.setLevel(logging.DEBUG)


def open_log(path: Path | None) -> Path | None:
    """Add what is said from now on, and each step, to the end of a file, with the time.

    Raises:
        OutputError: the file cannot be written, or is something else than a log.
    """
    global _log
    if path is None or _log is not None:
        return path
    try:
        if os.path.lexists(path):
            if not path.is_file():
                raise OutputError(f"{shown(path)}: expected the name of a file, found a folder or device; name a file")
            with path.open("rb") as file:
                begin = file.read(16)
            if begin and not _LOG_LINE.match(begin):
                raise OutputError(f"{shown(path)}: expected a log, or nothing, found another file; name another --log")
        _log = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"{shown(path)}: the log cannot be written ({reason}); name another --log") from error
    formatter = _MessageFormatter("%(asctime)s %(levelname)s %(message)s")
    formatter.default_msec_format = "%s.%03d"
    _log.setFormatter(formatter)
    logging.getLogger("zncc_cli").addHandler(_log)
    logging.getLogger("zncc_cli").debug("%s", shlex.join(sys.argv))
    return path


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
        if record.exc_info and not _debug:
            record = copy.copy(record)
            record.exc_info = record.exc_text = None
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
    global _stderr
    _stderr = handler
    handler.setLevel(logging.DEBUG if _verbose else logging.INFO)
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("zncc_cli").setLevel(logging.DEBUG)
    code = _exit_code(app, prog)
    if _log is not None:
        _log.handle(logging.LogRecord("zncc_cli", logging.DEBUG, "", 0, "exit code %d", (code,), None))
    return code


def _exit_code(app: typer.Typer, prog: str) -> int:
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
    if _log is not None:
        _log.handle(logging.LogRecord("zncc_cli", logging.ERROR, "", 0, "%s", (message,), sys.exc_info()))
    if _debug and _stderr is not None:
        _stderr.handle(logging.LogRecord("zncc_cli", logging.ERROR, "", 0, "%s", (message,), sys.exc_info()))
    else:
        print(f"{prog}: error: {shown(as_options(' '.join(message.split())))}", file=sys.stderr)
    return code


@contextlib.contextmanager
def progress(quiet: bool) -> Iterator[Callable[[str], None]]:
    """Show the progress of the block, and yield a function that says in a few words what comes next.

    On a terminal, what takes more than a second has a bar on stderr, unless ``quiet``. --verbose and --log say each
    step.

    Raises:
        OptionError: --verbose and --quiet were both given.
    """
    if quiet and _verbose and not _debug:
        raise OptionError("--quiet: cannot be combined with --verbose; leave one of them out")
    if quiet and not _debug and _stderr is not None:
        _stderr.setLevel(logging.WARNING)
    steps = _steps()
    if quiet or not sys.stderr.isatty():
        with listened(steps):
            yield say
        return
    from zncc_cli.cli.progress_bar import bar

    with bar() as shower:

        def both(text: str | None, share: float | None) -> None:
            steps(text, share)
            shower(text, share)

        with listened(both):
            yield say


def _steps() -> Listener:
    """Return a listener that logs each step once: texts that differ in their numbers alone are one step."""
    began, last = time.perf_counter(), ""

    def tell(text: str | None, share: float | None) -> None:
        nonlocal last
        if text is not None and (step := _DIGITS.sub("", text)) != last:
            last = step
            logging.getLogger("zncc_cli.progress").debug("%.2f s: %s", time.perf_counter() - began, text)

    return tell


def print_path(path: Path) -> None:
    """Print a path on stdout: on a terminal with escapes for what does not print, otherwise as it is."""
    print(shown(path) if sys.stdout.isatty() else path)


def show_warning(command: str, text: str) -> None:
    """Print a warning on stderr, even with ``--quiet``."""
    logging.getLogger(f"zncc_cli.{command}").warning("%s", text)


def show_step(command: str, text: str) -> None:
    """Say that something was done, to who asked for --verbose or --log."""
    logging.getLogger(f"zncc_cli.{command}").debug("%s", text)


def show_notes(command: str, notes: Iterable[str]) -> None:
    """Print notes on stderr, a line each, unless ``--quiet``: choices that were made, and what could not be kept."""
    for note in notes:
        logging.getLogger(f"zncc_cli.{command}").info("%s", note)
