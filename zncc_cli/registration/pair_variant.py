"""A pair as it is registered: its moving image mirrored, or the finer of its images reduced; and the way back.

A registration turns, scales and shears an image, but does not mirror it, and compares pixels of about one size. So the
mirror image of the moving image takes its place, and an image that is two or more times as fine as the other one is
reduced by a power of two: its pyramid begins at a coarser level.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from zncc_cli.config import Contrast, Model, RegistrationConfig
from zncc_cli.operators.pixels import standardized
from zncc_cli.registration.attempt import Task
from zncc_cli.registration.inputs.inpainting import inpaint
from zncc_cli.registration.inputs.orientation_map import OrientedPair
from zncc_cli.registration.inputs.prepare import Prepared
from zncc_cli.registration.inputs.texture_map import texture_map
from zncc_cli.registration.nonrigid.bending import Bending
from zncc_cli.registration.pair_pyramid import PairPyramid
from zncc_cli.registration.pyramid import Level, count_levels, pyramid
from zncc_cli.registration.quality.evidence import Evidence
from zncc_cli.registration.quality.fitting_window import fitting_window
from zncc_cli.registration.quality.round_stop import round_stop
from zncc_cli.registration.quality.static_border import common_border, without
from zncc_cli.registration.quality.uncertainty import Uncertainty
from zncc_cli.registration.search.motion_bound import MotionBound
from zncc_cli.registration.transforms.matrices import map_points, mirror
from zncc_cli.registration.transforms.spline_field import SplineField, node_count
from zncc_cli.registration.warp import corners

_COARSEST_SIDE_PX = 48  # of the shorter side of the coarsest level, at least
_LEAST_SIDE_PX = 32  # of the shorter side of an image that was reduced: less shows too little to judge by

MAX_BLOCK_PIXELS = 2**20
"""Of a level whose blocks are compared, for the time that they take."""
_LEAST_DEVIATION = 1e-6  # of a reduced image: below it there is no texture left, only the rounding of float32


@dataclass(frozen=True, eq=False)
class PairVariant:
    """A pair as it is registered.

    Attributes:
        pair: the pyramids that are registered.
        shapes: (H, W) of the fixed and of the moving image themselves.
        mirrored: whether the columns of the moving image are reversed.
        reductions: by which factor either image was reduced, fixed and moving; 1 where it was not.
        by_texture: whether texture maps are registered instead of brightness.
        oriented: the orientation maps of the images, where their blocks judge the result; else None.
    """

    pair: PairPyramid
    shapes: tuple[tuple[int, int], tuple[int, int]]
    mirrored: bool = False
    reductions: tuple[int, int] = (1, 1)
    by_texture: bool = False
    oriented: OrientedPair | None = None

    @property
    def from_fixed(self) -> np.ndarray:
        """(3, 3), pixels of the fixed image -> those of the pair."""
        return np.diag([1 / self.reductions[0], 1 / self.reductions[0], 1.0])

    @property
    def to_moving(self) -> np.ndarray:
        """(3, 3), moving pixels of the pair -> those of the moving image."""
        enlarge = np.diag([self.reductions[1], self.reductions[1], 1.0])
        return mirror(self.shapes[1][1]) @ enlarge if self.mirrored else enlarge

    def matrix(self, matrix: np.ndarray) -> np.ndarray:
        """Return the matrix (3, 3) between the images, from the one between the images of the pair."""
        return _scaled(self.to_moving @ matrix @ self.from_fixed)

    def matrix_of_pair(self, matrix: np.ndarray) -> np.ndarray:
        """Return the matrix (3, 3) between the images of the pair, from the one between the images."""
        return _scaled(np.linalg.inv(self.to_moving) @ matrix @ np.linalg.inv(self.from_fixed))

    def task(self, task: Task) -> Task:
        """Return a task on the images as one on those of the pair."""
        bound = task.bound
        if bound is not None:
            start, longest = self.matrix_of_pair(bound.start), bound.max_motion / self.reductions[1]
            bound = MotionBound(start, self.pair.shape, longest)
        init = None if task.init is None else self.matrix_of_pair(task.init)
        further = task.further or self.by_texture or self.mirrored or self.reductions != (1, 1)
        return replace(task, init=init, bound=bound, oriented=self.oriented, further=further)

    def settings(self, config: RegistrationConfig) -> RegistrationConfig:
        """Return the settings with which the pair is registered: texture has one contrast."""
        return replace(config, contrast=Contrast.SAME) if self.by_texture else config

    def model(self, model: Model) -> Model:
        """Return the model of the transform between the images, from that of the one between those of the pair."""
        scaled = self.reductions[0] != self.reductions[1]
        return Model.SIMILARITY if scaled and model in (Model.TRANSLATION, Model.RIGID) else model

    def uncertainty(self, uncertainty: Uncertainty) -> Uncertainty:
        """Return the uncertainty of the transform between the images."""
        model = self.model(uncertainty.model)
        return uncertainty.between(self.from_fixed, self.to_moving, self.shapes[0], model)

    def evidence(self, evidence: Evidence, matrix: np.ndarray, zncc_before: float | None) -> Evidence:
        """Return the evidence with lengths in pixels of the images.

        Args:
            evidence: of the pair.
            matrix: (3, 3), of the images.
            zncc_before: of the images as they came.
        """
        of_fixed, of_moving = self.reductions
        frame, round_trip = corners(self.shapes[0]), evidence.round_trip
        return replace(
            evidence.scaled(of_moving),
            zncc_before=zncc_before,
            motion=float(np.linalg.norm(map_points(matrix, frame) - frame, axis=-1).max()),
            round_trip=None if round_trip is None else round_trip * of_fixed,
            least_scale=evidence.least_scale * of_moving / of_fixed,
            most_scale=evidence.most_scale * of_moving / of_fixed,
        )

    def bending(self, bending: Bending) -> Bending:
        """Return the transform that bends between the images, from the one between those of the pair."""
        by_fixed, to_moving = self.reductions[0], self.to_moving
        field, spacing = bending.field, bending.field.spacing * self.reductions[0]
        nodes = [node_count(n, spacing) for n in self.shapes[0]]
        # An image that was reduced may end a little later than its reduction does: by one node at most.
        more = [(0, 0), *((0, count - had) for count, had in zip(nodes, field.coefficients.shape[1:], strict=True))]
        coefficients = np.einsum("ab,bij->aij", to_moving[:2, :2], np.pad(field.coefficients, more, mode="edge"))
        enlarged = SplineField(self.matrix(field.matrix), coefficients, spacing, self.shapes[0])
        return bending.between(enlarged, by_fixed, self.reductions[1])


@dataclass(frozen=True, eq=False)
class Images:
    """Both images of a pair, from which its variants are made.

    Attributes:
        fixed, moving: the images; hot pixels do not count any more.
        config: the settings that were asked for.
    """

    fixed: Prepared
    moving: Prepared
    config: RegistrationConfig

    @property
    def shapes(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """(H, W) of the fixed and of the moving image."""
        return _shape(self.fixed), _shape(self.moving)

    @cached_property
    def as_they_are(self) -> PairVariant:
        """The pair without a change."""
        window, count = self._window_and_count(self.shapes)
        fixed, moving = (_levels(image, window, count) for image in (self.fixed, self.moving))
        return PairVariant(PairPyramid(fixed, moving), self.shapes)

    @cached_property
    def without_border(self) -> PairPyramid:
        """The pair's pyramids without a border that both images have."""
        pair = self.as_they_are.pair
        border = common_border(pair.fixed[0], pair.moving[0])
        if border is None:
            return pair
        free = (without(levels[0], border) for levels in (pair.fixed, pair.moving))
        fixed, moving = (pyramid(each.image, each.mask, len(pair), each.measured) for each in free)
        return PairPyramid(fixed, moving)

    @cached_property
    def textures(self) -> PairVariant | None:
        """The pair's texture maps, without a border that both images have; None where an image has no texture."""
        pair = self.without_border
        fixed, moving = (_textures(levels[0], len(pair)) for levels in (pair.fixed, pair.moving))
        if not (bool(fixed[0].mask.any()) and bool(moving[0].mask.any())):
            return None
        return PairVariant(PairPyramid(fixed, moving), self.shapes, by_texture=True, oriented=self.oriented)

    @cached_property
    def oriented(self) -> OrientedPair:
        """The orientation maps of the judged level, without a border that both images have."""
        pair, level = self.without_border, self.without_border.judged
        finest = pair.finest_of(MAX_BLOCK_PIXELS)
        finer = pair.level(level - 1) if finest is not None and level > finest else None
        return OrientedPair.of(*pair.level(level), finer)

    @cached_property
    def within_stops(self) -> Images | None:
        """The images within the round stops of their cameras; None where an image has none, or shows nothing within."""
        pair = self.as_they_are.pair
        within = list[Prepared]()
        for image, levels in ((self.fixed, pair.fixed), (self.moving, pair.moving)):
            stop = round_stop(levels[pair.judged])
            if stop is None:
                return None
            inside = torch.from_numpy(stop.inside(_shape(image))).to(image.mask.device)
            found = standardized(image.image[0, 0], image.mask & inside, ())
            if found.image is None or found.low == found.high:
                return None
            within.append(replace(image, image=found.image[None, None], mask=found.mask))
        return replace(self, fixed=within[0], moving=within[1])

    def oriented_of(self, variant: PairVariant, level: int) -> OrientedPair:
        """Return the orientation maps of a level of a variant.

        Those of the images as they are, or of their texture maps, are without a border that both images have.
        """
        has_changed = variant.mirrored or variant.reductions != (1, 1)
        if not has_changed and level == self.without_border.judged:
            return self.oriented
        return OrientedPair.of(*(variant.pair if has_changed else self.without_border).level(level))

    def variant(self, *, mirrored: bool = False, reductions: tuple[int, int] = (1, 1)) -> PairVariant | None:
        """Return the pair in this variant; None where too little of an image is left by its reduction."""
        reduced = max(reductions) > 1
        if not mirrored and not reduced:
            return self.as_they_are
        shapes = [(-(-h // by), -(-w // by)) for (h, w), by in zip(self.shapes, reductions, strict=True)]
        if reduced and min(min(shape) for shape in shapes) < _LEAST_SIDE_PX:
            return None
        window, count = self._window_and_count((shapes[0], shapes[1]))
        moving = _mirrored(self.moving) if mirrored else self.moving
        pair = PairPyramid(
            _levels(self.fixed, window, count, reductions[0]) if reduced else self.as_they_are.pair.fixed,
            _levels(moving, window, count, reductions[1]),
        )
        return PairVariant(pair, self.shapes, mirrored, reductions)

    def _window_and_count(self, shapes: tuple[tuple[int, int], tuple[int, int]]) -> tuple[int, int]:
        """Return the side of the window, and how many levels there are, for images (H, W)."""
        window, shorter = self.fitted(shapes).window_side, min(*shapes[0], *shapes[1])
        return window, count_levels((shorter, shorter), max(_COARSEST_SIDE_PX, 3 * window))

    def fitted(self, shapes: tuple[tuple[int, int], tuple[int, int]]) -> RegistrationConfig:
        """Return the settings with a window that fits images (H, W), and the least overlap of the first search."""
        window = self.config.window
        if window is None:
            window = fitting_window((min(shapes[0][0], shapes[1][0]), min(shapes[0][1], shapes[1][1])))
        return replace(self.config, window=window, min_overlap=self.config.first_min_overlap)


def _shape(prepared: Prepared) -> tuple[int, int]:
    return int(prepared.mask.shape[0]), int(prepared.mask.shape[1])


def _mirrored(prepared: Prepared) -> Prepared:
    return replace(prepared, image=prepared.image.flip(-1), mask=prepared.mask.flip(-1))


def _levels(prepared: Prepared, window: int, count: int, reduction: int = 1) -> list[Level]:
    """Return the pyramid of an image reduced by a power of two, with gaps filled that are no wider than a window."""
    filled, usable = inpaint(prepared.image, prepared.mask, window)
    left_out = reduction.bit_length() - 1
    measured = prepared.mask.to(filled) if filled is not prepared.image else None
    levels = pyramid(filled, usable, count + left_out, measured)[left_out:]
    if not left_out:
        return levels
    # Means of pixels vary less than pixels do.
    first = levels[0]
    deviation = (first.image.square().sum() / first.mask.sum().clamp_min(1)).sqrt().clamp_min(_LEAST_DEVIATION)
    return [replace(level, image=level.image / deviation, factor=level.factor // reduction) for level in levels]


def _textures(finest: Level, count: int) -> list[Level]:
    """Return the pyramid of the texture map of the ``finest`` level of an image's own pyramid."""
    return pyramid(*texture_map(finest.image, finest.mask), count, finest.measured)


def _scaled(matrix: np.ndarray) -> np.ndarray:
    """Return a matrix (3, 3) with a last entry of one."""
    return np.asarray(matrix / matrix[2, 2])
