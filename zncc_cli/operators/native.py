"""Choose what computes on a device: the native kernels, or plain torch and why.

The native kernels come with the package (`zncc_cli.operators.packaged`), or are built at their first use and then found
in a cache (`zncc_cli.operators.build`). CPU and CUDA kernels are two libraries, so that computing on the CPU needs no
CUDA compiler and starts no CUDA.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from zncc_cli.config import Backend, choose
from zncc_cli.errors import BackendError
from zncc_cli.operators import build, packaged
from zncc_cli.operators.build import cache_folder
from zncc_cli.operators.toolchain import Check, toolchain_checks

__all__ = ["Check", "Loaded", "cache_folder", "load", "selected", "selection", "toolchain"]

logger = logging.getLogger("zncc_cli.native")


@dataclass(frozen=True)
class Loaded:
    """What computes on a device: ``used`` is 'native' or 'reference', ``reason`` says why, ``seconds`` what it took."""

    used: str
    reason: str
    library: Path | None = None
    seconds: float = 0.0


# Exact arithmetic: no fast-math and no fused multiply-add, so that devices and instruction sets agree to the last bit
# (csrc/local_std.h). -fno-math-errno and -fno-trapping-math change no result: nothing reads errno after a square root,
# or traps what is not finite. -O2 with all of its vectoriser runs as fast as -O3, and compiles in two thirds of the
# time; of GCC's own flags, which Clang does not know, -fira-region and vect-epilogues-nomask take off another fifth.
_CPU_FLAGS = ("-std=c++17", "-O2", "-ftree-vectorize", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math")
_GCC_FLAGS = ("-fvect-cost-model=dynamic", "-fira-region=one", "--param=vect-epilogues-nomask=0")
# By what torch says of the processor. A build is named after its flags, so that processors that share a cache find
# each its own.
INSTRUCTION_SETS = {
    "AVX2": ("-mavx2",),
    "AVX512": ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mprefer-vector-width=512"),
}

_CPU_SOURCES = tuple(
    f"cpu/{name}.cpp"
    for name in (
        "banded",
        "bindings",
        "field_bindings",
        "field_metric",
        "filter_bindings",
        "filters",
        "local_std_box",
        "local_zncc_box",
        "pair_metric",
        "pair_metric_bindings",
        "pixels",
        "spline_system",
        "warp",
        "warped_rows",
    )
)
# Bindings, which know torch, and kernels, which do not: nvcc takes long over torch's headers.
_CUDA_SOURCES = tuple(
    f"cuda/{name}.{kind}"
    for name in ("field_metric", "local_std", "local_std_box", "local_zncc_box", "pair_metric")
    for kind in ("cpp", "cu")
)

_CHOSEN_REFERENCE = Loaded("reference", "plain torch was asked for")

# Of the context and not of the process: two threads may each compute with a backend of its own.
_selection: contextvars.ContextVar[Backend] = contextvars.ContextVar("backend", default=Backend.AUTO)
_loaded: dict[str, Loaded] = {}
_loading = threading.RLock()


@contextlib.contextmanager
def selected(backend: Backend | str) -> Iterator[None]:
    """Choose what `load` may return within the block: 'auto', 'native' or 'reference'.

    The choice holds for this thread, and for threads that run in a copy of its context (`contextvars`).

    Raises:
        OptionError: the backend is none of these.
    """
    token = _selection.set(choose(Backend, backend, "backend"))
    try:
        yield
    finally:
        _selection.reset(token)


def selection() -> Backend:
    """Return the backend that `selected` has chosen here.

    A gradient is computed with the backend of its forward pass; one that torch.compile has traced, with the backend of
    the thread that runs it.
    """
    return _selection.get()


def load(device: torch.device) -> Loaded:
    """Return what computes on ``device``; the first call builds the native kernels, or loads them from the cache.

    A failure is remembered with its cause: there is one attempt in the life of a process.

    Raises:
        BackendError: the native kernels were selected, and cannot be had.
    """
    backend = _selection.get()
    if backend is Backend.REFERENCE:
        return _CHOSEN_REFERENCE
    loaded = _loaded.get(device.type) or _load_once(device.type)
    if backend is Backend.NATIVE and loaded.used != "native":
        raise BackendError(f"backend 'native' cannot be used: {loaded.reason}; or use backend 'auto'")
    return loaded


def toolchain() -> list[Check]:
    """Return the state of everything that the native kernels need, for `zncc doctor`."""
    folder = cache_folder()
    preferred = folder == build.preferred_folder()
    fix = "" if preferred else f"make {build.preferred_folder()} writable, or set ZNCC_CACHE_DIR to another folder"
    checks = toolchain_checks()
    if packaged.is_present():
        tools = [replace(check, fix=f"needed only for a CUDA device: {check.fix}") for check in checks[:2]]
        checks = [*tools, *checks[2:]]
    return [*checks, Check("cache", preferred, str(folder), fix)]


def _load_once(device_type: str) -> Loaded:
    with _loading:
        if device_type not in _loaded:
            started = time.perf_counter()
            try:
                library, reason = _load_library(device_type)
                loaded = Loaded("native", reason, library, time.perf_counter() - started)
            except (build.UnavailableError, OSError) as error:
                logger.warning("computing with plain torch: %s", error)
                loaded = Loaded("reference", str(error), None, time.perf_counter() - started)
            _loaded[device_type] = loaded
        return _loaded[device_type]


def _load_library(device_type: str) -> tuple[Path, str]:
    if sys.platform not in ("linux", "darwin"):
        raise build.UnavailableError(f"the native kernels are built on Linux and macOS only, not on {sys.platform}")
    if device_type not in ("cpu", "cuda") or torch.version.hip:
        raise build.UnavailableError(
            f"there are no native kernels for this device ({device_type}), only for CPU and CUDA"
        )
    if device_type == "cpu":
        capability = torch.backends.cpu.get_cpu_capability()
        return packaged.load(capability) or build.get(cpu_library(capability))
    # The schemas come with the CPU kernels.
    cpu = _load_once("cpu")
    if cpu.used != "native":
        raise build.UnavailableError(cpu.reason)
    return build.get(_cuda_library())


def cpu_library(instruction_set: str) -> build.Library:
    """Return the library for an instruction set, as torch names it; others than AVX2 and AVX512 get the plain one."""
    flags = (*_CPU_FLAGS, *INSTRUCTION_SETS.get(instruction_set, ()))
    return build.Library("zncc_cpu", "CPU kernels", _CPU_SOURCES, flags, _GCC_FLAGS)


def _cuda_library() -> build.Library:
    """Return the library for the architectures of the cards that are present, and no others."""
    cards = {torch.cuda.get_device_capability(index) for index in range(torch.cuda.device_count())}
    numbers = [f"{major}{minor}" for major, minor in sorted(cards)]
    targets = [f"-gencode=arch=compute_{number},code=sm_{number}" for number in numbers]
    flags = ("-O3", "--fmad=false", "--split-compile=0", *targets)  # kernels beside each other, on all cores
    return build.Library("zncc_cuda", "CUDA kernels", _CUDA_SOURCES, ("-O3",), cuda_flags=flags)
