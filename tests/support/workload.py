"""Everything that asyncq can do, done at once: a workload that notes what it was promised."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

from asyncq import Client, Inspector, PeriodicTask, PeriodicTaskManager, Scheduler, Semaphore, Task, TaskInfo
from asyncq.client import EnqueueCall
from asyncq.errors import (
    AsyncqError,
    DuplicateTaskError,
    ResultNotKeptError,
    SlotLostError,
    TaskArchivedError,
    TaskChangedError,
)
from asyncq.options import TaskOptions

from .ledger import Ledger
from .waiting import wait_until

__all__ = ["QUEUES", "SIDE", "SLOTS", "SPARE", "Fact", "Workload"]

QUEUES: Final = ("high", "default", "low")
SIDE: Final = "side"
"""The queue that is paused now and then."""

SPARE: Final = "spare"
"""The queue that nobody serves, and that is removed again and again."""

SLOTS: Final = 2  # of the handler `limited`, in fault_server.py
PATIENCE: Final = 60.0
_LATER: Final = 3600.0
_NEVER: Final = "/nowhere/to be/waited for"
_JUNK: Final = 24

Fate = Literal["done", "aggregated", "cancelled", "deleted", "kept", "failed", "edited", "run", "looked"]


@dataclass(slots=True, eq=False)
class Fact:
    """One task, and what is to become of it."""

    row: str
    fate: Fate
    queue: str
    id: str
    placed_at: float  #: when it was enqueued, as far as we know
    settled_at: float = 0.0  #: when the last thing was done to it
    spoilt: str = ""  #: what went otherwise than it should
    key: int = -1  #: of a unique one
    progress: int = 0  #: how many reports of it were seen


class Workload:
    """Clients, schedulers, holders of slots and operators, all at work at the same time.

    Each row of what asyncq can do is a loop that draws from its own random numbers. What goes wrong is noted
    and does not stop it, since a fail-over may excuse it; what is right is said by `verdict`.

    Args:
        url: Where Redis is, for asyncq.
        ledger: The one of the servers.
        seed: Of all that is drawn.
        lease: Of the slots that are held here, as of the servers.
    """

    def __init__(self, url: str, ledger: Ledger, seed: int, *, lease: float) -> None:
        self._url: Final = url
        self._ledger: Final = ledger
        self._seed: Final = seed
        self._lease: Final = lease
        self._stop: Final = asyncio.Event()
        self.facts: Final[list[Fact]] = []
        self.rounds: Final[Counter[str]] = Counter()
        self.pauses: Final[list[tuple[float, float]]] = []
        """While nobody may begin with a task of `SIDE`."""
        self.refused = 0  #: duplicates
        self.provider_fails = False
        self.managers: list[PeriodicTaskManager] = []
        self.entries: list[str] = ["steady"]

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Inspector]:
        """Be at work for the length of a block, and come to an end with everything after it."""
        async with AsyncExitStack() as stack:
            enter = stack.enter_async_context
            self.inspector = await enter(Inspector(self._url, patience=PATIENCE))
            self.client = await enter(Client(self._url, patience=PATIENCE, middleware=[_traced]))
            self.semaphore = Semaphore(self._url, "bank", SLOTS, lease=self._lease, patience=PATIENCE)
            stack.push_async_callback(self.semaphore.aclose)
            for queue in (*QUEUES, SIDE):  # which are there from now on
                await self._put("plain", "done", queue, Task("work", {}))
            await self._start_schedulers(stack)
            async with asyncio.TaskGroup() as self._tasks:
                for row, pause in self._rows().items():
                    self._tasks.create_task(self._again(row, pause))
                try:
                    yield self.inspector
                finally:
                    self._stop.set()

    def _rows(self) -> dict[Callable[[random.Random], Awaitable[None]], float]:
        """What is done, and the seconds between two times."""
        return {
            self._plain: 0.05,
            self._unique: 0.03,
            self._grouped: 0.04,
            self._report: 0.05,
            self._limited: 0.4,
            self._hold: 0.15,
            self._cancel: 0.05,
            self._cancel_together: 0.05,
            self._pause: 0.2,
            self._bulk: 0.1,
            self._edit: 0.05,
            self._remove: 0.1,
            self._look: 0.1,
            self._audit: 0.3,
        }

    async def _again(self, row: Callable[[random.Random], Awaitable[None]], pause: float) -> None:
        name = row.__name__  # type: ignore[attr-defined]
        draw = random.Random(f"{self._seed} {name}")
        while not self._stop.is_set():
            await row(draw)
            self.rounds[name] += 1
            await asyncio.sleep(pause)

    async def go_round(self, times: int, timeout: float = 40.0) -> None:
        """Wait until each row was begun and ended so many times more, schedulers included."""
        names = [row.__name__ for row in self._rows()]  # type: ignore[attr-defined]
        before = Counter(self.rounds)
        # The round that is on its way does not count: it began before.
        late = {name: before[name] + times + 1 for name in names}

        def behind() -> list[str]:
            return [name for name in names if self.rounds[name] < late[name]]

        try:
            await wait_until(lambda: not behind(), "every row", timeout)
        except AssertionError as error:
            raise AssertionError(f"no progress in {behind()}") from error

    # --- what clients do --------------------------------------------------------

    async def _put(
        self, row: str, fate: Fate, queue: str, task: Task, **options: Any
    ) -> tuple[Fact, TaskInfo]:
        info = await self.client.enqueue(task, queue=queue, **options)
        now = time.monotonic()
        fact = Fact(row, fate, queue, info.id, now, now)
        self.facts.append(fact)
        return fact, info

    @asynccontextmanager
    async def _noting(self, fact: Fact) -> AsyncIterator[None]:
        """Note what goes wrong, and when all was done."""
        try:
            yield
        except (AsyncqError, AssertionError) as error:
            fact.spoilt = repr(error)
        fact.settled_at = time.monotonic()

    async def _plain(self, draw: random.Random) -> None:
        plan = {"wait": draw.choice((0.0, 0.0, 0.02, 0.5)), "fails": draw.choice((0, 0, 0, 1))}
        delay = draw.choice((0.0, 0.0, 0.1))
        await self._put("plain", "done", draw.choice(QUEUES), Task("work", plan), process_in=delay)

    async def _unique(self, draw: random.Random) -> None:
        key = draw.randrange(4)
        task, queue = Task("work", {"key": key, "wait": 0.05, "fails": key % 2}), QUEUES[key % 3]
        try:
            fact, _ = await self._put("unique", "done", queue, task, unique=_LATER)
            fact.key = key
        except DuplicateTaskError:
            self.refused += 1

    async def _grouped(self, draw: random.Random) -> None:
        task = Task("work", {"hold": draw.choice((0.0, 0.0, 0.2)), "number": draw.random()})
        options: TaskOptions = {"group": f"g{draw.randrange(3)}", "process_in": draw.choice((0.0, 0.0, 0.1))}
        if draw.random() < 0.3:
            options["unique"] = _LATER
        await self._put("grouped", "aggregated", draw.choice(QUEUES), task, **options)

    async def _report(self, draw: random.Random) -> None:
        number, fails = draw.randrange(10**6), draw.random() < 0.2
        kept = fails or draw.random() < 0.8
        plan = {"number": number, "fails": 99 * fails, "wait": draw.choice((0.0, 0.02))}
        fate: Fate = "failed" if fails else "kept" if kept else "done"
        retention = _LATER if kept else 0.0
        fact, info = await self._put(
            "report", fate, draw.choice(QUEUES), Task("report", plan), retention=retention, max_retry=0
        )
        self._tasks.create_task(self._wait_for(fact, info, number))

    async def _wait_for(self, fact: Fact, info: TaskInfo, number: int) -> None:
        def on_progress(progress: Any) -> None:
            assert (progress.total, progress.note) == (3, str(number))
            fact.progress += 1

        async with self._noting(fact):
            try:
                answer = await self.client.result(info, 40.0, on_progress=on_progress)
            except TaskArchivedError:
                assert fact.fate == "failed", "archived, and should not be"
            except ResultNotKeptError:
                assert fact.fate == "done", "not kept, and should be"
            else:
                assert fact.fate == "kept", f"has answered {answer}, and should not"
                assert answer == [number, str(number)], answer

    async def _limited(self, draw: random.Random) -> None:
        """Several at once: more than there are slots."""
        for wait in (0.0, 0.05, 0.05, 0.1):
            await self._put("limited", "done", draw.choice(QUEUES), Task("limited", {"wait": wait}))

    async def _hold(self, draw: random.Random) -> None:
        """Hold a slot of the handlers' limit, outside of any server."""
        try:
            async with self.semaphore.slot(PATIENCE) as slot:
                where = {"id": f"slot {slot.token}", "token": slot.token}
                self._ledger.write("begin", **where)
                try:
                    await asyncio.sleep(draw.choice((0.0, 0.05, 0.1)))
                except asyncio.CancelledError:
                    self._ledger.write("cancelled", **where)
                    raise
                self._ledger.write("end", **where)
        except SlotLostError:
            self.rounds["slots lost"] += 1

    # --- what operators do ------------------------------------------------------

    async def _cancel(self, draw: random.Random) -> None:
        """Cancel what would never end; what is cancelled gives up its lock."""
        task, queue = Task("work", {"until": _NEVER, "key": "of its own"}), draw.choice(QUEUES)
        fact, _ = await self._put("cancelled", "cancelled", queue, task, unique=_LATER)
        async with self._noting(fact):
            await asyncio.sleep(draw.choice((0.0, 0.05, 0.2)))
            answer = await self.inspector.tasks.cancel(fact.queue, fact.id, wait=PATIENCE)
            assert answer == "cancelled", answer

    async def _cancel_together(self, draw: random.Random) -> None:
        """Several at once, also while they wait for their time or in a group."""
        task = Task("work", {"until": _NEVER})
        options: list[TaskOptions] = [{}, {"process_in": 0.1}, {"process_in": _LATER}]
        facts = [
            (await self._put("cancelled", "cancelled", draw.choice(QUEUES), task, **more))[0]
            for more in options
        ]

        async def cancel(fact: Fact) -> None:
            async with self._noting(fact):
                answer = await self.inspector.tasks.cancel(fact.queue, fact.id, wait=PATIENCE)
                assert answer == "cancelled", answer

        await asyncio.gather(*map(cancel, facts))

    async def _pause(self, draw: random.Random) -> None:
        """Stop a queue: when nothing of it runs any more, nothing may begin until it goes on."""
        work = Task("work", {"wait": 0.02})
        await self._put("paused", "done", SIDE, work)
        await self.inspector.queues.pause(SIDE)

        async def is_quiet() -> bool:
            return (await self.inspector.queues.get(SIDE)).active == 0

        await wait_until(is_quiet, "the queue to be quiet", 30.0)
        quiet_at = time.monotonic()
        for _ in range(4):
            await self._put("paused", "done", SIDE, work, process_in=draw.choice((0.0, 0.05)))
            await asyncio.sleep(0.03)
        self.pauses.append((quiet_at, time.monotonic()))
        await self.inspector.queues.unpause(SIDE)

    async def _bulk(self, draw: random.Random) -> None:
        """Put tasks away, and do the same to all of them; what is deleted gives up its lock."""
        queue, tasks = draw.choice(QUEUES), self.inspector.tasks
        action: Fate = draw.choice(("deleted", "deleted", "run"))
        made = [Task("nested:junk", {"number": n, "action": action}) for n in range(_JUNK)]
        facts: list[Fact] = []
        lock: TaskOptions = {"unique": _LATER} if action == "deleted" else {}
        async for outcome in self.client.enqueue_many(made, queue=queue, process_in=_LATER, **lock):
            now = time.monotonic()
            task_id = "" if outcome.info is None else outcome.info.id
            spoilt = "" if outcome.error is None else repr(outcome.error)
            facts.append(Fact("bulk", action, queue, task_id, now, now, spoilt))
        self.facts += facts
        whole = Fact("bulk", action, queue, "", facts[0].placed_at)
        async with self._noting(whole):
            if action == "run":
                report = await tasks.run_all(queue, "scheduled", type="nested:*")
                assert report.done == _JUNK, report
            else:
                report = await tasks.archive_all(queue, "scheduled", type="nested:junk")
                assert report.done == _JUNK, report
                report = await tasks.delete_all(queue, "archived", type="*:junk")
                assert report.done == _JUNK, report
        for fact in facts:
            fact.settled_at, fact.spoilt = whole.settled_at, fact.spoilt or whole.spoilt

    async def _edit(self, draw: random.Random) -> None:
        """Change a task under its version, once rightly and once too late, and let it run."""
        lock: TaskOptions = {"unique": _LATER} if draw.random() < 0.5 else {}
        queue, tasks, value = draw.choice(QUEUES), self.inspector.tasks, draw.random()
        fact, _ = await self._put(
            "edited", "edited", queue, Task("note", {"value": "old", "of": value}), process_in=_LATER, **lock
        )
        async with self._noting(fact):
            seen = await tasks.get(queue, fact.id)
            new = await tasks.edit(
                queue, fact.id, version=seen.version, payload={"value": "new", "of": value}
            )
            try:
                await tasks.edit(queue, fact.id, version=seen.version, payload={"value": "late"})
            except TaskChangedError:
                pass
            else:
                raise AssertionError("changed under a version that is no longer there")
            await tasks.reschedule(queue, fact.id, delay=0.05, version=new.version)

    async def _remove(self, draw: random.Random) -> None:
        """Remove a queue with all that is in it."""
        work, count = Task("work", {}), draw.randrange(1, 5)
        fact, _ = await self._put("removed", "deleted", SPARE, work, unique=_LATER)
        async with self._noting(fact):
            for delay in range(count - 1):
                await self._put("removed", "deleted", SPARE, work, process_in=delay)
            removed = await self.inspector.queues.remove(SPARE, force=True)
            assert removed == count, (removed, count)

    async def _look(self, draw: random.Random) -> None:
        """Look at everything there is to look at."""
        look, queue = self.inspector, draw.choice(QUEUES)
        assert {info.name for info in await look.queues.list()} <= {*QUEUES, SIDE, SPARE}
        await look.queues.history(queue)
        await look.queues.memory(queue)
        await look.servers.list()
        await look.servers.workers()
        await look.schedulers.list()
        await look.schedulers.events("steady")
        await look.cluster.nodes(queue)
        await look.groups.list(queue)
        await look.tasks.list(queue, draw.choice(("pending", "active", "scheduled", "retry", "archived")))

    async def _audit(self, draw: random.Random) -> None:
        """Let the auditor look while all this goes on."""
        fact = Fact("audit", "looked", draw.choice(QUEUES), "", time.monotonic())
        self.facts.append(fact)
        async with self._noting(fact):
            report = await self.inspector.audit()
            assert report.is_clean, str(report)

    # --- what schedulers do -----------------------------------------------------

    def times(self) -> dict[str, list[float]]:
        """When the tasks that have run were due, by what their ids say of the entry; the eldest first."""
        found: dict[str, list[float]] = {}
        for task_id in self._ledger.runs():
            entry, dash, nominal = task_id.partition("-")
            if dash and "." in nominal:
                found.setdefault(entry, []).append(float(nominal))
        return {entry: sorted(found[entry]) for entry in sorted(found, key=lambda entry: min(found[entry]))}

    def _provide(self) -> list[PeriodicTask]:
        if self.provider_fails:
            raise OSError("the database is away, too")
        return [PeriodicTask("@every 1s", Task("work", {}), id=name) for name in self.entries]

    async def _start_schedulers(self, stack: AsyncExitStack) -> None:
        """Two managers with the same provider, and a scheduler that has the first entry, too."""
        self.managers = [
            PeriodicTaskManager(self._url, self._provide, sync_interval=1, start_patience=PATIENCE)
            for _ in range(2)
        ]
        scheduler = Scheduler(self._url, start_patience=PATIENCE)
        scheduler.register("@every 1s", Task("work", {}), entry_id="steady")
        for one in (*self.managers, scheduler):
            await stack.enter_async_context(one.running())


async def _traced(task: Task, options: TaskOptions, call_next: EnqueueCall) -> TaskInfo:
    """Let the number of a report travel in a header, too."""
    if task.type == "report":
        options = {**options, "headers": {"trace": str(task.payload["number"])}}
    return await call_next(task, options)
