"""Peak memory beyond the inputs of one call: forward+backward, or forward where there is no backward.

CUDA: the peak of torch's allocator, which also holds the work areas of cuFFT and cuDNN, less what was there before.
CPU: the peak of the resident set of a fresh process (VmHWM, reset before the call) less what was resident before, after
one small call that loads every library. The inputs and g are there before; the outputs and the gradient count.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import torch

from benchmarks.common.processes import run_python
from benchmarks.operator.contenders import Contender, find
from benchmarks.operator.tasks import Inputs, call_of, directions

_SMALL_SIZE = 128
_MIB = 2**20
_TIMEOUT_SECONDS = 120


class UnmeasuredError(Exception):
    """The memory could not be measured; the message says why."""


def peak_mib(contender: Contender, size: int, window: int, device: torch.device, threads: int) -> float:
    """Return the peak memory of one call beyond its inputs, MiB.

    Raises:
        UnmeasuredError: the call failed, or this system tells no peak.
    """
    if device.type == "cuda":
        return _peak_on_cuda(contender, size, window, device)
    request = json.dumps([contender.name, contender.task, contender.package, size, window, threads])
    try:
        output = run_python(["-m", "benchmarks.operator.memory", request], timeout=_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        raise UnmeasuredError(f"over {_TIMEOUT_SECONDS} s") from None
    except RuntimeError as error:
        raise UnmeasuredError(str(error).splitlines()[-1]) from None
    return float(output.splitlines()[-1])


def _peak_on_cuda(contender: Contender, size: int, window: int, device: torch.device) -> float:
    call = call_of(contender, Inputs.make(size, device), window, directions(contender)[-1])
    try:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        torch.cuda.synchronize(device)
    except RuntimeError as error:
        raise UnmeasuredError(str(error).splitlines()[0]) from None
    return (torch.cuda.max_memory_allocated(device) - before) / _MIB


def _resident_kib(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])


def _main(request: str) -> None:
    name, task, package, size, window, threads = json.loads(request)
    torch.set_num_threads(threads)
    contender = next(c for c in find(threads, {package})[0] if (c.name, c.task) == (name, task))
    device, direction = torch.device("cpu"), directions(contender)[-1]
    call_of(contender, Inputs.make(max(_SMALL_SIZE, window), device), window, direction)()
    call = call_of(contender, Inputs.make(size, device), window, direction)
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts again from what is resident now
    before = _resident_kib("VmRSS")
    call()
    print((_resident_kib("VmHWM") - before) / 1024)


if __name__ == "__main__":
    _main(sys.argv[1])
