"""The tools that take part: ours, and the peers that are installed."""

from __future__ import annotations

import importlib
import warnings

import torch

from benchmarks.registration.tools import elastix, opencv, peers
from benchmarks.registration.tools.contender import Answer, Contender, Image, Masks
from zncc_cli import register

OURS = "zncc-cli"

# Module to import: name of its package, and the function that returns its contenders.
PEERS = {
    "cv2": ("opencv-python-headless", opencv.contenders),
    "SimpleITK": ("SimpleITK", peers.simpleitk),
    "pystackreg": ("pystackreg", peers.pystackreg),
    "itk": ("itk-elastix", elastix.contenders),
    "skimage.registration": ("scikit-image", peers.scikit_image),
}


def find(device: torch.device) -> tuple[list[Contender], dict[str, str]]:
    """Return ours on ``device``, on a GPU also on the CPU, and the peers; and the missing packages with the reasons."""
    contenders = [ours(OURS, device)]
    if device.type != "cpu":
        contenders.append(ours(f"{OURS} on the CPU", torch.device("cpu")))
    missing = {}
    for module, (package, make) in PEERS.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                contenders += make(importlib.import_module(module))
        except ImportError as error:
            missing[package] = str(error)
    return contenders, missing


def ours(name: str, device: torch.device) -> Contender:
    def call(fixed: Image, moving: Image, model: str, masks: Masks | None) -> Answer:
        f_mask, m_mask = masks or (None, None)
        result = register(fixed, moving, model, fixed_mask=f_mask, moving_mask=m_mask, device=device.type)
        return Answer(result.matrix, str(result.status.value))

    return Contender(name, call, takes_masks=True)
