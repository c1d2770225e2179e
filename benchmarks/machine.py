"""What a result depends on beside the code: the machine and the versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from pathlib import Path

import torch

import zncc_cli
from zncc_cli.operators import native

_PACKAGES = (
    "numpy",
    "opencv-python-headless",
    "opencv-python",
    "scipy",
    "monai",
    "SimpleITK",
    "pystackreg",
    "scikit-image",
)


def describe(device: torch.device, threads: int) -> dict[str, str]:
    """Return what to print above a table, in order."""
    facts = {"device": device_name(device)}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        facts["device memory"] = f"{properties.total_memory / 2**30:.0f} GiB"
        facts["compute capability"] = f"{properties.major}.{properties.minor}"
        facts["CUDA (torch)"] = str(torch.version.cuda)
    facts["processor"] = f"{processor()}, {_cores()} cores"
    facts["threads"] = str(threads)
    facts["system"] = platform.platform()
    facts["python"] = platform.python_version()
    facts["torch"] = torch.__version__
    facts |= {name: version for name in _PACKAGES if (version := _version(name))}
    facts["zncc-cli"] = zncc_cli.__version__
    loaded = native.load(device)
    facts["our kernels"] = f"{loaded.used} ({loaded.reason})"
    facts["load average"] = " ".join(f"{load:.1f}" for load in os.getloadavg())
    return facts


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor()


def slug(device: torch.device) -> str:
    """Return the device's name for use in a file's name: 'cpu' and the processor's, or the card's, in small letters."""
    name = re.sub(r"\((R|TM)\)", "", device_name(device))
    name = f"cpu {name}" if device.type == "cpu" else name
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = re.search(r"model name\s*:\s*(.+)", info.read_text())
        if found:
            return found[1].strip()
    return platform.processor() or platform.machine()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
