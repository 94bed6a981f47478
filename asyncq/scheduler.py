"""The scheduler: enqueues tasks periodically."""

from __future__ import annotations

import asyncio
import logging
import math
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Unpack, cast

from asyncq._clock import now
from asyncq._cron import Schedule, parse, time_zone
from asyncq._service import Errands, Service
from asyncq._signals import handled
from asyncq.client import Client
from asyncq.connection import ConnectionOptions, Pong
from asyncq.errors import (
    AlreadyRunningError,
    AsyncqError,
    BrokerUnavailableError,
    ConfigError,
    NotStartedError,
)
from asyncq.options import TaskOptions, check_options
from asyncq.shared import Connection
from asyncq.task import Task

__all__ = ["Entry", "Scheduler"]

log = logging.getLogger("asyncq.scheduler")

START_PATIENCE = 10.0


@dataclass(slots=True)
class Entry:
    """One periodic task."""

    id: str
    schedule: Schedule
    task: Task
    options: TaskOptions
    next_at: datetime | None  #: `None`: never again
    last_at: datetime | None = None
    last_error: str = ""

    @property
    def spec(self) -> str:
        """The text it was registered with."""
        return self.schedule.spec


class Scheduler:
    """Enqueues tasks at the times that were registered.

        scheduler = Scheduler("redis://localhost:6379/0", timezone="Asia/Shanghai")
        scheduler.register("*/20 * * * *", Task("report:earnings"), queue="low")
        scheduler.run()

    Run one scheduler at a time: each enqueues every entry.

    Args:
        url: Where Redis is: a URL, `ConnectionOptions`, or a `Connection` that is shared.
        timezone: Zone in which cron fields are read, unless an entry says otherwise.
        prefix: What every key begins with; `asyncq:` when not given.
    """

    def __init__(
        self,
        url: str | ConnectionOptions | Connection,
        *,
        timezone: str | tzinfo = UTC,
        prefix: str | None = None,
    ) -> None:
        self._client = Client(url, prefix=prefix)
        self._zone = time_zone(timezone)
        self._entries: dict[str, Entry] = {}
        self._loop: _Ticker | None = None
        self._broken: asyncio.Future[None] | None = None

    def register(
        self,
        spec: str | timedelta,
        task: Task,
        *,
        entry_id: str = "",
        timezone: str | tzinfo | None = None,
        **options: Unpack[TaskOptions],
    ) -> str:
        """Register a periodic task. Also while the scheduler runs.

        Args:
            spec: Five cron fields, `@hourly` and its kind, `@every 1h30m`, or a `timedelta`.
            task: What to enqueue each time.
            entry_id: A name of your own; made of spec and type when not given.
            timezone: Zone of this entry; the scheduler's when not given.
            options: As for `Client.enqueue`.

        Returns:
            The id of the entry, for `unregister`.

        Raises:
            ConfigError: The spec, the zone, the task or an option is wrong, or the id is taken.
        """
        schedule = parse(spec, self._zone if timezone is None else timezone)
        if not isinstance(cast("object", task), Task):
            raise ConfigError("task", task, "a Task")
        if options:
            check_options(cast("dict[str, Any]", options))
        if "task_id" in options or "task_id" in task.checked_options:
            raise ConfigError("task_id", options.get("task_id"), "no id: each run is a task of its own")
        name = entry_id or self._free_id(f"{schedule.spec} {task.type}")
        if name in self._entries:
            raise ConfigError("entry_id", name, "an id that no other entry has")
        self._entries[name] = Entry(name, schedule, task, options, schedule.next(_now()))
        if self._loop is not None:
            self._loop.poke()
        return name

    def _free_id(self, wanted: str) -> str:
        name, number = wanted, 2
        while name in self._entries:
            name, number = f"{wanted} ({number})", number + 1
        return name

    def unregister(self, entry_id: str) -> None:
        """Forget an entry. What it has enqueued stays.

        Raises:
            ConfigError: There is no such entry.
        """
        if self._entries.pop(entry_id, None) is None:
            raise ConfigError(
                "entry_id", entry_id, f"one of {', '.join(self._entries) or 'no entries at all'}"
            )

    @property
    def entries(self) -> list[Entry]:
        """All entries, by their next run."""
        last = datetime.max.replace(tzinfo=UTC)
        return sorted(self._entries.values(), key=lambda entry: entry.next_at or last)

    def run(self) -> None:
        """Enqueue what is due until SIGTERM or SIGINT.

        Raises:
            AlreadyRunningError: It runs already, or is called inside an event loop.
            BrokerError: Redis cannot be used; the text says why and what to try.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            asyncio.run(self._run())
        else:
            raise AlreadyRunningError("an event loop (use `await scheduler.serve()` inside it)")

    async def _run(self) -> None:
        errands = Errands()

        def leave() -> None:
            errands.start(self.shutdown(), name="leave")

        with handled({signal.SIGTERM: leave, signal.SIGINT: leave}):
            await self.serve()
            await errands.finish()

    async def serve(self) -> None:
        """Enqueue what is due until `shutdown` is called or this is cancelled."""
        await self.start()
        ended = self._broken
        try:
            if ended is not None:
                await asyncio.shield(ended)
        finally:
            await self.shutdown()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Scheduler]:
        """Enqueue what is due for the length of a block."""
        await self.start()
        try:
            yield self
        finally:
            await self.shutdown()

    async def start(self) -> None:
        """Begin, and return when Redis answers.

        Raises:
            AlreadyRunningError: It runs already.
            BrokerError: Redis cannot be used.
        """
        if self._loop is not None:
            raise AlreadyRunningError("the scheduler")
        self._broken = asyncio.get_running_loop().create_future()
        ticker = self._loop = _Ticker(self._client, self._entries)
        try:
            await self._wait_for_redis()
        except BaseException:
            self._loop = self._broken = None
            raise
        for entry in self._entries.values():
            # What was due between registering and starting is not made up for.
            entry.next_at = entry.schedule.next(_now())
        ticker.start(self._break)
        log.info("scheduler runs %d entries", len(self._entries), extra={"event": "scheduler_started"})

    async def ping(self) -> Pong:
        """Look whether Redis is there and fit for tasks. Also before the scheduler is started.

        Raises:
            ClosedError: It was shut down.
            BrokerError: It is not; the text says what is wrong and what to try.
        """
        return await self._client.ping()

    async def _wait_for_redis(self) -> None:
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + START_PATIENCE
        while True:
            try:
                await self._client.ping()
            except BrokerUnavailableError:
                if loop.time() >= give_up_at:
                    raise
                await asyncio.sleep(0.1)
            else:
                return

    def _break(self, error: BaseException) -> None:
        if self._broken is not None and not self._broken.done():
            self._broken.set_exception(error)

    async def shutdown(self) -> None:
        """Enqueue nothing more, and close. Does nothing when it does not run."""
        ticker, self._loop = self._loop, None
        if ticker is None:
            return
        await ticker.stop()
        await self._client.aclose()
        if self._broken is not None and not self._broken.done():
            self._broken.set_result(None)
        log.info("scheduler has left", extra={"event": "scheduler_left"})

    async def wait(self) -> None:
        """Wait until `shutdown` was called.

        Raises:
            NotStartedError: It was never started.
            BaseException: What broke it, if something did.
        """
        if self._broken is None:
            raise NotStartedError("the scheduler")
        await asyncio.shield(self._broken)


class _Ticker(Service):
    """Sleeps until the next entry is due, and enqueues it."""

    def __init__(self, client: Client, entries: dict[str, Entry]) -> None:
        super().__init__("scheduler")
        self._client = client
        self._entries = entries

    async def tick(self) -> float:
        for entry in [*self._entries.values()]:
            if entry.next_at is not None and entry.next_at.timestamp() <= now():
                await self._enqueue(entry)
        due = [entry.next_at.timestamp() for entry in self._entries.values() if entry.next_at is not None]
        return max(0.0, min(due) - now()) if due else math.inf

    async def _enqueue(self, entry: Entry) -> None:
        nominal = entry.next_at
        # First the next time, then the work: an entry whose enqueueing fails must not fail for ever.
        entry.last_at, entry.next_at = nominal, entry.schedule.next(_now())
        try:
            info = await self._client.enqueue(entry.task, **entry.options)
        except AsyncqError as error:
            entry.last_error = str(error)
            log.error(  # noqa: TRY400 - an outage, not a bug: the text says it all
                "entry %r was not enqueued: %s",
                entry.id,
                error,
                extra={"event": "entry_failed", "entry": entry.id, "nominal": nominal},
            )
        else:
            entry.last_error = ""
            log.info(
                "entry %r enqueued task %s",
                entry.id,
                info.id,
                extra={"event": "entry_enqueued", "entry": entry.id, "task_id": info.id, "nominal": nominal},
            )


def _now() -> datetime:
    return datetime.now(UTC)
