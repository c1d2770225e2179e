"""The choice among the kernels that came with the package."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from zncc_cli.operators import packaged


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the libraries that were loaded; "broken" in a file stands for one that cannot be."""
    names: list[str] = []

    def load(path: str) -> None:
        if Path(path).read_text() == "broken":
            raise OSError("undefined symbol: aoti_torch_next")
        names.append(Path(path).name)

    monkeypatch.setattr(packaged, "FOLDER", tmp_path)
    monkeypatch.setattr(torch.ops, "load_library", load)
    return names


def write(folder: Path, *instruction_sets: str) -> None:
    for name in instruction_sets:
        (folder / packaged.file_name(name)).write_text("")


@pytest.mark.parametrize(
    ("capability", "expected"),
    [
        ("AVX512", "zncc_cpu_avx512.so"),
        ("AVX2", "zncc_cpu_avx2.so"),
        ("DEFAULT", "zncc_cpu_plain.so"),
        ("NEON", "zncc_cpu_plain.so"),
    ],
)
def test_the_widest_instructions_that_the_processor_has_are_taken(
    capability: str, expected: str, tmp_path: Path, loaded: list[str]
) -> None:
    write(tmp_path, "plain", "AVX2", "AVX512")
    found = packaged.load(capability)
    assert found is not None
    assert loaded == [expected]
    assert found[0] == tmp_path / expected


def test_narrower_instructions_serve_where_the_widest_are_missing(tmp_path: Path, loaded: list[str]) -> None:
    write(tmp_path, "plain")
    assert packaged.load("AVX512") == (tmp_path / "zncc_cpu_plain.so", "from the package, plain")
    assert loaded == ["zncc_cpu_plain.so"]


def test_a_package_without_kernels_has_none(loaded: list[str]) -> None:
    assert packaged.load("AVX512") is None
    assert not loaded


def test_a_library_that_cannot_be_loaded_is_told_and_another_one_is_built(
    tmp_path: Path, loaded: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, "AVX2")
    (tmp_path / "zncc_cpu_avx512.so").write_text("broken")
    assert packaged.load("AVX512") is None
    assert "zncc_cpu_avx512.so of the package cannot be loaded, building one: undefined symbol" in caplog.text
