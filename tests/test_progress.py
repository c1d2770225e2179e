"""How far a job is reaches who listens, and never falls."""

from __future__ import annotations

import contextvars
import threading

import numpy as np
import pytest

from zncc_cli import register
from zncc_cli.progress import advance, counted, listened, part, part_of_rest, say, unheard


class Heard:
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.shares: list[float] = []

    def __call__(self, text: str | None, share: float | None) -> None:
        if text is not None:
            self.texts.append(text)
        if share is not None:
            self.shares.append(share)


def test_parts_lie_in_the_parts_around_them() -> None:
    heard = Heard()
    with listened(heard):
        with part(0.0, 0.5):
            advance(0.5)
            with part(0.5, 1.0):
                assert list(counted("ab", 2)) == ["a", "b"]
        say("next")
    assert heard.shares == pytest.approx([0.25, 0.375, 0.5])
    assert heard.texts == ["next"]


def test_what_is_done_again_goes_on_from_where_it_is_and_never_back() -> None:
    heard = Heard()
    with listened(heard), part(0.0, 0.8):
        for _ in range(3):
            with part_of_rest(0.5):
                advance(0.5)
        advance(0.1)
    assert heard.shares == sorted(heard.shares)
    assert heard.shares[:6] == pytest.approx([0.2, 0.4, 0.5, 0.6, 0.65, 0.7])
    assert heard.shares[-1] == pytest.approx(0.8)


def test_nobody_needs_to_listen_and_small_parts_are_not_heard() -> None:
    say("to nobody")
    advance(0.5)
    with part_of_rest(0.5):
        assert list(counted([1], 1)) == [1]
    heard = Heard()
    with listened(heard), unheard():
        say("a detail")
        advance(1.0)
    assert (heard.texts, heard.shares) == ([], [])


def test_threads_that_run_in_copies_of_the_context_are_heard() -> None:
    heard = Heard()
    with listened(heard):
        copy = contextvars.copy_context()
        thread = threading.Thread(target=lambda: copy.run(advance, 0.3))
        thread.start()
        thread.join()
    assert heard.shares == [0.3]


def pair() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    y, x = np.mgrid[:140, :150].astype(float)
    scene = sum(np.cos(random.uniform(-0.5, 0.5) * x + random.uniform(-0.5, 0.5) * y + k) for k in range(40))
    return scene[5:125, 5:133], scene[8:128, 2:130]


@pytest.mark.parametrize("model", ["affine", "bspline"])
def test_a_registration_names_its_levels_and_reaches_almost_all(model: str) -> None:
    heard = Heard()
    with listened(heard):
        register(*pair(), model=model)
    assert heard.shares == sorted(heard.shares)
    assert heard.shares[-1] > 0.8
    assert heard.texts[0].startswith("searching")
    assert any("full size" in text for text in heard.texts)


def test_a_listener_ends_a_registration_by_an_error_of_its_own() -> None:
    class Cancelled(BaseException):
        pass

    def listener(text: str | None, share: float | None) -> None:
        if share is not None and share > 0.2:
            raise Cancelled

    with listened(listener), pytest.raises(Cancelled):
        register(*pair(), model="affine")
    assert register(*pair(), model="translation").status == "ok"
