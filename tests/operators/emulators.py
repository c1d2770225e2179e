"""Blocks of the CUDA kernels, compiled to run thread by thread on the CPU."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch

from zncc_cli.operators import build, native, toolchain


def compiled_emulator(name: str, folder: Path) -> ctypes.CDLL:
    """Compile an emulator beside this file into ``folder``; skip where there is nothing to compile or compare with."""
    compiler = toolchain.cxx_compiler()
    if compiler is None:
        pytest.skip("no C++ compiler")
    if native.load(torch.device("cpu")).used != "native":
        pytest.skip("no native kernels to compare with")
    library = folder / "emulator.so"
    source = Path(__file__).with_name(f"{name}_emulator.cpp")
    flags = ("-std=c++17", "-O2", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC")
    # Where a GPU refuses several elements at once that are not aligned for it, so does this.
    traps = ("-fsanitize=alignment", "-fsanitize-undefined-trap-on-error")
    command = (compiler, *flags, *traps, f"-I{build.source_folder()}", str(source), "-o", str(library))
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(library))


def pointers(tensors: Iterable[object]) -> ctypes.Array[ctypes.c_void_p]:
    """Return the addresses of tensors, and null for what is none."""
    addresses = [x.data_ptr() if isinstance(x, torch.Tensor) else None for x in tensors]
    return (ctypes.c_void_p * len(addresses))(*addresses)
