"""`measure` and `sample`: numbers by minute and hour, each added once, and an end to all that is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgpack
import pytest

from tests.lua.space import KEYS, Space, about

_Update = Mapping[str, Mapping[str, int]]

MINUTES, HOURS, MOST = 180, 168, 4
AT = 1_700_000_000.0


def _measure(
    space: Space, update: _Update, *more: _Update, number: int = 1, at: float = AT, again: bool = False
) -> Any:
    """Add to `q`, and to `r`."""
    keys = [space.q.receipt("s.measures")]
    for queue, _ in zip((space.q, space.r), (update, *more), strict=False):
        keys += [queue.minutes, queue.hours]
    packed = [msgpack.packb(one, use_bin_type=False) for one in (update, *more)]
    return space.run("measure", keys, number, 600, at, MOST, *packed, again=again)


def _stored(space: Space, key: str, at: float = AT) -> Any:
    length, size = (60, MINUTES) if key.endswith("minutes") else (3600, HOURS)
    raw: Any = space.client.hget(key, str(int(at // length) % size))
    number, types = msgpack.unpackb(raw)
    assert number == at // length
    return types


def test_what_was_counted_is_added_to_its_minute_and_its_hour(space: Space) -> None:
    """And of some the greatest is kept."""
    assert _measure(space, {"mail": {"d": 2, "w7": 1}, "": {"P": 5, "^O": 30}}) == "ok"
    assert _measure(space, {"mail": {"d": 1, "r": 1}, "": {"P": 1, "^O": 20}}, number=2, at=AT + 1) == "ok"
    assert _measure(space, {"mail": {"d": 4}}, number=3, at=AT + 60) == "ok"
    assert _stored(space, space.q.minutes) == {"mail": {"d": 3, "r": 1, "w7": 1}, "": {"P": 6, "^O": 30}}
    assert _stored(space, space.q.minutes, AT + 60) == {"mail": {"d": 4}}
    assert _stored(space, space.q.hours)["mail"]["d"] == 7
    assert space.client.hlen(space.q.minutes) == 2


@pytest.mark.parametrize("again", [False, True])
def test_a_call_that_was_carried_out_is_known(space: Space, *, again: bool) -> None:
    """Its answer was lost, or it lay in a buffer of a server that was frozen: it counts once."""
    _measure(space, {"mail": {"d": 2}}, number=7)
    before = space.everything()
    assert _measure(space, {"mail": {"d": 2}}, number=7, again=again) == "known"
    assert _measure(space, {"mail": {"d": 9}}, number=6, again=again) == "known"
    assert space.everything() == before


def test_all_expires(space: Space) -> None:
    """Numbers of a queue that is not served any more are not kept for ever."""
    _measure(space, {"mail": {"d": 1}})
    assert space.client.ttl(space.q.minutes) == about(MINUTES * 60)
    assert space.client.ttl(space.q.hours) == about(HOURS * 3600)
    assert space.client.ttl(space.q.receipt("s.measures")) == about(600)


def test_a_ring_comes_round(space: Space) -> None:
    """The same field three hours later is another minute. What comes so late is left out."""
    _measure(space, {"mail": {"d": 1}})
    later = AT + MINUTES * 60
    _measure(space, {"mail": {"d": 5}}, number=2, at=later)
    assert _stored(space, space.q.minutes, later) == {"mail": {"d": 5}}
    _measure(space, {"mail": {"d": 1}}, number=3)
    assert _stored(space, space.q.minutes, later) == {"mail": {"d": 5}}
    for minute in range(2 * MINUTES):
        _measure(space, {"mail": {"d": 1}}, number=4 + minute, at=later + minute * 60)
    assert space.client.hlen(space.q.minutes) == MINUTES


def test_there_is_an_end_to_types(space: Space) -> None:
    """Of all servers together; the queue as a whole has its place in any case."""
    for number in range(3):
        _measure(space, {f"t{number}-{one}": {"d": 1} for one in range(3)}, number=number + 1)
    _measure(space, {"": {"P": 3}, "t0-0": {"d": 1}, "t9": {"d": 1}}, number=9)
    found = _stored(space, space.q.minutes)
    assert len(found) == MOST + 2
    assert found[""] == {"P": 3}
    assert sum(numbers.get("d", 0) for numbers in found.values()) == 11


@pytest.mark.parametrize("spoil", ["type", "bytes", "shape"])
def test_what_is_no_ring_spoils_nothing_else(space: Space, spoil: str) -> None:
    """A key that somebody else wrote is left alone; a field that nobody can read is begun anew."""
    field = str(int(AT // 60) % MINUTES)
    if spoil == "type":
        space.client.set(space.q.minutes, "mine")
    else:
        space.client.hset(space.q.minutes, field, b"\xc1" if spoil == "bytes" else msgpack.packb("text"))
    assert _measure(space, {"mail": {"d": 1}}, {"mail": {"d": 2}}) == "ok"
    assert _stored(space, space.q.hours) == {"mail": {"d": 1}}
    assert _stored(space, space.r.minutes) == {"mail": {"d": 2}}
    if spoil == "type":
        assert space.client.get(space.q.minutes) == b"mine"
    else:
        assert _stored(space, space.q.minutes) == {"mail": {"d": 1}}


# -- sample ---------------------------------------------------------------------------------------------


def _sample(space: Space, server: str = "s", *, again: bool = False) -> list[Any]:
    keys: list[str] = []
    for queue in (space.q, space.r):
        keys += [queue.minutes, queue.pending, queue.lease, queue.scheduled, queue.retry]
    prefixes = (space.q.task_prefix, space.r.task_prefix)
    now, *found = space.run("sample", keys, server, 120, 100, *prefixes, again=again)
    assert float(now) == about(space.now())
    return found


def _in_one_minute(space: Space, look: Callable[[], None]) -> None:
    """Look again if a minute ended meanwhile."""
    for _ in range(3):
        space.client.flushall()
        before = space.now() // 60
        try:
            look()
        except AssertionError:
            if space.now() // 60 == before:
                raise
        else:
            return


def test_who_asks_first_is_told_and_nobody_else(space: Space) -> None:
    """Each queue is looked at once a minute. Sent again, the call is answered again."""

    def look() -> None:
        space.pending("a", "b", ready_at="12.5")
        space.active("c", "s:1")
        space.delayed("d", "retry", due_in=60)
        space.delayed("e", "scheduled", due_in=60)
        seen = [[1, 2, 1, 2, "12.5", "m-a"], [2, 0, 0, 0, "", ""]]
        assert _sample(space) == seen
        assert _sample(space, again=True) == seen
        assert _sample(space, "other") == []
        space.client.hset(space.q.minutes, "sampled", "1 other")
        assert _sample(space, "other") == seen[:1]
        assert space.client.ttl(space.q.minutes) == about(120)

    _in_one_minute(space, look)


def test_odd_keys_count_nothing(space: Space) -> None:
    """And what is too large does not travel."""
    space.client.set(space.q.minutes, "mine")
    space.client.set(space.r.lease, "mine")
    space.pending("x", queue=space.r, ready_at="")
    space.client.hset(space.r.task("x"), "msg", "m" * 101)
    assert _sample(space) == [[2, 1, 0, 0, "", ""]]


def test_it_does_not_shorten_the_memory(space: Space) -> None:
    """Of what is kept there for three hours."""
    _measure(space, {"mail": {"d": 1}}, at=space.now())
    _sample(space)
    assert space.client.ttl(space.q.minutes) == about(MINUTES * 60)


def test_the_numbers_of_all_have_keys_of_their_own() -> None:
    """Beside each other in a cluster, too, so that one call can write both and its receipt."""
    keys = KEYS.measures
    assert {keys.minutes, keys.hours, keys.receipt("s")} == {
        "asyncq:measures:{all}:minutes",
        "asyncq:measures:{all}:hours",
        "asyncq:measures:{all}:receipt:s",
    }
