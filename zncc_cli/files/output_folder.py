"""Atomic output: a file, or a folder of files that belong together, appears whole or not at all."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from zncc_cli.errors import InputError, OutputError
from zncc_cli.files.paths import as_url
from zncc_cli.text import one_line, shown

# The entries of a folder of OME-Zarr that we write: the image and its smaller copies.
_OF_OUR_ZARR = re.compile(r"zarr\.json|s[0-9]+")


def _hidden_name() -> str:
    return f".zncc-{secrets.token_hex(6)}"


def _output_error(path: Path, error: OSError, advice: str) -> OutputError:
    return OutputError(f"{shown(path)}: cannot be written ({one_line(error.strerror or error)}); {advice}")


def refuse_url(path: Path) -> None:
    """Raise `OutputError` for a URL, which as a path would be a folder of that name in the working folder."""
    url = as_url(path)
    if url is not None:
        raise OutputError(
            f"{one_line(url)}: expected a path on this machine, found a URL; upload the result afterwards"
        )


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a new file for binary writing and reading; it replaces ``path`` when the block ends without an error.

    After an error the new file is removed, and the file that was at ``path`` is untouched.

    Raises:
        OutputError: the file cannot be written, or ``path`` is a folder or a device.
    """
    refuse_url(path)
    hidden = path.with_name(_hidden_name())
    try:
        if os.path.lexists(path) and not path.is_file():
            raise OutputError(f"{shown(path)}: expected a file's name, found a folder or device; choose another name")
        try:
            with hidden.open("x+b") as file:
                yield file
            hidden.replace(path)
        except BaseException:
            with suppress(OSError):
                hidden.unlink(missing_ok=True)
            raise
    except (OutputError, InputError):  # reading the pixels that are written may fail, too
        raise
    except OSError as error:
        advice = "check that the folder exists, its permissions and the free space"
        raise _output_error(path, error, advice) from error


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Make a new folder, which appears at ``path`` when the block ends without an error.

    Raises:
        OutputError: there is something at ``path``, or the folder cannot be written.
    """
    hidden = path.with_name(_hidden_name())
    try:
        if os.path.lexists(path):
            raise OutputError(f"{shown(path)}: exists already; remove it, or choose another name")
        try:
            hidden.mkdir()
            yield hidden
            hidden.rename(path)
        finally:
            shutil.rmtree(hidden, ignore_errors=True)
    except (OutputError, InputError):
        raise
    except OSError as error:
        raise _output_error(path, error, "check the folder and the free space") from error


def refuse_sources(outputs: Iterable[Path], sources: Iterable[Path | None]) -> None:
    """Raise `OutputError` where an output is, or holds, one of the inputs: not even --overwrite allows that."""
    inputs = [source for source in sources if source is not None and source.exists()]
    for output in outputs:
        if not output.exists():
            continue
        if any(output.samefile(source) for source in inputs):
            raise OutputError(f"{shown(output)}: is an input, which would be overwritten; choose another --out")
        if any(output.resolve() in source.resolve().parents for source in inputs):
            raise OutputError(f"{shown(output)}: holds an input, which would be removed; choose another --out")


def refuse_existing(path: Path, *, overwrite: bool, advice: str = "choose another name or use --overwrite") -> None:
    """Raise `OutputError` when ``path`` exists and may not be overwritten."""
    if not os.path.lexists(path):
        return
    if not path.is_file() and not _is_zarr(path):
        raise OutputError(f"{shown(path)}: expected a file or nothing, found something else; remove it")
    if not overwrite:
        raise OutputError(f"{shown(path)}: exists already; {advice}")


def _is_zarr(path: Path) -> bool:
    """Tell whether there is a folder that a job of ours may have written: an image of Zarr, and nothing beside it."""
    if not path.is_dir() or path.suffix != ".zarr" or not (path / "zarr.json").is_file():
        return False
    return all(_OF_OUR_ZARR.fullmatch(entry.name) for entry in path.iterdir())


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


class OutputFolder:
    """The folder for the output files of one job: all of them appear in it, or none.

        with OutputFolder(path, names=["aligned.tif", "report.json"]) as folder:
            write_image(folder.staging / "aligned.tif", ...)

    Files are written into the hidden folder ``staging``, and renamed into ``path`` when the block ends well.
    Files of an earlier job, by other names of ``names``, are removed then. After an error, or an interruption by the
    keyboard, no new file or folder is left behind, and no old one is missing.
    """

    staging: Path

    def __init__(self, path: str | os.PathLike[str], *, names: Sequence[str], overwrite: bool = False) -> None:
        """``names``: every file that may be written or removed; ``overwrite``: whether they may exist already."""
        self.path = Path(path)
        self.names = tuple(names)
        self.overwrite = overwrite
        assert all(Path(name).name == name for name in self.names), "names are plain file names"

    def __enter__(self) -> OutputFolder:
        """Make ``staging``; errors of overwriting and of permissions are found now, before any work.

        Raises:
            OutputError: the folder cannot be created or written, or a file exists and may not be overwritten.
        """
        refuse_url(self.path)
        self._refuse_existing()
        self.staging = self._nearest_folder() / _hidden_name()
        try:
            self.staging.mkdir()
        except OSError as error:
            raise _output_error(self.path, error, "choose another folder with --out") from error
        except BaseException:  # a signal that came while the folder was made
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
                # The message names the folder that the user named, not the hidden one.
                raise OutputError(str(error).replace(str(self.staging), str(self.path))) from error
        finally:
            shutil.rmtree(self.staging, ignore_errors=True)

    def _nearest_folder(self) -> Path:
        """Return the nearest existing folder, which is on the file system of ``path``, so that files can be renamed."""
        nearest = next(folder for folder in (self.path, *self.path.parents) if os.path.lexists(folder))
        if not nearest.is_dir():
            raise OutputError(
                f"{shown(nearest)}: expected a folder, found something else; choose another folder with --out"
            )
        return nearest

    def _refuse_existing(self) -> None:
        for name in self.names:
            advice = "choose another --out or use --overwrite"
            refuse_existing(self.path / name, overwrite=self.overwrite, advice=advice)

    def _publish(self) -> None:
        """Move the written files into ``path``; after an error put everything back."""
        written = {file.name for file in self.staging.iterdir()}
        assert written <= set(self.names), f"not announced: {written - set(self.names)}"
        self._refuse_existing()  # another process may have come first
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
                _remove(self.path / name)
            for old in replaced.iterdir() if replaced.is_dir() else ():
                with suppress(OSError):
                    old.replace(self.path / old.name)
            for folder in made:
                with suppress(OSError):
                    folder.rmdir()
            if isinstance(error, OSError):
                raise _output_error(self.path, error, "check its permissions") from error
            raise
