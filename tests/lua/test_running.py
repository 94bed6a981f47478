"""`running`: who works on what, read from the leases."""

from __future__ import annotations

from typing import Any

from tests.lua.space import Space, about

LARGEST = 100


def _running(space: Space, *, cursor: str = "0", count: int = 100) -> tuple[str, list[list[Any]]]:
    before = space.everything()
    reply = space.run("running", [space.q.lease], cursor, count, space.q.task_prefix, LARGEST)
    assert space.everything() == before
    now, cursor, *rest = reply
    assert float(now) == about(space.now())
    return cursor, [rest[at : at + 7] for at in range(0, len(rest), 7)]


def test_an_active_task_is_told_with_who_runs_it(space: Space) -> None:
    """Since when, and until when its server has said it will."""
    space.active("a", "s:1", ends_in=20.0, delivered_at="12.5", deliveries=3, retried=2)
    cursor, [row] = _running(space)
    assert cursor == "0"
    assert float(row[1]) == about(space.now() + 20.0)
    assert [row[0], *row[2:]] == ["a", "s:1", "12.5", "3", "2", "m-a"]


def test_what_was_not_noted_is_told_as_the_least(space: Space) -> None:
    """A task handed over for the first time."""
    space.active("a", "s:1")
    assert _running(space)[1][0][3:6] == ["", "1", "0"]


def test_nothing_is_active(space: Space) -> None:
    """Of a queue at rest."""
    space.pending("a")
    assert _running(space) == ("0", [])


def test_a_large_message_does_not_come_along(space: Space) -> None:
    """It is fetched by itself."""
    space.active("a", "s:1", msg="x" * LARGEST)
    space.active("b", "s:2", msg="x" * (LARGEST + 1))
    found = {row[0]: len(row[6]) for row in _running(space)[1]}
    assert found == {"a": LARGEST, "b": 0}


def test_very_many_come_in_parts(space: Space) -> None:
    """Each of those that are active all the time, some perhaps twice."""
    with space.client.pipeline(transaction=False) as pipe:
        for number in range(1000):
            pipe.zadd(space.q.lease, {f"a{number}": 1.0})
            pipe.hset(space.q.task(f"a{number}"), "msg", "m")
        pipe.execute()
    seen, cursor, calls = set(), "0", 0
    while calls == 0 or cursor != "0":
        cursor, rows = _running(space, cursor=cursor, count=100)
        seen |= {row[0] for row in rows}
        calls += 1
        assert len(rows) < 500
    assert len(seen) == 1000
    assert calls > 1


def test_what_is_damaged_is_told_without_a_token(space: Space) -> None:
    """An id without a task, and a hash that is none: nobody runs these."""
    space.client.zadd(space.q.lease, {"gone": 1.0, "odd": 2.0})
    space.client.set(space.q.task("odd"), "what")
    assert [row[2] for row in _running(space)[1]] == ["", ""]


def test_a_count_that_is_no_number_is_told_as_nothing(space: Space) -> None:
    """Written by hand. What else is active is to be seen."""
    space.active("a", "s:1", deliveries="x", retried="1.5")
    row = _running(space)[1][0]
    assert row[4:6] == ["0", "0"]
