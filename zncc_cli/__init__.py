"""Align two images by maximizing their local zero-normalized cross-correlation (ZNCC).

The names below are imported on first use (PEP 562), so that ``import zncc_cli`` does not load torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0.dev0"

_MODULES = {
    "LocalStandardDeviation": "zncc_cli.operators.local_std",
    "local_std": "zncc_cli.operators.local_std",
    "fft_cc": "zncc_cli.operators.fft",
    "zncc_map": "zncc_cli.registration.metric.maps",
    "zncc_loss": "zncc_cli.registration.metric.zncc_loss",
    "register": "zncc_cli.registration.register",
    "fit_landmarks": "zncc_cli.registration.transforms.landmarks",
    "read_image": "zncc_cli.files.images",
}

__all__ = [
    "LocalStandardDeviation",
    "__version__",
    "fft_cc",
    "fit_landmarks",
    "local_std",
    "read_image",
    "register",
    "zncc_loss",
    "zncc_map",
]

if TYPE_CHECKING:
    from zncc_cli.files.images import read_image
    from zncc_cli.operators.fft import fft_cc
    from zncc_cli.operators.local_std import LocalStandardDeviation, local_std
    from zncc_cli.registration.metric.maps import zncc_map
    from zncc_cli.registration.metric.zncc_loss import zncc_loss
    from zncc_cli.registration.register import register
    from zncc_cli.registration.transforms.landmarks import fit_landmarks


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'zncc_cli' has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
