"""The script corner_error.py, as a function and as a command."""

import json
from pathlib import Path

import numpy as np
import pytest
from corner_error import corner_error, main

SAMPLES = Path(__file__).parents[2] / "sample_data"
TRUTH = SAMPLES / "homography" / "truth.json"


def shifted(matrix, dx, dy):
    return np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1]]) @ np.array(matrix)


@pytest.fixture
def transform(tmp_path):
    """A function that writes the homography pair's truth, shifted or with other keys, and returns the path."""

    def write(dx=0.0, dy=0.0, **changes):
        content = json.loads(TRUTH.read_text())
        content["matrix"] = shifted(content["matrix"], dx, dy).tolist()
        path = tmp_path / "transform.json"
        path.write_text(json.dumps({**content, **changes}))
        return path

    return write


def run(*arguments):
    return main([str(argument) for argument in arguments])


@pytest.mark.parametrize("model", ["translation", "rigid", "similarity", "affine", "homography"])
def test_the_truth_has_no_error_and_a_shift_has_its_length(model):
    truth = json.loads((SAMPLES / model / "truth.json").read_text())
    shape = tuple(truth["fixed_shape"])
    assert corner_error(truth["matrix"], truth["matrix"], shape).max == 0
    error = corner_error(truth["matrix"], shifted(truth["matrix"], 3, -4), shape)
    assert error.max == pytest.approx(5)
    assert error.rms == pytest.approx(5)


def test_error_is_measured_at_the_corner_pixels_in_xy():
    stretched = np.diag([1.1, 1.0, 1.0])  # in x, where the frame is 21 pixels wide: corners at x = 0 and x = 20
    error = corner_error(np.eye(3), stretched, (11, 21))
    assert error.max == pytest.approx(2.0)
    assert error.rms == pytest.approx(2.0 / np.sqrt(2))


def test_error_ignores_the_scale_of_a_homography():
    matrix = np.array([[1.0, 0.01, 3], [0, 1.02, -2], [1e-5, -2e-5, 1]])
    assert corner_error(matrix, 2 * matrix, (384, 512)).max == pytest.approx(0, abs=1e-12)


def test_command_prints_one_line(transform, capsys):
    assert run(TRUTH, transform(0.03, 0.04)) == 0
    out, err = capsys.readouterr()
    assert out == "corner error: max 0.0500 px, rms 0.0500 px\n"
    assert err == ""


def test_the_option_below_decides_the_exit_code(transform):
    path = transform(0.03, 0.04)
    assert run(TRUTH, path, "--below", "0.1") == 0
    assert run(TRUTH, path, "--below", "0.01") == 1
    assert run(TRUTH, TRUTH, "--below", "0") == 1  # not below, only equal


def test_a_pair_of_the_batch_is_chosen_by_name(capsys):
    stars = f"{SAMPLES / 'batch' / 'truth.json'}:stars"
    assert run(stars, stars) == 0
    assert "max 0.0000 px" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"matrix": [[1, 0], [0, 1]]}, "three rows of three"),
        ({"matrix": [[1, 0, float("nan")], [0, 1, 0], [0, 0, 1]]}, "finite"),
        ({"matrix": "identity"}, "three rows of three"),
        ({"matrix": None}, "three rows of three"),
        ({"matrix": [[1, 0, 0], [0, 1, 0], [0, 0, 0]]}, "infinity"),
        ({"format": "other"}, "zncc-transform"),
        ({"fixed_shape": [10, 10]}, "not the same pair"),
        ({"fixed_shape": "wide"}, "[height, width]"),
    ],
)
def test_bad_transform_is_one_line_and_exit_code_2(transform, capsys, changes, expected):
    assert run(TRUTH, transform(**changes)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert expected in err
    assert "transform.json" in err


def test_missing_or_unreadable_file_is_named(tmp_path, capsys):
    assert run(TRUTH, tmp_path / "none.json") == 2
    assert "none.json" in capsys.readouterr().err
    (tmp_path / "picture.json").write_bytes(b"\x89PNG\xff")
    assert run(TRUTH, tmp_path / "picture.json") == 2
    assert "picture.json: expected a JSON file" in capsys.readouterr().err
    assert run(SAMPLES / "batch" / "truth.json", TRUTH) == 2
    assert "batch" in capsys.readouterr().err
