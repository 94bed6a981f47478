"""`record`: the history of an entry has an end on both sides."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lua.space import KEYS, Space

HISTORY = KEYS.history("nightly")


def _record(space: Space, event: str, at: float, *, most: int = 3, again: bool = False) -> Any:
    return space.run("record", [HISTORY], event, at, most, 60, again=again)


def _events(space: Space) -> dict[str, float]:
    return {name.decode(): at for name, at in space.client.zrange(HISTORY, 0, -1, withscores=True)}


@pytest.mark.parametrize("again", [False, True])
def test_an_event_is_noted_once_and_expires(space: Space, *, again: bool) -> None:
    """Sent again, it is the same event."""
    assert _record(space, "one", 10.5) == "ok"
    assert _record(space, "one", 10.5, again=again) == "ok"
    assert _events(space) == {"one": 10.5}
    assert 0 < space.client.ttl(HISTORY) <= 60


def test_the_oldest_go(space: Space) -> None:
    """An entry that is due every second would fill the memory."""
    for number in range(5):
        _record(space, f"e{number}", number)
    assert _events(space) == {"e2": 2, "e3": 3, "e4": 4}


def test_what_comes_late_and_is_older_than_all_goes_at_once(space: Space) -> None:
    """The times count, not the order of calls."""
    for number in (5, 6, 7, 1):
        _record(space, f"e{number}", number)
    assert sorted(_events(space)) == ["e5", "e6", "e7"]


def test_a_later_event_does_not_shorten_the_memory(space: Space) -> None:
    """What an operator does with an entry of every year is kept for a month at the least."""
    _record(space, "one", 1.0)
    space.client.expire(HISTORY, 1000)
    _record(space, "two", 2.0)
    assert space.client.ttl(HISTORY) > 60  # type: ignore[operator]
