"""Names in Redis: every key of a queue in one slot, and no two things under one name."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from asyncq._wire.keys import Keys, QueueKeys, SemaphoreKeys, utc_day

_names = st.text(st.characters(exclude_characters="{}", exclude_categories=["Cs"]), min_size=1, max_size=30)


def _all(keys: QueueKeys, part: str) -> list[str]:
    plain = [
        getattr(keys, name)
        for name in QueueKeys.__slots__
        if name not in ("name", "base") and not name.endswith("_prefix")
    ]
    made = [keys.task(part), keys.unique(part), keys.group(part), keys.receipt(part), keys.tick(part)]
    return [*plain, *made, keys.day("processed", 1e9), keys.day("failed", 1e9)]


@given(queue=_names, part=st.text(min_size=1, max_size=30))
def test_every_key_of_a_queue_is_in_one_slot(queue: str, part: str) -> None:
    """Whatever ids, groups and payloads bring along, braces too."""
    names = _all(Keys().queue(queue), part)
    assert {key_slot(name.encode("utf-8", "surrogatepass")) for name in names} == {key_slot(queue.encode())}


@given(one=_names, other=_names, part=st.text(max_size=20))
def test_queues_do_not_share_keys(one: str, other: str, part: str) -> None:
    """Nor do the things within one."""
    mine = _all(Keys().queue(one), part)
    assert len(set(mine)) == len(mine)
    if one != other:
        assert not set(mine) & set(_all(Keys().queue(other), part))


def test_prefixes_do_not_share_keys() -> None:
    """Two programs on one Redis."""
    one, other = Keys("a:"), Keys("b:")
    assert not set(_all(one.queue("q"), "x")) & set(_all(other.queue("q"), "x"))
    assert {one.queues, one.servers, one.news, one.channel("s"), one.server("s")}.isdisjoint(
        {other.queues, other.servers, other.news, other.channel("s"), other.server("s")}
    )


def test_the_keys_of_a_queue_are_made_once() -> None:
    """They are needed for every task."""
    keys = Keys()
    assert keys.queue("q") is keys.queue("q")


@pytest.mark.parametrize(
    ("second", "day"),
    [
        (0.0, "1970-01-01"),
        (86399.999, "1970-01-01"),
        (86400.0, "1970-01-02"),
        (datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC).timestamp(), "2024-02-29"),
    ],
)
def test_days_are_those_of_utc(second: float, day: str) -> None:
    """As asynq has them."""
    assert Keys().queue("q").day("processed", second) == f"asyncq:{{q}}:processed:{day}"
    assert utc_day(int(second // 86400)) == day


@given(scope=_names, other=_names)
def test_every_key_of_a_semaphore_is_in_one_slot(scope: str, other: str) -> None:
    """And no two semaphores share one."""
    mine, others = (
        {getattr(Keys().semaphore(name), part) for part in SemaphoreKeys.__slots__} for name in (scope, other)
    )
    assert {key_slot(key.encode("utf-8", "surrogatepass")) for key in mine} == {key_slot(scope.encode())}
    assert len(mine) == len(SemaphoreKeys.__slots__)
    assert scope == other or not mine & others
