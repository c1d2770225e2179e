"""Output that never stands half-written: one file, or a folder of files that belong together."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from zncc_cli.errors import InputError, OutputError
from zncc_cli.text import one_line, shown


def _hidden_name() -> str:
    return f".zncc-{secrets.token_hex(6)}"


def _output_error(path: Path, error: OSError, advice: str) -> OutputError:
    return OutputError(f"{shown(path)}: cannot be written ({one_line(error.strerror or error)}); {advice}")


@contextmanager
def beside(path: Path) -> Iterator[BinaryIO]:
    """A new file, open for binary writing, that takes the place of ``path`` when the block ends well.

    When it does not, the new file is removed and what stood at ``path`` is untouched.

    Raises:
        OutputError: the file cannot be written, or ``path`` is a folder or a device.
    """
    hidden = path.with_name(_hidden_name())
    try:
        if os.path.lexists(path) and not path.is_file():
            raise OutputError(f"{shown(path)}: expected a file's name, found a folder or device; choose another name")
        try:
            with hidden.open("xb") as file:
                yield file
            hidden.replace(path)
        except BaseException:
            with suppress(OSError):
                hidden.unlink(missing_ok=True)
            raise
    except (OutputError, InputError):  # what is written may be read meanwhile
        raise
    except OSError as error:
        advice = "check that the folder exists, its permissions and the free space"
        raise _output_error(path, error, advice) from error


def refuse_sources(outputs: Iterable[Path], sources: Iterable[Path | None]) -> None:
    """Raise `OutputError` where a file to be written is one that is read: not even --overwrite means that."""
    read = [source for source in sources if source is not None and source.is_file()]
    for output in outputs:
        if output.is_file() and any(output.samefile(source) for source in read):
            raise OutputError(f"{shown(output)}: is an input, which would be overwritten; choose another --out")


def refuse_what_stands(path: Path, *, overwrite: bool, advice: str = "choose another name or use --overwrite") -> None:
    """Raise `OutputError` when something stands at ``path`` that may not be overwritten."""
    if not os.path.lexists(path):
        return
    if not path.is_file():
        raise OutputError(f"{shown(path)}: expected a file or nothing, found something else; remove it")
    if not overwrite:
        raise OutputError(f"{shown(path)}: exists already; {advice}")


class OutputFolder:
    """The folder for the files of one job: all of them appear in it, or none.

        with OutputFolder(path, names=["aligned.tif", "report.json"]) as folder:
            write_image(folder.staging / "aligned.tif", ...)

    Files are written into the hidden folder ``staging`` and renamed into ``path`` when the block ends well; what stands
    there by another of the names, of an earlier job, is removed then. When it does not end well, interruption by the
    keyboard included, no file and no folder is left behind, and none is missing.
    """

    staging: Path

    def __init__(self, path: str | os.PathLike[str], *, names: Sequence[str], overwrite: bool = False) -> None:
        """``names``: every file that may be written or removed; ``overwrite``: whether they may stand there already."""
        self.path = Path(path)
        self.names = tuple(names)
        self.overwrite = overwrite
        assert all(Path(name).name == name for name in self.names), "names are plain file names"

    def __enter__(self) -> OutputFolder:
        """Refuse what may not be overwritten, and make ``staging``, so that both are known before any work.

        Raises:
            OutputError: the folder cannot be created or written, or a file stands there and may not be overwritten.
        """
        self._refuse_what_stands()
        self.staging = self._home() / _hidden_name()
        try:
            self.staging.mkdir()
        except OSError as error:
            raise _output_error(self.path, error, "choose another folder with --out") from error
        except BaseException:  # a signal that came while it was made
            shutil.rmtree(self.staging, ignore_errors=True)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Move the files into place, or remove them all."""
        try:
            if error is None:
                self._publish()
            elif isinstance(error, OutputError) and str(self.staging) in str(error):
                # The user knows nothing of the hidden folder.
                raise OutputError(str(error).replace(str(self.staging), str(self.path))) from error
        finally:
            shutil.rmtree(self.staging, ignore_errors=True)

    def _home(self) -> Path:
        """The nearest folder that exists: what is made in it lies on the same file system as ``path`` will."""
        nearest = next(folder for folder in (self.path, *self.path.parents) if os.path.lexists(folder))
        if not nearest.is_dir():
            raise OutputError(
                f"{shown(nearest)}: expected a folder, found something else; choose another folder with --out"
            )
        return nearest

    def _refuse_what_stands(self) -> None:
        for name in self.names:
            advice = "choose another --out or use --overwrite"
            refuse_what_stands(self.path / name, overwrite=self.overwrite, advice=advice)

    def _publish(self) -> None:
        written = {file.name for file in self.staging.iterdir()}
        assert written <= set(self.names), f"not announced: {written - set(self.names)}"
        self._refuse_what_stands()  # another process may have come first
        replaced = self.staging / _hidden_name()
        made = [folder for folder in (self.path, *self.path.parents) if not os.path.lexists(folder)]
        moved: list[str] = []
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for name in sorted(set(self.names)):
                if (self.path / name).exists():
                    replaced.mkdir(exist_ok=True)
                    (self.path / name).replace(replaced / name)
                if name in written:
                    moved.append(name)
                    (self.staging / name).replace(self.path / name)
        except BaseException as error:
            for name in moved:
                with suppress(OSError):
                    (self.path / name).unlink(missing_ok=True)
            for old in replaced.iterdir() if replaced.is_dir() else ():
                with suppress(OSError):
                    old.replace(self.path / old.name)
            for folder in made:
                with suppress(OSError):
                    folder.rmdir()
            if isinstance(error, OSError):
                raise _output_error(self.path, error, "check its permissions") from error
            raise
