"""Pixels that show nothing of the scene: how often a result is right, and how often it is called ok."""

from __future__ import annotations

from benchmarks.common import one_thread  # noqa: F401  numpy reads the settings when it is imported

# isort: split

import torch

from benchmarks.common import machine, report
from benchmarks.common.command_line import make_parser, show_progress
from benchmarks.registration.pairs.error import rms_error
from benchmarks.registration.pairs.missing import GROUPS, HALVES
from benchmarks.registration.trials import SOLVED_PX
from zncc_cli import register


def main() -> None:
    """Run the benchmark."""
    parser = make_parser("registration.missing", __doc__)
    parser.add_argument("--halves", nargs="+", choices=HALVES, default=HALVES)
    parser.add_argument("--groups", nargs="+", choices=GROUPS, default=list(GROUPS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    head = ("group", "half", "pairs", "right and ok", "right", "wrong and ok", "worst right, px")
    title, facts, name = "Pixels that show nothing of the scene", machine.describe(), f"missing-{machine.slug()}"
    rows, results, files = [], [], []
    for group in options.groups:
        for half in options.halves:
            outcomes = list[tuple[float, bool]]()
            for pair in GROUPS[group](half):
                masks = {} if pair.masks is None else dict(zip(("fixed_mask", "moving_mask"), pair.masks, strict=True))
                result = register(pair.fixed, pair.moving, pair.model, **masks)
                error = rms_error(result.matrix, pair.matrix, pair.fixed.shape)
                outcomes.append((error, result.status == "ok"))
                results.append((group, half, pair.kind, pair.model, str(result.status), error))
                show_progress(f"{half}: {pair.kind}, {pair.model}: {result.status}, {error:.3f} px")
            right = [error for error, _ in outcomes if error < SOLVED_PX]
            right_and_ok = sum(error < SOLVED_PX and ok for error, ok in outcomes)
            wrong_and_ok = sum(error >= SOLVED_PX and ok for error, ok in outcomes)
            worst = f"{max(right, default=0):.3f}"
            rows.append((group, half, len(outcomes), right_and_ok, len(right), wrong_and_ok, worst))
            # After each group, should a later one fail.
            files = report.write(options.out, name, title, facts, report.table(head, rows), {"results": results})
    print(*files, sep="\n")


if __name__ == "__main__":
    main()
