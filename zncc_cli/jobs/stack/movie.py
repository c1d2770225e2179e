"""The frames of a file: which they are, where they lie, and how each is written."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from zncc_cli.config import DEFAULT_WINDOW, NONE, Interpolation, Model, RegistrationConfig
from zncc_cli.config.stack import TO_PREVIOUS, StackConfig
from zncc_cli.errors import ContentError, InputError, OptionError
from zncc_cli.files.images import Image
from zncc_cli.files.pages import numbered
from zncc_cli.jobs.channel_view import ChannelView, choose_view, exclude_no_data
from zncc_cli.jobs.downsampling import Downsampled, downsampled, downsampling_factor, full_resolution_matrix
from zncc_cli.jobs.resampled import Written, write_resampled
from zncc_cli.jobs.stack.joined import joined
from zncc_cli.jobs.threads import in_order, workers
from zncc_cli.process import usable_cores
from zncc_cli.registration.drift.frame_pair import Measurement, PreparedFrame, measure
from zncc_cli.registration.drift.joining import LEAST_SHARED, contradicted, joining_config, shared, shown
from zncc_cli.registration.drift.misfit import compared, misfit, misfit_config
from zncc_cli.registration.drift.path import NEAR, DriftPath, last_partner, partners, solve_path
from zncc_cli.registration.inputs.hot_pixels import hot_note, hot_pixels
from zncc_cli.registration.inputs.prepare import SMALLEST_IMAGE, prepare
from zncc_cli.registration.pyramid import Level
from zncc_cli.registration.quality.fitting_window import fitting_window
from zncc_cli.registration.quality.texture import texture
from zncc_cli.registration.resampling.canvas import Frame
from zncc_cli.registration.transforms import TRANSFORMS, TransformFamily
from zncc_cli.registration.warp import Sampler
from zncc_cli.report.drift import DriftRow

OK, BLANK, OUTLIER = "ok", "blank", "outlier"

# Pixels of a frame that is registered as it is, a shift and a richer motion; of a larger one the means of blocks are:
# several times faster, and known to hundredths of a pixel.
_REGISTERED, _REGISTERED_RICHER = 2**17, 2**15
_LOOKED_AT = 5  # frames, in which hot pixels are looked for
_TEXTURED = 0.02  # of the windows: a frame in which fewer can carry a registration is blank

Progress = Callable[[str], None]


def movie_of(image: Image, config: StackConfig) -> tuple[Movie, tuple[str, ...]]:
    """Return the frames of an image, and a sentence for each choice that was not the user's."""
    name, leading = image.metadata.path.name, image.axes[: len(image.leading)]
    several = [k for k, letter in enumerate(leading) if letter != "C" and image.leading[k] > 1]
    found = ", ".join(f"{letter} {n}" for letter, n in zip(leading, image.leading, strict=True)) or "none"
    notes = []
    if config.axis is None:
        if not several:
            channels = dict(zip(leading, image.leading, strict=True)).get("C", 1)
            found = f"{channels} channels of a single one" if channels > 1 else "a single one"
            advice = (
                "if they are frames, save the file with axes TYX" if channels > 1 else "zncc-align aligns two files"
            )
            raise InputError(
                f"{image.metadata.path}: expected several frames, found {found} (axes {image.axes}); {advice}"
            )
        axis = next((k for k in several if leading[k] == "T"), max(several, key=lambda k: image.leading[k]))
        if len(several) > 1:
            notes.append(f"{name}: the frames lie along {leading[axis]} of {found}; --axis takes another")
    else:
        axis = leading.find(config.axis)
        if axis not in several:
            raise OptionError(f"--axis {config.axis}: expected an axis of several frames, found {found} in {name}")
    count = image.leading[axis]
    if config.reference is not None and config.reference >= count:
        raise OptionError(f"--to {config.to}: expected a frame from 0 to {count - 1}, the last of {name}")
    # The middle of what is no frame, a stack of slices perhaps, shows most; and the first frame is often blank.
    view, chosen = choose_view(image, config.chosen_channel, tuple(n // 2 for n in image.leading))
    view, gaps = exclude_no_data(view, config.no_data)
    others = [numbered(leading[k], view.index[k], image.leading[k]) for k in several if k != axis]
    if others:
        notes.append(f"{name}: registered by {', '.join(others)}, all are moved")
    most = _REGISTERED if config.model is Model.TRANSLATION else _REGISTERED_RICHER
    factor = downsampling_factor(image.shape, max_pixels=most)
    if min(image.shape) // factor < SMALLEST_IMAGE:
        raise ContentError(
            f"{image.metadata.path}: expected frames of at least {SMALLEST_IMAGE * factor} pixels a side"
        )
    if factor > 1:
        notes.append(f"{name}: registered on means of {factor} x {factor} pixels")
    window = config.window or fitting_window((image.shape[0] // factor, image.shape[1] // factor))
    if config.window is None and window < DEFAULT_WINDOW:
        notes.append(f"{name}: windows of {window} pixels; of larger ones its small frames hold too few")
    movie = Movie(view, axis, count, factor, window, usable_cores())
    hot = movie.leave_out_hot_pixels()
    if hot:
        notes.append(f"{name}: {hot_note(hot, 'frame after frame')}")
    return movie, (*notes, *chosen, *gaps)


@dataclass
class Movie:
    """The frames of an image.

    Attributes:
        view: what is registered of one of them.
        axis: along which axis they lie.
        count: how many.
        factor: side of the blocks whose means are registered.
        window: side of the windows, blocks.
        threads: how many frames are worked on at a time.
        pairs: how many were measured.
        hot: (h, w) bool, blocks that are left out of every frame; None where none is.
    """

    view: ChannelView
    axis: int
    count: int
    factor: int
    window: int
    threads: int
    pairs: int = 0
    hot: np.ndarray | None = None

    def leave_out_hot_pixels(self) -> int:
        """Leave out single pixels that stand out in frames all over the movie, and return how many they are."""
        levels = list[Level]()
        for frame in sorted({round(at) for at in np.linspace(0, self.count - 1, _LOOKED_AT)}):
            blocks = self._blocks(frame)
            with suppress(ContentError):  # a blank frame tells nothing
                ready = prepare("frame", blocks.grey, blocks.valid, torch.device("cpu"), NONE)
                levels.append(Level(ready.image, ready.mask, 1))
        found = hot_pixels(*levels) if len(levels) > 1 else None
        self.hot = None if found is None else found.numpy()
        return 0 if self.hot is None else int(self.hot.sum())

    def _blocks(self, frame: int) -> Downsampled:
        """Return what of a frame is registered."""
        index = (*self.view.index[: self.axis], frame, *self.view.index[self.axis + 1 :])
        blocks = downsampled(replace(self.view, index=index), self.factor)
        return blocks if self.hot is None else replace(blocks, valid=blocks.valid & ~self.hot)

    def _prepared(self, frame: int, settings: RegistrationConfig, inverted: bool = False) -> PreparedFrame | None:
        """Return a frame, or its negative, made ready; None where it has no texture at all."""
        blocks = self._blocks(frame)
        try:
            return PreparedFrame.of(-blocks.grey if inverted else blocks.grey, blocks.valid, settings)
        except ContentError:
            return None

    def followed(self, config: StackConfig, progress: Progress) -> tuple[DriftPath, list[str], tuple[str, ...]]:
        """Return the path of the frames in blocks, what each of them is (ok, blank or an outlier), and what to say."""
        farthest = NEAR if config.to == TO_PREVIOUS else self.count - 1
        settings = RegistrationConfig(model=config.model, window=self.window)
        family = TRANSFORMS[config.model](config.model, self._shape)
        measurements = self._measured(farthest, settings, progress)
        path = solve_path(self.count, measurements, family, config.reference)
        blank = self._blank(np.flatnonzero(~path.good).tolist(), settings)
        notes, unequal = list[str](), False
        frames = shown(path, measurements, blank)
        if not path.good[frames].all() or contradicted(path, measurements):
            before = path
            path, measurements, notes = self._joined(path, measurements, frames, config, settings, family, progress)
            unequal = path is not before
        if config.reference is None and path.good.any():
            measurements = measurements + self._onto_mean(path, settings, progress)
            onto_mean = solve_path(self.count, measurements, family, self.count, unequal=unequal)
            if onto_mean.good[-1]:
                path = replace(
                    onto_mean,
                    matrices=onto_mean.matrices[:-1],
                    good=onto_mean.good[:-1],
                    expected_error=onto_mean.expected_error[:-1],
                    inverted=onto_mean.inverted[:-1],
                    parts=onto_mean.parts[:-1],
                )
            else:  # it is smeared, or shows what most frames do not
                said = "no frame finds a place on the mean of all; the mean of their places is taken"
                notes.append(f"{self._name}: {said}")
        self.pairs = len(measurements)
        bad = set(np.flatnonzero(~path.good).tolist())
        blank = [k for k in blank if k in bad] + self._blank(sorted(bad.difference(blank)), settings)
        status = [OUTLIER if k in bad else OK for k in range(self.count)]
        for frame in blank:
            status[frame] = BLANK
        return path, status, (*notes, *self._exchanged(path, config))

    @property
    def _name(self) -> str:
        return self.view.image.metadata.path.name

    @property
    def _shape(self) -> tuple[int, int]:
        """(H, W) of a frame in blocks."""
        height, width = self.view.shape
        return height // self.factor, width // self.factor

    def _joined(
        self,
        path: DriftPath,
        measurements: list[Measurement],
        frames: list[int],
        config: StackConfig,
        settings: RegistrationConfig,
        family: TransformFamily,
        progress: Progress,
    ) -> tuple[DriftPath, list[Measurement], list[str]]:
        """Return the path, its measurements and what to say once its parts are joined where they can be."""
        gaps = joined(
            path,
            measurements,
            frames,
            lambda k: self._prepared(k, settings),
            joining_config(config.model, self.window, config.backend),
            self.threads,
            progress,
        )
        notes = []
        if gaps.given_up:
            notes.append(f"{self._name}: so many frames agree with no other that no more were searched for")
        if not gaps.found and len(set(gaps.parts[path.good])) <= 1:
            return path, measurements, notes
        known = {(m.fixed, m.moving) for m in gaps.found}
        one_part = solve_path(self.count, [*gaps.kept, *gaps.found], family, None, unequal=True)

        def wanted(i: int, j: int) -> bool:
            if gaps.parts[i] == gaps.parts[j] or (i, j) in known or not one_part.good[[i, j]].all():
                return False
            return shared(one_part.between(i, j), self._shape) >= LEAST_SHARED

        farthest = NEAR if config.to == TO_PREVIOUS else self.count - 1
        anew = self._measured(farthest, settings, progress, wanted, one_part)
        measurements = [*gaps.kept, *gaps.found, *anew]
        return solve_path(self.count, measurements, family, config.reference, unequal=True), measurements, notes

    def _exchanged(self, path: DriftPath, config: StackConfig) -> tuple[str, ...]:
        """Return a sentence where bright and dark are exchanged in some frames."""
        frames = np.flatnonzero(path.inverted)
        if not len(frames):
            return ()
        named = config.reference is not None and path.good[config.reference]
        against = f"frame {config.reference}" if named else "most"
        which = f"frame {frames[0]} of" if len(frames) == 1 else f"{len(frames)} of the frames, {frames[0]} first, of"
        said = f"bright and dark are exchanged against {against} in {which} {self.count}"
        return (f"{self._name}: {said}; what is written keeps its values",)

    def _measured(
        self,
        farthest: int,
        settings: RegistrationConfig,
        progress: Progress,
        wanted: Callable[[int, int], bool] = lambda i, j: True,
        known: DriftPath | None = None,
    ) -> list[Measurement]:
        """Return the motions between pairs of `partners`; frames are read in order, and few are kept.

        Args:
            farthest: the largest lag.
            settings: model and window.
            progress: told which frame it is.
            wanted: whether a pair is.
            known: where frames lie, and in which contrast, that are measured from there on; None where nobody knows.
        """
        prepared: dict[int, Future[PreparedFrame | None]] = {}
        begun: deque[list[Future[Measurement | None]]] = deque()
        out: list[Measurement] = []

        def of_pair(
            i: int, fixed: Future[PreparedFrame | None], j: int, moving: Future[PreparedFrame | None]
        ) -> Measurement | None:
            # Begun before this one, each of them: whoever waits here waits for another thread.
            a, b = fixed.result(), moving.result()
            if a is None or b is None:
                return None
            if known is None:
                return measure(a, b, (i, j), settings)
            found = measure(a, b, (i, j), settings, known.between(i, j))
            return replace(found, inverted=bool(known.inverted[i] ^ known.inverted[j]))

        def take() -> None:
            out.extend(found for future in begun.popleft() if (found := future.result()) is not None)

        with workers(self.threads) as pool:
            try:
                for frame in range(self.count):
                    progress(f"frame {frame + 1} of {self.count}")
                    inverted = known is not None and bool(known.inverted[frame])
                    here = prepared[frame] = pool.submit(self._prepared, frame, settings, inverted)
                    pairs = [(k, prepared[k]) for k in partners(frame, farthest) if wanted(k, frame)]
                    begun.append([pool.submit(of_pair, k, there, frame, here) for k, there in pairs])
                    for k in [k for k in prepared if last_partner(k, farthest) <= frame]:
                        del prepared[k]
                    if len(begun) > self.threads:
                        take()
                while begun:
                    take()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return out

    def _onto_mean(self, path: DriftPath, settings: RegistrationConfig, progress: Progress) -> list[Measurement]:
        """Return the motions from the mean of the frames, as ``path`` has them, to each of them."""
        known = np.flatnonzero(path.good).tolist()

        def moved(frame: int) -> tuple[torch.Tensor, torch.Tensor] | None:
            progress(f"mean, frame {frame + 1} of {self.count}")
            ready = self._prepared(frame, settings, bool(path.inverted[frame]))
            if ready is None:
                return None
            level = ready.level
            sampler = Sampler(level.image, Interpolation.LINEAR, level.mask)
            values, depth = sampler.warped(torch.from_numpy(path.matrices[frame]), level.shape)
            return torch.where(depth > 0, values[0], 0), (depth > 0).to(values)

        sums = weights = torch.zeros(())
        for found in in_order(moved, known, self.threads):
            if found is not None:
                sums, weights = sums + found[0], weights + found[1]
        held = weights > len(known) / 2
        mean = torch.where(held, sums / weights.clamp_min(1), 0)
        try:
            fixed = PreparedFrame.of(mean.numpy(), held.numpy(), settings)
        except ContentError:
            return []

        def onto(frame: int) -> Measurement | None:
            progress(f"to the mean, frame {frame + 1} of {self.count}")
            ready = self._prepared(frame, settings, bool(path.inverted[frame]))
            if ready is None:
                return None
            found = measure(fixed, ready, (self.count, frame), settings, path.matrices[frame])
            return replace(found, inverted=bool(path.inverted[frame]))

        return [found for found in in_order(onto, known, self.threads) if found is not None]

    def _blank(self, frames: list[int], settings: RegistrationConfig) -> list[int]:
        """Return those of ``frames`` that show no texture."""

        def is_blank(frame: int) -> bool:
            ready = self._prepared(frame, settings)
            if ready is None:
                return True
            return texture(ready.level.image[0, 0], ready.level.mask, settings.window_side).fraction < _TEXTURED

        return [k for k, found in zip(frames, in_order(is_blank, frames, self.threads), strict=True) if found]

    def full(self, path: DriftPath, status: list[str], model: Model) -> tuple[np.ndarray, tuple[DriftRow, ...]]:
        """Return the matrices (n, 3, 3), reference -> frame, in pixels, and what is said of each frame."""
        matrices = np.array([full_resolution_matrix(matrix, self.factor) for matrix in path.matrices])
        matrices /= matrices[:, 2:, 2:]
        family = TRANSFORMS[model](model, self.view.shape)
        rows = []
        for frame, (matrix, expected_error) in enumerate(zip(matrices, path.expected_error, strict=True)):
            dx, dy = family.parameters(matrix)[:2].tolist()
            known = float(expected_error) * self.factor if np.isfinite(expected_error) else None
            inverted = bool(path.inverted[frame])
            rows.append(DriftRow(frame, dx, dy, status[frame], known, _FURTHER[model](matrix), inverted))
        return matrices, tuple(rows)

    def misfit(self, path: DriftPath, config: StackConfig, progress: Progress) -> float | None:
        """Return how far, in pixels, two pairs of frames at least lie from where ``path`` has them; None without pairs.

        Of a single pair, how far it does.
        """
        settings = misfit_config(config.model, self.window)

        def of_pair(pair: tuple[int, int]) -> float:
            progress(f"comparing frames {pair[0] + 1} and {pair[1] + 1} of {self.count}")
            fixed, moving = (self._prepared(frame, settings, bool(path.inverted[frame])) for frame in pair)
            if fixed is None or moving is None:
                return 0.0
            return misfit(fixed, moving, path.between(*pair), settings) * self.factor

        found = sorted(in_order(of_pair, compared(path.good), self.threads))
        return found[-2:][0] if found else None

    def write(self, path: Path, matrices: np.ndarray, frame: Frame, config: StackConfig, progress: Progress) -> Written:
        """Write all planes, those of a frame by its matrix."""

        def matrix_of(index: tuple[int, ...]) -> np.ndarray:
            progress(f"writing frame {index[self.axis] + 1} of {self.count}")
            matrix: np.ndarray = matrices[index[self.axis]]
            return matrix

        image = self.view.image
        return write_resampled(path, image, matrix_of, frame, config.resampling, image.metadata, threads=self.threads)


def _angle(matrix: np.ndarray) -> dict[str, float]:
    return {"angle_degrees": float(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))}


# What drift.csv holds beside a shift.
_FURTHER: dict[Model, Callable[[np.ndarray], dict[str, float]]] = {
    Model.TRANSLATION: lambda _: {},
    Model.RIGID: _angle,
    Model.SIMILARITY: lambda m: {**_angle(m), "scale": float(np.hypot(m[0, 0], m[1, 0]))},
    Model.AFFINE: lambda m: {f"a{row}{column}": float(m[row - 1, column - 1]) for row in (1, 2) for column in (1, 2)},
    Model.HOMOGRAPHY: lambda m: {f"a{k // 3 + 1}{k % 3 + 1}": float(m.flat[k]) for k in (0, 1, 3, 4, 6, 7)},
}
