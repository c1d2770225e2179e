"""Every native source compiles: the CUDA ones for three generations of cards, on a machine that need have none."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import torch

from zncc_cli.operators import build, native, toolchain

CUDA_ARCHITECTURES = ("80", "90", "120")
CSRC = build.source_folder()
SOURCES = [path for path in CSRC.rglob("*") if path.is_file()]
INCLUDE = Path(torch.__file__).parent / "include"


def compiled(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stderr


def compile_cpp(source: Path, target: Path) -> Path:
    compiler = toolchain.cxx_compiler()
    if compiler is None:
        pytest.skip("no C++ compiler")
    warnings = ("-Wall", "-Wextra", "-Werror", "-isystem", str(INCLUDE))
    compiled(compiler, "-std=c++17", "-fPIC", *warnings, "-c", str(source), "-o", str(target))
    return target


def compile_cuda(source: Path, target: Path) -> str:
    """Return what the assembler says of the registers and the memory that each kernel takes."""
    home = toolchain.cuda_home()
    if home is None:
        pytest.skip("no nvcc")
    cards = [f"-gencode=arch=compute_{number},code=sm_{number}" for number in CUDA_ARCHITECTURES]
    ours = [flag for flag in native._cuda_library().cuda_flags if "gencode" not in flag]
    flags = ("-std=c++17", "--threads", "0", *ours, *cards, "-Xcompiler", "-fPIC", "-Xptxas", "-v")
    return compiled(str(home / "bin" / "nvcc"), *flags, "-c", str(source), "-o", str(target))


@pytest.mark.parametrize("source", sorted(CSRC.rglob("*.cpp")), ids=lambda source: str(source.relative_to(CSRC)))
def test_cpp_sources_compile_without_a_warning(source: Path, tmp_path: Path) -> None:
    compile_cpp(source, tmp_path / "object.o")


@pytest.mark.parametrize("source", sorted(CSRC.rglob("*.cu")), ids=lambda source: source.name)
def test_cuda_sources_compile_for_three_generations_of_cards(source: Path, tmp_path: Path) -> None:
    """And hold every launcher that their bindings call; and no kernel moves what it works on out of its registers."""
    kernels = tmp_path / "kernels.o"
    report = compile_cuda(source, kernels)
    stacks = [int(size) for size in re.findall(r"(\d+) bytes stack frame", report)]
    # A few numbers that are needed between the rows lie there without harm; what each row needs does not fit.
    assert stacks
    assert max(stacks) <= 128, report
    bindings = compile_cpp(source.with_suffix(".cpp"), tmp_path / "bindings.o")
    called = symbols(bindings, "--undefined-only")
    assert called
    assert called <= symbols(kernels, "--defined-only")


def symbols(target: Path, which: str) -> set[str]:
    """Our own functions that an object file defines or lacks, mangled: _ZN4zncc..."""
    done = subprocess.run(["nm", which, str(target)], capture_output=True, text=True, timeout=60, check=True)
    return {line.split()[-1] for line in done.stdout.splitlines() if "4zncc" in line and "launch" in line}


def test_no_source_asks_for_fast_math() -> None:
    text = "".join(path.read_text() for path in SOURCES)
    assert "fast_math" not in text
    assert "__fdividef" not in text


def test_no_source_writes_to_a_stream() -> None:
    """Where a compiler links a C++ library of its own, its streams are not torch's, and a failed check crashed."""
    for path in SOURCES:
        assert not re.search(r"STD_TORCH_CHECK\(|stringstream|<iostream>", path.read_text()), path.name
