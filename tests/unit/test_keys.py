"""Names in Redis: every key of a queue in one slot, and no two things under one name."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from asyncq._wire.keys import (
    ClaimKeys,
    GoKeys,
    Keys,
    QueueKeys,
    SemaphoreKeys,
    go_entry_id,
    is_ours,
    process_name,
    utc_day,
)
from asyncq._wire.wire import AsynqWire

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


def test_both_keys_of_a_claim_are_in_one_slot() -> None:
    """The lock has no prefix and no braces, since go-queue gave it its name."""
    keys = Keys().claim("0d3403d7e31d8a65fad68a947fdf2c13")
    assert keys.lock == "0d3403d7e31d8a65fad68a947fdf2c13"
    slots = {key_slot(getattr(keys, name).encode()) for name in ClaimKeys.__slots__}
    assert len(slots) == 1


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


def test_what_go_reads_is_not_what_we_read() -> None:
    """Go would take our records for damaged ones of its own."""
    go, ours = GoKeys(), AsynqWire().keys
    theirs = {go.servers, go.workers, go.schedulers, go.cancel, go.server("h:1:s"), go.scheduler("h:1:s")}
    assert theirs.isdisjoint({ours.servers, ours.schedulers, ours.server("h:1:s"), ours.scheduler("h:1:s")})
    assert go.history("e") != ours.history("e")
    assert key_slot(go.server("h:1:s").encode()) == key_slot(go.running("h:1:s").encode())


@pytest.mark.parametrize("host", ["web-1", "fe80::1", "asyncq-", ""])
def test_a_process_of_ours_is_known_by_its_name(host: str) -> None:
    """And one of Go's is not taken for one."""
    assert is_ours(process_name(host, 7, "0123456789ab"))
    assert not is_ours(f"{host}:7:00f1b9a0-7be5-4cde-9d6b-1a9d3f3a5a62")


@pytest.mark.parametrize(
    "entry_id", ["nightly", "0 9 * * mon-fri report", "@every 1h a:b", "Zürich", "a.b", "..."]
)
def test_an_id_that_fits_into_a_path_is_shown_as_it_is(entry_id: str) -> None:
    """People know their entries by it."""
    assert go_entry_id(entry_id) == entry_id


@pytest.mark.parametrize("entry_id", ["*/5 * * * * a", "a #1f", "a?", "50%", "a\\b", "a\nb", ".", ".."])
def test_another_one_is_shown_as_the_same_uuid_always(entry_id: str) -> None:
    """Else asynqmon would ask for something else."""
    assert UUID(go_entry_id(entry_id)).version == 5
    assert go_entry_id(entry_id) == go_entry_id(entry_id) != go_entry_id(entry_id + "x")


def test_the_uuid_of_an_entry_does_not_change() -> None:
    """Its history has this name in Redis."""
    assert go_entry_id("*/5 * * * * a") == "f963d22a-1184-56a9-b2ef-16daf9c67907"
