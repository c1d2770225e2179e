"""The uncertainty of a transform: the covariance of its parameters, and the expected error anywhere in the frame.

The refinement's score is a sum over blocks of 32 x 32 pixels. Block b moves the parameters by u_b = H^-1 s_b, with s_b
its score and H the curvature of all of them; the u_b add up to zero at the result, and would all be zero if there were
neither noise nor anything else in which the images differ. Blocks that large are as good as independent, so that

    covariance = n / (n - k) sum of u_b u_b^T + floor

with n blocks that hold texture and k parameters: the sandwich estimator (White 1982, doi:10.2307/1912526) for clusters,
with its usual correction for few of them (MacKinnon and White 1985, doi:10.1016/0304-4076(85)90158-7). Nothing about
the noise has to be known; occlusion and specimens that change are counted, since the blocks disagree about them. Where
the results of two metrics are averaged, so are their u_b, block by block: both metrics use the same pixels, and the
error that they share is counted.

An error that all blocks share is not seen by this: the pull of interpolation, aliasing and shading, which is the same
everywhere. Pairs without noise show how large it is: `FLOOR` along either axis, as a mean over the frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from zncc_cli.config import Model
from zncc_cli.registration.geometry import frame_extent, grid_points, point_jacobian
from zncc_cli.registration.transforms.linear import LinearTransform
from zncc_cli.registration.transforms.matrices import is_mirrored
from zncc_cli.registration.warp import corners

# Pixels, along each axis: the median error of pairs without noise is 0.0003 to 0.004 px, by what else differs
# (docs/method.md, "Uncertainty and expected error").
FLOOR = 0.0015
_GRID = 9  # points along each side of the frame, where means over it are taken


@dataclass(frozen=True)
class Uncertainty:
    """The expected error of a transform.

    Expected errors are in pixels of the moving image, at the place to which a fixed point is mapped: the root of the
    summed variances along x and y, which is the expected RMS distance from the truth.

    Attributes:
        model: of the transform.
        matrix: (3, 3), fixed -> moving, (x, y) pixels.
        shape: (H, W) of the fixed frame.
        covariance: (k, k) of the model's parameters, pixels^2. They are lengths in pixels, about the centre of the
            frame: see `zncc_cli.registration.transforms.linear`.
    """

    model: Model
    matrix: np.ndarray
    shape: tuple[int, int]
    covariance: np.ndarray

    @classmethod
    def of_blocks(
        cls, model: Model, matrix: np.ndarray, shape: tuple[int, int], influences: np.ndarray
    ) -> Uncertainty | None:
        """Return the uncertainty from the influences (k, n) of n blocks; None with too few for k parameters.

        Args:
            model, matrix, shape: see the class.
            influences: by how much each block moves each parameter, pixels; zero for blocks without texture.
        """
        k, n = len(influences), int(np.any(influences != 0, axis=0).sum())
        if n <= k:
            return None
        floor = cls(model, matrix, shape, np.eye(k))
        motion = np.einsum("nak,nal->kl", *[floor._by_parameters(floor._grid())] * 2) / _GRID**2
        # The mean over the frame of both axes' variances is 2 FLOOR^2, shared by the directions of k parameters.
        return cls(
            model,
            matrix,
            shape,
            n / (n - k) * influences @ influences.T + 2 * FLOOR**2 / k * np.linalg.inv(motion),
        )

    def covariance_at(self, points: np.ndarray) -> np.ndarray:
        """Return the covariance (..., 2, 2), pixels^2, of the moving coordinates of fixed points (..., 2), (x, y)."""
        points = np.asarray(points, dtype=np.float64)
        jacobian = self._by_parameters(points.reshape(-1, 2))
        covariance = jacobian @ self.covariance @ jacobian.transpose(0, 2, 1)
        return np.asarray(covariance.reshape(*points.shape[:-1], 2, 2))

    def at(self, points: np.ndarray) -> np.ndarray:
        """Return the expected error (...), pixels, of the moving coordinates of fixed points (..., 2), (x, y)."""
        return np.asarray(np.sqrt(np.trace(self.covariance_at(points), axis1=-2, axis2=-1)))

    def map(self, step: int = 1) -> np.ndarray:
        """Return the expected error at every ``step``-th pixel of every ``step``-th row, (H', W'), pixels."""
        y, x = np.mgrid[: self.shape[0] : step, : self.shape[1] : step]
        # A row at a time: the derivatives take many times the memory of the map.
        return np.array([self.at(row) for row in np.stack((x, y), axis=-1)])

    @property
    def corners(self) -> np.ndarray:
        """Expected errors (4,), pixels, at the corners of the fixed frame, clockwise from the top left."""
        return self.at(corners(self.shape))

    @property
    def rms(self) -> float:
        """Expected error over the fixed frame, pixels: the root of the mean variance."""
        return float(np.sqrt(np.square(self.at(self._grid())).mean()))

    def scaled(self, factor: float, shape: tuple[int, int]) -> Uncertainty:
        """Return the uncertainty at full resolution, for images that were downsampled before they were registered.

        Args:
            factor: full-resolution pixels per pixel; pixel (i, j) lies on (factor i, factor j).
            shape: (H, W) of the fixed frame at full resolution.
        """
        return self.conjugated(np.diag([factor, factor, 1.0]), shape)

    def conjugated(self, change: np.ndarray, shape: tuple[int, int]) -> Uncertainty:
        """Return the uncertainty in other coordinates A p of both images, in which the transform is A M A^-1.

        Args:
            change: A, (3, 3), a scale and a shift, which leave every model the same.
            shape: (H, W) of the fixed frame in the new pixels.
        """
        return self.between(np.linalg.inv(change), change, shape, self.model)

    def between(self, from_new: np.ndarray, to_new: np.ndarray, shape: tuple[int, int], model: Model) -> Uncertainty:
        """Return the uncertainty in new coordinates of each image, in which the transform is B M A.

        Args:
            from_new: A, (3, 3), new coordinates of the fixed image -> those of this transform.
            to_new: B, (3, 3), coordinates of the moving image in this transform -> new ones.
            shape: (H, W) of the fixed frame in the new pixels.
            model: one that holds B M A, or its mirror image, whatever the parameters of M are.
        """
        change = np.kron(to_new, from_new.T)
        entries, by_old = change @ self.matrix.ravel(), change @ self._entries_by_parameters()
        matrix = entries / entries[8]
        by_old = (by_old - np.outer(matrix, by_old[8])) / entries[8]
        changed = Uncertainty(model, matrix.reshape(3, 3), shape, self.covariance)
        new_by_old = np.linalg.pinv(changed._entries_by_parameters()) @ by_old
        return replace(changed, covariance=new_by_old @ self.covariance @ new_by_old.T)

    @property
    def transform(self) -> LinearTransform:
        """The model on its frame, whose parameters `covariance` is about."""
        return LinearTransform(self.model, self.shape, is_mirrored(self.matrix))

    def _entries_by_parameters(self) -> np.ndarray:
        """Return the derivatives (9, k) of the matrix's entries by the parameters."""
        return self.transform.jacobian(self.transform.parameters(self.matrix))

    def _by_parameters(self, points: np.ndarray) -> np.ndarray:
        """Return how the moving coordinates of points (n, 2) change with each parameter, (n, 2, k)."""
        return np.asarray(point_jacobian(self.matrix, points) @ self._entries_by_parameters())

    def _grid(self) -> np.ndarray:
        return grid_points(frame_extent(self.shape), _GRID)
