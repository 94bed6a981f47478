"""Of many that hear of one task, few look at the same time, and none waits for long."""

from __future__ import annotations

import random

from asyncq._engine.yielding import LONGEST, LONGEST_IN_VAIN, VAIN, Yielding


def _draws(yielding: Yielding) -> float:
    return max(yielding.delay() for _ in range(300))


def test_whoever_is_alone_never_waits() -> None:
    """There is nobody to let go first."""
    yielding = Yielding()
    for _ in range(100):
        assert yielding.delay() == 0.0
        yielding.note(found=True)


def test_once_in_vain_is_an_accident() -> None:
    """Somebody may have pushed and taken back."""
    yielding = Yielding()
    yielding.note(found=False)
    assert yielding.delay() == 0.0


def test_it_waits_longer_and_not_too_long() -> None:
    """Half of the five milliseconds in the mean, and more only where somebody is always quicker."""
    random.seed(1)
    yielding, longest = Yielding(), 0.0
    for _ in range(VAIN):
        yielding.note(found=False)
        now = _draws(yielding)
        assert longest <= now + 0.001
        longest = now
    assert LONGEST * 0.9 < longest <= LONGEST
    for _ in range(10):
        yielding.note(found=False)
    assert LONGEST_IN_VAIN * 0.9 < _draws(yielding) <= LONGEST_IN_VAIN


def test_whoever_found_something_goes_first() -> None:
    """At once, so that the task after it is not late when the quickest one is gone."""
    yielding = Yielding()
    for _ in range(50):
        yielding.note(found=False)
    yielding.note(found=True)
    assert yielding.delay() == 0.0


def test_of_many_few_look_before_the_first_has_taken_it() -> None:
    """That is what it is for: a round trip takes some tenths of a millisecond."""
    random.seed(2)
    others = [Yielding() for _ in range(49)]
    for other in others:
        for _ in range(10):
            other.note(found=False)
    assert sum(other.delay() < 0.0005 for other in others) < 10
