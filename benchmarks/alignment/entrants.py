"""Who takes part: ours, and the peers that are installed; and by name those that are not."""

from __future__ import annotations

import importlib
import warnings

import torch

from benchmarks.alignment import opencv, peers
from benchmarks.alignment.contender import Answer, Contender, Image, Masks
from zncc_cli import register

OURS = "zncc-cli"

# What makes the contenders of each package; the keys are imported, and installed under the names beside.
PEERS = {
    "cv2": ("opencv-python-headless", opencv.contenders),
    "SimpleITK": ("SimpleITK", peers.simpleitk),
    "pystackreg": ("pystackreg", peers.pystackreg),
    "skimage.registration": ("scikit-image", peers.scikit_image),
}


def find(device: torch.device) -> tuple[list[Contender], dict[str, str]]:
    """Return ours on ``device``, on a GPU also on the CPU, and the peers; and what is missing, with the reason."""
    found = [ours(OURS, device)]
    if device.type != "cpu":
        found.append(ours(f"{OURS} on the CPU", torch.device("cpu")))
    missing = {}
    for module, (package, contenders) in PEERS.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found += contenders(importlib.import_module(module))
        except ImportError as error:
            missing[package] = str(error)
    return found, missing


def ours(name: str, device: torch.device) -> Contender:
    def call(fixed: Image, moving: Image, model: str, masks: Masks | None) -> Answer:
        f_mask, m_mask = masks or (None, None)
        result = register(fixed, moving, model, fixed_mask=f_mask, moving_mask=m_mask, device=device.type)
        return Answer(result.matrix, str(result.status.value))

    return Contender(name, call, takes_masks=True)
