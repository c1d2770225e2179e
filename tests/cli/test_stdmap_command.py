"""``zncc-stdmap IMAGE...`` from the shell."""

from __future__ import annotations

import json

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from conftest import SAMPLES, Run, assert_one_line_error

ndimage = pytest.importorskip("scipy.ndimage")


def test_writes_the_population_standard_deviation(run: Run) -> None:
    path = SAMPLES / "translation" / "fixed.tif"
    got = run("zncc-stdmap", path, "--window", 9, "--out", "maps", fresh=True)
    assert got.returncode == 0, got.stderr
    assert got.stdout.startswith("maps/fixed_std.tif  median ")
    image = tifffile.imread(path).astype(np.float64)
    mean, square = (ndimage.uniform_filter(v, 9) for v in (image - image.mean(), (image - image.mean()) ** 2))
    expected = np.sqrt(square - mean**2)[4:-4, 4:-4]
    std = tifffile.imread(run.folder / "maps" / "fixed_std.tif")
    assert (std.dtype, std.shape) == (np.float32, image.shape)
    np.testing.assert_allclose(std[4:-4, 4:-4], expected, rtol=1e-5)  # float32 map against float64 SciPy
    assert np.isnan(std).sum() == std.size - expected.size
    assert iio.imread(run.folder / "maps" / "fixed_std.png").shape == image.shape


def test_a_large_offset_changes_no_map(run: Run) -> None:
    """Noise of one on 10^9, where float32 steps by 64."""
    noise = 1e9 + np.random.default_rng(0).normal(size=(1100, 40))  # written in several strips
    np.save(run.folder / "large.npy", noise)
    assert run("zncc-stdmap", "large.npy").returncode == 0
    std = tifffile.imread(run.folder / "large_std.tif")
    expected = np.lib.stride_tricks.sliding_window_view(noise, (11, 11)).std(axis=(2, 3))
    np.testing.assert_allclose(std[5:-5, 5:-5], expected, rtol=1e-5)  # float32 map against float64 NumPy


def test_norm_scale_is_the_root_of_n_times_larger(run: Run) -> None:
    path = SAMPLES / "affine" / "fixed.tif"
    for scale in ("population", "norm"):
        assert run("zncc-stdmap", path, "-w", 6, "-o", scale, "--scale", scale, "-q").returncode == 0
    population, norm = (tifffile.imread(run.folder / s / "fixed_std.tif") for s in ("population", "norm"))
    np.testing.assert_allclose(norm, 6 * population, rtol=1e-6)


def test_several_images_and_json(run: Run) -> None:
    paths = [SAMPLES / "batch" / name for name in ("cells_fixed.png", "stars_fixed.png")]
    got = run("zncc-stdmap", *paths, "--json")
    report = json.loads(got.stdout)
    assert [m["map"] for m in report["maps"]] == ["cells_fixed_std.tif", "stars_fixed_std.tif"]
    assert sorted(p.name for p in run.folder.iterdir()) == [
        "cells_fixed_std.png",
        "cells_fixed_std.tif",
        "cells_fixed_texture.png",
        "stars_fixed_std.png",
        "stars_fixed_std.tif",
        "stars_fixed_texture.png",
    ]


def test_one_bad_image_does_not_stop_the_rest(run: Run) -> None:
    tifffile.imwrite(run.folder / "nan.tif", np.full((40, 50), np.nan, np.float32))
    tifffile.imwrite(run.folder / "tiny.tif", np.arange(10, dtype=np.uint8).reshape(2, 5))
    bad = {"missing.png": "nothing there", "nan.tif": "found none that are finite", "tiny.tif": "found 5 x 2"}
    good = SAMPLES / "batch" / "cells_fixed.png"
    got = run("zncc-stdmap", "missing.png", "nan.tif", good, "tiny.tif", "--json", "--out", "maps")
    assert got.returncode == 5
    lines = got.stderr.splitlines()
    assert len(lines) == len(bad)
    report = json.loads(got.stdout)
    for line, (name, said) in zip(lines, bad.items(), strict=True):
        assert line.startswith("zncc-stdmap: error: ")
        assert name in line
        assert said in line
        assert report["failed"][name] in line
    written = ["cells_fixed_std.png", "cells_fixed_std.tif", "cells_fixed_texture.png"]
    assert sorted(p.name for p in (run.folder / "maps").iterdir()) == written


def test_nothing_is_written_if_every_image_is_bad(run: Run) -> None:
    got = run("zncc-stdmap", "missing.png", "gone.png", "--out", "maps")
    assert got.returncode == 1
    assert [line.split(": expected")[0] for line in got.stderr.splitlines()] == [
        "zncc-stdmap: error: missing.png",
        "zncc-stdmap: error: gone.png",
    ]
    assert list(run.folder.iterdir()) == []


def test_an_unknown_channel_is_refused_with_the_choices(run: Run) -> None:
    got = run("zncc-stdmap", SAMPLES / "batch" / "cells_fixed.png", "--channel", "all")
    assert_one_line_error(got, 2, "--channel all: expected a channel of ", "1 channel(s)", "or best")


def test_an_image_smaller_than_the_default_window_gets_the_largest_that_fits(run: Run) -> None:
    noise = np.random.default_rng(0).normal(size=(7, 30))
    tifffile.imwrite(run.folder / "narrow.tif", noise)
    got = run("zncc-stdmap", "narrow.tif")
    assert got.returncode == 0, got.stderr
    assert "narrow.tif: a window of 7 pixels" in got.stderr
    assert "of the windows of 7;" in got.stdout
    written = tifffile.imread(run.folder / "narrow_std.tif")[3, 3:27]
    np.testing.assert_allclose(
        written, np.lib.stride_tricks.sliding_window_view(noise, (7, 7)).std(axis=(2, 3))[0], 1e-5
    )
    asked = run("zncc-stdmap", "narrow.tif", "--window", 11, "--overwrite")
    assert_one_line_error(asked, 2, "--window", "at most 7", "got 11")


def test_window_larger_than_the_image_is_refused(run: Run) -> None:
    got = run("zncc-stdmap", SAMPLES / "batch" / "cells_fixed.png", "--window", 4000)
    assert_one_line_error(got, 2, "--window", "at most 128", "4000")


def test_two_images_with_the_same_stem_are_refused(run: Run) -> None:
    got = run("zncc-stdmap", SAMPLES / "affine" / "fixed.tif", SAMPLES / "rigid" / "fixed.tif")
    assert_one_line_error(got, 2, "fixed")


def test_prints_whether_there_is_enough_texture(run: Run) -> None:
    rng = np.random.default_rng(0)
    half = np.full((200, 300), 1000.0)
    half[:, :150] = iio.imread(SAMPLES / "batch" / "cells_fixed.png")[:128, :128].repeat(2, 0).repeat(2, 1)[:200, :150]
    tifffile.imwrite(run.folder / "half.tif", (half + rng.normal(0, 1, half.shape)).astype(np.float32))
    tifffile.imwrite(run.folder / "noise.tif", rng.normal(0, 1, (200, 300)).astype(np.float32))
    got = run("zncc-stdmap", "half.tif", "noise.tif", "--window", 15, "--json")
    assert got.returncode == 0, got.stderr
    half_map, noise_map = json.loads(got.stdout)["maps"]
    picture = iio.imread(run.folder / "half_texture.png")
    assert picture.shape == half.shape
    assert not picture[:, 160:].any()  # the flat half, beyond the windows that reach into the other
    assert picture[20:-20, 20:130].mean() > 127
    assert 0.25 < half_map["textured"] < 0.6
    assert half_map["recommended_window"] is not None
    assert noise_map["textured"] < 0.01
    assert noise_map["recommended_window"] is None
    assert "no window is enough" in run("zncc-stdmap", "noise.tif", "--overwrite").stdout


def test_a_page_and_a_channel_of_a_stack(run: Run) -> None:
    stack = np.random.default_rng(0).normal(size=(2, 3, 40, 50)).astype(np.float32)
    tifffile.imwrite(run.folder / "stack.tif", stack, imagej=True, metadata={"axes": "TCYX"})
    got = run("zncc-stdmap", "stack.tif", "--page", 1, "--channel", 2)
    assert got.returncode == 0, got.stderr
    std = tifffile.imread(run.folder / "stack_std.tif")
    expected = np.lib.stride_tricks.sliding_window_view(stack[1, 2], (11, 11)).std(axis=(2, 3))
    np.testing.assert_allclose(std[5:-5, 5:-5], expected, rtol=1e-5)  # float32


def test_files_whose_names_differ_in_the_suffix_alone_are_refused(run: Run) -> None:
    got = run("zncc-stdmap", "a.tif", "a.png")
    assert_one_line_error(got, 2, "IMAGE: expected files whose names differ before the suffix, got several named a;")
