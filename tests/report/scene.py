"""A random scene to draw."""

import numpy as np


def scene(height=120, width=160, seed=0):
    """A smooth random scene, float32 (H, W)."""
    noise = np.random.default_rng(seed).standard_normal((height, width))
    spectrum = np.fft.rfft2(noise)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    return np.fft.irfft2(spectrum * np.exp(-((frequency * 12) ** 2)), (height, width)).astype(np.float32)
