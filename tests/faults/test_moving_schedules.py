"""Schedulers at work while nodes go away, slots move, and a replica takes over that lags behind."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from asyncq import Client, ConnectionOptions, Mux, Scheduler, Server, Task
from asyncq._broker.entries import Entries
from asyncq._wire.keys import Keys
from asyncq.errors import BrokerUnavailableError
from tests.support.cluster import ClusterProcesses, SlotMove, queue_on
from tests.support.sentinel import SentinelProcesses
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(60)]

SECONDLY = "* * * * * *"
ENTRIES = Keys().entries.entries
QUEUE = Keys().queue("default")


def _times(client: Any, queue: str) -> list[float]:
    """The times that were enqueued into a queue, the oldest first."""
    ids: Any = client.lrange(Keys().queue(queue).pending, 0, -1)
    return [float(raw.partition(b"-")[2]) for raw in reversed(ids)]


def _assert_each_once(times: list[float]) -> None:
    assert times == [times[0] + number for number in range(len(times))]


@pytest.mark.cluster
async def test_a_refused_time_waits_for_the_node_of_the_entries(own_cluster: ClusterProcesses) -> None:
    """What the entry is now cannot be asked; so it is not enqueued by what it was, and not lost."""
    away = own_cluster.owner_of(ENTRIES)
    there = next(node for node in own_cluster.nodes if node is not away)
    changed, same = queue_on(own_cluster, there, "changed"), queue_on(own_cluster, there, "same")
    errors: Counter[str] = Counter()

    def failed(entry: Any, error: Exception) -> None:
        errors[entry.id] += 1

    options = replace(ConnectionOptions.from_url(own_cluster.url), response_timeout=1.0)
    scheduler = Scheduler(options, waking="poll", look_interval=3600, on_error=failed)
    async with Client(own_cluster.url) as client:
        every: Any = {"catch_up": "all"}
        for queue in (changed, same):
            await client.schedules.upsert(SECONDLY, Task("t", "old"), entry_id=queue, queue=queue, **every)
        with there.client() as raw:
            async with scheduler.running():
                count = len(_times(raw, changed))
                await wait_until(lambda: len(_times(raw, changed)) > count, "a time")
                await client.schedules.upsert(
                    SECONDLY, Task("t", "new"), entry_id=changed, queue=changed, **every
                )
                away.pause()
                try:
                    before = _times(raw, changed)
                    count = len(_times(raw, same))
                    await wait_until(lambda: len(_times(raw, same)) >= count + 3, "another entry to go on")
                    await wait_until(lambda: errors[changed] > 0, "the refusal to be told", 20.0)
                    assert _times(raw, changed) == before
                finally:
                    away.resume()
                await wait_until(lambda: _times(raw, changed)[-1] > time.time() - 1, "it to go on", 20.0)
            _assert_each_once(_times(raw, changed))
            ids: Any = raw.lrange(Keys().queue(changed).pending, 0, -1)
            messages = [cast("bytes", raw.hget(Keys().queue(changed).task(i.decode()), "msg")) for i in ids]
            assert [b"new" in message for message in reversed(messages)] == [
                at not in before for at in _times(raw, changed)
            ]


@pytest.mark.cluster
async def test_an_entry_waits_until_the_queue_that_it_has_left_can_be_told(
    own_cluster: ClusterProcesses, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever has moved it is gone. Others go on, and it does when that node is back, where it was."""
    home = own_cluster.owner_of(ENTRIES)
    away, there = (node for node in own_cluster.nodes if node is not home)
    old, new = queue_on(own_cluster, away, "old"), queue_on(own_cluster, there, "new")
    options = replace(ConnectionOptions.from_url(own_cluster.url), response_timeout=1.0)
    every: Any = {"entry_id": "mine", "catch_up": "all"}

    async def die(*_: Any) -> None:
        raise BrokerUnavailableError("here", "killed")

    async with Client(own_cluster.url) as client, Scheduler(options).running():
        await client.schedules.upsert(SECONDLY, Task("t"), queue=old, **every)
        with away.client() as left, there.client() as entered:
            await client.schedules.upsert(SECONDLY, Task("t"), entry_id="other", queue=new)
            await wait_until(lambda: _times(left, old), "a time in the old queue")
            with monkeypatch.context() as patched:
                patched.setattr(Entries, "_tell", die)
                away.pause()
                try:
                    with pytest.raises(BrokerUnavailableError):
                        await client.schedules.upsert(SECONDLY, Task("t"), queue=new, **every)
                    patched.undo()
                    await wait_until(lambda: "waits to be moved" in caplog.text, "that to be said", 20.0)
                    mark = hashlib.blake2s(b"mine", digest_size=6).hexdigest().encode()

                    def row() -> list[float]:
                        ids: Any = entered.lrange(Keys().queue(new).pending, 0, -1)
                        found = [raw.partition(b"-") for raw in reversed(ids)]
                        return [float(nominal) for entry, _, nominal in found if entry == mark]

                    assert row() == []
                    count = len(_times(entered, new))
                    await wait_until(lambda: len(_times(entered, new)) > count, "the other one to go on")
                    assert row() == []
                finally:
                    away.resume()
            await wait_until(lambda: row() and row()[-1] > time.time() - 1, "it to be moved", 20.0)
            had = _times(left, old)
            _assert_each_once(had + row())


@pytest.mark.cluster
@pytest.mark.parametrize("ticks_first", [True, False])
async def test_the_slot_of_a_queue_may_move_while_times_are_claimed(
    own_cluster: ClusterProcesses, *, ticks_first: bool
) -> None:
    """Claim and task are on two nodes meanwhile: times wait, and each is enqueued once."""
    source = own_cluster.owner_of(QUEUE.pending)
    target = next(node for node in own_cluster.nodes if node is not source)
    schedulers = [Scheduler(own_cluster.url) for _ in range(2)]
    names = [f"entry {number}" for number in range(5)]
    for scheduler in schedulers:
        for name in names:
            scheduler.register(SECONDLY, Task("t", name), entry_id=name, catch_up="all")

    def rows() -> dict[bytes, list[float]]:
        found: dict[bytes, list[float]] = {}
        with own_cluster.owner_of(QUEUE.pending).client() as raw:
            for task_id in reversed(cast("Any", raw.lrange(QUEUE.pending, 0, -1))):
                entry, _, nominal = task_id.partition(b"-")
                found.setdefault(entry, []).append(float(nominal))
        return found

    async with schedulers[0].running(), schedulers[1].running():
        await wait_until(lambda: len(rows()) == len(names), "all to be enqueued")
        move = SlotMove(own_cluster, QUEUE.pending, target)
        move.begin()
        move.carry(*[key for key in move.left() if key.startswith(QUEUE.tick_prefix) == ticks_first])
        until = int(time.time()) + 2.2
        await wait_until(lambda: time.time() > until, "times to come meanwhile")
        assert move.left()
        move.end()
        await wait_until(lambda: all(row[-1] > until + 1 for row in rows().values()), "all to go on", 20.0)
    assert own_cluster.owner_of(QUEUE.pending) is target
    assert len(rows()) == len(names)
    for row in rows().values():
        _assert_each_once(row)


@pytest.mark.cluster
async def test_the_slot_of_the_entries_may_move_while_they_are_changed(own_cluster: ClusterProcesses) -> None:
    """Changes wait, times do not; and what was said last is what is run."""
    source = own_cluster.owner_of(ENTRIES)
    target = next(node for node in own_cluster.nodes if node is not source)
    async with Client(own_cluster.url, patience=20) as client, Scheduler(own_cluster.url).running():
        for name in "abc":
            await client.schedules.upsert("@daily", Task(name, 0), entry_id=name)
        await client.schedules.upsert(SECONDLY, Task("t"), entry_id="t", catch_up="all")
        move = SlotMove(own_cluster, ENTRIES, target)
        move.begin()
        move.carry(ENTRIES)
        changes = [
            asyncio.create_task(client.schedules.upsert("@daily", Task(name, 1), entry_id=name))
            for name in "abc"
        ]
        with own_cluster.owner_of(QUEUE.pending).client() as raw:
            count = len(_times(raw, "default"))
            await wait_until(lambda: len(_times(raw, "default")) >= count + 2, "times to be enqueued")
            move.end()
            for info in await asyncio.gather(*changes):
                assert info.payload == 1
            assert [info.payload for info in await client.schedules.list() if info.id in "abc"] == [1, 1, 1]
            _assert_each_once(_times(raw, "default"))


@pytest.mark.sentinel
async def test_a_replica_that_lags_behind_loses_claims_with_their_tasks() -> None:
    """Both are in one Redis: a time is lost as a whole, and made up for. What had run by then runs again."""
    ran: list[float] = []
    mux = Mux()

    @mux.handle("t")
    async def run(task: Task) -> None:
        ran.append(float(task.id.rpartition("-")[2]))

    with SentinelProcesses(sentinels=1) as redis:
        schedulers = [Scheduler(redis.url) for _ in range(2)]
        for scheduler in schedulers:
            scheduler.register(SECONDLY, Task("t"), entry_id="mine", catch_up="all")
        async with (
            Server(redis.url).running(mux),
            schedulers[0].running(),
            schedulers[1].running(),
        ):
            await wait_until(lambda: len(ran) >= 1, "a run")
            with redis.primary().client() as raw:
                raw.execute_command("WAIT", 1, 5000)
                kept = float(cast("Any", raw.hget(QUEUE.tick("mine"), "at")))
                # From here on the replica hears of nothing.
                raw.execute_command("ACL", "SETUSER", "default", "-psync", "-sync", "-replconf")
                raw.execute_command("CLIENT", "KILL", "TYPE", "replica")
            await wait_until(lambda: ran[-1] >= kept + 2, "runs that the replica does not know of")
            heir = redis.kill_primary()
            lost = {at for at in ran if at > kept}
            await asyncio.to_thread(redis.wait_promoted, heir)
            back = datetime.now(UTC).timestamp()
            await wait_until(lambda: ran[-1] > back, "all to be made up for", 20.0)
        found = Counter(ran)
        _assert_each_once(sorted(found))
        assert {at for at, count in found.items() if count > 1} == lost
