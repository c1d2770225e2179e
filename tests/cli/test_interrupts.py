"""What a signal does while a command loads what it needs."""

from __future__ import annotations

import signal

import pytest

from zncc_cli.cli import console


def test_an_interrupt_waits_until_everything_is_loaded() -> None:
    """Where it came in the midst of an import, numpy swallowed it, or was left half imported."""
    loaded = False

    def load() -> None:
        nonlocal loaded
        with console.loading():
            signal.raise_signal(signal.SIGINT)
            loaded = True

    with pytest.raises(KeyboardInterrupt):
        load()
    assert loaded
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
