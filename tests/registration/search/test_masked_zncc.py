"""The ZNCC of the overlap at every shift, and its significance."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from zncc_cli.registration.search.masked_zncc import masked_zncc, significance


@pytest.mark.parametrize("min_overlap", [0.02, 0.2, 0.4])
def test_masked_zncc_is_the_correlation_coefficient_of_the_overlap(min_overlap: float) -> None:
    rng = np.random.default_rng(0)
    f, m = rng.normal(size=(9, 11)), rng.normal(size=(12, 8))
    fm, mm = rng.random(f.shape) > 0.2, rng.random(m.shape) > 0.2
    still, still_mask, sliding, sliding_mask = (torch.from_numpy(a) for a in (f * fm, fm * 1.0, m * mm, mm * 1.0))
    surface, count, (cy, cx) = masked_zncc(still, still_mask, sliding, sliding_mask, min_overlap)
    checked = 0
    for dy in range(-8, 12):
        for dx in range(-10, 8):
            ys = [y for y in range(9) if 0 <= y + dy < 12]
            xs = [x for x in range(11) if 0 <= x + dx < 8]
            both = [(y, x) for y in ys for x in xs if fm[y, x] and mm[y + dy, x + dx]]
            # A shift that has no entry leaves too little overlap, and so does one whose entry is zero.
            has_entry = 0 <= dy + cy < surface.shape[0] and 0 <= dx + cx < surface.shape[1]
            if len(both) < min_overlap * min(fm.sum(), mm.sum()):
                assert not has_entry or float(surface[dy + cy, dx + cx]) == 0
                continue
            assert has_entry
            assert int(count[dy + cy, dx + cx]) == len(both)
            if len(both) > 2:
                a = np.array([f[p] for p in both])
                b = np.array([m[y + dy, x + dx] for y, x in both])
                # float64 FFTs of numbers near one: rounding is far below 1e-9.
                assert float(surface[dy + cy, dx + cx]) == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-9)
                checked += 1
    assert checked > 10


def test_nearly_all_of_a_small_overlap_outweighs_some_of_a_large_one() -> None:
    zncc, count = torch.tensor([0.95, 0.6, 0.3, -0.3]), torch.tensor([900.0, 2500.0, 2500.0, 2500.0])
    values = significance(zncc, count).tolist()
    assert values[0] > values[1] > values[2] == -values[3] > 0
    assert np.isfinite(float(significance(torch.tensor(1.0), torch.tensor(100.0))))
