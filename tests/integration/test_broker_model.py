"""The broker against a model: any sequence of calls, with answers that get lost and calls that come late.

After each step the whole keyspace of the queue is compared. Time passes by setting scores.
"""

# ruff: noqa: D102 - rules are named as what is done

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any, Literal, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis import Redis

from asyncq._broker import basis
from asyncq._broker.broker import Broker
from asyncq._broker.delayed import Forwarded
from asyncq._broker.deliver import Deliver, Delivery
from asyncq._broker.leases import Held, RecoveryTerms
from asyncq._redis.router import Call, Router
from asyncq._wire.messages import Envelope, NewTask
from asyncq._wire.wire import ASYNQ, DIALECTS, NATIVE, AsynqWire, NativeWire
from asyncq.connection import ConnectionOptions
from asyncq.errors import TaskNotActiveError
from tests.integration.broker_model import LEASE, Model, agree, without_what_asynq_adds
from tests.integration.echoes import KINDS, SCRIPTS, Echo, EchoingRouter, settlement
from tests.support.keyspace import snapshot
from tests.support.servers import RedisProcess

_QUEUE = "q"
_BASE = "asyncq:{q}:"
_OUTCOMES = (
    "done", "completed", "retry", "uncounted", "archived", "requeued", "deferred", "revoked", "expired",
)  # fmt: skip
_UNSEEN = ("receipt:", "waiting", "processed:", "failed:", "asyncq:queues")
_echoes = st.sampled_from(["", "", "lost", "twice"])


class BrokerMachine(RuleBasedStateMachine):
    """Two clients which are two servers as well, and a queue."""

    def __init__(self, process: RedisProcess, client: Redis, wire: str) -> None:
        super().__init__()
        self.wire = AsynqWire() if wire == ASYNQ else NativeWire()
        self.base = self.wire.keys.queue(_QUEUE).base
        client.flushall()
        self.client = client
        self.model = Model()
        self.runner = asyncio.Runner()
        self.loop = self.runner.get_loop()
        self.brokers: dict[str, Broker] = {}
        self.areas: dict[str, Deliver] = {}
        self.next_number = {"s1": 1, "s2": 1}
        self.delivered: list[tuple[str, str]] = []  # every delivery there ever was
        self.count = 0
        self.runner.run(self._connect(process))

    async def _connect(self, process: RedisProcess) -> None:
        for name in ("s1", "s2"):
            options, dialect = ConnectionOptions.from_url(process.url), self.wire.name
            router = EchoingRouter(options, name="asyncq:test", dialect=dialect)
            broker = self.brokers[name] = Broker(router, self.wire, owner=name, patience=5.0)
            self.areas[name] = broker.deliver(lease=LEASE, stand=5.0)
            await router.command("PING", patience=5.0)
        for name in SCRIPTS:
            self.client.script_load(basis.script(name).texts[self.wire.name].source)
        # The first look only learns the time.
        await self.brokers["s1"].leases.recover([_QUEUE], RecoveryTerms(3))

    def teardown(self) -> None:
        async def close() -> None:
            for broker in self.brokers.values():
                await broker.router.aclose()
            for _ in range(3):
                await asyncio.sleep(0)

        self.runner.run(close())
        self.runner.close()

    def _do(self, name: str, echo: str, act: Callable[[Broker], Any]) -> Any:
        """Let one server do something; what is sent is sent twice if so wished."""
        broker = self.brokers[name]
        router = cast("EchoingRouter", broker.router)

        async def run() -> Any:
            router.echo = cast("Echo", echo)
            answer = await act(broker)
            router.echo = ""
            await router.command("PING", patience=5.0)  # behind whatever was sent after the answer
            return answer

        return self.runner.run(run())

    servers = st.sampled_from(["s1", "s2"])

    # -- enqueue ----------------------------------------------------------------------------------

    @rule(
        server=servers,
        echo=_echoes,
        kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=4),
        pick=st.integers(0, 2),
    )
    def enqueue(self, server: str, echo: str, kinds: list[str], pick: int) -> None:
        tasks: list[NewTask] = []
        expected: list[str] = []
        broker = self.brokers[server]
        for kind in kinds:
            self.count += 1
            envelope = Envelope("t", b"", nonce=str(self.count))
            task_id = f"chosen{pick}" if kind == "chosen" else f"t{self.count}"
            task = NewTask(_QUEUE, task_id, envelope)
            if "delayed" in kind:
                task.delay = 600.0
            if kind == "past":
                task.at = time.time() - 60
            if "unique" in kind:
                envelope.unique_key, task.unique_ttl = f"u{pick}", 10_000.0
            if "grouped" in kind:
                envelope.group = f"g{pick}"
            tasks.append(task)
            expected.append(
                self.model.enqueue(
                    task_id,
                    broker.wire.encode(_QUEUE, task_id, envelope),
                    delay=task.delay,
                    at=task.at,
                    lock=envelope.unique_key,
                    group=envelope.group,
                )
            )

        # The first goes alone: the others gather behind it.
        async def act(broker: Broker) -> list[str]:
            placed = [broker.enqueue.submit(task) for task in tasks]
            return [(await one).word for one in placed]

        assert self._do(server, echo, act) == expected

    # -- deliver ----------------------------------------------------------------------------------

    @rule(server=servers, echo=_echoes, want=st.integers(1, 4), lane=st.integers(0, 1))
    def deliver(self, server: str, echo: str, want: int, lane: int) -> None:
        expected = self.model.deliver(server, self.next_number[server], want)
        self.next_number[server] += want

        async def act(_: Broker) -> list[Delivery]:
            answer: asyncio.Future[list[Delivery]] = self.loop.create_future()
            self.areas[server].request(
                [(_QUEUE, want)],
                want,
                lane=lane,
                on_delivered=answer.set_result,
                on_failure=answer.set_exception,
            )
            return await answer

        found = self._do(server, echo, act)
        assert [(d.id, d.token, d.retried, d.deliveries, d.lost) for d in found] == expected
        assert all(delivery.envelope is not None for delivery in found)
        self.delivered += [(delivery.id, delivery.token) for delivery in found]

    # -- settle -----------------------------------------------------------------------------------

    @precondition(lambda self: self.delivered)
    @rule(server=servers, echo=_echoes, data=st.data())
    def settle(self, server: str, echo: str, data: st.DataObject) -> None:
        chosen = data.draw(st.lists(self._delivery(), min_size=1, max_size=3, unique_by=lambda one: one[0]))
        outcomes = [data.draw(st.sampled_from(_OUTCOMES)) for _ in chosen]
        locks = [self._lock_of(task_id) for task_id, _ in chosen]
        settlements = [
            settlement(task_id, token, outcome, lock)
            for (task_id, token), outcome, lock in zip(chosen, outcomes, locks, strict=True)
        ]
        # The script writes plain successes first.
        order = sorted(range(len(chosen)), key=lambda at: not (outcomes[at] == "done" and not locks[at]))
        refused = [at for at in order if not self.model.settle(*chosen[at], outcomes[at])]

        async def act(broker: Broker) -> dict[int, str]:
            answer: asyncio.Future[dict[int, str]] = self.loop.create_future()
            broker.settle.write(
                settlements, now=time.time(), on_written=answer.set_result, on_failure=answer.set_exception
            )
            return await answer

        found = self._do(server, echo, act)
        # Of a call that was sent before, "not owner" is the trace of the first sending.
        assert sorted(found) == ([] if echo == "lost" else sorted(refused))

    def _delivery(self) -> st.SearchStrategy[tuple[str, str]]:
        """One that is still under way more often than one that is over."""
        current = [
            (task_id, task.token)
            for task_id, task in self.model.tasks.items()
            if task.is_there and task.token is not None
        ]
        stale = st.sampled_from(self.delivered)
        return st.one_of(st.sampled_from(current), st.sampled_from(current), stale) if current else stale

    def _lock_of(self, task_id: str) -> str:
        return self.model.tasks[task_id].fields.get("unique", "") if self.model.exists(task_id) else ""

    # -- leases -----------------------------------------------------------------------------------

    @precondition(lambda self: self.delivered)
    @rule(server=servers, echo=_echoes, data=st.data())
    def extend(self, server: str, echo: str, data: st.DataObject) -> None:
        held = data.draw(st.lists(self._delivery(), max_size=4, unique=True))
        lost, cancelled = self.model.extend(held)

        async def act(broker: Broker) -> tuple[list[str], list[str]]:
            found = await broker.leases.extend([Held(_QUEUE, *one) for one in held], lease=LEASE)
            return [one.token for one in found.lost], [one.token for one in found.cancelled]

        assert self._do(server, echo, act) == (lost, cancelled)

    @rule(echo=_echoes)
    def recover(self, echo: str) -> None:
        expected = self.model.recover(max_lost=3)

        async def act(broker: Broker) -> list[tuple[str, str, int]]:
            found = await broker.leases.recover([_QUEUE], RecoveryTerms(3))
            assert not found.is_late
            return [(one.id, one.word, one.lost) for one in found.tasks]

        found = self._do("s1", echo, act)
        assert found == ([] if echo == "lost" else expected)

    # -- the rest ---------------------------------------------------------------------------------

    @rule(server=servers, echo=_echoes)
    def forward(self, server: str, echo: str) -> None:
        expected = self.model.forward()

        async def act(broker: Broker) -> Forwarded:
            return await broker.delayed.forward([_QUEUE])

        moved, wait, due, _ = self._do(server, echo, act)
        assert moved == (0 if echo == "lost" else expected)
        waiting = [*self.model.zsets["scheduled"].values(), *self.model.zsets["retry"].values()]
        if waiting:
            assert abs(due - min(waiting)) < 60  # the model has a clock of its own
            assert abs(wait - (min(waiting) - time.time())) < 60
        else:
            assert wait == due == math.inf

    @rule(server=servers, echo=_echoes)
    def sweep(self, server: str, echo: str) -> None:
        reaped, dropped = self.model.sweep(1000.0, 2)

        async def act(broker: Broker) -> tuple[int, list[str]]:
            swept = await broker.upkeep.sweep([_QUEUE], max_age=1000.0, max_count=2, batch=200)
            return swept.reaped, [task_id for ids in swept.dropped.values() for task_id in ids]

        found = self._do(server, echo, act)
        if echo != "lost":
            assert found == (reaped, dropped)
            if echo == "twice":
                self.model.sweep(1000.0, 2)  # as below, and nobody hears of it
        elif found[1]:
            # Sent again after it had dropped what was too old, it drops what is too many.
            assert self.model.sweep(1000.0, 2) == found

    @precondition(lambda self: self.delivered)
    @rule(server=servers, echo=_echoes, name=st.sampled_from(["result", "progress"]), data=st.data())
    def annotate(
        self, server: str, echo: str, name: Literal["result", "progress"], data: st.DataObject
    ) -> None:
        task_id, token = data.draw(self._delivery())
        is_ours = self.model.annotate(task_id, token, name, "said")

        async def act(broker: Broker) -> bool:
            try:
                await broker.notes.write(_QUEUE, task_id, token, field=name, value=b"said")
            except TaskNotActiveError:
                return False
            return True

        assert self._do(server, echo, act) == is_ours

    @precondition(lambda self: self.model.tasks)
    @rule(server=servers, echo=_echoes, data=st.data())
    def cancel(self, server: str, echo: str, data: st.DataObject) -> None:
        task_id = data.draw(st.sampled_from([*self.model.tasks, "nobody"]))
        expected = self.model.cancel(task_id, again=echo == "lost")

        async def act(broker: Broker) -> str:
            return await broker.notes.cancel(_QUEUE, task_id)

        assert self._do(server, echo, act) == expected

    @precondition(lambda self: self._ghosts())
    @rule(data=st.data())
    def a_first_sending_comes_late(self, data: st.DataObject) -> None:
        """From the buffer of a server that was frozen. Nothing of it may have any effect."""
        server, ghost = data.draw(st.sampled_from(self._ghosts()))

        async def act(broker: Broker) -> None:
            Router.submit(broker.router, ghost)

        self._do(server, "", act)

    def _ghosts(self) -> list[tuple[str, Call]]:
        return [
            (name, ghost)
            for name, broker in self.brokers.items()
            for ghost in cast("EchoingRouter", broker.router).ghosts[-6:]
        ]

    # -- by hand ----------------------------------------------------------------------------------

    @precondition(lambda self: any(self.model.zsets.values()))
    @rule(data=st.data())
    def time_passes_for_a_task(self, data: st.DataObject) -> None:
        """It is due, its lease has run out, or it was kept for long enough."""
        name = data.draw(st.sampled_from([name for name, members in self.model.zsets.items() if members]))
        task_id = data.draw(st.sampled_from(sorted(self.model.zsets[name])))
        self.count += 1
        past = round(time.time()) - 100_000.0 + self.count
        self.model.zsets[name][task_id] = past
        self.client.zadd(self.base + name, {task_id: past})

    @precondition(lambda self: any(task.is_there for task in self.model.tasks.values()))
    @rule(data=st.data())
    def somebody_deletes_a_hash(self, data: st.DataObject) -> None:
        """Of a task that is somewhere; its entry there stays behind."""
        # A chosen id may come again: it would be there twice, and which one counts is nobody's promise.
        there = sorted(
            task_id
            for task_id, task in self.model.tasks.items()
            if task.is_there and task.fields.get("state") != "aggregating" and task_id.startswith("t")
        )
        if there:
            task_id = data.draw(st.sampled_from(there))
            self.model.tasks[task_id].is_there = False
            self.client.delete(f"{self.base}t:{task_id}")

    @rule()
    def pause_or_resume(self) -> None:
        self.model.is_paused = not self.model.is_paused
        if self.model.is_paused:
            self.client.set(self.base + "paused", "1")
        else:
            self.client.delete(self.base + "paused")

    @initialize()
    def begin(self) -> None:
        """An empty queue."""
        assert snapshot(self.client, without=_UNSEEN) == {}

    @invariant()
    def redis_is_as_the_model_says(self) -> None:
        found = {
            name.removeprefix(_BASE): value for name, value in snapshot(self.client, without=_UNSEEN).items()
        }
        for name, value in found.items():
            if name.startswith("t:"):
                assert value.pop("msg", None) is not None, f"{name} has no message"
        expected = self.model.keyspace()
        if self.wire.is_shared:
            found, expected = without_what_asynq_adds(found), without_what_asynq_adds(expected)
        assert not agree(expected, found), agree(expected, found)
        if self.wire.is_shared:
            # Whole seconds, which the model cannot foresee; the oldest are trimmed first.
            self.model.zsets["archived"] = found.get("archived", {})


@pytest.mark.slow
@pytest.mark.timeout(180)  # hundreds of sequences, and longer ones when it has found something to shrink
@pytest.mark.parametrize("wire", DIALECTS)
def test_the_broker_does_what_the_model_does(
    redis_process: RedisProcess, redis_client: Redis, wire: str
) -> None:
    """Whatever is called in whatever order, sent once, twice, or late."""
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: BrokerMachine(redis_process, redis_client, wire),
        settings=settings(
            max_examples=60 if wire == NATIVE else 20,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
