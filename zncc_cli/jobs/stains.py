"""What a stain absorbs in a section that is seen in RGB: its optical density, unmixed from that of the other stains.

    (r, g, b) optical densities = d_h (hematoxylin's) + d_e (eosin's) + d_d (DAB's),    optical density = -log10(value)

with the unit vectors that Ruifrok and Johnston 2001, "Quantification of histochemical staining by color deconvolution",
measured (Anal. Quant. Cytol. Histol. 23, 291-299). The value of white is not needed: it adds a constant, which no
registration sees.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zncc_cli.config import STAINS

# Absorption of red, green and blue by each of `STAINS`; the vectors are scaled to length one.
_ABSORPTION = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
_DARKEST = 1 / 255  # of the largest value of integers, and as it is for floats: nothing is darker


def stain_density(rgb: NDArray[np.generic], stain: str) -> NDArray[np.float32]:
    """Return the density of one of `STAINS`, float32 (h, w), up to a constant.

    ``rgb``: (h, w, S) of any real dtype, the first three samples being red, green and blue.
    """
    unmixing = np.linalg.inv(_ABSORPTION / np.linalg.norm(_ABSORPTION, axis=1, keepdims=True))
    largest = float(np.iinfo(str(rgb.dtype)).max) if rgb.dtype.kind in "iu" else 1.0
    with np.errstate(invalid="ignore"):
        absorbed = -np.log10(np.maximum(rgb[..., :3].astype(np.float32), np.float32(_DARKEST * largest)))
    density: NDArray[np.float32] = absorbed @ unmixing[:, STAINS.index(stain)].astype(np.float32)
    return density
