"""Build a native library once, and keep it where every later process finds it.

A finished build lies in `cache_folder()` under a name made from everything it depends on. It is loaded as it is, with
no compiler and without importing torch.utils.cpp_extension. The compiler's own version is not part of the name: the
libraries use the C interface of LibTorch alone, which does not depend on it.

A build is made in a folder of its own, which is renamed when it is complete. So a folder that bears the final name is
complete, whoever was killed, and the lock that torch leaves in a build folder is never waited for. Our own lock only
saves several processes from building the same: the system releases it when its holder dies, and who has waited long
enough builds its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import platform
import re
import shutil
import stat
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from zncc_cli.operators import toolchain
from zncc_cli.progress import say

logger = logging.getLogger("zncc_cli.native")


class UnavailableError(Exception):
    """The native kernels cannot be built; the message says why and what to do, in one sentence for a user."""


@dataclass(frozen=True)
class Library:
    """A native library: its names, its sources in csrc, the flags of each compiler, and further ones of GCC."""

    name: str
    title: str
    sources: tuple[str, ...]
    cxx_flags: tuple[str, ...] = ()
    gcc_flags: tuple[str, ...] = ()
    cuda_flags: tuple[str, ...] = ()

    @property
    def needs_cuda(self) -> bool:
        """Whether nvcc builds it."""
        return bool(self.cuda_flags)


# A build takes seconds; a longer wait than this means that something is wrong with the other process.
_LOCK_TIMEOUT_SECONDS = 120.0
_LOCK_POLL_SECONDS = 0.05


def get(library: Library) -> tuple[Path, str]:
    """Load ``library`` from the cache, or build and load it; return its file and where it came from.

    Raises:
        UnavailableError: it cannot be built here.
    """
    name = f"{library.name}-{_key(library)}"
    for folder in _cache_folders():
        file = _load_finished(folder / name)
        if file:
            return file, "loaded from the cache"
    _check_tools(library)
    folder = cache_folder()
    if folder != preferred_folder():
        logger.warning("cannot write to %s, building in %s; set ZNCC_CACHE_DIR to choose", preferred_folder(), folder)
    with _lock(folder / f"{name}.lock") as has_lock:
        file = _load_finished(folder / name)
        if file:
            return file, "loaded from the cache"
        if has_lock:
            for leftover in folder.glob(f"{name}.*.partial"):
                shutil.rmtree(leftover, ignore_errors=True)
        return _build(library, folder / name)


# The name -------------------------------------------------------------------------------------------------------------


def source_folder() -> Path:
    """Return csrc: in the installed package, or beside it in a checkout.

    Raises:
        UnavailableError: it is in neither place.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "csrc", package.parent / "csrc"):
        if folder.is_dir():
            return folder
    raise UnavailableError(f"the native sources are missing from {package / 'csrc'}; install zncc-cli again")


def _key(library: Library) -> str:
    """Return 16 hexadecimal digits of a hash of everything that decides what the library is and where it can run."""
    digest = hashlib.sha256()
    system = (sys.platform, platform.machine(), *platform.libc_ver())
    versions = (torch.__version__, str(torch.version.cuda), os.environ.get("CXX", ""))
    for text in (*system, *versions, repr(library)):
        digest.update(text.encode() + b"\0")
    folder = source_folder()
    for source in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = source.relative_to(folder).as_posix()
        digest.update(name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


# The folder -----------------------------------------------------------------------------------------------------------


def cache_folder() -> Path:
    """Return the folder that builds are kept in, made where it is missing.

    ZNCC_CACHE_DIR, else XDG_CACHE_HOME/zncc, else ~/.cache/zncc; where that cannot be written, a folder of the user's
    own below the system's temporary folder.
    """
    preferred = preferred_folder()
    return preferred if preferred and _is_writable(preferred) else _temporary_folder()


def _cache_folders() -> list[Path]:
    """Return the folders that may hold a finished build. The first one may be read-only, as in a container image."""
    preferred = preferred_folder()
    return [preferred] if preferred and _is_writable(preferred) else [*filter(None, [preferred]), _temporary_folder()]


def preferred_folder() -> Path | None:
    """Return the folder that builds belong in, writable or not; None for a user without a home."""
    chosen = os.environ.get("ZNCC_CACHE_DIR")
    if chosen:
        return Path(chosen).expanduser().absolute()
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"]).absolute() / "zncc"
    try:
        return Path.home() / ".cache" / "zncc"
    except RuntimeError:  # no home folder
        return None


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


@cache
def _temporary_folder() -> Path:
    """Return a folder that nobody else can have put a library into: the user's, no link, and closed to all others."""
    folder = Path(tempfile.gettempdir()) / f"zncc-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    state = folder.lstat()
    if stat.S_ISDIR(state.st_mode) and state.st_uid == os.getuid() and not state.st_mode & 0o077:
        return folder
    return Path(tempfile.mkdtemp(prefix="zncc-"))


# The build ------------------------------------------------------------------------------------------------------------


def _load_finished(folder: Path) -> Path | None:
    """Load the library of a finished build; return None where there is none, or none that this system can load."""
    file = next(folder.glob("*.so"), None)
    if file is None:
        return None
    try:
        torch.ops.load_library(str(file))
    except OSError as error:
        logger.warning("the library in %s cannot be loaded and is built again: %s", folder, error)
        shutil.rmtree(folder, ignore_errors=True)
        return None
    return file


def _check_tools(library: Library) -> None:
    checks = toolchain.toolchain_checks() if library.needs_cuda else toolchain.toolchain_checks()[:2]
    for check in checks:
        if not check.ok:
            raise UnavailableError(f"the {library.title} cannot be built, {check.name}: {check.found}; {check.fix}")


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[bool]:
    """Hold the lock on ``path``, or go on without it after the time-out or where the file system has no locks."""
    import fcntl  # not on every system, and not needed to load a finished build

    deadline = time.monotonic() + _LOCK_TIMEOUT_SECONDS
    with path.open("a") as file:
        has_lock = False
        while not has_lock and time.monotonic() < deadline:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                has_lock = True
            except BlockingIOError:
                time.sleep(_LOCK_POLL_SECONDS)
            except OSError:
                break
        yield has_lock


def _build(library: Library, final: Path) -> tuple[Path, str]:
    started = time.perf_counter()
    logger.info("building the %s in %s; this happens once", library.title, final.parent)
    partial = Path(tempfile.mkdtemp(prefix=f"{final.name}.", suffix=".partial", dir=final.parent))
    try:
        _compile_and_load(library, partial)
        try:
            partial.rename(final)
        except OSError:
            if not final.is_dir():  # else somebody finished first, after the lock's time-out
                raise
    except RuntimeError as error:
        log = final.with_suffix(".log")
        log.write_text(str(error))
        raise UnavailableError(
            f"the {library.title} could not be compiled: {_first_error(str(error))} (log: {log})"
        ) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    seconds = time.perf_counter() - started
    logger.info("the %s are ready after %.1f s", library.title, seconds)
    return next(final.glob("*.so")), f"built in {seconds:.1f} s"


def _compile_and_load(library: Library, folder: Path) -> None:
    csrc = source_folder()
    say(f"compiling {library.name}, which is done once")
    with _build_environment():
        from torch.utils import cpp_extension

        if library.needs_cuda:
            cpp_extension.CUDA_HOME = os.environ["CUDA_HOME"]
        cpp_extension.load(
            name=library.name,
            sources=[str(csrc / source) for source in library.sources],
            extra_cflags=[*library.cxx_flags, *(library.gcc_flags if toolchain.is_gcc() else ())],
            extra_cuda_cflags=list(library.cuda_flags),
            build_directory=str(folder),
            with_cuda=library.needs_cuda,
            is_python_module=False,
            verbose=False,
        )


@contextlib.contextmanager
def _build_environment() -> Iterator[None]:
    """Point torch's builder to the tools that were found, and keep its remarks about a missing GPU to itself."""
    changes = {}
    ninja, compiler, home = toolchain.ninja(), toolchain.cxx_compiler(), toolchain.cuda_home()
    if ninja:
        changes["PATH"] = os.pathsep.join((os.environ.get("PATH", os.defpath), str(ninja.parent)))
    if compiler:
        changes["CXX"] = compiler
    if home:
        changes["CUDA_HOME"] = str(home)
    before = {name: os.environ.get(name) for name in changes}
    remarks = logging.getLogger("torch.utils.cpp_extension")
    level = remarks.level
    os.environ.update(changes)
    remarks.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        remarks.setLevel(level)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _first_error(log: str) -> str:
    """Return the first line that tells what is wrong, less the sources' folder."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    message = next(
        (line for line in lines if re.search(r"\b(fatal|error)\b\s*:", line)), lines[-1] if lines else "no output"
    )
    return message.replace(f"{source_folder()}{os.sep}", "")
