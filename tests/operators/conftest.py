from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from zncc_cli.operators import native

CUDA = pytest.param("cuda", marks=pytest.mark.cuda)


@pytest.fixture(params=["cpu", CUDA])
def device(request: pytest.FixtureRequest) -> torch.device:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return torch.device(request.param)


@pytest.fixture
def cuda() -> torch.device:
    """A GPU on which the native kernels run."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    device = torch.device("cuda")
    loaded = native.load(device)
    assert loaded.used == "native", loaded.reason
    return device


@pytest.fixture(params=["native", "reference"])
def backend(request: pytest.FixtureRequest, device: torch.device) -> Iterator[str]:
    """Every test that takes this runs once on the native kernels and once on plain torch."""
    loaded = native.load(device)
    if request.param == "native" and loaded.used != "native":
        pytest.skip(loaded.reason)
    with native.selected(request.param):
        yield request.param
