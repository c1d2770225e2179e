"""Whatever instructions a processor has, and whoever compiled: the same bits."""

from __future__ import annotations

import ctypes
import itertools
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from zncc_cli.operators import build, native, toolchain

EPS = 1e-3
# What torch calls the processor, with what it can run: the sets are nested.
RUNNABLE = {"AVX512": ("AVX2", "AVX512"), "AVX2": ("AVX2",)}
# Planes, height, width, and a window: blocks of windows that end anywhere, in registers of two, four and eight doubles.
SHAPES = [(2, 24, 31, 3, 3), (1, 40, 300, 5, 8), (1, 33, 143, 1, 16), (1, 150, 37, 40, 37), (1, 30, 4200, 11, 11)]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """Compiled for any processor of its kind."""
    return compiled(tmp_path_factory.mktemp("plain"), default_compiler(), ())


def default_compiler() -> str:
    compiler = toolchain.cxx_compiler()
    if compiler is None:
        pytest.skip("no C++ compiler")
    return compiler


def compiled(folder: Path, compiler: str, flags: tuple[str, ...]) -> ctypes.CDLL:
    library = folder / "box.so"
    source = Path(__file__).with_name("instruction_sets.cpp")
    gcc = native._GCC_FLAGS if compiler != "clang++" and toolchain.is_gcc() else ()
    every = (*native._CPU_FLAGS, *gcc, *flags, "-shared", "-fPIC", f"-I{build.source_folder()}")
    done = subprocess.run(
        (compiler, *every, str(source), "-o", str(library)), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(library))


def results(library: ctypes.CDLL) -> list[torch.Tensor]:
    found = []
    for (planes, height, width, h, w), dtype in itertools.product(SHAPES, (torch.float32, torch.float64)):
        random = torch.Generator().manual_seed(height)
        image = torch.randn(planes, height, width, generator=random, dtype=dtype)
        image[0, :9, :9] *= 1e12  # is summed with care
        g = torch.randn(planes, height - h + 1, width - w + 1, generator=random, dtype=dtype)
        std, dI = torch.full_like(g, -1.0), torch.full_like(image, -1.0)
        getattr(library, f"forward_and_backward_{dtype.itemsize}")(
            (ctypes.c_int64 * 5)(planes, height, width, h, w),
            ctypes.c_double(EPS),
            *(ctypes.c_void_p(x.data_ptr()) for x in (image, g, std, dI)),
        )
        found += [std, dI]
    return found


def check_same(library: ctypes.CDLL, plain: ctypes.CDLL) -> None:
    for ours, expected in zip(results(library), results(plain), strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", sorted(native.INSTRUCTION_SETS))
def test_wider_registers_change_no_bit(name: str, plain: ctypes.CDLL, tmp_path: Path) -> None:
    if name not in RUNNABLE.get(torch.backends.cpu.get_cpu_capability(), ()):
        pytest.skip(f"this processor has no {name}")
    check_same(compiled(tmp_path, default_compiler(), native.INSTRUCTION_SETS[name]), plain)


def test_clang_changes_no_bit(plain: ctypes.CDLL, tmp_path: Path) -> None:
    if shutil.which("clang++") is None:
        pytest.skip("no clang++")
    flags = native.INSTRUCTION_SETS.get(torch.backends.cpu.get_cpu_capability(), ())
    check_same(compiled(tmp_path, "clang++", flags), plain)


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_flags_of_gcc_are_for_gcc_alone(compiler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    monkeypatch.setenv("CXX", compiler)
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, timeout=60, check=True).stdout
    assert toolchain.is_gcc() == ("clang" not in version)
