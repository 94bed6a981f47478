"""Records of deliveries that did not succeed, as `settle` writes them."""

# ruff: noqa: FBT003 - a detail is a row of values, booleans among them

from __future__ import annotations

from typing import Any, cast

import msgpack

from tests.lua import calls
from tests.lua.space import Space, about


def _past(count: int, error: str, trace: str) -> tuple[list[list[Any]], bytes]:
    rows: list[list[Any]] = [[n, 1.5, 2.5, "s", "retry", error, trace] for n in range(1, count + 1)]
    return rows, cast("bytes", msgpack.packb(rows, use_bin_type=False))


def _found(space: Space) -> list[list[Any]]:
    return cast(
        "list[list[Any]]", msgpack.unpackb(cast("bytes", space.client.hget(space.q.task("a"), "attempts")))
    )


def test_a_failed_delivery_is_kept_on_record(space: Space) -> None:
    """The last so many of them."""
    past, packed = _past(2, "before", "trace")
    space.active("a", "s:1", deliveries=3, delivered_at=500, attempts=packed)
    calls.settle("archive", "why", "exhausted", True, False, 2, "where")(space)
    assert _found(space) == [past[1], [3, 500, about(space.now()), "s", "exhausted", "why", "where"]]


def test_records_are_kept_small(space: Space) -> None:
    """Tracebacks of the earliest go first, then they; never the last one."""
    _, packed = _past(9, "e" * 1000, "t" * 3000)
    space.active("a", "s:1", deliveries=10, attempts=packed)
    calls.settle("retry", "f" * 4000, 40.0, True, 10, "u" * 4000)(space)
    found = _found(space)
    assert found[-1][5:] == ["f" * 4000, "u" * 4000]
    assert len(found) < 10
    traces = [len(one[6]) for one in found[:-1]]
    assert traces == sorted(traces)


def test_none_is_kept_where_none_is_wanted(space: Space) -> None:
    """As servers did that know nothing of records."""
    for detail in (("e", 40.0, True), ("e", 40.0, True, 0, "")):
        space.active("a", "s:1")
        calls.settle("retry", *detail)(space)
        assert "attempts" not in space.task("a")


def test_a_success_costs_no_command_more(space: Space) -> None:
    """Nearly all deliveries end so: the record is neither read nor written."""

    def commands(outcome: str, *detail: object) -> dict[str, int]:
        space.client.flushall()
        space.active("a", "s:1")
        space.client.config_resetstat()
        calls.settle(outcome, *detail)(space)
        stats: Any = space.client.info("commandstats")
        names = ("hget", "hmget", "hset", "hdel")
        return {name: stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in names}

    assert commands("plain") == {"hget": 0, "hmget": 1, "hset": 0, "hdel": 0}
    # Its state and when it succeeded, and the delivery that is over.
    assert commands("complete", False, False, 60.0) == {"hget": 0, "hmget": 1, "hset": 1, "hdel": 1}
