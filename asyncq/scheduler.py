"""The scheduler: enqueues tasks periodically."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from typing import Any, Final, Self, Unpack

from asyncq._broker.checkup import wait_until_reachable
from asyncq._clock import from_unix, now
from asyncq._compose import new_id
from asyncq._scheduling.dispatcher import Dispatcher
from asyncq._scheduling.herald import Herald
from asyncq._scheduling.settings import SchedulerConfig, SchedulerOptions, options_of, refuse_unknown
from asyncq._scheduling.ticker import Ticker
from asyncq._service import Errands, Service, running
from asyncq._signals import handled
from asyncq._timetable import Timetable
from asyncq.client import Client
from asyncq.connection import ConnectionOptions, Pong
from asyncq.entries import Entry, PeriodicTask, define
from asyncq.errors import AlreadyRunningError, ClosedError, ConfigError, NotStartedError
from asyncq.options import TaskOptions
from asyncq.shared import Connection, read_connection
from asyncq.task import Task

__all__ = ["Entry", "Scheduler", "SchedulerConfig"]

log = logging.getLogger("asyncq.scheduler")

_ID_LENGTH: Final = 12
_SHOWN_PAYLOAD: Final = 4096
"""Bytes of a payload that are shown with an entry. What is larger is not repeated with every heartbeat."""


class Scheduler:
    """Enqueues tasks at the times that were registered.

        scheduler = Scheduler("redis://localhost:6379/0", timezone="Asia/Shanghai")
        scheduler.register("*/20 * * * *", Task("report:earnings"), queue="low")
        scheduler.run()

    Run one scheduler at a time: each enqueues every entry.

    Args:
        url: Where Redis is: a URL, `ConnectionOptions`, or a `Connection` that is shared.
        config: The options as an object.
        prefix: What every key begins with; `asyncq:` when not given.
        options: The options of `SchedulerConfig` by name; they win over `config`.
    """

    _WHAT = "the scheduler"

    def __init__(
        self,
        url: str | ConnectionOptions | Connection,
        config: SchedulerConfig | None = None,
        *,
        prefix: str | None = None,
        **options: Unpack[SchedulerOptions],
    ) -> None:
        given = options_of(options)
        refuse_unknown(SchedulerConfig, given, self._WHAT)
        self.config: SchedulerConfig = replace(config, **given) if config else SchedulerConfig(**given)
        self._set_up(url, prefix)

    def _set_up(self, url: str | ConnectionOptions | Connection, prefix: str | None) -> None:
        self._connection, self._owns_connection = read_connection(url, prefix)
        self._client = Client(self._connection, codecs=self.config.codecs)
        self._timetable = Timetable()
        self._status = "new"
        self._id = ""
        self._started_at = 0.0
        self._ended: asyncio.Future[None] | None = None
        self._reaching: asyncio.Timeout | None = None
        self._stack = AsyncExitStack()
        self._ticker: Ticker | None = None
        self._herald: Herald | None = None

    # -- entries --------------------------------------------------------------------------------

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
            entry_id: A name of your own, under which the history of the entry is kept. Made of the
                definition when not given: the same definition has the same id after a restart.
            timezone: Zone of this entry; the scheduler's when not given.
            options: As for `Client.enqueue`.

        Returns:
            The id of the entry, for `unregister`.

        Raises:
            ConfigError: The spec, the zone, the task or an option is wrong, or the id is taken.
        """
        wanted = PeriodicTask(spec, task, id=entry_id or None, timezone=timezone, **options)
        entry = define(wanted, timezone=self.config.zone, codecs=self.config.codecs)
        if entry.id in self._timetable:
            if entry_id or self._timetable.get(entry.id).definition != entry.definition:
                raise ConfigError("entry_id", entry.id, "an id that no other entry has")
            raise ConfigError(
                "entry_id", None, f"a name for the second of two equal entries; the first is {entry.id!r}"
            )
        self._timetable.add(entry, _now())
        self._entries_changed()
        return entry.id

    def unregister(self, entry_id: str) -> None:
        """Forget an entry. What it has enqueued stays, and so does its history for a while.

        Raises:
            EntryNotFoundError: There is no such entry; says which ids look like it.
        """
        self._timetable.remove(entry_id)
        self._entries_changed()

    @property
    def entries(self) -> list[Entry]:
        """All entries, by their next run."""
        return self._timetable.in_order()

    def _entries_changed(self) -> None:
        if self._ticker is not None:
            self._ticker.poke()
        if self._herald is not None:
            self._herald.poke()

    # -- life -----------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The id under which tools show this scheduler.

        Raises:
            NotStartedError: It does not run.
        """
        if not self._id:
            raise NotStartedError(self._WHAT)
        return self._id

    def run(self) -> None:
        """Enqueue what is due until SIGTERM or SIGINT. SIGTSTP stops enqueueing only.

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

        def stop() -> None:
            if self._status == "running":
                errands.start(self.stop(), name="stop")

        signals = {signal.SIGTERM: leave, signal.SIGINT: leave}
        if hasattr(signal, "SIGTSTP"):
            signals[signal.SIGTSTP] = stop
        with handled(signals):
            await self.serve()
            await errands.finish()

    async def serve(self) -> None:
        """Enqueue what is due until `shutdown` is called or this is cancelled."""
        await self.start()
        try:
            await self.wait()
        finally:
            await self.shutdown()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Self]:
        """Enqueue what is due for the length of a block."""
        await self.start()
        try:
            yield self
        finally:
            await self.shutdown()

    async def start(self) -> None:
        """Begin, and return when tools can see it, or when it was told to leave before that.

        Raises:
            AlreadyRunningError: It runs already.
            ClosedError: It was shut down; make a new one.
            BrokerError: Redis cannot be used.
        """
        if self._status == "left":
            raise ClosedError(self._WHAT)
        if self._status != "new":
            raise AlreadyRunningError(self._WHAT)
        self._status = "starting"
        self._ended = asyncio.get_running_loop().create_future()
        if self._owns_connection:
            self._stack.push_async_callback(self._connection.aclose)
        self._stack.push_async_callback(self._client.aclose)
        try:
            if await self._reach():
                await self._begin()
        except BaseException:
            await self._end()
            raise
        if self._status == "starting":
            self._status = "running"
            log.info("scheduler runs %d entries", len(self._timetable), extra={"event": "scheduler_started"})
        else:  # told to leave meanwhile
            await self._end()

    async def _reach(self) -> bool:
        """Wait until Redis is there; say no when we are told to leave before that."""
        try:
            async with asyncio.timeout(None) as self._reaching:
                broker = self._client._connected()
                await wait_until_reachable(broker.router, patience=self.config.start_patience)
                await self._prepare()
        except TimeoutError:
            if self._status == "starting":
                raise
            return False
        finally:
            self._reaching = None
        return self._status == "starting"

    async def _prepare(self) -> None:
        """Do what has to be done before anything is enqueued."""

    async def _begin(self) -> None:
        """Start the actors. The order of the blocks is the order in which they stop, the last first."""
        schedules = self._client._connected().schedules
        self._id, self._started_at = new_id()[:_ID_LENGTH], now()
        herald = Herald(schedules, self._id, self._describe)
        dispatcher = Dispatcher(
            self._client.enqueue,
            schedules,
            self.config,
            scheduler_id=self._id,
            on_change=herald.poke_soon,
        )
        ticker = Ticker(self._timetable, dispatcher.begin, clock=_now)
        self._timetable.begin(_now())
        self._stack.push_async_callback(herald.leave)
        await herald.tick()
        await self._stack.enter_async_context(running(herald, self._break))
        self._stack.push_async_callback(dispatcher.aclose)
        for service in [ticker, *self._further_services()]:
            await self._stack.enter_async_context(running(service, self._break))
        self._ticker, self._herald = ticker, herald

    def _further_services(self) -> list[Service]:
        return []

    def _break(self, error: BaseException) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_exception(error)

    async def stop(self) -> None:
        """Enqueue nothing more, and stay where tools can see it.

        Raises:
            NotStartedError: It does not run.
        """
        if self._ticker is None or self._herald is None:
            raise NotStartedError(self._WHAT)
        await self._ticker.stop()
        self._status = "stopped"
        self._herald.poke()

    async def shutdown(self) -> None:
        """Enqueue nothing more, and leave. Does nothing when it does not run."""
        if self._status == "starting":
            self._status = "leaving"
            if self._reaching is not None:
                self._reaching.reschedule(asyncio.get_running_loop().time())
        if self._status in ("leaving", "left"):
            if self._ended is not None and self._ended.done():
                return
            await self._until_ended()
        elif self._status != "new":
            self._status = "leaving"
            await self._end()

    async def _until_ended(self) -> None:
        if self._ended is not None:
            await asyncio.wait([self._ended])

    async def _end(self) -> None:
        self._status = "leaving"
        self._ticker = None
        try:
            await self._stack.aclose()
        finally:
            self._herald = None
            self._status = "left"
            if self._ended is not None and not self._ended.done():
                self._ended.set_result(None)
            if self._id:
                log.info("scheduler has left", extra={"event": "scheduler_left"})

    async def wait(self) -> None:
        """Wait until `shutdown` was called.

        Raises:
            NotStartedError: It was never started.
            BaseException: What broke it, if something did.
        """
        if self._ended is None:
            raise NotStartedError(self._WHAT)
        await asyncio.shield(self._ended)

    async def ping(self) -> Pong:
        """Look whether Redis is there and fit for tasks. As `Client.ping`."""
        return await self._client.ping()

    # -- what tools are told ----------------------------------------------------------------------

    def _describe(self) -> dict[str, Any]:
        return {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "name": self.config.name,
            "status": self._status if self._status == "stopped" else "running",
            "started_at": self._started_at,
            "timezone": str(self.config.zone),
            "entries": [self._describe_entry(entry) for entry in self.entries],
        }

    def _describe_entry(self, entry: Entry) -> dict[str, Any]:
        codec, raw = entry.task.encoded(self.config.codecs)
        return {
            "id": entry.id,
            "spec": entry.spec,
            "timezone": str(entry.schedule.zone),
            "type": entry.task.type,
            "queue": entry.queue,
            "options": dict(entry.checked),
            "codec": codec,
            "payload": raw if len(raw) <= _SHOWN_PAYLOAD else None,
            "next": _unix(entry.next_at),
            "previous": _unix(entry.last_at),
            "error": entry.last_error,
        }


def _unix(moment: datetime | None) -> float:
    return 0.0 if moment is None else moment.timestamp()


def _now() -> datetime:
    return from_unix(now())
