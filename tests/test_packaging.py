"""The wheel, installed alone outside the checkout, works: commands, sources, native kernels."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
import torch

import zncc_cli
from zncc_cli.operators import native, toolchain

ROOT = Path(__file__).parents[1]


def built_wheel(folder: Path, kernels: str, **environment: str) -> Path:
    """Build the wheel into ``folder``, with the CPU kernels of the instruction sets that are named."""
    pytest.importorskip("hatchling", reason="hatchling builds the wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    env = {**os.environ, "ZNCC_WHEEL_KERNELS": kernels, **environment}
    subprocess.run(build, cwd=ROOT, env=env, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel unpacked, as an installer would, and nothing else of the project."""
    folder = tmp_path_factory.mktemp("wheel")
    wheel = built_wheel(folder, kernels="")
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_citation_names_this_version() -> None:
    assert f"version: {zncc_cli.__version__}" in (ROOT / "CITATION.cff").read_text().splitlines()


def files_below(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


def test_wheel_holds_the_package_and_its_native_sources(installed: Path) -> None:
    sources = files_below(ROOT / "csrc")
    assert Path("cuda", "local_std.cu") in sources
    assert files_below(installed / "zncc_cli" / "csrc") == sources
    assert (installed / "zncc_cli" / "py.typed").exists()
    assert (installed / "zncc_cli" / "files" / "transforms" / "transform.schema.json").exists()
    templates = Path("zncc_cli", "report", "templates")
    assert {p.name for p in (installed / templates).iterdir()} == {p.name for p in (ROOT / templates).iterdir()}
    (data,) = installed.glob("*.data/data")
    assert files_below(data / "share" / "man" / "man1") == files_below(ROOT / "docs" / "man")
    assert not (installed / "tests").exists()
    assert not (installed / "sample_data").exists()
    samples = {path for path in files_below(ROOT / "sample_data") if "__pycache__" not in path.parts}
    assert files_below(installed / "zncc_cli" / "sample_data") == samples


def test_native_kernels_of_the_wheel_are_those_of_the_checkout(installed: Path, tmp_path: Path) -> None:
    """A build is named after all its sources: the wheel's find the one that was made from the checkout's."""
    built = native.load(torch.device("cpu"))
    assert built.used == "native", built.reason
    program = (
        "import torch, zncc_cli; from zncc_cli.operators import build, native\n"
        "print(zncc_cli.__file__)\n"
        "print(build.source_folder())\n"
        "print(native.load(torch.device('cpu')).library)\n"
        "print(float(zncc_cli.local_std(torch.eye(8), 8, 1e-9)[0, 0]))"
    )
    env = {**os.environ, "PYTHONPATH": str(installed)}
    got = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    place, sources, library, std = got.stdout.splitlines()
    assert Path(place) == installed / "zncc_cli" / "__init__.py"
    assert Path(sources) == installed / "zncc_cli" / "csrc"
    assert Path(library) == built.library
    # Eight ones in 64 pixels: S2 - S1^2 / N = 8 - 1; a float32 root.
    assert float(std) == pytest.approx(7**0.5, rel=1e-6)


@pytest.mark.skipif(toolchain.cxx_compiler() is None, reason="no C++ compiler to build the wheel with")
def test_a_wheel_with_kernels_needs_no_compiler(tmp_path: Path) -> None:
    """It is installed alone into an empty environment, which finds what it depends on in this one."""
    compiler = tmp_path / "quick-compiler"
    compiler.write_text(f'#!/bin/sh\nexec {toolchain.cxx_compiler()} "$@" -O0\n')  # half the time
    compiler.chmod(0o755)
    wheel = built_wheel(tmp_path, kernels="plain", CXX=str(compiler))
    assert wheel.name.endswith(f"-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}.whl")
    home = tmp_path / "venv"
    venv.create(home, symlinks=True)
    install = [sys.executable, "-m", "pip", "--python", str(home), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, capture_output=True, timeout=300)
    (site,) = home.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    cache = tmp_path / "cache"
    # Nothing is on PATH but the environment itself.
    env = {"PATH": str(home / "bin"), "HOME": str(tmp_path), "ZNCC_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "1"}
    (tmp_path / "elsewhere").mkdir()

    def run(*command: str) -> str:
        done = subprocess.run(
            command, cwd=tmp_path / "elsewhere", env=env, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    diagnosis = json.loads(run(str(home / "bin" / "zncc"), "doctor", "--json"))
    assert diagnosis["backend"]["used"] == "native"
    assert diagnosis["backend"]["reason"] == "from the package, plain"
    assert diagnosis["backend"]["library"] == str(site / "zncc_cli" / "kernels" / "zncc_cpu_plain.so")
    needed = next(check for check in diagnosis["checks"] if check["name"] == "C++ compiler")
    assert not needed["ok"]
    assert needed["fix"].startswith("needed only for a CUDA device: ")
    program = "import torch, zncc_cli; print(float(zncc_cli.local_std(torch.eye(8), 8, 1e-9)[0, 0]))"
    # As above: 8 ones in 64 pixels.
    assert float(run(str(home / "bin" / "python"), "-c", program)) == pytest.approx(7**0.5, rel=1e-6)
    assert not list(cache.glob("zncc_cpu*"))  # nothing was built
