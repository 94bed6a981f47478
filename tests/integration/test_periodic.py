"""The manager of periodic tasks: in step with its provider, and never the worse for its failures."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Iterator
from typing import Any

import pytest
from redis import Redis

from asyncq import Inspector, PeriodicTask, PeriodicTaskManager, Task
from asyncq.errors import AsyncqError, ClosedError, ConfigError, ProviderError
from asyncq.periodic import Changes
from tests.conftest import TOPOLOGIES, AnyRedis
from tests.support.waiting import wait_until

NOWHERE = "redis://127.0.0.1:1/0"


class Provider:
    """Gives what it is told to."""

    def __init__(self, *given: object) -> None:
        self.given: Any = list(given)
        self.error: BaseException | None = None
        self.asked = 0

    def __call__(self) -> Any:
        """Give it, or fail."""
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.given


def one(entry_id: str | None, spec: str = "@every 1h", **payload: object) -> PeriodicTask:
    """Return a periodic task."""
    return PeriodicTask(spec, Task("x", payload or None), id=entry_id)


def ids(manager: PeriodicTaskManager) -> list[str]:
    """Return the ids of all entries."""
    return sorted(entry.id for entry in manager.entries)


# --- taking over, which needs no Redis -------------------------------------------------------


async def test_entries_follow_the_provider() -> None:
    """Added, removed, changed; and what stays the same keeps its time."""
    provider = Provider(one("a"), one("b"))
    manager = PeriodicTaskManager(NOWHERE, provider)
    assert await manager.sync() == Changes(added=("a", "b"))
    times = {entry.id: entry.next_at for entry in manager.entries}
    provider.given = [one("b"), one("a", n=2), one("c")]
    assert await manager.sync() == Changes(added=("c",), changed=("a",), kept=("b",))
    assert next(entry.next_at for entry in manager.entries if entry.id == "b") == times["b"]
    provider.given = []
    assert await manager.sync() == Changes(removed=("b", "a", "c"))
    assert manager.last_synced_at is not None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([one("a", "61 * * * *"), one("n")], "entry 0: spec='61"),
        ([one("n"), one("n")], "entry 1: id='n': expected an id that no other entry has"),
        ([one("n"), PeriodicTask("@hourly", Task("y"), id="n")], "entry 1: id='n'"),
        ([one("n"), Task("no entry")], "entry 1: entry=<Task"),
        ([one("n", "@every 1h"), PeriodicTask("@hourly", Task("y", object()))], "entry 1: payload"),
        ([one("n"), PeriodicTask("@hourly", Task("y"), task_id="t")], "entry 1: task_id"),
        ([one("by hand")], "'by hand' was registered by hand"),
        (None, "TypeError: a provider gives an iterable of PeriodicTask, not NoneType"),
        ("text", "not str"),
        ({"a": one("a")}, "not dict"),
        (one("a"), "not PeriodicTask"),
    ],
)
async def test_a_bad_entry_keeps_the_last_good_set(given: Any, message: str) -> None:
    """All or nothing: half of a set may be worse than none."""
    provider = Provider(one("a"), one("b"))
    manager = PeriodicTaskManager(NOWHERE, provider)
    manager.register("@hourly", Task("x"), entry_id="by hand")
    await manager.sync()
    before = [(entry.id, entry.next_at) for entry in manager.entries]
    provider.given = given
    with pytest.raises(ProviderError) as caught:
        await manager.sync()
    assert message in str(caught.value)
    assert [(entry.id, entry.next_at) for entry in manager.entries] == before
    assert manager.last_error is caught.value
    provider.given = [one("a")]
    await manager.sync()
    assert manager.last_error is None
    assert ids(manager) == ["a", "by hand"]


async def test_many_mistakes_are_reported_together_and_not_without_end() -> None:
    """A bad deploy of ten thousand rows must not write ten thousand lines."""
    manager = PeriodicTaskManager(NOWHERE, Provider(*[one(None, "bad")] * 500))
    with pytest.raises(ProviderError, match=r"(?s)500 of its 500 entries.*entry 9:.*and 490 more") as caught:
        await manager.sync()
    assert isinstance(caught.value.__cause__, ConfigError)


async def test_two_equal_entries_are_one_and_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """Asynq registers both and can remove only one of them."""
    provider = Provider(one(None), one(None), one(None, n=1))
    manager = PeriodicTaskManager(NOWHERE, provider)
    await manager.sync()
    assert len(ids(manager)) == 2
    assert [getattr(record, "event", "") for record in caplog.records].count("entries_equal") == 1
    provider.given = []
    await manager.sync()
    assert ids(manager) == []


class OddError(Exception):
    """Something a provider raises."""


@pytest.mark.parametrize("error", [OddError("no database"), StopIteration("odd"), SystemExit(3)])
async def test_a_provider_that_raises_keeps_the_last_good_set(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever it raises; the log, the callback and the attribute say so."""
    told: list[AsyncqError] = []
    provider = Provider(one("a"))
    manager = PeriodicTaskManager(NOWHERE, provider, on_sync_error=told.append)
    await manager.sync()
    provider.error = error
    with pytest.raises(ProviderError) as caught:
        await manager.sync()
    assert caught.value.__cause__ is not None
    assert told == [manager.last_error] == [caught.value]
    assert ids(manager) == ["a"]
    provider.error = None
    await manager.sync()
    events = [getattr(record, "event", "") for record in caplog.records]
    assert events.count("sync_failed") == 1
    assert events[-1] == "sync_recovered"


async def _coroutine() -> list[PeriodicTask]:
    return [one("a")]


async def _asynchronous() -> AsyncGenerator[PeriodicTask]:
    yield one("a")


def _generator() -> Iterator[PeriodicTask]:
    assert threading.current_thread() is not threading.main_thread(), "it may wait for a database"
    yield one("a")


def _given_later() -> Awaitable[list[PeriodicTask]]:
    return _coroutine()


class _Object:
    async def __call__(self) -> tuple[PeriodicTask, ...]:
        return (one("a"),)


@pytest.mark.parametrize(
    "provider", [_coroutine, _asynchronous, _generator, _Object(), lambda: [one("a")], _given_later]
)
async def test_a_provider_may_be_anything_that_gives_entries(provider: Any) -> None:
    """Async or not, a list or something lazier."""
    manager = PeriodicTaskManager(NOWHERE, provider)
    await manager.sync()
    assert ids(manager) == ["a"]
    await manager.sync()


async def test_a_provider_that_hangs_is_given_up_in_time() -> None:
    """In a thread it cannot be stopped; it is not asked again before it has ended."""
    gate, asked = threading.Event(), []

    def provide() -> list[PeriodicTask]:
        asked.append(1)
        if len(asked) == 2:
            gate.wait(30)
        return [one("a")]

    manager = PeriodicTaskManager(NOWHERE, provide, provider_timeout=0.05)
    await manager.sync()
    with pytest.raises(ProviderError, match=r"no answer within 0\.05 s"):
        await manager.sync()
    with pytest.raises(ProviderError, match="not ended since"):
        await manager.sync()
    assert len(asked) == 2
    gate.set()

    async def works_again() -> bool:
        try:
            await manager.sync()
        except ProviderError:
            return False
        return True

    await wait_until(works_again, "the provider to be asked again")
    assert ids(manager) == ["a"]


async def test_an_async_provider_that_hangs_is_cancelled() -> None:
    """And may be asked again at once."""
    cancelled = []

    async def provide() -> list[PeriodicTask]:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(1)
            raise
        return []

    manager = PeriodicTaskManager(NOWHERE, provide, provider_timeout=0.02)
    for _ in range(2):
        with pytest.raises(ProviderError, match="no answer"):
            await manager.sync()
        await asyncio.sleep(0)
    assert len(cancelled) == 2


async def test_a_provider_without_an_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """It must not fill the memory."""
    monkeypatch.setattr("asyncq._scheduling.source.MOST", 100)

    def endless() -> Iterator[PeriodicTask]:
        while True:
            yield one("a")

    async def for_ever() -> AsyncGenerator[PeriodicTask]:
        while True:
            yield one("a")

    for provider in (endless, for_ever):
        with pytest.raises(ProviderError, match="more than 100 entries"):
            await PeriodicTaskManager(NOWHERE, provider).sync()


async def test_syncs_at_the_same_time_come_one_after_another() -> None:
    """Each sees at least what was there when it was asked for."""
    provider = Provider(one("a"))
    manager = PeriodicTaskManager(NOWHERE, provider)
    changes = await asyncio.gather(*[manager.sync() for _ in range(5)])
    assert provider.asked == 5
    assert [bool(change) for change in changes] == [True, False, False, False, False]


async def test_what_is_removed_by_hand_comes_back_with_the_next_sync() -> None:
    """The provider is the truth of its entries, and of no others."""
    provider = Provider(one("a"), one("b"))
    manager = PeriodicTaskManager(NOWHERE, provider)
    manager.register("@hourly", Task("x"), entry_id="by hand")
    await manager.sync()
    manager.unregister("a")
    manager.unregister("by hand")
    assert ids(manager) == ["b"]
    assert await manager.sync() == Changes(added=("a",), kept=("b",))


def test_options_are_checked_together() -> None:
    """Those of the manager with those of its scheduler."""
    with pytest.raises(ConfigError) as caught:
        PeriodicTaskManager(
            NOWHERE,
            list,
            sync_interval=0.5,
            provider_timeout=-1,
            timezone="Mars",
            on_sync_error=1,  # type: ignore[arg-type]
        )
    names = {problem.option for problem in caught.value.problems}
    assert names == {"sync_interval", "provider_timeout", "timezone", "on_sync_error"}
    with pytest.raises(ConfigError, match="did you mean 'sync_interval'"):
        PeriodicTaskManager(NOWHERE, list, sync_intervall=5)  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match="provider=3"):
        PeriodicTaskManager(NOWHERE, 3)  # type: ignore[arg-type]


# --- at work ---------------------------------------------------------------------------------


@pytest.mark.parametrize("any_redis", TOPOLOGIES, indirect=True)
async def test_a_manager_enqueues_what_its_provider_gives(any_redis: AnyRedis) -> None:
    """And tools see what it has, how old that is, and why it is not newer."""
    provider = Provider(one("a", "@every 1s"))
    manager = PeriodicTaskManager(any_redis.url, provider, sync_interval=1)
    pending = "asyncq:{default}:pending"
    async with Inspector(any_redis.url) as inspector, manager.running():
        (info,) = await inspector.schedulers.list()
        assert info.entries == 1
        assert info.synced_at is not None
        await wait_until(lambda: any_redis.client.llen(pending) == 1, "a run")

        provider.error = OddError("no database")

        async def says_so() -> bool:
            (info,) = await inspector.schedulers.list()
            return "no database" in info.sync_error

        await wait_until(says_so, "the inspector to say that the provider fails")
        seen: Any = any_redis.client.llen(pending)
        await wait_until(lambda: any_redis.client.llen(pending) > seen, "the last good set to go on")

        provider.error, provider.given = None, [one("b", "@every 1h")]

        async def has_changed() -> bool:
            (info,) = await inspector.schedulers.list()
            return info.sync_error == "" and [e.id for e in await inspector.schedulers.entries()] == ["b"]

        await wait_until(has_changed, "the new set")
    assert provider.asked >= 3


async def test_a_provider_that_hangs_stops_no_entry(redis_url: str, redis_client: Redis) -> None:
    """Nor does it keep the manager from leaving, or the program from ending."""
    gate, asked = threading.Event(), []

    def provide() -> list[PeriodicTask]:
        asked.append(1)
        if len(asked) > 1:
            gate.wait(30)
        return [one("a", "@every 1s")]

    manager = PeriodicTaskManager(redis_url, provide, sync_interval=1, provider_timeout=60)
    try:
        async with manager.running():
            await wait_until(lambda: len(asked) == 2, "the provider to hang")
            seen = redis_client.llen("asyncq:{default}:pending")
            await wait_until(
                lambda: redis_client.llen("asyncq:{default}:pending") >= seen + 2,  # type: ignore[operator]
                "two more runs",
            )
            began = time.monotonic()
        assert time.monotonic() - began < 10
    finally:
        gate.set()


async def test_a_manager_does_not_start_without_entries_to_begin_with(redis_url: str) -> None:
    """There is no last good set yet; a process manager should see that it failed."""
    provider = Provider()
    provider.error = OddError("no database")
    manager = PeriodicTaskManager(redis_url, provider)
    with pytest.raises(ProviderError, match="no database"):
        await manager.serve()
    with pytest.raises(ClosedError):
        await manager.sync()


async def test_without_an_interval_it_is_asked_on_demand_only(redis_url: str, redis_client: Redis) -> None:
    """For programs that know when something has changed."""
    provider = Provider()
    manager = PeriodicTaskManager(redis_url, provider, sync_interval=math.inf)
    async with manager.running():
        provider.given = [one("a", "@every 1s")]
        await manager.sync()
        await wait_until(lambda: redis_client.llen("asyncq:{default}:pending") == 1, "a run")
        assert provider.asked == 2
