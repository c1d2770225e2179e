"""OpenCV's ways to register: ECC (Evangelidis and Psarakis 2008), features with RANSAC, and both in turn.

    python -m benchmarks.registration.tools.opencv FIXED MOVING ALIGNED

aligns two files by SIFT, RANSAC and ECC with an affine model, as a script of a user would, and prints the matrix.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.registration.tools.contender import GREEDY_SIDE_PX, Answer, Array, Contender, Image, Masks, full

PYRAMID_ECC, SIFT_ECC = "OpenCV ECC, pyramid", "OpenCV SIFT + RANSAC + ECC"

_MAX_ITERATIONS, _MIN_GAIN = 200, 1e-7  # end of ECC; the gain is of the correlation coefficient
_FILTER_PX = 5  # side of ECC's own Gaussian filter: OpenCV's default
_MIN_SIDE_PX = 40  # of the shorter side of a pyramid's coarsest level
_MAX_FEATURES = 4000
_RANSAC_PX = 3.0
_MAX_RATIO = {"SIFT": 0.75, "ORB": 0.8}  # of the nearest descriptor's distance to the next one's (Lowe 2004)


def contenders(cv2: Any) -> list[Contender]:
    """Return all ways of OpenCV, on one thread."""
    cv2.setNumThreads(1)

    def ecc(fixed: Image, moving: Image, model: str, masks: Masks | None) -> Answer:
        return Answer(_ecc(cv2, fixed, moving, model, np.eye(3), masks))

    def pyramid(fixed: Image, moving: Image, model: str, masks: Masks | None) -> Answer:
        return Answer(_ecc_by_levels(cv2, fixed, moving, model, masks))

    def by_features(kind: str) -> Any:
        return lambda fixed, moving, model, masks: Answer(_by_features(cv2, kind, fixed, moving, model, masks))

    def refined(fixed: Image, moving: Image, model: str, masks: Masks | None) -> Answer:
        return Answer(_refined_features(cv2, fixed, moving, model, masks))

    return [
        Contender("OpenCV ECC", ecc, takes_masks=True),
        Contender(PYRAMID_ECC, pyramid, takes_masks=True),
        Contender("OpenCV ORB + RANSAC", by_features("ORB"), takes_masks=True),
        Contender("OpenCV SIFT + RANSAC", by_features("SIFT"), takes_masks=True, max_side=GREEDY_SIDE_PX),
        Contender(SIFT_ECC, refined, takes_masks=True, max_side=GREEDY_SIDE_PX),
    ]


def _ecc(cv2: Any, fixed: Image, moving: Image, model: str, start: Array, masks: Masks | None) -> Array:
    motion = {
        "translation": cv2.MOTION_TRANSLATION,
        "rigid": cv2.MOTION_EUCLIDEAN,
        "similarity": cv2.MOTION_AFFINE,  # OpenCV has no similarity
        "affine": cv2.MOTION_AFFINE,
        "homography": cv2.MOTION_HOMOGRAPHY,
    }[model]
    matrix = (start if model == "homography" else start[:2]).astype(np.float32)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _MAX_ITERATIONS, _MIN_GAIN)
    if masks is None:
        _, matrix = cv2.findTransformECC(fixed, moving, matrix, motion, criteria, None, _FILTER_PX)
    else:
        f, m = (mask.astype(np.uint8) for mask in masks)
        _, matrix = cv2.findTransformECCWithMask(fixed, moving, f, m, matrix, motion, criteria, _FILTER_PX)
    return full(matrix)


def _ecc_by_levels(cv2: Any, fixed: Image, moving: Image, model: str, masks: Masks | None) -> Array:
    levels = [(fixed, moving, masks)]
    while min(levels[-1][0].shape) >= 2 * _MIN_SIDE_PX:
        f, m, of_level = levels[-1]
        # Pixel i of a level lies on pixel 2 i of the finer one.
        halved = None if of_level is None else (of_level[0][::2, ::2], of_level[1][::2, ::2])
        levels.append((cv2.pyrDown(f), cv2.pyrDown(m), halved))
    matrix = np.eye(3)
    for k in reversed(range(len(levels))):
        to_level = np.diag([0.5**k, 0.5**k, 1.0])
        back = np.linalg.inv(to_level)
        try:
            # What makes a homography hardly shows on the coarser half of the levels, and leads astray there.
            fitted = "affine" if model == "homography" and 2 * k > len(levels) else model
            f, m, of_level = levels[k]
            matrix = back @ _ecc(cv2, f, m, fitted, to_level @ matrix @ back, of_level) @ to_level
        except cv2.error:
            if k == 0:
                raise
    return full(matrix)


def _by_features(cv2: Any, kind: str, fixed: Image, moving: Image, model: str, masks: Masks | None) -> Array:
    cv2.setRNGSeed(1)
    detector, norm = {
        "SIFT": (cv2.SIFT_create(nfeatures=_MAX_FEATURES), cv2.NORM_L2),
        "ORB": (cv2.ORB_create(nfeatures=_MAX_FEATURES), cv2.NORM_HAMMING),
    }[kind]
    f_mask, m_mask = (None, None) if masks is None else ((mask * np.uint8(255)) for mask in masks)
    f_points, f_words = detector.detectAndCompute(_as_uint8(fixed), f_mask)
    m_points, m_words = detector.detectAndCompute(_as_uint8(moving), m_mask)
    if min(len(f_points), len(m_points)) < 2:
        raise RuntimeError("no features")
    nearest = [pair for pair in cv2.BFMatcher(norm).knnMatch(f_words, m_words, k=2) if len(pair) == 2]
    matches = [best for best, next_best in nearest if best.distance < _MAX_RATIO[kind] * next_best.distance]
    if len(matches) < 4:
        raise RuntimeError(f"{len(matches)} matches")
    p = np.array([f_points[match.queryIdx].pt for match in matches])
    q = np.array([m_points[match.trainIdx].pt for match in matches])
    return _fit(cv2, p, q, model)


def _fit(cv2: Any, p: Array, q: Array, model: str) -> Array:
    """Fit the matrix that maps most of the points p (N, 2) to q (N, 2), by RANSAC."""
    if model == "homography":
        return full(cv2.findHomography(p, q, cv2.USAC_MAGSAC, _RANSAC_PX, maxIters=5000, confidence=0.999)[0])
    estimate = cv2.estimateAffine2D if model == "affine" else cv2.estimateAffinePartial2D
    matrix, inliers = estimate(
        p, q, method=cv2.RANSAC, ransacReprojThreshold=_RANSAC_PX, maxIters=5000, confidence=0.999
    )
    matrix = full(matrix)
    if model in ("affine", "similarity"):
        return matrix
    p, q = (points[inliers.ravel() > 0] for points in (p, q))
    matrix = np.eye(3)
    if model == "rigid":  # the rotation nearest to the inliers (Kabsch 1976)
        u, _, vt = np.linalg.svd((q - q.mean(axis=0)).T @ (p - p.mean(axis=0)))
        matrix[:2, :2] = u @ np.diag([1, np.linalg.det(u @ vt)]) @ vt
    matrix[:2, 2] = q.mean(axis=0) - matrix[:2, :2] @ p.mean(axis=0)
    return matrix


def _refined_features(cv2: Any, fixed: Image, moving: Image, model: str, masks: Masks | None) -> Array:
    start = _by_features(cv2, "SIFT", fixed, moving, model, masks)
    try:
        return _ecc(cv2, fixed, moving, model, start, masks)
    except cv2.error:
        return start


def _as_uint8(image: Image) -> NDArray[np.uint8]:
    low, high = np.percentile(image, (0.5, 99.5))
    return np.asarray(np.clip((image - low) * (255 / (high - low)), 0, 255).astype(np.uint8))


def _main(fixed_path: str, moving_path: str, aligned_path: str) -> None:
    import cv2

    fixed, moving = (cv2.imread(path, cv2.IMREAD_UNCHANGED) for path in (fixed_path, moving_path))
    cv2.setNumThreads(1)
    scale = np.float32(1 / np.iinfo(fixed.dtype).max)
    matrix = _refined_features(cv2, fixed * scale, moving * scale, "affine", None)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    cv2.imwrite(aligned_path, cv2.warpAffine(moving, matrix[:2], fixed.shape[::-1], flags=flags))
    print(json.dumps(matrix.tolist()))


if __name__ == "__main__":
    _main(*sys.argv[1:])
