"""Measurements between the frames of a movie, and against their mean; frames are read in order, and few are kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace

import numpy as np
import torch

from zncc_cli.config import Interpolation, Model, RegistrationConfig
from zncc_cli.errors import ContentError
from zncc_cli.jobs.stack.movie import Movie, Progress
from zncc_cli.jobs.threads import in_order, workers
from zncc_cli.progress import counted
from zncc_cli.registration.drift.frame_pair import Measurement, PreparedFrame, measure
from zncc_cli.registration.drift.misfit import compared_pairs, misfit, misfit_config
from zncc_cli.registration.drift.path import DriftPath, last_partner, partners
from zncc_cli.registration.quality.texture import texture
from zncc_cli.registration.warp import Sampler

_MIN_TEXTURE = 0.02  # of the windows: a frame in which fewer can carry a registration is blank


def measure_pairs(
    movie: Movie,
    max_lag: int,
    settings: RegistrationConfig,
    progress: Progress,
    wanted: Callable[[int, int], bool] = lambda i, j: True,
    known: DriftPath | None = None,
) -> list[Measurement]:
    """Return the motions between the pairs of frames that `partners` names.

    Args:
        movie: the frames.
        max_lag: the largest lag between two frames.
        settings: model and window.
        progress: is told which frame is read.
        wanted: whether a pair, earlier and later, is measured.
        known: the path from which each pair is measured, in the contrast that it says; None to search for the shift.
    """
    prepared: dict[int, Future[PreparedFrame | None]] = {}
    pending: deque[list[Future[Measurement | None]]] = deque()
    measurements: list[Measurement] = []

    def measure_pair(
        i: int, fixed: Future[PreparedFrame | None], j: int, moving: Future[PreparedFrame | None]
    ) -> Measurement | None:
        # Both were submitted before this pair, so that waiting for them cannot block all threads.
        a, b = fixed.result(), moving.result()
        if a is None or b is None:
            return None
        if known is None:
            return measure(a, b, (i, j), settings)
        measurement = measure(a, b, (i, j), settings, known.between(i, j))
        return replace(measurement, inverted=bool(known.inverted[i] ^ known.inverted[j]))

    def collect_oldest() -> None:
        measurements.extend(m for future in pending.popleft() if (m := future.result()) is not None)

    with workers(movie.threads) as pool:
        try:
            for j in counted(range(movie.count), movie.count):
                progress(f"frame {j + 1} of {movie.count}")
                inverted = known is not None and bool(known.inverted[j])
                prepared[j] = pool.submit(movie.prepared, j, settings, inverted)
                pairs = [i for i in partners(j, max_lag) if wanted(i, j)]
                pending.append([pool.submit(measure_pair, i, prepared[i], j, prepared[j]) for i in pairs])
                for i in [i for i in prepared if last_partner(i, max_lag) <= j]:
                    del prepared[i]
                if len(pending) > movie.threads:
                    collect_oldest()
            while pending:
                collect_oldest()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return measurements


def measure_against_mean(
    movie: Movie, path: DriftPath, settings: RegistrationConfig, progress: Progress
) -> list[Measurement]:
    """Return the motions from the mean of the good frames, aligned by ``path``, to each of them.

    The mean has the number ``movie.count``. There are no motions if it shows no texture.
    """
    good = np.flatnonzero(path.good).tolist()

    def aligned(frame: int) -> tuple[torch.Tensor, torch.Tensor] | None:
        progress(f"mean, frame {frame + 1} of {movie.count}")
        ready = movie.prepared(frame, settings, bool(path.inverted[frame]))
        if ready is None:
            return None
        level = ready.level
        sampler = Sampler(level.image, Interpolation.LINEAR, level.mask)
        values, depth = sampler.warped(torch.from_numpy(path.matrices[frame]), level.shape)
        return torch.where(depth > 0, values[0], 0), (depth > 0).to(values)

    sums = weights = torch.zeros(())
    for plane in in_order(aligned, good, movie.threads):
        if plane is not None:
            sums, weights = sums + plane[0], weights + plane[1]
    valid = weights > len(good) / 2
    mean = torch.where(valid, sums / weights.clamp_min(1), 0)
    try:
        fixed = PreparedFrame.of(mean.numpy(), valid.numpy(), settings)
    except ContentError:
        return []

    def measure_frame(frame: int) -> Measurement | None:
        progress(f"to the mean, frame {frame + 1} of {movie.count}")
        ready = movie.prepared(frame, settings, bool(path.inverted[frame]))
        if ready is None:
            return None
        measurement = measure(fixed, ready, (movie.count, frame), settings, path.matrices[frame])
        return replace(measurement, inverted=bool(path.inverted[frame]))

    return [m for m in in_order(measure_frame, good, movie.threads) if m is not None]


def blank_frames(movie: Movie, frames: list[int], settings: RegistrationConfig) -> list[int]:
    """Return those of ``frames`` that show no texture."""

    def is_blank(frame: int) -> bool:
        ready = movie.prepared(frame, settings)
        if ready is None:
            return True
        return texture(ready.level.image[0, 0], ready.level.mask, settings.window_side).fraction < _MIN_TEXTURE

    return [k for k, blank in zip(frames, in_order(is_blank, frames, movie.threads), strict=True) if blank]


def path_misfit(movie: Movie, path: DriftPath, model: Model, progress: Progress) -> float | None:
    """Return the misfit of the path, pixels: the second largest of the pairs that are compared; see `misfit`.

    With a single pair it is that of the pair; without any it is None.
    """
    settings = misfit_config(model, movie.window)

    def pair_misfit(pair: tuple[int, int]) -> float:
        progress(f"comparing frames {pair[0] + 1} and {pair[1] + 1} of {movie.count}")
        fixed, moving = (movie.prepared(frame, settings, bool(path.inverted[frame])) for frame in pair)
        if fixed is None or moving is None:
            return 0.0
        return misfit(fixed, moving, path.between(*pair), settings) * movie.factor

    misfits = sorted(in_order(pair_misfit, compared_pairs(path.good), movie.threads))
    return misfits[-2:][0] if misfits else None
