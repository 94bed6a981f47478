"""`trail`: each record once, the oldest go, and a full Redis has room for another one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lua.space import KEYS, Space


def _add(
    space: Space, operation: str, outcome: str = "done", *, most: int = 1000, again: bool = False
) -> Any:
    fields = ["outcome", outcome, "operation", operation]
    return space.run("trail", [KEYS.trail], operation, outcome, most, *fields, again=again)


def _records(space: Space) -> list[tuple[str, str]]:
    rows: Any = space.client.xrange(KEYS.trail)
    return [(fields[b"operation"].decode(), fields[b"outcome"].decode()) for _, fields in rows]


def test_records_come_one_behind_the_other(space: Space) -> None:
    """Their ids grow, and begin with the time of the server."""
    first, second = _add(space, "one"), _add(space, "two")
    assert _records(space) == [("one", "done"), ("two", "done")]
    assert first != second
    assert int(first.partition("-")[0]) / 1000 == pytest.approx(space.now(), abs=5.0)


def test_sent_again_it_is_the_same_record(space: Space) -> None:
    """Whatever came in between; the other record of the same change is another one."""
    begun = _add(space, "one", "begun")
    _add(space, "two")
    assert _add(space, "one", "begun", again=True) == begun
    _add(space, "one", "done", again=True)
    assert _records(space) == [("one", "begun"), ("two", "done"), ("one", "done")]


def test_sent_again_what_had_not_arrived_is_added(space: Space) -> None:
    """The answer was not lost, but the call."""
    _add(space, "one", again=True)
    assert _records(space) == [("one", "done")]


def test_the_oldest_go(space: Space) -> None:
    """In blocks, as Redis finds it cheap: not exactly as many stay as were asked for."""
    for number in range(700):
        _add(space, str(number), most=200)
    left = _records(space)
    assert 200 <= len(left) <= 400
    assert left[-1] == ("699", "done")


def test_a_key_that_holds_something_else_is_left_alone(space: Space) -> None:
    """Somebody wrote there by hand."""
    space.client.set(KEYS.trail, "mine")
    with pytest.raises(Exception, match="WRONGTYPE"):
        _add(space, "one")
    assert space.client.get(KEYS.trail) == b"mine"
