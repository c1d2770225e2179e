"""How much memory this process may still take."""

from __future__ import annotations

import importlib
from contextlib import suppress
from pathlib import Path
from typing import Any

_MEMINFO = Path("/proc/meminfo")
_CGROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


def available_memory() -> int:
    """Return the bytes that can still be taken: the least that the machine, our control groups and ``ulimit`` leave."""
    free = [_machine(_MEMINFO), *_limits(), *_cgroups(_MEMBERSHIP, _CGROUPS)]
    return max(0, min(free))


def _machine(meminfo: Path) -> int:
    """Return what the machine leaves: by Linux's own count, which psutil reads as well, but takes longer to load."""
    with suppress(OSError, ValueError):
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    psutil: Any = importlib.import_module("psutil")
    return int(psutil.virtual_memory().available)


def _limits() -> list[int]:
    """Return what each limit of ``ulimit`` on memory leaves; a limit that is not set is left out."""
    try:
        resource: Any = importlib.import_module("resource")
    except ImportError:  # Windows
        return []
    limits = {kind: resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)}
    limits = {kind: limit for kind, limit in limits.items() if limit != resource.RLIM_INFINITY}
    if not limits:
        return []
    psutil: Any = importlib.import_module("psutil")
    used = psutil.Process().memory_info()
    taken = {resource.RLIMIT_AS: used.vms, resource.RLIMIT_DATA: getattr(used, "data", used.rss)}
    return [limit - taken[kind] for kind, limit in limits.items()]


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
