"""Every native source compiles: the CUDA ones for three generations of cards, on a machine that need have none."""

from __future__ import annotations

import functools
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from zncc_cli.operators import build, native, toolchain

CUDA_ARCHITECTURES = ("80", "90", "120")
CSRC = build.source_folder()
SOURCES = [path for path in CSRC.rglob("*") if path.is_file()]
INCLUDE = Path(torch.__file__).parent / "include"
CompileCpp = Callable[[Path], Path]


def compiled(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def compile_cpp(tmp_path_factory: pytest.TempPathFactory) -> CompileCpp:
    """Return the function that compiles a source, once, without a warning, and returns the object file."""
    folder = tmp_path_factory.mktemp("objects")

    @functools.cache
    def compile_once(source: Path) -> Path:
        compiler = toolchain.cxx_compiler()
        if compiler is None:
            pytest.skip("no C++ compiler")
        target = folder / f"{source.parent.name}_{source.stem}.o"
        warnings = ("-Wall", "-Wextra", "-Werror", "-isystem", str(INCLUDE))
        compiled(compiler, "-std=c++17", "-fPIC", *warnings, "-c", str(source), "-o", str(target))
        return target

    return compile_once


def compile_cuda(source: Path, target: Path) -> str:
    """Return what the assembler says of the registers and the memory that each kernel takes."""
    home = toolchain.cuda_home()
    if home is None:
        pytest.skip("no nvcc")
    # No source asks which card it is for: one translation, by the oldest one's instructions, serves all assemblers.
    codes = ",".join(f"sm_{number}" for number in CUDA_ARCHITECTURES)
    cards = [f"-gencode=arch=compute_{CUDA_ARCHITECTURES[0]},code=[{codes}]"]
    ours = [flag for flag in native._cuda_library().cuda_flags if "gencode" not in flag]
    flags = ("-std=c++17", "--threads", "0", *ours, *cards, "-Xcompiler", "-fPIC", "-Xptxas", "-v")
    return compiled(str(home / "bin" / "nvcc"), *flags, "-c", str(source), "-o", str(target))


@pytest.mark.parametrize("source", sorted(CSRC.rglob("*.cpp")), ids=lambda source: str(source.relative_to(CSRC)))
def test_cpp_sources_compile_without_a_warning(source: Path, compile_cpp: CompileCpp) -> None:
    assert compile_cpp(source).stat().st_size > 0


@pytest.mark.parametrize("source", sorted(CSRC.rglob("*.cu")), ids=lambda source: source.name)
def test_cuda_sources_compile_for_three_generations_of_cards(
    source: Path, compile_cpp: CompileCpp, tmp_path: Path
) -> None:
    """And hold every launcher that their bindings call; and no kernel moves what it works on out of its registers."""
    kernels = tmp_path / "kernels.o"
    report = compile_cuda(source, kernels)
    stacks = [int(size) for size in re.findall(r"(\d+) bytes stack frame", report)]
    # A few numbers that are needed between the rows lie there without harm; what each row needs does not fit.
    assert stacks
    assert max(stacks) <= 128, report
    bindings = compile_cpp(source.with_suffix(".cpp"))
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


def test_no_source_asks_which_card_it_is_for() -> None:
    """So that what is compiled for one generation of cards is what is compiled for the others."""
    for path in SOURCES:
        assert not re.search(r"__CUDA_ARCH__\s*[<>=!]|__CUDA_ARCH_(FEAT|SPECIFIC)", path.read_text()), path.name
