"""What does it cost to run a handler, beside the handler?

No Redis in here. A fetcher hands over batches of `BATCH` tasks, each runs a no-op
`async` handler, and the batch is done when the last outcome is noted. Variants
differ in who runs the handler, who times it out, and how the handler gets at its
context. `µs` is CPU per task.
"""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import heapq
import time
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import suppress
from typing import Any

import anyio
from _bench import Bench, Variant, run

BATCH = 100

current: contextvars.ContextVar[Context] = contextvars.ContextVar("current")


@dataclasses.dataclass(slots=True)
class Delivered:
    """A task as it comes from Redis."""

    id: str
    payload: bytes


@dataclasses.dataclass(slots=True)
class Context:
    """What a handler is given to ask about its delivery."""

    task: Delivered
    attempt: int
    deadline: float
    headers: dict[str, str]


async def returns_at_once(_task: Delivered) -> None:
    """A handler that never suspends."""


async def suspends_once(_task: Delivered) -> None:
    """A handler that gives up the loop one time, as one with I/O does."""
    await _Bare()


class _Bare:
    """`asyncio.sleep(0)` without its coroutine."""

    def __await__(self) -> Generator[None, None, None]:
        yield


Handler = Callable[[Delivered], Awaitable[None]]


class Batch:
    """Counts outcomes; whoever waits is woken by the last one."""

    def __init__(self, size: int) -> None:
        self.left = size
        self.outcomes: list[tuple[Delivered, BaseException | None]] = []
        self.done = asyncio.get_running_loop().create_future()

    def note(self, task: Delivered, error: BaseException | None) -> None:
        """Write down how `task` ended."""
        self.outcomes.append((task, error))
        self.left -= 1
        if not self.left:
            self.done.set_result(None)


async def guarded(handler: Handler, task: Delivered, batch: Batch) -> None:
    """The wrapper: run the handler, turn whatever happens into an outcome."""
    try:
        await handler(task)
    except BaseException as error:
        batch.note(task, error)
        raise
    batch.note(task, None)


async def tracked(handler: Handler, task: Delivered, batch: Batch, running: dict[str, Any]) -> None:
    """The wrapper for tasks that can be found by their id while they run."""
    error: BaseException | None = None
    try:
        await handler(task)
    except BaseException as raised:  # noqa: BLE001  whatever it is becomes an outcome
        error = raised
    del running[task.id]
    batch.note(task, error)


def call_only(handler: Handler, tasks: list[Delivered], batch: Batch) -> Any:
    """The bound: one coroutine awaits the handlers one after another."""

    async def all_of_them() -> None:
        for task in tasks:
            await guarded(handler, task, batch)

    return asyncio.ensure_future(all_of_them())


def done_callback(handler: Handler, tasks: list[Delivered], batch: Batch) -> Any:
    """The handler's own coroutine as a task, the outcome read in a done callback."""
    loop = asyncio.get_running_loop()
    running = set()

    def finished(future: asyncio.Task[None], task: Delivered) -> None:
        running.discard(future)
        batch.note(task, None if future.cancelled() else future.exception())

    for task in tasks:
        future: asyncio.Task[None] = loop.create_task(handler(task))  # type: ignore[arg-type]
        running.add(future)
        future.add_done_callback(lambda future, task=task: finished(future, task))  # type: ignore[misc]
    return running


def wrapper(handler: Handler, tasks: list[Delivered], batch: Batch) -> Any:
    """A task round the wrapper, no callback."""
    loop = asyncio.get_running_loop()
    return [loop.create_task(guarded(handler, task, batch)) for task in tasks]


def wrapper_named(handler: Handler, tasks: list[Delivered], batch: Batch) -> Any:
    """The same with a name for each, as a debugger would like it."""
    loop = asyncio.get_running_loop()
    return [loop.create_task(guarded(handler, task, batch), name=task.id) for task in tasks]


def wrapper_tracked(handler: Handler, tasks: list[Delivered], batch: Batch) -> Any:
    """The same, each task findable by its id while it runs, so that it can be cancelled."""
    loop = asyncio.get_running_loop()
    running: dict[str, asyncio.Task[None]] = {}

    for task in tasks:
        running[task.id] = loop.create_task(tracked(handler, task, batch, running))
    return running


def anyio_group(handler: Handler, tasks: list[Delivered], batch: Batch) -> Any:
    """`start_soon` of an anyio task group."""

    async def all_of_them() -> None:
        async with anyio.create_task_group() as group:
            for task in tasks:
                group.start_soon(guarded, handler, task, batch)

    return asyncio.ensure_future(all_of_them())


def asyncio_group(handler: Handler, tasks: list[Delivered], batch: Batch) -> Any:
    """`create_task` of an asyncio task group."""

    async def all_of_them() -> None:
        async with asyncio.TaskGroup() as group:
            for task in tasks:
                group.create_task(guarded(handler, task, batch))

    return asyncio.ensure_future(all_of_them())


def call_later(handler: Handler, tasks: list[Delivered], batch: Batch) -> Any:
    """The wrapper, with a loop timer for each task's time-out."""
    loop = asyncio.get_running_loop()

    async def timed(task: Delivered) -> None:
        me = asyncio.current_task()
        assert me is not None
        timer = loop.call_later(1800.0, me.cancel)
        try:
            await guarded(handler, task, batch)
        finally:
            timer.cancel()

    return [loop.create_task(timed(task)) for task in tasks]


def asyncio_timeout(handler: Handler, tasks: list[Delivered], batch: Batch) -> Any:
    """The wrapper, with `asyncio.timeout` round the handler."""
    loop = asyncio.get_running_loop()

    async def timed(task: Delivered) -> None:
        async with asyncio.timeout(1800.0):
            await handler(task)
        batch.note(task, None)

    return [loop.create_task(timed(task)) for task in tasks]


def anyio_scope(handler: Handler, tasks: list[Delivered], batch: Batch) -> Any:
    """The wrapper, with an anyio cancel scope with a deadline round the handler."""
    loop = asyncio.get_running_loop()

    async def timed(task: Delivered) -> None:
        with anyio.move_on_after(1800.0):
            await handler(task)
        batch.note(task, None)

    return [loop.create_task(timed(task)) for task in tasks]


def swept(handler: Handler, tasks: list[Delivered], batch: Batch) -> Any:
    """Tracked, with deadlines in one heap that one timer looks at."""
    loop = asyncio.get_running_loop()
    running: dict[str, asyncio.Task[None]] = {}
    deadlines: list[tuple[float, str]] = []

    now = loop.time()
    for task in tasks:
        running[task.id] = loop.create_task(tracked(handler, task, batch, running))
        heapq.heappush(deadlines, (now + 1800.0, task.id))
    # What a sweep does with those that ended long before their time.
    while deadlines and deadlines[0][1] not in running:
        heapq.heappop(deadlines)
    return running, deadlines


def scanned(handler: Handler, tasks: list[Delivered], batch: Batch) -> Any:
    """Tracked, the deadline a field of the record; a tick scans all that run."""
    loop = asyncio.get_running_loop()
    running: dict[str, tuple[asyncio.Task[None], float]] = {}

    deadline = loop.time() + 1800.0
    for task in tasks:
        running[task.id] = (loop.create_task(tracked(handler, task, batch, running)), deadline)
    return running


def with_context_variable(handler: Handler, tasks: list[Delivered], batch: Batch) -> Any:
    """The wrapper sets a context variable in its own context, and builds the `Context`."""
    loop = asyncio.get_running_loop()

    async def known(task: Delivered) -> None:
        current.set(Context(task, 1, 0.0, {}))
        await guarded(handler, task, batch)

    return [loop.create_task(known(task)) for task in tasks]


def with_context_object(handler: Handler, tasks: list[Delivered], batch: Batch) -> Any:
    """The wrapper only builds the `Context` (for a handler that asks for it)."""
    loop = asyncio.get_running_loop()

    async def known(task: Delivered) -> None:
        context = Context(task, 1, 0.0, {})
        await guarded(handler, context.task, batch)

    return [loop.create_task(known(task)) for task in tasks]


def shared_context(handler: Handler, tasks: list[Delivered], batch: Batch) -> Any:
    """All tasks of the server in one `contextvars.Context`: saves the copy, shares the variables."""
    loop = asyncio.get_running_loop()
    context = contextvars.copy_context()
    return [loop.create_task(guarded(handler, task, batch), context=context) for task in tasks]


def first_step_by_hand(handler: Handler, tasks: list[Delivered], batch: Batch) -> Any:
    """Run the handler to its first suspension without a task (what eager tasks of 3.12 save).

    Only a bound, and only for a handler that never suspends: without a current task,
    `asyncio.timeout` and anyio fail in it.
    """
    for task in tasks:
        coroutine: Any = guarded(handler, task, batch)
        with suppress(StopIteration):
            coroutine.send(None)


class ResidentQueue:
    """`BATCH` worker tasks that live on and take from one `asyncio.Queue`."""

    def __init__(self, handler: Handler) -> None:
        self._queue: asyncio.Queue[tuple[Delivered, Batch]] = asyncio.Queue()
        self._handler = handler
        self.workers = [asyncio.ensure_future(self._work()) for _ in range(BATCH)]

    async def _work(self) -> None:
        while True:
            task, batch = await self._queue.get()
            await guarded(self._handler, task, batch)

    def __call__(self, _handler: Handler, tasks: list[Delivered], batch: Batch) -> None:
        """Hand the batch over."""
        for task in tasks:
            self._queue.put_nowait((task, batch))


class ResidentHandOff:
    """`BATCH` worker tasks, each asleep on a future of its own."""

    def __init__(self, handler: Handler) -> None:
        self._loop = asyncio.get_running_loop()
        self._idle: deque[asyncio.Future[tuple[Delivered, Batch]]] = deque()
        self._handler = handler
        self.workers = [asyncio.ensure_future(self._work()) for _ in range(BATCH)]

    async def _work(self) -> None:
        while True:
            asleep: asyncio.Future[tuple[Delivered, Batch]] = self._loop.create_future()
            self._idle.append(asleep)
            task, batch = await asleep
            await guarded(self._handler, task, batch)

    def __call__(self, _handler: Handler, tasks: list[Delivered], batch: Batch) -> None:
        """Hand the batch over."""
        for task in tasks:
            self._idle.popleft().set_result((task, batch))


Runner = Callable[[Handler, list[Delivered], Batch], Any]


async def measure_one(runner: Runner, handler: Handler, count: int) -> Mapping[str, float]:
    """CPU per task of running `count` tasks in batches."""
    batches = count // BATCH
    ids = [f"{number:022d}" for number in range(BATCH)]
    payload = b"x" * 100
    started = time.process_time()
    for _ in range(batches):
        tasks = [Delivered(task_id, payload) for task_id in ids]
        batch = Batch(BATCH)
        kept = runner(handler, tasks, batch)
        await batch.done
        # Let the tasks themselves end, so that none is left to the next variant.
        await asyncio.sleep(0)
        del kept
    return {"µs": (time.process_time() - started) / (batches * BATCH) * 1e6}


async def measure(bench: Bench) -> None:
    """Every variant, with a handler that returns at once and with one that suspends."""
    runners: dict[str, Runner] = {
        "bound: await in a row": call_only,
        "bound: first step by hand": first_step_by_hand,
        "task + done callback": done_callback,
        "task round a wrapper": wrapper,
        "… named": wrapper_named,
        "… tracked by id": wrapper_tracked,
        "… in one shared context": shared_context,
        "… with a Context object": with_context_object,
        "… with a context variable": with_context_variable,
        "… with call_later": call_later,
        "… with asyncio.timeout": asyncio_timeout,
        "… with an anyio deadline": anyio_scope,
        "… tracked, deadline heap": swept,
        "… tracked, deadline field": scanned,
        "asyncio.TaskGroup": asyncio_group,
        "anyio task group": anyio_group,
    }
    count = bench.size(20_000)
    rows: dict[str, dict[str, float]] = {}
    for title, handler in (("returns at once", returns_at_once), ("suspends once", suspends_once)):
        queue, hand_off = ResidentQueue(handler), ResidentHandOff(handler)
        resident: dict[str, Runner] = {
            "resident workers, asyncio.Queue": queue,
            "resident workers, hand-off": hand_off,
        }
        await asyncio.sleep(0)

        def variant(runner: Runner, handler: Handler = handler) -> Variant:
            return lambda: measure_one(runner, handler, count)

        everyone: dict[str, Runner] = {**runners, **resident}
        if handler is suspends_once:
            del everyone["bound: first step by hand"]
        medians = await bench.interleave({name: variant(runner) for name, runner in everyone.items()})
        for name, row in medians.items():
            rows.setdefault(name, {})[f"{title} µs"] = row["µs"]
        for worker in [*queue.workers, *hand_off.workers]:
            worker.cancel()
    bench.table("CPU per task of running a no-op handler", rows)


if __name__ == "__main__":
    run("spawn", measure, rounds=5)
