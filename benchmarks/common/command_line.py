"""The options of all benchmarks, and the lines that tell how far one is."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

RESULTS = Path(__file__).resolve().parents[1] / "results"


def make_parser(module: str, text: str | None, *, devices: bool = False) -> argparse.ArgumentParser:
    """Return a parser for ``python -m benchmarks.MODULE`` with --out, and with --devices where ``devices`` says so.

    The first line of ``text``, the module's docstring, is the description.
    """
    prog, description = f"python -m benchmarks.{module}", (text or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    if devices:
        present = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
        parser.add_argument("--devices", nargs="+", choices=present, default=present, help="default: all here")
    return parser


def show_progress(text: str) -> None:
    """Print a line on stderr."""
    print(text, file=sys.stderr, flush=True)
