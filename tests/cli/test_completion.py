"""The shells complete the options of the commands."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from conftest import SCRIPTS, Run

COMMANDS = ("zncc", "zncc-align", "zncc-stdmap", "zncc-batch")


def completions(run: Run, *words: str) -> list[str]:
    """Return what Bash offers for the last of the words."""
    variable = f"_{words[0].replace('-', '_').upper()}_COMPLETE"
    env = {f"{variable}": "complete_bash", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    got = run(words[0], wrap=("env", *(f"{name}={value}" for name, value in env.items())))
    assert got.returncode == 0, got.stderr
    return got.stdout.split()


def test_options_values_and_commands_are_completed(run: Run) -> None:
    assert completions(run, "zncc-align", "--mo") == ["--model", "--moving-mask"]
    assert {"rigid", "bspline"} <= set(completions(run, "zncc-align", "--model", ""))
    assert {"stack", "strain"} == set(completions(run, "zncc", "st")) - {"stdmap"}
    assert completions(run, "zncc", "stack", "--ax") == ["--axis"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="the script is Bash's")
@pytest.mark.parametrize("command", COMMANDS)
def test_bash_takes_the_script_that_is_shown(command: str) -> None:
    """The parent of the command is the shell that the script is for."""
    program = f'script=$("{SCRIPTS / command}" --show-completion); eval "$script"; complete -p {command}'
    env = {**os.environ, "PATH": f"{SCRIPTS}:{os.environ['PATH']}"}
    got = subprocess.run(["bash", "-c", program], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert got.returncode == 0, got.stderr
    assert got.stdout.startswith("complete -")
    assert got.stdout.rstrip().endswith(command)
