"""A movie with known drift: a band-limited scene, moved by its Fourier transform, with noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

_MARGIN_PX = 48  # around the frame; the scene repeats itself beyond
_BLACK_LEVEL = 4000  # grey values of 16 bit, as of a camera


@dataclass(frozen=True, eq=False)
class DriftMovie:
    """Frames of 16 bit; frame k shows at (x, y) + drift[k] what frame 0 shows at (x, y).

    Attributes:
        side: of the square frames, pixels.
        drift: (n, 2), (x, y) pixels.
        blank: numbers of the frames that show noise alone.
        contrast, noise: standard deviations of the scene and of the noise, grey values.
        seed: of the scene and of the noise.
    """

    side: int
    drift: np.ndarray
    blank: tuple[int, ...] = ()
    contrast: float = 1500.0
    noise: float = 300.0
    seed: int = 0

    @classmethod
    def walk(
        cls,
        count: int,
        side: int,
        *,
        step: float = 0.4,
        jump: tuple[float, float] = (9.3, -6.8),
        blanks: int = 3,
        noise: float = 300.0,
        seed: int = 0,
    ) -> DriftMovie:
        """Return a movie of ``count`` frames that walks at random, jumps once and goes blank here and there.

        The walk is pulled back towards its start, so that the scene stays in the frame.
        """
        rng = np.random.default_rng(seed)
        drift = np.zeros((count, 2))
        for k in range(1, count):
            drift[k] = 0.995 * drift[k - 1] + rng.normal(0, step, 2)
        drift[3 * count // 5 :] += jump
        blank = tuple((2 * k + 1) * count // (2 * blanks) for k in range(blanks))
        return cls(side, drift - drift[0], blank, noise=noise, seed=seed)

    def frames(self) -> Iterator[np.ndarray]:
        """Yield the frames, uint16 (side, side), one after the other."""
        rng = np.random.default_rng((self.seed, 1))
        scene_side = self.side + 2 * _MARGIN_PX
        spectrum, ky, kx = _scene(scene_side, np.random.default_rng((self.seed, 2)))
        frame = slice(_MARGIN_PX, _MARGIN_PX + self.side)
        for number, (dx, dy) in enumerate(self.drift):
            values = _BLACK_LEVEL + rng.normal(0, self.noise, (self.side, self.side))
            if number not in self.blank:
                moved = np.fft.irfft2(spectrum * np.exp(-2j * np.pi * (kx * dx + ky * dy)), s=(scene_side, scene_side))
                values += self.contrast * moved[frame, frame]
            yield np.clip(np.rint(values), 0, 65535).astype(np.uint16)


def _scene(side: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the spectrum of a scene of unit variance, most of it at low frequencies as of cells; and ky and kx."""
    ky, kx = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    k = np.hypot(ky, kx)
    spectrum = np.fft.rfft2(rng.normal(size=(side, side))) * np.exp(-((k / 0.22) ** 4)) / (0.02 + k) ** 1.2
    spectrum[0, 0] = 0
    return spectrum / np.fft.irfft2(spectrum, s=(side, side)).std(), ky, kx
