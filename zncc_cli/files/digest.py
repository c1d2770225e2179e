"""Digests of files and folders: short texts that are equal where the contents are equal."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from zncc_cli.files.paths import reason, refusal

DIGEST_BYTES = 16
"""Bytes of a digest: two of 10^15 contents have equal digests with a probability of 10^-8."""
_BLOCK_BYTES = 2**20


def digest(path: Path) -> str:
    """Return the BLAKE2b digest of a file; of a folder, the digest of the names and contents of all files in it.

    Only regular files are opened, because a named pipe would wait for ever: of other entries the name alone counts.
    Links may lead anywhere, so the name alone also counts of a folder that was read already, that contains ``path``,
    or that is on another file system.

    Raises:
        InputError: the file or folder is missing, or cannot be read.
    """
    try:
        if not path.is_dir():
            return _file_digest(path)
        whole = hashlib.blake2b(digest_size=DIGEST_BYTES)
        for file, is_folder in _files(path):
            content = "elsewhere" if is_folder else _file_digest(file)
            whole.update(f"{file.relative_to(path).as_posix()}\0{content}\n".encode(errors="surrogateescape"))
        return f"blake2b:{whole.hexdigest()}"
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        advice = "check the name and the folder's permissions"
        raise refusal(path, expected="a readable file", found=reason(error), advice=advice) from error


def _files(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Yield (path, is a folder) for all files below ``folder``, links followed, and for folders that are not read."""
    device = folder.stat().st_dev
    seen = {_device_and_inode(above) for above in folder.resolve().parents}
    pending = [folder]
    while pending:
        path = pending.pop()
        if path.is_dir():
            identity = _device_and_inode(path)
            if identity in seen or identity[0] != device:
                yield path, True
                continue
            seen.add(identity)
            pending += sorted(path.iterdir(), reverse=True)
        else:
            yield path, False


def _device_and_inode(folder: Path) -> tuple[int, int]:
    """Return what identifies a folder, whichever path leads to it."""
    info = folder.stat()
    return info.st_dev, info.st_ino


def _file_digest(path: Path) -> str:
    """Return the digest of a regular file, "none" for anything else."""
    info = path.stat()
    if not stat.S_ISREG(info.st_mode):
        return "none"
    return _content_digest(path, (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns))


@lru_cache(maxsize=64)  # one fixed image of many pairs, and a pair that is registered and then reported
def _content_digest(path: Path, _state: tuple[int, ...]) -> str:
    content = hashlib.blake2b(digest_size=DIGEST_BYTES)
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            content.update(block)
    return f"blake2b:{content.hexdigest()}"
