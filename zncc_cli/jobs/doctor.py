"""What runs where, and why."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from zncc_cli.config import Device
from zncc_cli.errors import ExitCode
from zncc_cli.jobs.pair.align import versions
from zncc_cli.operators import native
from zncc_cli.registration.register import resolve_device


@dataclass(frozen=True)
class Diagnosis:
    """The state of this installation.

    Attributes:
        versions: of what a result depends on.
        device: where ``--device auto`` computes what is large.
        backend: which arithmetic runs there, and why.
        checks: what a native build needs.
        cache: folder of the built kernels.
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
    """Return the diagnosis; builds the native kernels when they are not built yet."""
    device = resolve_device(Device.AUTO)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"
    return Diagnosis(
        versions=versions(),
        device=name,
        backend=native.load(device),
        checks=tuple(native.toolchain()),
        cache=str(native.cache_folder()),
    )
