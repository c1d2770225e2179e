"""Find the tools that build the native kernels: C++ compiler, ninja, CUDA compiler; and tell what is missing."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Check:
    """One thing that the native kernels need: whether it is there, what was found, and what to do where it is not."""

    name: str
    ok: bool
    found: str
    fix: str


_COMPILERS = ("c++", "g++", "clang++")
_TOOL_TIMEOUT_SECONDS = 20.0


def cxx_compiler() -> str | None:
    """Return the C++ compiler: what CXX names, if it can be run, else the first of c++, g++ and clang++ on PATH."""
    chosen = os.environ.get("CXX")
    if chosen:
        return chosen if shutil.which(chosen.split()[0]) else None
    return next((name for name in _COMPILERS if shutil.which(name)), None)


def is_gcc() -> bool:
    """Return whether the C++ compiler is GCC, whatever its name: on macOS g++ is clang."""
    compiler = cxx_compiler()
    return compiler is not None and "Free Software Foundation" in _output(*compiler.split(), "--version")


def ninja() -> Path | None:
    """Return the ninja program: on PATH, or in the `ninja` package, whose folder need not be on PATH."""
    on_path = shutil.which("ninja")
    if on_path:
        return Path(on_path)
    try:
        packaged = Path(importlib.import_module("ninja").BIN_DIR) / "ninja"
    except ImportError:
        return None
    return packaged if os.access(packaged, os.X_OK) else None


def cuda_home() -> Path | None:
    """Return the CUDA toolkit: a folder with bin/nvcc and the headers, from CUDA_HOME, CUDA_PATH, PATH or its default.

    A program `nvcc` on PATH may be a link or a script outside the toolkit, so that its place alone tells little.
    """
    named = [os.environ[name] for name in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(name)]
    on_path = shutil.which("nvcc")
    guesses = [Path(on_path).parent.parent, Path(on_path).resolve().parent.parent] if on_path else []
    candidates = (*map(Path, named), *guesses, Path("/usr/local/cuda"))
    toolkit = (Path("bin/nvcc"), Path("include/cuda_runtime.h"))
    return next((home for home in candidates if all((home / file).exists() for file in toolkit)), None)


def nvcc_version(home: Path) -> str | None:
    """Return the toolkit's version, such as '13.0', or None where nvcc cannot be run."""
    match = re.search(r"release (\d+\.\d+)", _output(str(home / "bin" / "nvcc"), "--version"))
    return match.group(1) if match else None


def cuda_mismatch(version: str) -> str | None:
    """Return why nvcc of this version cannot build for this torch, or None: their major versions must be equal."""
    built_with = torch.version.cuda
    if built_with is None or version.split(".")[0] == built_with.split(".")[0]:
        return None
    return f"nvcc is of CUDA {version}, but torch was built with CUDA {built_with}"


def toolchain_checks() -> list[Check]:
    """Return the state of C++ compiler, ninja, CUDA device and nvcc."""
    return [_check_compiler(), _check_ninja(), _check_device(), _check_nvcc()]


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TOOL_TIMEOUT_SECONDS, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _check_compiler() -> Check:
    compiler = cxx_compiler()
    version = _output(*compiler.split(), "--version") if compiler else ""
    if version:
        return Check("C++ compiler", True, version.splitlines()[0], "")
    missing = f"CXX is {os.environ['CXX']!r}, which cannot be run" if os.environ.get("CXX") else "none on PATH"
    return Check("C++ compiler", False, missing, "install g++ or clang++, or set CXX to yours")


def _check_ninja() -> Check:
    program = ninja()
    version = _output(str(program), "--version").strip() if program else ""
    if version:
        return Check("ninja", True, f"{version} ({program})", "")
    return Check("ninja", False, "none on PATH, and no ninja package", "pip install ninja")


def _check_device() -> Check:
    if not torch.cuda.is_available():
        torch_build = f"torch is built with CUDA {torch.version.cuda}" if torch.version.cuda else "torch is CPU only"
        return Check("CUDA device", False, f"none; {torch_build}", "needed only for computing on a GPU")
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return Check("CUDA device", True, ", ".join(names), "")


def _check_nvcc() -> Check:
    home = cuda_home()
    version = nvcc_version(home) if home else None
    if home is None or version is None:
        return Check("nvcc", False, "none", "needed only for a CUDA device: install the CUDA toolkit or set CUDA_HOME")
    mismatch = cuda_mismatch(version)
    if mismatch:
        return Check("nvcc", False, mismatch, f"install the CUDA {torch.version.cuda} toolkit and set CUDA_HOME to it")
    return Check("nvcc", True, f"{version} ({home})", "")
