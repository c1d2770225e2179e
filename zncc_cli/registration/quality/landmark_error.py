"""How far a transform takes the landmarks of the fixed image from those of the moving one."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_Floats = NDArray[np.float64]
_QUANTILES = 1000  # of a normal distribution along either axis, for `circular_error`: exact to 0.003 of it

# Of so many errors the percentile is known to a tenth, whatever their distribution is.
_MANY = 100


class Spread(NamedTuple):
    """The median and the 90th percentile of some lengths, by linear interpolation between them."""

    median: float
    p90: float

    @classmethod
    def of(cls, lengths: _Floats) -> Spread:
        """Return those of ``lengths`` (N,)."""
        median, p90 = np.percentile(lengths, (50, 90))
        return cls(float(median), float(p90))


@dataclass(frozen=True, eq=False)
class LandmarkErrors:
    """The errors of a transform at landmarks, in pixels of the moving image.

    Attributes:
        vectors: (N, 2), (dx, dy): where the transform takes a fixed landmark, less the moving landmark.
    """

    vectors: _Floats

    @property
    def distances(self) -> _Floats:
        """Target registration errors (TRE), (N,): the lengths of the vectors.

        Fitzpatrick, West and Maurer 1998, doi:10.1109/42.736021.
        """
        return np.asarray(np.hypot(*self.vectors.T))

    @property
    def tre(self) -> Spread:
        """The median and the 90th percentile of the TRE, pixels."""
        return Spread.of(self.distances)

    @property
    def largest(self) -> float:
        """The largest TRE, pixels."""
        return float(self.distances.max())

    @property
    def rms(self) -> float:
        """The root of the mean square of the TRE, pixels."""
        return float(np.sqrt(np.square(self.vectors).sum(axis=1).mean()))

    @property
    def bias(self) -> tuple[float, float]:
        """The mean error along x and along y, pixels: what all landmarks have in common."""
        x, y = self.vectors.mean(axis=0)
        return float(x), float(y)

    @property
    def ce90(self) -> float:
        """See `circular_error`."""
        return circular_error(self.vectors)

    def rtre(self, moving_shape: tuple[int, int]) -> Spread:
        """The TRE over the diagonal of the moving image, whose shape is (H, W).

        Borovec et al. 2020, "ANHIR", doi:10.1109/TMI.2020.2986331.
        """
        return Spread.of(self.distances / np.hypot(*moving_shape))


def circular_error(vectors: _Floats, share: float = 0.9) -> float:
    """Return the radius of the circle about the truth in which ``share`` of the errors lie: CE90.

    Of a hundred ``vectors`` (N, 2) and more it is the percentile of their lengths. Of fewer it is that of normal errors
    of their mean and covariance, which is known better than the percentile; of an error that is the same everywhere it
    is the length of that.

    Greenwalt and Shultz 1962, "Principles of error theory and cartographic applications", ACIC TR 96.
    """
    if len(vectors) >= _MANY:
        return float(np.percentile(np.hypot(*vectors.T), 100 * share))
    covariance = np.cov(vectors.T) if len(vectors) > 1 else np.zeros((2, 2))
    variances, axes = np.linalg.eigh(covariance)
    normal = np.array([NormalDist().inv_cdf((i + 0.5) / _QUANTILES) for i in range(_QUANTILES)])
    mean = vectors.mean(axis=0) @ axes
    x, y = (m + np.sqrt(max(v, 0.0)) * normal for m, v in zip(mean, variances, strict=True))
    return float(np.percentile(np.hypot(x[:, None], y), 100 * share))
