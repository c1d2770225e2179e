"""From evidence to a status and its reasons, and what pairs get that nobody can align."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from tests.registration.analytic import Scene, about_centre
from zncc_cli import register
from zncc_cli.config import Model, RegistrationConfig
from zncc_cli.registration.optimizer import Ending
from zncc_cli.registration.quality.bounds import block_significance
from zncc_cli.registration.quality.evidence import Evidence
from zncc_cli.registration.quality.verdict import Request, Status, judge
from zncc_cli.report.json import json_text
from zncc_cli.text import told_apart

GOOD = Evidence(
    zncc_before=0.1,
    zncc_after=0.8,
    overlap=0.9,
    block_significance=200.0,
    ending=Ending.CONVERGED,
    motion=3.0,
    zncc_coarse=0.8,
    zncc_ceiling=0.9,
)


def test_agreement_everywhere_is_ok() -> None:
    assert judge(GOOD).status is Status.OK


def test_no_overlap_has_failed() -> None:
    verdict = judge(replace(GOOD, zncc_after=None, overlap=0.0, block_significance=None))
    assert verdict.status is Status.FAILED
    assert verdict.reasons[0] == "the images do not overlap enough to be compared"


def test_an_overlap_below_the_bound_is_told_with_the_argument_that_sets_it() -> None:
    little = replace(GOOD, zncc_after=None, overlap=0.238, block_significance=None)
    verdict = judge(little, Request(RegistrationConfig(min_overlap=0.25)))
    assert verdict.status is Status.FAILED
    told = "they overlap by 23.8%, less than the 25.0% of `min_overlap`; a `min_overlap` of 0.238 accepts that"
    assert told in verdict.reasons[0]
    # Enough of it, but no whole window: another `min_overlap` would not help.
    assert "`min_overlap`" not in judge(little, Request(RegistrationConfig(min_overlap=0.2))).reasons[0]
    assert "`min_overlap`" not in judge(little).reasons[0]
    no_room = judge(little, Request(RegistrationConfig(min_overlap=0.2, window=31))).reasons[0]
    assert "no window of 31 pixels fits; lower `window`" in no_room
    # Where nobody asked for a bound, the least that is looked for is one.
    least = judge(replace(little, overlap=0.0312)).reasons[0]
    assert (
        "they overlap by 3.1%, less than the 5.0% that the search accepts; a `min_overlap` of 0.031 accepts that"
        in least
    )


def test_what_was_found_beyond_the_largest_motion_has_failed_and_names_the_argument() -> None:
    verdict = judge(replace(GOOD, distance_beyond_bound=46.2), Request(RegistrationConfig(max_motion=5.0)))
    assert verdict.status is Status.FAILED
    assert "within a `max_motion` of 5 px" in verdict.reasons[0]
    assert "46.2 px from the start" in verdict.reasons[0]


# What is against a result, what was asked for, and the advice: what helps, and not what was done.
ADVICE: dict[str, tuple[dict[str, object], Request, str, str]] = {
    "model_misfit": (
        {"model_misfit": 2.0},
        Request(RegistrationConfig(model=Model.RIGID)),
        "try `model` affine, or auto",
        "compare",
    ),
    "parts elsewhere": ({"residual_motion": 3.0}, Request(), "try `model` auto, or bspline", "compare"),
    "a part in place": ({"signal_agreement": 0.25}, Request(), "signal agreement 0.25, at least 0.35", "model"),
    "two depths": ({"second_motion": 0.7}, Request(), "another transform explains 70% as many parts", "try"),
    "parts elsewhere, auto": (
        {"residual_motion": 3.0},
        Request(RegistrationConfig(model=Model.AUTO), Model.AFFINE),
        "compare with `model` bspline",
        "try `model` auto",
    ),
    "richer than affine": ({"model_misfit": 2.0}, Request(), "try `model` homography, or auto", "affine, or"),
    "richer than auto": (
        {"model_misfit": 2.0},
        Request(RegistrationConfig(model=Model.AUTO), Model.TRANSLATION),
        "the translation that `model` auto chose",
        "or auto",
    ),
    "no simpler model": (
        {"expected_error": 1.15},
        Request(RegistrationConfig(model=Model.TRANSLATION)),
        "the texture determines the position only to within 1.15 px",
        "simpler",
    ),
    "a parameter that nothing holds": ({"aperture_agreement": 2.0}, Request(), "try a simpler `model`", "auto"),
    "no simpler one to hold it": (
        {"aperture_agreement": 2.0},
        Request(RegistrationConfig(model=Model.AUTO), Model.TRANSLATION),
        "parallel lines",
        "simpler",
    ),
    "undetermined": ({"ending": Ending.UNDETERMINED}, Request(), "try a simpler `model`", "`max_iterations`"),
    "elsewhere": (
        {"peak_ratio": 1.2},
        Request(),
        "with `init`, and allow less than a period with `max_motion`",
        "out;",
    ),
    "elsewhere from a start": ({"peak_ratio": 1.2}, Request(init_given=True), "`max_motion`", "`init`"),
    "elsewhere, bounded": (
        {"peak_ratio": 1.2},
        Request(RegistrationConfig(max_motion=4.0), init_given=True),
        "off by a period",
        "`",
    ),
    "too few windows": ({"block_significance": None}, Request(), "too few independent windows", "`window`"),
    "too few of those asked for": (
        {"block_significance": None},
        Request(RegistrationConfig(window=21)),
        "choose a `window` smaller than 21, or leave it out",
        "`model`",
    ),
    "nothing found": ({"block_significance": 4.2}, Request(), "the motion is beyond the search", "`min_overlap`"),
    "nothing found from a start": (
        {"block_significance": 4.2},
        Request(init_given=True),
        "without it the start is searched for",
        "beyond",
    ),
    "nothing found in a bound": (
        {"block_significance": 4.2},
        Request(RegistrationConfig(max_motion=4.0, min_overlap=0.5)),
        "the motion is more than the `max_motion` of 4 px, or they have less in common than the `min_overlap` of 50%",
        "`init`",
    ),
}


@pytest.mark.parametrize("case", ADVICE)
def test_advice_is_what_was_not_done(case: str) -> None:
    against, asked, said, unsaid = ADVICE[case]
    reasons = "; ".join(judge(replace(GOOD, **against), asked).reasons)  # type: ignore[arg-type]
    assert said in reasons
    assert unsaid not in reasons


def test_a_figure_reads_otherwise_than_the_bound_that_it_misses() -> None:
    assert told_apart(2.41, 2.38, 1) == ("2.41", "2.38")
    assert told_apart(15.2, 55, 0) == ("15", "55")
    little = replace(GOOD, block_significance=54.7, peak_ratio=3.0)
    assert "block significance 54.7, at least 55.0" in judge(little).reasons[0]
    assert "1.5999, at least 1.6000 is needed" in judge(replace(GOOD, start_ratio=1.5999)).reasons[0]
    assert "2.199, at least 2.200 is needed" in judge(replace(GOOD, peak_ratio=2.199)).reasons[0]


def test_a_place_that_stands_out_on_a_finer_level_need_not_stand_out_among_the_starts() -> None:
    hidden = replace(GOOD, start_ratio=1.2)
    assert judge(hidden).status is Status.FAILED
    assert judge(replace(hidden, fine_ratio=2.9)).status is Status.FAILED
    assert judge(replace(hidden, fine_ratio=3.0)).status is Status.OK
    # Where the optimiser still went on, the rival was not compared with a result.
    assert judge(replace(hidden, fine_ratio=9.0, ending=Ending.MAX_ITERATIONS)).status is Status.FAILED


def test_agreement_no_better_than_chance_has_failed() -> None:
    verdict = judge(replace(GOOD, zncc_after=0.05, block_significance=4.2))
    assert verdict.status is Status.FAILED
    assert "block significance 4, at least 55 is needed" in verdict.reasons[0]


def test_a_richer_model_is_named_among_the_remedies_where_there_is_one() -> None:
    nothing = replace(GOOD, zncc_after=0.05, block_significance=4.2)
    for model in ("translation", "rigid", "similarity", "affine"):
        assert (
            f"a `model` richer than {model}"
            in judge(nothing, Request(RegistrationConfig(model=Model(model)))).reasons[0]
        )
    for model in ("auto", "homography"):
        assert "`model`" not in judge(nothing, Request(RegistrationConfig(model=Model(model)))).reasons[0]


def test_a_simpler_model_is_not_advised_beside_a_richer_one() -> None:
    unsure = replace(GOOD, expected_error=1.15)
    assert "simpler" in judge(unsure).reasons[0]
    for against in ({"model_misfit": 7.8}, {"fold_distance": 0.6, "fold_distance_ratio": 9.0}):
        reasons = judge(replace(unsure, **against)).reasons
        assert reasons[0] == "the texture determines the position only to within 1.15 px"
        assert "richer" in reasons[1]


def test_a_start_that_was_not_left_has_failed_where_nothing_tells_that_it_is_right() -> None:
    unmoved = replace(GOOD, ending=Ending.OUT_OF_DOMAIN, motion=0.0)
    assert judge(replace(unmoved, block_significance=None)).status is Status.FAILED
    assert judge(unmoved).status is Status.SUSPECT
    assert judge(replace(GOOD, block_significance=None)).status is Status.SUSPECT


def test_a_lower_zncc_than_before_is_suspect() -> None:
    verdict = judge(replace(GOOD, zncc_before=0.9))
    assert verdict.status is Status.SUSPECT
    assert verdict.reasons == ("the ZNCC fell from 0.900 to 0.800",)


def test_an_optimiser_that_ended_early_is_suspect_and_says_what_helps() -> None:
    verdict = judge(replace(GOOD, ending=Ending.MAX_ITERATIONS))
    assert verdict.status is Status.SUSPECT
    assert "`max_iterations`" in verdict.reasons[0]


@pytest.mark.parametrize("against", [{"block_significance": 4.2}, {"peak_ratio": 1.2}])
def test_more_iterations_are_advised_only_where_nothing_else_speaks_against_the_result(
    against: dict[str, float],
) -> None:
    verdict = judge(replace(GOOD, ending=Ending.MAX_ITERATIONS, **against))
    assert "the iterations ran out" in verdict.reasons[-1]
    assert "`max_iterations`" not in " ".join(verdict.reasons)


def test_agreement_is_the_mean_over_what_lies_below_zero() -> None:
    blocks = np.full((4, 5), 0.3)
    blocks[0, :2] = -0.1
    chance = np.sqrt(2 * 2 * 0.1**2 / 20)
    assert block_significance(blocks) == pytest.approx(blocks.mean() / (chance / np.sqrt(20)))


def test_unequal_blocks_agree_as_long_as_none_is_below_zero() -> None:
    unequal = np.linspace(0.05, 0.95, 64).reshape(8, 8)
    assert block_significance(unequal) == block_significance(np.full((8, 8), 0.5)) == 4 * 64


def test_few_blocks_say_nothing() -> None:
    blocks = np.full((4, 4), 0.9)
    assert block_significance(blocks) is not None
    blocks[0, :3] = np.nan
    assert block_significance(blocks) is None


def test_blocks_that_agree_here_and_there_do_not_count() -> None:
    chance = np.random.default_rng(0).normal(0.05, 0.3, (8, 8))
    assert block_significance(chance) < 5


def test_an_agreement_that_does_not_stand_out_is_none() -> None:
    def status(start_ratio: float | None) -> Status:
        return judge(Evidence(0.1, 0.5, 0.4, 188.0, Ending.CONVERGED, 300.0, start_ratio)).status

    assert status(1.02) is Status.FAILED
    assert status(4.0) is Status.OK
    assert status(None) is Status.OK


def test_a_result_that_stands_out_needs_less_agreement() -> None:
    weak = replace(GOOD, zncc_after=0.15, zncc_coarse=0.15, block_significance=30.0)
    assert judge(replace(weak, start_ratio=5.0)).status is Status.OK
    for start_ratio in (None, 1.7):
        assert judge(replace(weak, start_ratio=start_ratio)).status is Status.FAILED
    assert judge(replace(weak, block_significance=24.0, start_ratio=5.0)).status is Status.FAILED


def test_what_noise_hides_is_believed_where_all_other_figures_speak_for_it() -> None:
    hidden = replace(
        GOOD, zncc_before=0.0, zncc_after=0.05, zncc_coarse=0.05, zncc_ceiling=0.08, block_significance=20.0
    )
    clear = replace(hidden, start_ratio=5.0, peak_ratio=9.0)
    assert judge(clear).status is Status.OK
    # Another variant of the pair had a try already: chance has had its own.
    assert judge(clear, Request(further=True)).status is Status.FAILED
    # The same agreement without the noise, or beside another shift that agrees nearly as well, is none.
    assert judge(replace(clear, zncc_ceiling=0.9)).status is Status.FAILED
    assert judge(replace(clear, peak_ratio=2.5)).status is Status.FAILED


def test_figures_that_pass_one_by_one_may_be_too_little_together() -> None:
    poor = replace(GOOD, zncc_coarse=0.1, zncc_ceiling=0.9, block_significance=60.0, start_ratio=1.7, peak_ratio=2.3)
    verdict = judge(poor)
    assert verdict.status is Status.SUSPECT
    assert "all figures together leave a probability of 0." in verdict.reasons[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"peak_ratio": 1.05}, "at another shift (peak ratio 1.05"),
        ({"held_out_before": 0.5, "held_out_after": 0.3, "zncc_coarse": 0.8}, "held out from the fit the ZNCC fell"),
        ({"held_out_before": 0.1, "held_out_after": 0.3, "zncc_coarse": 0.8}, "does not say where the other half lies"),
        ({"expected_error": 0.8}, "determines the position only to within 0.80 px"),
        (
            {"fold_distance": 0.6, "fold_distance_ratio": 9.0},
            "want to move 0.60 px apart, 3.0 times what chance explains",
        ),
        ({"aperture_agreement": 2.1}, "(aperture agreement 2.1, at least 10 is needed)"),
        ({"round_trip": 0.9}, "with fixed and moving exchanged the result would move by 0.90 px"),
        ({"border_pull": np.inf}, "without it nothing holds the result"),
        ({"least_scale": 0.1}, "scales by 0.10 to 1.00"),
        ({"most_scale": 7.0}, "scales by 1.00 to 7.00"),
        ({"shear": 4.0}, "stretches one direction 4.0 times"),
    ],
)
def test_each_doubt_is_suspect_and_said_in_words(change: dict[str, float], said: str) -> None:
    verdict = judge(replace(GOOD, **change))
    assert verdict.status is Status.SUSPECT
    assert len(verdict.reasons) == 1
    assert said in verdict.reasons[0]


@pytest.mark.parametrize(
    "change",
    [
        {"peak_ratio": None},
        {"peak_ratio": 8.0},
        {"held_out_before": 0.1, "held_out_after": 0.78, "zncc_coarse": 0.8},
        {"expected_error": 0.02},
        {
            "fold_distance": 0.01,
            "fold_distance_ratio": 9.0,
        },  # thousandths of a pixel that blocks agree about matter to nobody
        {"fold_distance": 0.6, "fold_distance_ratio": 1.2},
        {"aperture_agreement": 200.0},
        {"round_trip": 0.02},
        {"border_pull": 0.01},  # a plain background that moves with its object
        {"border_pull": 0.4, "border_left_out": True},  # it was judged without the border
    ],
)
def test_what_right_results_show_is_ok(change: dict[str, float | None]) -> None:
    assert judge(replace(GOOD, **change)).status is Status.OK


def test_a_place_that_blocks_find_must_still_stand_out_from_its_repetitions() -> None:
    by_texture = replace(GOOD, consensus=200.0, start_ratio=2.2)
    assert judge(replace(by_texture, peak_ratio=1.9)).status is Status.OK
    assert judge(replace(by_texture, peak_ratio=1.3)).status is Status.SUSPECT


@pytest.mark.parametrize(
    ("consensus", "rival", "status"),
    [
        (47.0, 0.1, Status.OK),
        (130.0, 31.0, Status.SUSPECT),  # the other place is found as well: a period off
        (6.1, 0.1, Status.SUSPECT),  # blocks of objects that are all alike come to this
    ],
)
def test_blocks_tell_a_place_from_those_that_agree_as_well(consensus: float, rival: float, status: Status) -> None:
    repeated = replace(GOOD, start_ratio=2.2, peak_ratio=1.3, consensus=consensus, rival_consensus=rival)
    assert judge(repeated).status is status


def test_where_blocks_judge_the_error_may_be_half_of_what_they_tell() -> None:
    by_texture = replace(GOOD, consensus=20.0, consensus_tolerance=3.5)
    assert judge(replace(by_texture, expected_error=1.7)).status is Status.OK
    assert judge(replace(by_texture, expected_error=1.8)).status is Status.SUSPECT
    assert judge(replace(by_texture, expected_error=1.7, consensus=2.0)).status is Status.SUSPECT


def test_a_transform_that_turns_the_frame_inside_out_has_failed() -> None:
    assert judge(replace(GOOD, least_scale=-0.5)).status is Status.FAILED


def test_evidence_can_be_written_into_a_report() -> None:
    assert '"ending": "converged"' in json_text(asdict(replace(GOOD, border_pull=np.inf)))


# Pairs ----------------------------------------------------------------------------------------------------------------

SHAPE = (160, 192)


def bricks(dx: float, dy: float, seed: int) -> np.ndarray:
    """Return a wall of bricks that all look alike, 28 x 20 pixels the pattern, moved by (dx, dy); a little noise."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    x, y = x - dx, y - dy
    row = np.floor(y / 10)
    u, v = np.mod(x + 14 * np.mod(row, 2), 28), np.mod(y, 10)
    joint = np.minimum(np.minimum(u, 28 - u), np.minimum(v, 10 - v))
    return 1 / (1 + np.exp(1.5 - joint)) + 0.03 * np.random.default_rng(seed).normal(size=SHAPE)


@pytest.mark.parametrize("model", ["translation", "rigid", "affine"])
def test_a_brick_wall_may_be_a_period_off_and_is_not_ok(model: str) -> None:
    # More than half a period along both: the nearest place that agrees is the wrong one.
    got = register(bricks(0, 0, 1), bricks(17, 12, 2), model)
    assert got.status is not Status.OK
    assert got.evidence.peak_ratio is not None
    assert got.evidence.peak_ratio < 2


@pytest.mark.parametrize("model", ["translation", "similarity", "homography"])
def test_images_of_different_scenes_have_failed(model: str) -> None:
    got = register(Scene(seed=1).image(SHAPE), Scene(seed=2).image(SHAPE), model)
    assert got.status is Status.FAILED


@pytest.mark.parametrize("model", ["translation", "similarity", "homography"])
def test_white_noise_has_failed(model: str) -> None:
    fixed, moving = np.random.default_rng(3).normal(size=(2, *SHAPE))
    assert register(fixed, moving, model).status is Status.FAILED


def test_noise_under_the_same_light_is_not_ok() -> None:
    """The light agrees everywhere, and says nothing about where a scene would lie."""
    y, x = np.mgrid[-1 : 1 : SHAPE[0] * 1j, -1 : 1 : SHAPE[1] * 1j]
    noise = 0.02 * np.random.default_rng(4).normal(size=(2, *SHAPE))
    fixed, moving = 1 - 0.4 * (x * x + y * y) + noise
    assert register(fixed, moving, "rigid").status is not Status.OK


@pytest.mark.parametrize("model", ["translation", "rigid", "similarity", "affine", "homography"])
def test_a_noisy_pair_of_one_scene_is_ok(model: str) -> None:
    truth = about_centre([[1, 0], [0, 1]], (6.3, -4.2), SHAPE)
    fixed, moving = Scene(seed=7).pair(truth, SHAPE)
    noise = np.random.default_rng(5).normal(size=(2, *SHAPE))
    got = register(fixed / fixed.std() + 0.5 * noise[0], moving / moving.std() + 0.5 * noise[1], model)
    assert got.status is Status.OK, got.reasons
    assert got.evidence.held_out_after is not None
    assert got.evidence.held_out_before is not None
    assert got.evidence.held_out_after > got.evidence.held_out_before


def lines(of: np.ndarray, noise: float, seed: int) -> np.ndarray:
    """Return a profile without a period along ``of``, a place at every pixel, and white noise."""
    profile = np.random.default_rng(seed).normal(size=500)
    profile = np.convolve(profile, np.exp(-0.5 * (np.arange(-9, 10) / 3) ** 2), "same")
    drawn = np.interp(of + 100, np.arange(500), profile / profile.std())
    return np.asarray(drawn + noise * np.random.default_rng(int(1e4 * of.flat[0])).normal(size=of.shape))


@pytest.mark.parametrize("noise", [0.05, 0.4])
@pytest.mark.parametrize("model", ["translation", "rigid", "affine"])
def test_parallel_lines_do_not_tell_the_shift_along_them_and_are_not_ok(model: str, noise: float) -> None:
    """Noise alone has a gradient along them, and the fit would be sure of where the two noises agree by chance."""
    y, _ = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    got = register(lines(y, noise, 1), lines(y + 5.3, noise, 1), model)
    assert got.status is not Status.OK
    assert any("parallel lines" in reason for reason in got.reasons)


def test_rings_tell_the_shift_and_not_the_rotation() -> None:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    fixed, moving = (lines(np.hypot(x - 95 - dx, y - 80 - dy), 0.1, 2) for dx, dy in ((0, 0), (3.4, -2.6)))
    shifted = register(fixed, moving, "translation")
    assert shifted.status is Status.OK, shifted.reasons
    assert shifted.matrix[:2, 2] == pytest.approx([3.4, -2.6], abs=0.03)  # three deviations that it claims
    turned = register(fixed, moving, "rigid")
    assert turned.status is Status.SUSPECT
    assert any("parallel lines" in reason for reason in turned.reasons)


@pytest.mark.parametrize("side", [88, 128])
def test_a_rotation_is_no_translation_in_a_small_image_either(side: int) -> None:
    """Few blocks of 32 pixels see it, and each one's own misfit must not pass for noise."""
    a = np.radians(2)
    truth = about_centre([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]], (3.0, 2.0), (side, side))
    fixed, moving = Scene(seed=3).pair(truth, (side, side))
    noise = 0.05 * np.random.default_rng(0).normal(size=(2, side, side))
    fixed, moving = fixed / fixed.std() + noise[0], moving / moving.std() + noise[1]
    assert register(fixed, moving, "translation").status is not Status.OK
    assert register(fixed, moving, "rigid").status is Status.OK


def test_what_a_mask_leaves_out_has_no_say_in_the_verdict() -> None:
    """A fit to a corner of the frame is sure there, and extrapolated over the whole it would look bad."""
    shape, seen = (400, 400), np.s_[30:180, 30:180]
    a = np.radians(1)
    truth = about_centre([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]], (5.0, 3.0), shape)
    fixed, moving = Scene(seed=4).pair(truth, shape)
    noise = 0.3 * np.random.default_rng(1).normal(size=(2, *shape))
    fixed, moving = fixed / fixed.std() + noise[0], moving / moving.std() + noise[1]
    mask = np.zeros(shape, bool)
    mask[seen] = True
    masked = register(fixed, moving, "affine", fixed_mask=mask)
    assert masked.status is Status.OK, masked.reasons
    cut = register(fixed[seen], moving, "affine")
    assert masked.evidence.round_trip == pytest.approx(cut.evidence.round_trip, abs=0.02)


@pytest.mark.parametrize("model", ["translation", "rigid"])
def test_a_motion_richer_than_the_model_is_suspect(model: str) -> None:
    """Turned by half a degree, or scaled by one percent, and clean: no window is far off, and all are."""
    turned = np.array([[np.cos(0.009), -np.sin(0.009), 1.3], [np.sin(0.009), np.cos(0.009), -2.2], [0, 0, 1]])
    scaled = np.array([[1.012, 0, 1.3], [0, 1.012, -2.2], [0, 0, 1]])
    truth = turned if model == "translation" else scaled
    scene, shape = Scene(seed=0), (300, 380)
    fixed, moving = scene.pair(truth, shape)
    result = register(fixed, moving, model)
    assert result.status is not Status.OK, result.evidence
    assert register(fixed, moving, "similarity").status is Status.OK


@pytest.mark.parametrize(("misfit", "tolerance", "ok"), [(3.0, 3.5, True), (4.0, 3.5, False), (4.0, 7.0, True)])
def test_a_richer_model_is_doubted_by_no_less_than_blocks_tell(misfit: float, tolerance: float, ok: bool) -> None:
    confirmed = replace(GOOD, model_misfit=misfit, consensus=20.0, consensus_tolerance=tolerance)
    assert (judge(confirmed).status is Status.OK) == ok
    # Blocks that do not confirm the place excuse nothing.
    assert judge(replace(confirmed, consensus=1.0)).status is not Status.OK
