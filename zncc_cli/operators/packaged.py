"""The CPU kernels that came compiled with the package: in a wheel for a platform, one library per instruction set.

They use LibTorch's stable ABI, so that one library serves torch 2.10 and every later one. A checkout, and a wheel for
any platform, has none; the kernels are built at first use then (`zncc_cli.operators.build`).
"""

from __future__ import annotations

import logging
from pathlib import Path

import torch

logger = logging.getLogger("zncc_cli.native")

FOLDER = Path(__file__).resolve().parent.parent / "kernels"
PLAIN = "plain"
"""The set that every processor of its kind has."""
_SETS = (PLAIN, "AVX2", "AVX512")  # each runs where a later one does; as torch spells them


def file_name(instruction_set: str) -> str:
    """Return the name of the library for an instruction set."""
    return f"zncc_cpu_{instruction_set.lower()}.so"


def is_present() -> bool:
    """Tell whether the package has kernels that every processor of its kind runs."""
    return (FOLDER / file_name(PLAIN)).is_file()


def load(capability: str) -> tuple[Path, str] | None:
    """Load the library for the widest instructions that a processor has; return its file, and where it came from.

    None where the package has none, or none that this torch or system can load; a line says so then.

    Args:
        capability: what torch says of the processor, as ``AVX512``.
    """
    runnable = _SETS[: _SETS.index(capability) + 1] if capability in _SETS else _SETS[:1]
    for instruction_set in reversed(runnable):
        file = FOLDER / file_name(instruction_set)
        if not file.is_file():
            continue
        try:
            torch.ops.load_library(str(file))
        except OSError as error:
            logger.warning("the library %s of the package cannot be loaded, building one: %s", file, error)
            return None
        return file, f"from the package, {instruction_set}"
    return None
