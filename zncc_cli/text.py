"""Figures beside their bounds, in as many digits as let a reader compare them."""

from __future__ import annotations

_MOST = 15  # decimals: a float64 of about one holds no more


def told_apart(value: float, bound: float, decimals: int) -> tuple[str, str]:
    """Return both in so many ``decimals``, and in more where they would read alike."""
    for count in range(decimals, _MOST + 1):
        texts = f"{value:.{count}f}", f"{bound:.{count}f}"
        if texts[0] != texts[1]:
            break
    return texts
