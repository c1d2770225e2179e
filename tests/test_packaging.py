"""The wheel, installed alone outside the checkout, works: commands, sources, native kernels."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import zncc_cli

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel unpacked, as an installer would, and nothing else of the project."""
    pytest.importorskip("hatchling", reason="hatchling builds the wheel")
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
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
    assert not (installed / "tests").exists()
    assert not (installed / "sample_data").exists()


def test_native_kernels_build_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    program = (
        "import torch, zncc_cli; from zncc_cli.operators import native\n"
        "loaded = native.load(torch.device('cpu'))\n"
        "print(zncc_cli.__file__, loaded.used)\n"
        "print(float(zncc_cli.local_std(torch.eye(8), 8, 1e-9)[0, 0]))"
    )
    env = {**os.environ, "PYTHONPATH": str(installed), "ZNCC_CACHE_DIR": str(tmp_path / "cache")}
    got = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    place, std = got.stdout.splitlines()
    assert place == f"{installed / 'zncc_cli' / '__init__.py'} native"
    # Eight ones in 64 pixels: S2 - S1^2 / N = 8 - 1; a float32 root.
    assert float(std) == pytest.approx(7**0.5, rel=1e-6)
