"""The native libraries, built ahead of time."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from zncc_cli.errors import ExitCode
from zncc_cli.operators import native


@dataclass(frozen=True)
class Builds:
    """The native library of each kind of device: "cpu", and "cuda" where there is a GPU."""

    libraries: dict[str, native.Loaded]

    @property
    def exit_code(self) -> ExitCode:
        """0 when every device has its library, else 1."""
        all_native = all(loaded.used == "native" for loaded in self.libraries.values())
        return ExitCode.OK if all_native else ExitCode.ERROR


def build_all() -> Builds:
    """Build the libraries that are not in the cache yet; see `zncc_cli.operators.native.load`."""
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    return Builds({device: native.load(torch.device(device)) for device in devices})
