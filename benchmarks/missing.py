"""Pixels that show nothing of the scene: how often a result is right, and called so: `--help` says more."""

import os
import sys

# Run as a script, this folder comes first on the path, and would hide the standard library's operator.
sys.path[0] = __file__.rpartition("benchmarks")[0] or "."
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import argparse  # noqa: E402

import torch  # noqa: E402

from benchmarks.alignment.error import rms_error  # noqa: E402
from benchmarks.alignment.missing import GROUPS, HALVES  # noqa: E402
from benchmarks.alignment.trust import SOLVED  # noqa: E402
from zncc_cli import register  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks/missing.py", description=__doc__)
    parser.add_argument("--halves", nargs="+", choices=HALVES, default=HALVES)
    parser.add_argument("--groups", nargs="+", choices=GROUPS, default=list(GROUPS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| group | half | pairs | right and ok | right | wrong and ok | worst right, px |")
    print("|---|---|--:|--:|--:|--:|--:|")
    for group in options.groups:
        for half in options.halves:
            rows = list[tuple[bool, bool, float]]()
            for pair in GROUPS[group](half):
                masks = {} if pair.masks is None else dict(zip(("fixed_mask", "moving_mask"), pair.masks, strict=True))
                result = register(pair.fixed, pair.moving, pair.model, **masks)
                error = rms_error(result.matrix, pair.matrix, pair.fixed.shape)
                rows.append((error < SOLVED, result.status == "ok", error))
                print(
                    f"{half}: {pair.kind}, {pair.model}: {result.status}, {error:.3f} px", file=sys.stderr, flush=True
                )
            right = [error for solved, _, error in rows if solved]
            counts = [sum(s and ok for s, ok, _ in rows), len(right), sum(ok and not s for s, ok, _ in rows)]
            print(f"| {group} | {half} | {len(rows)} | {' | '.join(map(str, counts))} | {max(right, default=0):.3f} |")


if __name__ == "__main__":
    main()
