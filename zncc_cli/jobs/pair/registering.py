"""The registration of a pair of views, in pixels of their images and in words that name options."""

from __future__ import annotations

import dataclasses

from zncc_cli.config import NONE, PairConfig
from zncc_cli.config.spelling import as_options
from zncc_cli.jobs.downsampling import full_resolution_result
from zncc_cli.jobs.pair.inputs import DownsampledPair, PairViews
from zncc_cli.registration.register import RegistrationResult, register_images
from zncc_cli.registration.whole_shift import with_whole_shift
from zncc_cli.text import shown


def register_views(views: PairViews, pair: DownsampledPair, config: PairConfig) -> RegistrationResult:
    """Register what was downsampled, and return the result in pixels of the images, in words that name options."""
    settings = dataclasses.replace(config.registration, no_data=NONE)  # the views leave it out already
    if settings.max_motion is not None:
        settings = dataclasses.replace(settings, max_motion=settings.max_motion / pair.factor)
    names = f"fixed {shown(config.fixed)}", f"moving {shown(config.moving)}"
    result = register_images(
        pair.fixed.grey,
        pair.moving.grey,
        settings,
        pair.fixed.valid,
        pair.moving.valid,
        pair.init,
        names,
        views.pixel_sizes,
    )
    reasons, notes = (tuple(map(as_options, sentences)) for sentences in (result.reasons, result.notes))
    result = dataclasses.replace(result, reasons=reasons, notes=notes)
    return with_whole_shift(full_resolution_result(result, pair.factor, views.fixed.shape, views.moving.shape))
