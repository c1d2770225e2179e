"""Versions of what a result depends on."""

from __future__ import annotations

import platform

import numpy as np
import torch

import zncc_cli


def versions() -> dict[str, str]:
    """Return the versions of this package, of torch, NumPy and Python, and the platform."""
    return {
        "zncc-cli": zncc_cli.__version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": _platform(),
    }


def _platform() -> str:
    """Return system, release, machine and C library; platform.platform() starts a process, ``uname -p``, on its way."""
    parts = (platform.system(), platform.release(), platform.machine(), "".join(platform.libc_ver()))
    return "-".join(part for part in parts if part)
