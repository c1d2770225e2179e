"""``zncc``: the commands as subcommands, and the doctor."""

from __future__ import annotations

import json

import pytest
from conftest import Run, assert_one_line_error

import zncc_cli

COMMANDS = ("zncc", "zncc-align", "zncc-stdmap", "zncc-batch")


@pytest.mark.parametrize("command", COMMANDS)
def test_version_is_printed(run: Run, command: str) -> None:
    got = run(command, "--version")
    assert (got.returncode, got.stdout) == (0, f"zncc-cli {zncc_cli.__version__}\n")


@pytest.mark.parametrize("words", [*COMMANDS, "zncc apply"])
def test_h_prints_the_same_as_help(run: Run, words: str) -> None:
    got = run(*words.split(), "-h")
    assert got.returncode == 0
    assert got.stdout == run(*words.split(), "--help").stdout


def test_help_lists_every_command(run: Run) -> None:
    got = run("zncc", "--help")
    for command in ("align", "stdmap", "batch", "convert", "invert", "compose", "points", "build", "doctor"):
        assert f" {command} " in got.stdout


def test_without_a_command_zncc_prints_its_help(run: Run) -> None:
    got = run("zncc")
    assert got.returncode == 2
    assert "doctor" in got.stdout


def test_subcommand_reports_errors_like_the_command(run: Run) -> None:
    assert_one_line_error(run("zncc", "align", "a.tif", "b.tif"), 1, "a.tif")
    assert_one_line_error(run("zncc", "wobble"), 2, "wobble")


def test_doctor_prints_what_runs_where_and_why(run: Run) -> None:
    got = run("zncc", "doctor", "--json")
    diagnosis = json.loads(got.stdout)
    assert diagnosis["backend"]["reason"]
    assert diagnosis["versions"]["torch"]
    assert {"name", "ok", "found", "fix"} <= set(diagnosis["checks"][0])
    assert got.returncode == (0 if diagnosis["backend"]["used"] == "native" else 1)
    text = run("zncc", "doctor").stdout
    assert len(text.splitlines()) < 24  # one screen
    for check in diagnosis["checks"]:
        assert check["name"] in text
        assert check["ok"] or check["fix"] in text


def test_build_prints_where_the_libraries_are(run: Run) -> None:
    got = run("zncc", "build", "--json")
    libraries = json.loads(got.stdout)["libraries"]
    assert got.returncode == (0 if all(one["used"] == "native" for one in libraries.values()) else 1)
    text = run("zncc", "build").stdout
    for device, one in libraries.items():
        assert device in text
        assert "".join((one["library"] or one["reason"]).split()) in "".join(text.split())
