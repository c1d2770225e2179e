"""The content of a file as one short text: equal texts mean equal bytes."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from zncc_cli.files.paths import refusal

_SIZE = 16  # bytes: by chance two of 10^15 contents are alike once in 10^8 times
_BLOCK = 2**20
_ADVICE = "check the name and the folder's rights"


def digest(path: Path) -> str:
    """Return the BLAKE2b of the file at ``path``; of a folder, that of the names and contents of all files in it.

    What is no regular file is not opened, for a named pipe would wait for ever: its name counts alone. So does that of
    a folder that was met before, or holds ``path``, or lies on another file system: links may lead anywhere.

    Raises:
        InputError: it cannot be read, or nothing is there.
    """
    try:
        if not path.is_dir():
            return _of_file(path)
        whole = hashlib.blake2b(digest_size=_SIZE)
        for file, is_folder in _files(path):
            known = "elsewhere" if is_folder else _of_file(file)
            whole.update(f"{file.relative_to(path).as_posix()}\0{known}\n".encode(errors="surrogateescape"))
        return f"blake2b:{whole.hexdigest()}"
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise refusal(path, expected="a readable file", found=reason, advice=_ADVICE) from error


def _files(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Yield the files in ``folder`` and below, links followed, and the folders that are not gone into; which it is."""
    device = folder.stat().st_dev
    met = {_place(above) for above in folder.resolve().parents}
    left = [folder]
    while left:
        path = left.pop()
        if path.is_dir():
            place = _place(path)
            if place in met or place[0] != device:
                yield path, True
                continue
            met.add(place)
            left += sorted(path.iterdir(), reverse=True)
        else:
            yield path, False


def _place(folder: Path) -> tuple[int, int]:
    info = folder.stat()
    return info.st_dev, info.st_ino


def _of_file(path: Path) -> str:
    info = path.stat()
    if not stat.S_ISREG(info.st_mode):
        return "none"
    return _of_content(path, (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns))


@lru_cache(maxsize=64)  # one fixed image of many pairs, and a pair that is registered and then reported
def _of_content(path: Path, _state: tuple[int, ...]) -> str:
    content = hashlib.blake2b(digest_size=_SIZE)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            content.update(block)
    return f"blake2b:{content.hexdigest()}"
