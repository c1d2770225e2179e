"""The state of an installation: versions, device, backend and what a native build needs."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from zncc_cli.config import Device
from zncc_cli.errors import ExitCode
from zncc_cli.jobs.versions import versions
from zncc_cli.operators import native
from zncc_cli.registration.register import resolve_device


@dataclass(frozen=True)
class Diagnosis:
    """The state of this installation.

    Attributes:
        versions: of what a result depends on.
        device: the device that ``--device auto`` takes for large images.
        backend: which arithmetic runs there, and why.
        checks: one for each thing that a native build needs.
        cache: folder of the compiled kernels.
    """

    versions: dict[str, str]
    device: str
    backend: native.Loaded
    checks: tuple[native.Check, ...]
    cache: str

    @property
    def exit_code(self) -> ExitCode:
        """0 when the native kernels run, else 1."""
        return ExitCode.OK if self.backend.used == "native" else ExitCode.ERROR


def examine() -> Diagnosis:
    """Examine the installation; the native kernels are built if they are not yet."""
    device = resolve_device(Device.AUTO)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"
    return Diagnosis(
        versions=versions(),
        device=name,
        backend=native.load(device),
        checks=tuple(native.toolchain()),
        cache=str(native.cache_folder()),
    )
