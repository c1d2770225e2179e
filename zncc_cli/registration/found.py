"""What a registration of a variant of a pair led to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from zncc_cli.registration.attempt import Solution, Task, find, held_against_parts, solve
from zncc_cli.registration.pair_variant import MAX_BLOCK_PIXELS, Images, PairVariant
from zncc_cli.registration.quality.agreeing_share import agreeing_share
from zncc_cli.registration.quality.bounds import MIN_START_RATIO, NOISY_CEILING, NOTED_AGREEING_SHARE
from zncc_cli.registration.quality.residual_motion import Parts
from zncc_cli.registration.quality.verdict import Status, look_alike
from zncc_cli.registration.retry import with_smaller_overlap, with_smaller_windows
from zncc_cli.registration.search.global_search import USUAL_SCALES
from zncc_cli.registration.search.multistart import Candidate, start_ratio

# The expected error of a matrix from which on parts may be left behind. Of 22 pairs whose motion bends by 3.5 to 8 px
# the least was 0.086; a scene with depth came to 0.05, and half of that is taken.
_SCATTER_PX = 0.025
_RANK = (Status.OK, Status.SUSPECT, Status.FAILED)

_LEFT_NOTE = (
    "a part of the images lies elsewhere by itself, by two pixels and more; where it bends `model` bspline follows it"
)


@dataclass(frozen=True, eq=False)
class Found:
    """What a registration led to.

    Attributes:
        variant: the pair that was registered.
        solution: between the images of the variant.
    """

    variant: PairVariant
    solution: Solution

    @property
    def status(self) -> Status:
        """The verdict's status."""
        return self.solution.verdict.status

    @property
    def reasons(self) -> tuple[str, ...]:
        """The verdict's reasons; lengths in them are in moving pixels of the variant, which is said."""
        reasons, by = self.solution.verdict.reasons, self.variant.reductions[1]
        if by == 1 or self.status is Status.OK:
            return reasons
        return tuple(f"on the moving image at 1/{by} of its size, with lengths in its pixels: {r}" for r in reasons)

    def is_better_than(self, other: Found) -> bool:
        """Tell whether the verdict is better than that of another one."""
        return _RANK.index(self.status) < _RANK.index(other.status)

    @property
    def notes(self) -> Iterator[str]:
        """A sentence for each thing that sets the variant apart from the images."""
        if self.variant.by_texture:
            yield (
                "the images are compared by their local texture (log of the local standard deviation), as those of "
                "different sensors or stains are; the figures are of these maps"
            )
        if self.variant.mirrored:
            yield "the moving image is mirrored: the transform reverses it"
        for name, by in zip(("fixed", "moving"), self.variant.reductions, strict=True):
            if by > 1:
                yield f"the {name} image is the finer one: it was reduced to 1/{by} of its size for the registration"


def registered(images: Images, task: Task, variant: PairVariant) -> Found:
    """Return what the usual search of a variant leads to."""
    pair, own = variant.pair, variant.task(task)
    settings = variant.settings(images.fitted((pair.shape, pair.moving_shape)))
    solution = solve(pair, own, settings, find(pair, own, settings))
    solution = with_smaller_overlap(pair, own, solution)
    return Found(variant, with_smaller_windows(pair, own, solution))


def stands_out(variant: PairVariant, candidates: list[Candidate]) -> bool:
    """Tell whether the best candidate of a search of a variant agrees at all, and better than the others."""
    if not candidates or not candidates[0].score > 0:
        return False
    ratio = start_ratio(candidates, variant.pair.shape, variant.pair.moving_shape)
    return ratio is None or ratio >= MIN_START_RATIO


def solved(images: Images, task: Task, variant: PairVariant, candidates: list[Candidate]) -> Found:
    """Return what the best of the candidates of a variant leads to."""
    pair, own = variant.pair, variant.task(task)
    settings = variant.settings(images.fitted((pair.shape, pair.moving_shape)))
    return Found(variant, with_smaller_windows(pair, own, solve(pair, own, settings, candidates)))


def with_agreeing_share(images: Images, found: Found) -> Found:
    """Return what was found with the share of both images that agrees, where it is ok and noise does not hide that.

    A note says so where that is little.
    """
    solution = found.solution
    ceiling = solution.evidence.zncc_ceiling
    if found.status is not Status.OK or ceiling is None or ceiling < NOISY_CEILING:
        return found
    oriented = images.oriented_of(found.variant, found.variant.pair.judged)
    share = agreeing_share(oriented, solution.fit.matrix)
    if share is None:
        return found
    note = (
        f"{share:.0%} of what both images show in the overlap is alike where the transform puts it: the rest may lie "
        "at another depth, have moved by itself, or look different"
    )
    notes = (*solution.notes, note) if share < NOTED_AGREEING_SHARE else solution.notes
    evidence = replace(solution.evidence, agreeing_share=share)
    return replace(found, solution=replace(solution, evidence=evidence, notes=notes))


def held_against_its_parts(images: Images, task: Task, found: Found) -> Found:
    """Return what was found, suspect where it is ok and parts of the images lie elsewhere, each for itself.

    A fit by brightness whose windows hardly scatter leaves no part behind.
    """
    variant, solution = found.variant, found.solution
    error = solution.evidence.expected_error
    scatters = variant.by_texture or error is None or error >= _SCATTER_PX
    if found.status is not Status.OK or not scatters:
        return found
    level, own = variant.pair.judged, variant.task(task)
    alike = not variant.by_texture and look_alike(solution.evidence)
    solution = held_against_parts(solution, own, images.oriented_of(variant, level), alike=alike)
    # A finer level tells less than a pixel of this one; not where the images differ by more, nor where noise hides it.
    finest = variant.pair.finest_of(MAX_BLOCK_PIXELS)
    while finest is not None and level > finest and solution.evidence.residual_motion == 0 and alike:
        level -= 1
        finer = held_against_parts(solution, own, images.oriented_of(variant, level), alike=alike)
        solution = solution if finer.evidence.residual_motion is None else finer
    if solution.verdict.status is Status.OK and solution.evidence.left_behind:
        solution = replace(solution, notes=(*solution.notes, _LEFT_NOTE))
    return replace(found, solution=solution)


def leaves_parts_behind(images: Images, found: Found) -> bool:
    """Tell whether parts of images that look alike lie off the matrix found, on the finest level that blocks take."""
    variant, solution = found.variant, found.solution
    if variant is not images.as_they_are or not look_alike(solution.evidence):
        return False
    level = variant.pair.finest_of(MAX_BLOCK_PIXELS)
    return level is not None and Parts.of(images.oriented_of(variant, level), solution.fit.matrix).left_behind > 0


def searched(
    images: Images,
    task: Task,
    variant: PairVariant,
    scales: tuple[float, float] = USUAL_SCALES,
    *,
    quick: bool = False,
) -> list[Candidate]:
    """Return where a search of a variant leads; ``scales`` and ``quick`` as in `Search`."""
    pair, own = variant.pair, variant.task(task)
    settings = variant.settings(images.fitted((pair.shape, pair.moving_shape)))
    return find(pair, own, settings, scales=scales, quick=quick)
