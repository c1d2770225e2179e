"""What a registration promises: parameters in pixels, a verdict, and clear errors."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import numpy as np
import pytest
import torch

from tests.registration.analytic import Scene, about_centre, corner_error, rotation, small_motions
from zncc_cli import register
from zncc_cli.config import GPU_PIXELS, Device, Optimizer
from zncc_cli.errors import BackendError, ContentError, OptionError, WindowError
from zncc_cli.registration.register import resolve_device
from zncc_cli.registration.search import multistart

SHAPE = (160, 192)
TRUTH = small_motions(SHAPE)


@pytest.mark.parametrize("model", TRUTH)
def test_recovers_known_subpixel_motion(model: str) -> None:
    fixed, moving = Scene(seed=3).pair(TRUTH[model], SHAPE)
    result = register(fixed, moving, model)
    # No noise: what is left is the spline through wavelengths down to 7 pixels, and the tolerance of 0.002 px.
    assert corner_error(result.matrix, TRUTH[model], SHAPE) < 0.01
    assert result.status == "ok"
    assert result.evidence.zncc_after > 0.99


@pytest.mark.parametrize("model", ["translation", "affine"])
def test_matrix_maps_fixed_to_moving(model: str) -> None:
    shift = about_centre(rotation(0), (9.0, 0.0), SHAPE)
    fixed, moving = Scene(seed=4).pair(shift, SHAPE)
    assert np.allclose(moving[:, 9:], fixed[:, :-9])  # what fixed shows at x, moving shows at x + 9
    assert register(fixed, moving, model).matrix[0, 2] == pytest.approx(9.0, abs=0.05)


def test_result_has_the_form_of_its_model() -> None:
    fixed, moving = Scene(seed=5).pair(TRUTH["affine"], SHAPE)
    rigid = register(fixed, moving, "rigid").matrix
    np.testing.assert_allclose(rigid[:2, :2] @ rigid[:2, :2].T, np.eye(2), atol=1e-12)
    translation = register(fixed, moving, "translation").matrix
    np.testing.assert_array_equal(translation[:2, :2], np.eye(2))
    for matrix in (rigid, translation):
        np.testing.assert_array_equal(matrix[2], [0, 0, 1])


@pytest.mark.parametrize("optimizer", Optimizer)
def test_every_optimizer_leads_to_the_same_place(optimizer: Optimizer) -> None:
    fixed, moving = Scene(seed=3).pair(TRUTH["affine"], SHAPE)
    result = register(fixed, moving, "affine", optimizer=optimizer)
    assert corner_error(result.matrix, TRUTH["affine"], SHAPE) < 0.01  # the finest level is refined either way
    assert result.status == "ok"


def test_unknown_optimizer_names_the_choices() -> None:
    image = Scene(seed=1).image(SHAPE)
    with pytest.raises(OptionError, match="`optimizer`: expected one of bfgs, gauss-newton, gradient-descent"):
        register(image, image, optimizer="adam")


def test_fine_texture_a_pixel_off_needs_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """White noise is nothing but fine texture: on the coarsest of three levels hardly any of it is left."""
    noise = np.random.default_rng(0).normal(size=(421, 421))
    monkeypatch.setattr(multistart, "find_starts", lambda *_: pytest.fail("was searched"))
    result = register(noise[:420, :420], noise[1:, 1:], "translation")
    assert result.status == "ok"
    # Between the pixels white noise can only be guessed at, but the shift is by whole ones.
    np.testing.assert_allclose(result.matrix[:2, 2], (-1, -1), atol=0.01)
    factors = [level.factor for level in result.levels]
    assert factors == sorted(factors, reverse=True)


def test_levels_account_for_part_of_the_time() -> None:
    fixed, moving = Scene(seed=5).pair(TRUTH["rigid"], SHAPE)
    result = register(fixed, moving, "rigid")
    assert all(level.seconds > 0 for level in result.levels)
    assert sum(level.seconds for level in result.levels) < result.seconds


def test_gain_offset_and_shading_do_not_matter() -> None:
    fixed, moving = Scene(seed=6).pair(TRUTH["rigid"], SHAPE)
    x = np.linspace(0, 1, SHAPE[1])
    shaded = 200 * moving * (1 + 0.5 * x) + 30000 + 400 * x
    # The shading changes within a window by 3 percent, which pulls a little: a tenth of a pixel is far below it.
    assert corner_error(register(fixed, shaded, "rigid").matrix, TRUTH["rigid"], SHAPE) < 0.1


def test_large_translation_with_less_than_half_the_frame_in_common() -> None:
    truth = about_centre(rotation(0), (75.4, -48.3), SHAPE)
    fixed, moving = Scene(seed=7).pair(truth, SHAPE)
    result = register(fixed, moving, "translation")
    assert corner_error(result.matrix, truth, SHAPE) < 0.05
    assert result.evidence.overlap < 0.5


FAR = {
    "rigid": about_centre(rotation(140), (14.3, -9.2), SHAPE),
    "similarity": about_centre(rotation(35, 0.55), (6.1, 3.3), SHAPE),
    "affine": about_centre(rotation(-110, 1.9), (-8.4, 5.2), SHAPE),
    "homography": about_centre(rotation(178, 1.3), (4.3, 7.7), SHAPE),
}


@pytest.mark.parametrize(
    ("model", "inverted"), [("rigid", True), ("similarity", False), ("affine", False), ("homography", True)]
)
def test_any_rotation_and_scale_and_contrast_needs_no_hint(model: str, inverted: bool) -> None:
    fixed, moving = Scene(seed=60).pair(FAR[model], SHAPE)
    result = register(fixed, moving.max() - moving if inverted else moving, model)
    # At a scale of 0.55 wavelengths of 7 pixels are left with 4, which the spline follows less well.
    assert corner_error(result.matrix, FAR[model], SHAPE) < 0.05
    assert (result.status, result.inverted) == ("ok", inverted)


@pytest.mark.parametrize("model", ["translation", "affine"])
def test_inverted_contrast_costs_no_precision(model: str) -> None:
    fixed, moving = Scene(seed=3).pair(TRUTH[model], SHAPE)
    result = register(fixed, moving.max() - moving, model)
    assert corner_error(result.matrix, TRUTH[model], SHAPE) < 0.01  # as without
    assert (result.status, result.inverted) == ("ok", True)
    assert result.evidence.zncc_after > 0.99


def test_rotation_with_a_third_of_the_frame_in_common() -> None:
    truth = about_centre(rotation(25), (98.2, -51.6), SHAPE)
    fixed, moving = Scene(seed=61).pair(truth, SHAPE)
    result = register(fixed, moving, "rigid")
    assert corner_error(result.matrix, truth, SHAPE) < 0.05
    assert result.evidence.overlap < 0.36


def test_an_overlap_below_the_bound_is_measured_on_the_result() -> None:
    truth = about_centre(rotation(0), (0.72 * SHAPE[1], 0), SHAPE)
    fixed, moving = Scene(seed=61).pair(truth, SHAPE)
    result = register(fixed, moving, "translation", init=truth, min_overlap=0.3)
    assert result.status == "failed"
    # Of its pixels less a border of one, which the interpolation needs.
    assert result.evidence.overlap == pytest.approx(0.28, abs=0.005)
    assert "less than the 30.0% of `min_overlap`" in result.reasons[0]
    lowered = register(fixed, moving, "translation", init=truth, min_overlap=0.2)
    assert corner_error(lowered.matrix, truth, SHAPE) < 0.05
    assert lowered.status == "ok"


def test_init_is_followed_alone() -> None:
    fixed, moving = Scene(seed=62).pair(FAR["rigid"], SHAPE)
    near = about_centre(rotation(137), (11, -7), SHAPE)
    assert corner_error(register(fixed, moving, "rigid", init=3 * near).matrix, FAR["rigid"], SHAPE) < 0.01
    assert register(fixed, moving, "rigid", init=np.eye(3)).status == "failed"


def test_init_without_overlap_is_a_failed_registration() -> None:
    fixed, moving = Scene(seed=63).pair(TRUTH["rigid"], SHAPE)
    result = register(fixed, moving, "affine", init=about_centre(rotation(0), (5000, 0), SHAPE))
    assert result.status == "failed"
    assert "do not overlap enough" in result.reasons[0]


@pytest.mark.parametrize(
    "init",
    [
        np.eye(2),
        np.zeros((3, 3)),
        np.diag([1e-4, 1.0, 1.0]),
        np.diag([1e300, 1e300, 1.0]),
        np.full((3, 3), np.nan),
        np.array([[1, 0, 0], [0, 1, 0], [-0.01, 0, 1.0]]),
    ],
)
def test_unusable_init_is_an_error(init: np.ndarray) -> None:
    image = Scene(seed=1).image(SHAPE)
    with pytest.raises(OptionError, match="`init`: expected"):
        register(image, image, init=init)


def test_images_of_different_sizes() -> None:
    truth = about_centre(rotation(2), (30.2, 12.6), SHAPE)
    fixed, moving = Scene(seed=8).pair(truth, SHAPE, moving_shape=(220, 260))
    result = register(fixed, moving, "rigid")
    assert corner_error(result.matrix, truth, SHAPE) < 0.05
    assert (result.fixed_shape, result.moving_shape) == (SHAPE, (220, 260))


def test_masked_pixels_have_no_say() -> None:
    fixed, moving = Scene(seed=9).pair(TRUTH["translation"], SHAPE)
    spoilt, mask = moving.copy(), np.ones(SHAPE, dtype=bool)
    spoilt[40:110, 50:140] = 50 * Scene(seed=10).image((70, 90))
    mask[40:110, 50:140] = False
    result = register(fixed, spoilt, "translation", moving_mask=mask)
    assert corner_error(result.matrix, TRUTH["translation"], SHAPE) < 0.02


@pytest.mark.parametrize("masked", [0, 1])
def test_a_masked_array_is_its_own_mask_beside_the_one_given(masked: int) -> None:
    pair = list(Scene(seed=9).pair(TRUTH["rigid"], SHAPE))
    wrong = np.zeros(SHAPE, bool)
    wrong[20:70, 30:100] = True
    pair[masked] = np.where(wrong, np.random.default_rng(2).normal(0, 500, SHAPE), pair[masked])
    half = np.ones(SHAPE, bool)
    half[:, 150:] = False
    names = "fixed_mask", "moving_mask"
    expected = register(*pair, "rigid", **{names[masked]: half & ~wrong})
    pair[masked] = np.ma.array(pair[masked], mask=wrong)
    np.testing.assert_array_equal(register(*pair, "rigid", **{names[masked]: half}).matrix, expected.matrix)
    without = register(*pair, "rigid")
    assert corner_error(without.matrix, TRUTH["rigid"], SHAPE) < 0.02  # as in `test_masked_pixels_have_no_say`
    # A mask that is a masked array says nothing for the pixels that it masks.
    given = np.ma.array(half, mask=wrong)
    pair[masked] = np.asarray(pair[masked])
    np.testing.assert_array_equal(register(*pair, "rigid", **{names[masked]: given}).matrix, expected.matrix)


def test_a_tensor_that_requires_its_gradient_is_registered_like_any_other() -> None:
    pair = [torch.from_numpy(image) for image in Scene(seed=9).pair(TRUTH["rigid"], SHAPE)]
    expected = register(*pair, "rigid").matrix
    np.testing.assert_array_equal(register(*(image.requires_grad_() for image in pair), "rigid").matrix, expected)


@pytest.mark.parametrize("of", [np.array, torch.tensor, np.ndarray.tolist])
def test_complex_numbers_are_refused(of: Any) -> None:
    image = Scene(seed=9).pair(TRUTH["rigid"], SHAPE)[0]
    with pytest.raises(OptionError, match=r"^moving: expected real numbers, got complex ones; give their abs"):
        register(image, of(image + 1j))


def test_pixels_that_are_not_finite_are_masked() -> None:
    fixed, moving = Scene(seed=11).pair(TRUTH["affine"], SHAPE)
    moving[60:70, 80:95] = np.nan
    fixed[20, 30] = np.inf
    result = register(fixed, moving, "affine")
    assert corner_error(result.matrix, TRUTH["affine"], SHAPE) < 0.05


def test_identical_images_give_the_identity() -> None:
    image = Scene(seed=12).image(SHAPE)
    result = register(image, image, "homography")
    assert corner_error(result.matrix, np.eye(3), SHAPE) < 0.002  # the tolerance that ends the search


def test_two_runs_give_the_same_matrix() -> None:
    fixed, moving = Scene(seed=13).pair(TRUTH["affine"], SHAPE)
    np.testing.assert_array_equal(register(fixed, moving).matrix, register(fixed, moving).matrix)


@pytest.mark.parametrize("seed", range(4))
def test_unrelated_images_are_not_called_aligned(seed: int) -> None:
    result = register(Scene(seed=20 + seed).image(SHAPE), Scene(seed=40 + seed).image(SHAPE), "rigid")
    assert result.status == "failed"
    assert "no agreement found" in result.reasons[0]


@pytest.mark.parametrize("seed", range(4))
def test_noise_is_not_called_aligned(seed: int) -> None:
    rng = np.random.default_rng(seed)
    result = register(rng.normal(size=SHAPE), rng.normal(size=SHAPE), "affine")
    assert result.status == "failed"


@pytest.mark.parametrize("value", [30000, 0.1])  # the mean of many 0.1 is not quite 0.1
def test_constant_image_is_an_error(value: float) -> None:
    with pytest.raises(ContentError, match="moving: expected texture"):
        register(Scene(seed=1).image(SHAPE), np.full(SHAPE, value))


def test_a_small_crop_is_found_in_a_large_image_either_way_round() -> None:
    scene = Scene(seed=14).image((420, 500))
    crop = scene[200:264, 310:380]
    truth = about_centre(rotation(0), (310, 200), crop.shape)
    for fixed, moving, expected in ((crop, scene, truth), (scene, crop, np.linalg.inv(truth))):
        result = register(fixed, moving, "translation")
        assert corner_error(result.matrix, expected, fixed.shape) < 0.01
        assert result.status == "ok"


def test_an_overlap_of_few_windows_is_suspect_not_failed() -> None:
    image = Scene(seed=15).image((40, 40))
    result = register(image, image, "translation", window=20)
    assert result.status == "suspect"
    assert "too few independent windows" in result.reasons[0]


def test_identical_images_overlap_wholly() -> None:
    image = Scene(seed=16).image(SHAPE)
    result = register(image, image, "translation", min_overlap=1.0)
    assert result.status == "ok"
    assert result.evidence.overlap == pytest.approx(1, abs=1e-3)


def test_any_numpy_layout_is_taken() -> None:
    fixed, moving = Scene(seed=17).pair(TRUTH["translation"], SHAPE)
    expected = register(fixed, moving, "translation").matrix
    big_endian = moving.astype(">f8")
    reversed_twice = np.ascontiguousarray(fixed[::-1, ::-1])[::-1, ::-1]
    reversed_twice.setflags(write=False)
    mask = np.ones(SHAPE, ">u2")
    got = register(reversed_twice, big_endian, "translation", moving_mask=mask).matrix
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("window", [8, 15])
def test_even_and_larger_windows(window: int) -> None:
    fixed, moving = Scene(seed=18).pair(TRUTH["rigid"], SHAPE)
    assert corner_error(register(fixed, moving, "rigid", window=window).matrix, TRUTH["rigid"], SHAPE) < 0.01


def test_a_registration_leaves_the_backend_chosen_outside_it() -> None:
    import torch

    from zncc_cli.operators import native

    image = Scene(seed=1).image((64, 64))
    with native.selected("reference"):
        register(image, image, "translation", backend="auto")
        assert native.load(torch.device("cpu")).used == "reference"


def test_two_threads_register_with_a_backend_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have chosen before either computes, and nothing of a choice stays behind."""
    from zncc_cli.operators import native
    from zncc_cli.registration import register as module

    cpu, both_chosen = torch.device("cpu"), Barrier(2)
    usual, register_chosen = native.load(cpu).used, module._register

    def after_both(*arguments: Any) -> Any:
        both_chosen.wait(timeout=60)
        return register_chosen(*arguments)

    monkeypatch.setattr(module, "_register", after_both)
    image = Scene(seed=1).image((64, 64))
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(register, image, image, "translation", backend=name) for name in ("reference", "auto")]
        assert [future.result().backend.used for future in futures] == ["reference", usual]
        left = [future.result() for future in [pool.submit(lambda: native.load(cpu).used) for _ in range(8)]]
    assert {*left, native.load(cpu).used} == {usual}


@pytest.mark.cuda
def test_gpu_finds_what_the_cpu_finds() -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA GPU on this machine")
    fixed, moving = Scene(seed=19).pair(TRUTH["homography"], SHAPE)
    cpu, gpu = (register(fixed, moving, "homography", device=device) for device in ("cpu", "cuda"))
    assert gpu.device.startswith("cuda")
    # float32 sums in another order; both searches end within the tolerance of 0.002 px.
    assert corner_error(gpu.matrix, cpu.matrix, SHAPE) < 0.005


@pytest.mark.parametrize(
    ("device", "pixels", "expected"),
    [("auto", GPU_PIXELS - 1, "cpu"), ("auto", GPU_PIXELS, "cuda"), ("cuda", 1, "cuda"), ("cpu", 1 << 24, "cpu")],
)
def test_a_gpu_gets_small_images_only_when_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, device: str, pixels: int, expected: str
) -> None:
    # As if there were a GPU: which device is chosen does not need one.
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert resolve_device(Device(device), pixels).type == expected


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_images_that_a_gpu_has_no_memory_for_are_registered_on_the_cpu_unless_the_gpu_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, device: str
) -> None:
    # As if there were a GPU, and its memory full.
    import torch

    module = sys.modules["zncc_cli.registration.register"]
    real = module._register

    def full(*arguments: Any) -> Any:
        if arguments[-1].type == "cuda":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(*arguments)

    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr(module, "GPU_PIXELS", 1)
    monkeypatch.setattr(module, "_register", full)
    image = Scene(seed=1).image((64, 64))
    if device == "cuda":
        with pytest.raises(torch.OutOfMemoryError):
            register(image, image, "translation", device=device)
        return
    result = register(image, image, "translation", device=device)
    assert result.device == "cpu"
    assert "registered on the CPU" in caplog.text


def test_image_without_a_valid_pixel_is_an_error() -> None:
    with pytest.raises(ContentError, match="fixed: expected valid pixels"):
        register(np.full(SHAPE, np.nan), Scene(seed=1).image(SHAPE))


def test_tiny_image_is_an_error() -> None:
    with pytest.raises(ContentError, match="fixed: expected at least 16 x 16 pixels, found 1 x 1"):
        register(np.ones((1, 1)), Scene(seed=1).image(SHAPE))


def test_colour_array_is_an_error() -> None:
    with pytest.raises(OptionError, match="expected a grey image"):
        register(np.ones((*SHAPE, 3)), np.ones(SHAPE))


def test_window_must_fit() -> None:
    image = Scene(seed=1).image(SHAPE)
    with pytest.raises(WindowError, match="`window`: expected at most 80 pixels"):
        register(image, image, window=4000)


def test_mask_must_have_the_image_shape() -> None:
    image = Scene(seed=1).image(SHAPE)
    with pytest.raises(OptionError, match="moving mask"):
        register(image, image, moving_mask=np.ones((3, 3), bool))


def test_unknown_model_names_the_choices() -> None:
    image = Scene(seed=1).image(SHAPE)
    with pytest.raises(OptionError, match="translation, rigid, similarity, affine, homography"):
        register(image, image, "wobbly")


def test_asking_for_an_absent_gpu_is_an_error() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    image = Scene(seed=1).image(SHAPE)
    with pytest.raises(BackendError, match="zncc doctor"):
        register(image, image, device="cuda")
