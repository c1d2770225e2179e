"""The machine and the versions that a result depends on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from pathlib import Path

import torch

import zncc_cli
from zncc_cli.operators import native
from zncc_cli.process import usable_cores

CPU = torch.device("cpu")
_PACKAGES = (
    "numpy",
    "opencv-python-headless",
    "opencv-python",
    "scipy",
    "monai",
    "SimpleITK",
    "itk-elastix",
    "pystackreg",
    "scikit-image",
)


def describe(device: torch.device = CPU, threads: int = 1) -> dict[str, str]:
    """Return the facts to print above a table, in order."""
    facts = {"device": device_name(device)}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        facts["device memory"] = f"{properties.total_memory / 2**30:.0f} GiB"
        facts["compute capability"] = f"{properties.major}.{properties.minor}"
        facts["CUDA (torch)"] = str(torch.version.cuda)
    facts["processor"] = f"{processor()}, {usable_cores()} cores"
    facts["threads"] = str(threads)
    facts["system"] = platform.platform()
    facts["python"] = platform.python_version()
    facts["torch"] = torch.__version__
    facts |= {name: version for name in _PACKAGES if (version := _version(name))}
    facts["zncc-cli"] = zncc_cli.__version__
    kernels = native.load(device)
    facts["our kernels"] = f"{kernels.used} ({kernels.reason})"
    facts["load average"] = load_average()
    return facts


def load_average() -> str:
    return " ".join(f"{load:.1f}" for load in os.getloadavg())


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor()


def slug(device: torch.device = CPU) -> str:
    """Return the device's name as part of a file's name: 'cpu' and the processor's, or the GPU's, in small letters."""
    name = re.sub(r"\((R|TM)\)", "", device_name(device))
    name = f"cpu {name}" if device.type == "cpu" else name
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        model = re.search(r"model name\s*:\s*(.+)", info.read_text())
        if model:
            return model[1].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
