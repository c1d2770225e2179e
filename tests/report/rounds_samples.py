"""A report of rounds for HTML reports that need no registration."""

from __future__ import annotations

from typing import Any


def rounds_report(name: str = "round2", status: str = "ok") -> dict[str, Any]:
    """Return the report of two rounds, of which the second has a name and a status."""
    metrics = {"zncc_before": 0.1, "zncc_after": 0.9, "overlap": 0.95, "motion": 3.5, "border_pull": None}
    common = {"file": "a.tif", "registered_by": {"C": 0, "channel": "DAPI"}}
    second = {**common, "name": name, "fixed": False, "status": status, "reasons": ["the ZNCC is 0.9"]}
    return {
        "status": status,
        "reasons": ["1 of 1 rounds are aligned"],
        "rounds": [
            {**common, "name": "round1", "fixed": True, "status": "ok", "reasons": ["stays where it is"]},
            {**second, "metrics": metrics, "expected_error": 0.004, "probability": 0.99},
        ],
        "channels": [
            {"name": "DAPI round1", "round": 0, "channel": 0, "own_name": "DAPI"},
            {"name": f"DAPI {name}", "round": 1, "channel": 0, "own_name": "DAPI"},
        ],
        "dtype": "uint16",
        "model": "affine",
        "notes": [name],
        "seconds": {"total": 2.0},
        "settings": {"out": f"folder/{name}.ome.tif"},
        "command": ["zncc", "rounds", "a.tif", name],
    }
