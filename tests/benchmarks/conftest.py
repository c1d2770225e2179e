from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module", autouse=True)
def own_cache(cache_folder: Path) -> Iterator[None]:
    """One cache folder for the builds of all benchmarks, and never the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZNCC_CACHE_DIR", str(cache_folder))
        yield
