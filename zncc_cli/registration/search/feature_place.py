"""Where the features of two images match: a place for views that no search over shifts, angles and scales holds.

A plane that is seen from the side, or a zoom: no whole image is a turned and scaled copy of the other, but the
surroundings of a corner or a blob are nearly one. SIFT features (Lowe 2004, doi:10.1023/B:VISI.0000029664.99615.94) are
matched by the ratio of their two nearest neighbours, and a transform that explains many of the matches is drawn
(MAGSAC++; Barath et al. 2020, doi:10.1109/CVPR42600.2020.00138) by OpenCV, where it is installed. The place is a start,
and no more: what is found from there is judged like any other result.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import torch
from numpy.typing import NDArray

from zncc_cli.config import Model
from zncc_cli.registration.pyramid import Level
from zncc_cli.registration.transforms.landmarks import least_squares
from zncc_cli.registration.warp import in_front, level_scale

MAX_PIXELS = 2**20
"""Of either image of the level whose features are matched: of more, many are of a fineness that the next level shows as
well, and SIFT takes some 200 bytes a pixel."""
EXTRA = "zncc-cli[features]"
_MAX_FEATURES = 4000  # of an image, the strongest
_MAX_RATIO = 0.8  # of the distances of the nearest and the next feature: Lowe's
_TOLERANCE_PX = 3.0  # of the level
# Of unrelated photographs up to ten matches fit some homography; what they lead to is judged like any other place.
_MIN_MATCHES = 12
_DRAWS = 10_000
_LOW, _HIGH = 0.5, 99.5  # percentiles of an image that become black and white

_Points = NDArray[np.float64]


def can_match() -> bool:
    """Tell whether OpenCV is installed."""
    return find_spec("cv2") is not None


def feature_place(fixed: Level, moving: Level, model: Model) -> np.ndarray | None:
    """Return the matrix (3, 3) of ``model``, fixed -> moving, full-resolution pixels, that most matches fit.

    Args:
        fixed, moving: of one level.
        model: of the matrix; a homography for `Model.AUTO`.

    Returns:
        None where too few matches fit one transform, or OpenCV is missing.
    """
    if not can_match():
        return None
    model = Model.HOMOGRAPHY if model is Model.AUTO else model
    places, targets = _matches(fixed, moving)
    fit = _consistent(places, targets, model)
    matrix = None if fit is None else least_squares(places[fit], targets[fit], model)
    if matrix is None or not np.isfinite(matrix).all() or not in_front(matrix, fixed.shape):
        return None
    return np.asarray(matrix * level_scale(1 / fixed.factor))


def _matches(fixed: Level, moving: Level) -> tuple[_Points, _Points]:
    """Return where features of the fixed image lie, (N, 2), and where their matches do, (N, 2), level pixels."""
    import cv2

    nothing = np.empty((0, 2)), np.empty((0, 2))
    if not (bool(fixed.mask.any()) and bool(moving.mask.any())):
        return nothing  # single pixels far apart are valid on the finest level alone
    cv2.setNumThreads(torch.get_num_threads())
    sift = cv2.SIFT.create(nfeatures=_MAX_FEATURES)
    (own, of_fixed), (others, of_moving) = (sift.detectAndCompute(*_as_bytes(level)) for level in (fixed, moving))
    if min(len(own), len(others)) < _MIN_MATCHES:
        return nothing
    nearest = cv2.BFMatcher(cv2.NORM_L2).knnMatch(of_fixed, of_moving, k=2)
    near = [first for first, second in nearest if first.distance < _MAX_RATIO * second.distance]
    ends = [(*own[match.queryIdx].pt, *others[match.trainIdx].pt) for match in near]
    # Of a feature with several orientations each is one, at the same place.
    both = np.unique(np.reshape(np.array(ends, dtype=np.float64), (-1, 4)), axis=0)
    return both[:, :2], both[:, 2:]


def _as_bytes(level: Level) -> tuple[np.ndarray, np.ndarray]:
    """Return the image in 256 greys, and its valid pixels, as OpenCV takes them, (H, W) uint8 both."""
    image, mask = level.image[0, 0].cpu().numpy(), level.mask.cpu().numpy()
    low, high = np.percentile(image[mask], (_LOW, _HIGH))
    grey = np.clip((image - low) * (255 / max(high - low, 1e-6)), 0, 255)
    return np.rint(grey).astype(np.uint8), mask.astype(np.uint8)


def _consistent(places: _Points, targets: _Points, model: Model) -> NDArray[np.bool_] | None:
    """Return which matches (N,) the transform fits that fits most of them; None for too few."""
    import cv2

    if len(places) < _MIN_MATCHES:
        return None
    method, draws = cv2.USAC_MAGSAC, _DRAWS
    if model is Model.HOMOGRAPHY:
        _, fits = cv2.findHomography(places, targets, method, _TOLERANCE_PX, maxIters=draws)
    else:
        _, fits = cv2.estimateAffine2D(
            places, targets, method=method, ransacReprojThreshold=_TOLERANCE_PX, maxIters=draws
        )
    if fits is None or np.count_nonzero(fits) < _MIN_MATCHES:
        return None
    return np.asarray(fits.ravel() != 0)
