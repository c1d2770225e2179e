"""How much memory this process may still take."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import psutil

_CGROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


def available_memory() -> int:
    """Return the bytes that can still be taken: the least that the machine, our control groups and ``ulimit`` leave."""
    free = [int(psutil.virtual_memory().available), *_limits(), *_cgroups(_MEMBERSHIP, _CGROUPS)]
    return max(0, min(free))


def _limits() -> list[int]:
    """Return what each limit of ``ulimit`` on memory leaves; a limit that is not set is left out."""
    try:
        resource: Any = importlib.import_module("resource")
    except ImportError:  # Windows
        return []
    used = psutil.Process().memory_info()
    kinds = ((resource.RLIMIT_AS, used.vms), (resource.RLIMIT_DATA, getattr(used, "data", used.rss)))
    soft = [(resource.getrlimit(kind)[0], taken) for kind, taken in kinds]
    return [limit - taken for limit, taken in soft if limit != resource.RLIM_INFINITY]


def _cgroups(membership: Path, root: Path) -> list[int]:
    """Return what each control group leaves, from ours up to the root; caches of files count as free."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return []
    free = []
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers == "":
            top, limit, usage = root, "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            top, limit, usage = root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        folder = top / group.lstrip("/")
        # In a container the path may be the host's. The group that is mounted here is then the top itself.
        for group_folder in (folder, *folder.parents):
            if top not in (group_folder, *group_folder.parents):
                break
            bound, used = _read_number(group_folder / limit), _read_number(group_folder / usage)
            if bound is not None and used is not None:
                free.append(bound - used + _file_cache(group_folder / "memory.stat"))
    return free


def _read_number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # "max": no limit
        return None


def _file_cache(path: Path) -> int:
    """Return the bytes of cached files that a memory.stat counts, or 0 where it cannot be read."""
    try:
        fields = dict(line.split(maxsplit=1) for line in path.read_text().splitlines())
        return sum(int(fields.get(name, 0)) for name in ("inactive_file", "active_file"))
    except (OSError, ValueError):
        return 0
