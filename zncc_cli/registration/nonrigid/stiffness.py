"""Does a field follow the images as far as they ask for? Of spacings and smoothness that the user forced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from zncc_cli.config import DEFAULT_SPACING
from zncc_cli.registration.nonrigid.fit import FitSettings, fit_field
from zncc_cli.registration.nonrigid.held_out import held_out, judged_level
from zncc_cli.registration.pyramid import Level


def usual_agreement(
    fixed: Sequence[Level], moving: Sequence[Level], matrix: np.ndarray, settings: FitSettings
) -> float | None:
    """Return the mean local ZNCC that windows held out from a fit have by the usual spacing and smoothness.

    A field that has less agreement even where it was fitted does not follow the images.

    Args:
        fixed, moving: the pyramids of the fit.
        matrix: (3, 3), fixed -> moving, full-resolution pixels.
        settings: of the fit.

    Returns:
        It; None where the settings are no stiffer than the usual ones, or there are too few windows.
    """
    if settings.spacing <= DEFAULT_SPACING and settings.factor <= 1:
        return None
    usual = replace(settings, spacing=DEFAULT_SPACING, factor=1.0)
    fit = fit_field(fixed, moving, matrix, usual, last=judged_level(fixed))
    told = held_out(fixed, moving, fit, matrix, usual)
    return None if told is None else told.after
