"""Stored entries when Redis has lost a part of what it said, or a part of a change could not be made."""

from __future__ import annotations

import logging
import math
import time
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from redis import Redis

from asyncq import Client, Scheduler, Task
from asyncq._broker.fences import Fences
from asyncq._wire.keys import Keys
from asyncq.errors import BrokerUnavailableError, EntryNotFoundError, WireError
from tests.integration.following import ids, look
from tests.support.waiting import wait_until

KEYS = Keys().entries
BOOK = (KEYS.entries, KEYS.changes, KEYS.state, KEYS.removed)
PENDING = "asyncq:{default}:pending"


def _saved(raw: Redis) -> dict[str, bytes | None]:
    return {name: cast("bytes | None", raw.dump(name)) for name in BOOK}


def _restore(raw: Redis, saved: dict[str, bytes | None]) -> None:
    """Let the slot of the entries be as it was: a fail-over to a replica that was behind."""
    for name, value in saved.items():
        raw.delete(name)
        if value is not None:
            raw.restore(name, 0, value)


@pytest.mark.parametrize("lost", ["pause", "change", "remove"])
async def test_a_change_that_a_fail_over_has_lost_fences_nothing(
    redis_url: str, redis_client: Redis, caplog: pytest.LogCaptureFixture, lost: str
) -> None:
    """The fence lies with the queue, on another node. What is stored now counts."""
    caplog.set_level(logging.WARNING)
    async with Client(redis_url) as client:
        await client.schedules.add("@every 1s", Task("report"), entry_id="mine")
        saved = _saved(redis_client)
        if lost == "pause":
            await client.schedules.pause("mine")
        elif lost == "change":
            await client.schedules.upsert("@every 2s", Task("report"), entry_id="mine")
        else:
            await client.schedules.remove("mine")
        _restore(redis_client, saved)
        async with Scheduler(redis_url).running():
            await wait_until(lambda: cast("Any", redis_client.llen(PENDING)) >= 1, "it to be enqueued")
        assert caplog.text.count("has lost a change of entry 'mine'") == 1
        # And nothing of it is left: what is changed now is fenced as ever.
        await client.schedules.pause("mine")
        stored = await client.schedules.get("mine")
        assert int(cast("Any", redis_client.get("asyncq:{default}:fence:mine"))) == stored.version


async def test_a_time_that_comes_before_a_scheduler_hears_of_its_entry_is_not_lost(
    redis_url: str, redis_client: Redis
) -> None:
    """Nobody was told, and the next look is later: a time of an entry that is there."""
    scheduler = Scheduler(redis_url, waking="poll", look_interval=3600)
    async with Client(redis_url) as client, scheduler.running():
        due = datetime.now(UTC) + timedelta(seconds=0.4)
        await client.schedules.add(due, Task("report"), entry_id="mine")
        await wait_until(lambda: datetime.now(UTC) > due + timedelta(seconds=0.1), "the time to pass")
        await look(scheduler)
        await wait_until(lambda: cast("Any", redis_client.llen(PENDING)) == 1, "it to be enqueued")


async def test_no_first_time_goes_without_a_word_when_the_news_of_an_entry_were_missed(
    redis_url: str,
) -> None:
    """It was stored seconds ago when a scheduler hears of it: each time since is enqueued or left out."""
    scheduler = Scheduler(redis_url, waking="poll", look_interval=3600)
    rules: list[Any] = ["skip", "latest", "all"]
    async with Client(redis_url) as client, scheduler.running():
        begun: dict[str, float] = {}
        for spec in ("@every 1s", "* * * * * *"):
            for catch_up in rules:
                name = f"{spec} {catch_up}"
                info = await client.schedules.add(spec, Task("t"), entry_id=name, catch_up=catch_up)
                begun[name] = info.created_at.timestamp()
        until = time.time() + 2.5
        await wait_until(lambda: time.time() > until, "times that nobody hears of")
        await look(scheduler)

        async def told(name: str) -> list[float]:
            entry = next(entry for entry in scheduler.entries if entry.id == name)
            events = await client.schedules.history(name) if entry.last_at is not None else []
            each = [[event.nominal_at.timestamp() + n for n in range(event.count)] for event in events]
            return sorted(at for times in each for at in times)

        for name, since in begun.items():

            async def are_told(name: str = name) -> bool:
                times = await told(name)
                return bool(times) and times[-1] > until

            await wait_until(are_told, "times to be enqueued")
            first = since + 1 if name.startswith("@") else math.floor(since) + 1
            times = await told(name)
            assert times == [pytest.approx(first + number, abs=0.002) for number in range(len(times))]


@pytest.mark.parametrize("how", ["change", "pause", "remove", "remove and add"])
async def test_a_change_whose_fence_was_not_written_holds_when_it_is_made_again(
    redis_url: str, redis_client: Redis, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The node of the queue was away, and whoever changed the entry tries again, if hours later."""
    fence = "asyncq:{default}:fence:mine"

    async def change(client: Client) -> None:
        if how == "change":
            await client.schedules.upsert("@daily", Task("report", 2), entry_id="mine")
        elif how == "pause":
            await client.schedules.pause("mine")
        else:
            await client.schedules.remove("mine")

    async with Client(redis_url) as client:
        before = await client.schedules.add("@daily", Task("report", 1), entry_id="mine")
        with monkeypatch.context() as patched:

            async def is_away(*_: Any, **__: Any) -> None:
                raise BrokerUnavailableError("the queue", "its node is away")

            patched.setattr(Fences, "raise_to", is_away)
            with pytest.raises(BrokerUnavailableError):
                await change(client)
        assert redis_client.get(fence) is None
        if how == "remove and add":
            await client.schedules.add("@daily", Task("report", 3), entry_id="mine")
        else:
            await change(client)
        assert int(cast("Any", redis_client.get(fence))) > before.version
        if how == "remove":
            with pytest.raises(EntryNotFoundError):
                await change(client)  # that was it


async def test_what_code_has_changed_holds_when_its_scheduler_starts_again(
    redis_url: str, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first start failed, since the node of the queue was away."""
    fence = "asyncq:{default}:fence:mine"

    async def start(payload: int) -> None:
        scheduler = Scheduler(redis_url, look_interval=3600)
        scheduler.register("@daily", Task("report", payload), entry_id="mine")
        async with scheduler.running():
            await look(scheduler)

    async def is_away(*_: Any, **__: Any) -> None:
        raise BrokerUnavailableError("the queue", "its node is away")

    await start(1)
    with monkeypatch.context() as patched:
        patched.setattr(Fences, "raise_to", is_away)
        with pytest.raises(BrokerUnavailableError):
            await start(2)
    assert redis_client.get(fence) is None
    await start(2)
    async with Client(redis_url) as client:
        stored = await client.schedules.get("mine")
        assert stored.payload == 2
        assert int(cast("Any", redis_client.get(fence))) == stored.version


async def test_what_is_declared_and_was_removed_is_stored_again_when_that_is_noticed(
    redis_url: str, redis_client: Redis
) -> None:
    """It was taken for an orphan just when a scheduler came that declares it, and nobody was told."""
    scheduler = Scheduler(redis_url, waking="poll", look_interval=3600)
    scheduler.register("@every 1s", Task("report"), entry_id="mine")
    async with Client(redis_url) as client, scheduler.running():
        stored = await client._connected().entries.get("mine")  # noqa: SLF001 - as another scheduler would
        assert stored is not None
        removed = await client._connected().entries.remove(stored, force=True)  # noqa: SLF001
        assert removed.word == "removed"
        await wait_until(lambda: cast("Any", redis_client.llen(PENDING)) == 1, "it to be enqueued")
        assert (await client.schedules.get("mine")).origin == "code"


async def test_what_is_written_by_hand_where_the_last_version_stands_stops_nothing(
    redis_url: str, redis_client: Redis
) -> None:
    """Nor does it if that is deleted: versions go on behind the last one there is."""
    scheduler = Scheduler(redis_url, look_interval=3600)
    async with Client(redis_url) as client, scheduler.running():
        before = await client.schedules.add("@daily", Task("a"), entry_id="a")
        redis_client.hset(KEYS.state, mapping={"version": "abc", "sum": "x", "floor": "?"})
        assert [info.id for info in await client.schedules.list()] == ["a"]
        await look(scheduler)
        after = await client.schedules.add("@daily", Task("b"), entry_id="b")
        assert after.version > before.version
        await wait_until(lambda: ids(scheduler) == ["a", "b"], "both")


async def test_an_entry_that_cannot_be_read_is_not_called_missing(
    redis_url: str, redis_client: Redis
) -> None:
    """`there is no entry 'a'; did you mean 'a'?` helps nobody."""
    async with Client(redis_url) as client:
        await client.schedules.add("@daily", Task("a"), entry_id="a")
        redis_client.hset(KEYS.entries, "a", b"\xc1")
        for call in (client.schedules.get, client.schedules.pause, client.schedules.resume):
            with pytest.raises(WireError, match="'a'"):
                await call("a")
        assert (await client.schedules.upsert("@daily", Task("b"), entry_id="a")).type == "b"


async def test_a_pause_does_not_shorten_the_memory_of_what_is_due_once_a_year(
    redis_url: str, redis_client: Redis
) -> None:
    """Its history is kept for two of its intervals."""
    async with Client(redis_url) as client:
        await client.schedules.add("@yearly", Task("a"), entry_id="a")
        await client.schedules.pause("a")
        key = Keys().history("a")
        redis_client.expire(key, 2 * 365 * 86400)
        await client.schedules.resume("a")
        assert cast("Any", redis_client.ttl(key)) > 365 * 86400
