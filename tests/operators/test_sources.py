"""Every native source compiles: the CUDA ones for three generations of cards, on a machine that need have none."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import torch

from zncc_cli.operators import build, native, toolchain

CUDA_ARCHITECTURES = ("80", "90", "120")
CSRC = build.source_folder()
INCLUDE = Path(torch.__file__).parent / "include"


def compiled(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def compile_cpp(source: Path, target: Path) -> Path:
    compiler = toolchain.cxx_compiler()
    if compiler is None:
        pytest.skip("no C++ compiler")
    warnings = ("-Wall", "-Wextra", "-Werror", "-isystem", str(INCLUDE))
    compiled(compiler, "-std=c++17", "-fPIC", *warnings, "-c", str(source), "-o", str(target))
    return target


def compile_cuda(source: Path, target: Path) -> Path:
    home = toolchain.cuda_home()
    if home is None:
        pytest.skip("no nvcc")
    cards = [f"-gencode=arch=compute_{number},code=sm_{number}" for number in CUDA_ARCHITECTURES]
    ours = [flag for flag in native._cuda_library().cuda_flags if "gencode" not in flag]
    flags = ("-std=c++17", *ours, *cards, "-Xcompiler", "-fPIC")
    compiled(str(home / "bin" / "nvcc"), *flags, "-c", str(source), "-o", str(target))
    return target


@pytest.mark.parametrize("source", sorted(CSRC.glob("*.cpp")), ids=lambda source: source.name)
def test_cpp_sources_compile_without_a_warning(source: Path, tmp_path: Path) -> None:
    compile_cpp(source, tmp_path / "object.o")


@pytest.mark.parametrize("source", sorted(CSRC.glob("*.cu")), ids=lambda source: source.name)
def test_cuda_sources_compile_for_three_generations_of_cards(source: Path, tmp_path: Path) -> None:
    """And hold every launcher that their bindings call."""
    kernels = compile_cuda(source, tmp_path / "kernels.o")
    bindings = compile_cpp(source.with_suffix(".cpp"), tmp_path / "bindings.o")
    called = symbols(bindings, "--undefined-only")
    assert called
    assert called <= symbols(kernels, "--defined-only")


def symbols(target: Path, which: str) -> set[str]:
    """Our own functions that an object file defines or lacks, mangled: _ZN4zncc..."""
    done = subprocess.run(["nm", which, str(target)], capture_output=True, text=True, timeout=60, check=True)
    return {line.split()[-1] for line in done.stdout.splitlines() if "4zncc" in line and "launch" in line}


def test_no_source_asks_for_fast_math() -> None:
    text = "".join(path.read_text() for path in CSRC.iterdir())
    assert "fast_math" not in text
    assert "__fdividef" not in text
