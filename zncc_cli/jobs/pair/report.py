"""What report.json holds of a pair."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from zncc_cli.config import PairConfig
from zncc_cli.config.settings import command_line
from zncc_cli.jobs.pair.inputs import DownsampledPair, PairViews
from zncc_cli.jobs.pair.writing import ResampledPair
from zncc_cli.jobs.reproducible import reported_settings
from zncc_cli.jobs.versions import versions
from zncc_cli.registration.nonrigid.bending import Bending
from zncc_cli.registration.register import OF_FIELD, RegistrationResult
from zncc_cli.registration.transforms.bending import count_folds
from zncc_cli.registration.transforms.spline_field import SplineField


def pair_report(
    config: PairConfig,
    views: PairViews,
    pair: DownsampledPair,
    result: RegistrationResult,
    images: ResampledPair,
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """Return the report of a pair, but for its notes and the files that are missing."""
    field = result.field
    folds = None if field is None else count_folds(field)
    counts = {"clipped_values": images.clipped, "filled_pixels": images.filled, "folds": folds}
    figures = dataclasses.asdict(result.evidence)
    of_matrix = {} if field is None else {name: figures.pop(name) for name in [*figures] if name not in OF_FIELD}
    return {
        "status": result.status.value,
        "reasons": list(result.reasons),
        "probability": result.probability,
        "model": str(result.model),
        "model_asked": str(result.model_asked),
        "selection": _selection(result),
        **({} if field is None else {"spline": _spline(field, result.bending)}),
        "inverted": result.inverted,
        "by_texture": result.by_texture,
        "mirrored": result.mirrored,
        "fixed": str(config.fixed),
        "moving": str(config.moving),
        "inputs": views.digests,
        "metrics": {
            **figures,
            **{name: count for name, count in counts.items() if count is not None},
        },
        **({} if field is None else {"matrix_metrics": of_matrix}),
        "uncertainty": _uncertainty(result),
        "canvas": {"offset": list(images.canvas.offset), "shape": list(images.canvas.shape)},
        "seconds": seconds,
        "levels": [dataclasses.asdict(level) for level in result.levels],
        "settings": dataclasses.asdict(reported_settings(config)),
        "command": command_line(reported_settings(config)),
        "backend": {"used": result.backend.used, "reason": result.backend.reason, "device": result.device},
        "versions": versions(),
        "seed": None,
        "registered_by": {
            "fixed": views.fixed.described,
            "moving": views.moving.described,
            "blocks": pair.factor,
            "window": result.window,
            "min_overlap": result.min_overlap,
        },
    }


def _spline(field: SplineField, bending: Bending | None) -> dict[str, Any]:
    """Return the spacing of a field's nodes, pixels, how many rows and columns of them it has, and its range.

    And the smoothness by which it was fitted: the deviation in moving and the length in fixed pixels.
    """
    bend = np.hypot(*field.coefficients)
    smoothness = None if bending is None else bending.smoothness
    return {
        **(
            {}
            if smoothness is None
            else {"smoothness": {"deviation": smoothness.deviation, "length": smoothness.length}}
        ),
        "spacing": field.spacing,
        "nodes": list(bend.shape),
        "largest_coefficient": float(bend.max()),
    }


def _selection(result: RegistrationResult) -> dict[str, Any] | None:
    if result.selection is None:
        return None
    return {"reason": result.selection.reason, "held_out_zncc": result.selection.held_out}


def _uncertainty(result: RegistrationResult) -> dict[str, Any] | None:
    """Return standard deviations in pixels; of a matrix with the covariance that they come from.

    Of a field: RMS over the textured part of the overlap and over all of it, the largest, where that is, (x, y) of a
    fixed pixel, and the shares of the overlap in which they are above `UNCERTAIN_PX`, and in which both images show
    texture and do not agree.
    """
    error = None if result.bending is None else result.bending.expected_error
    if error is not None and error.overlap.any():
        worst, x, y = error.worst
        return {
            "rms": error.rms,
            "rms_everywhere": error.rms_everywhere,
            "worst": worst,
            "worst_at": [x, y],
            "uncertain_share": error.uncertain_share,
            "unmatched_share": error.unmatched_share,
        }
    uncertainty = result.uncertainty
    if uncertainty is None:
        return None
    return {"rms": uncertainty.rms, "corners": uncertainty.corners, "covariance": uncertainty.covariance}
