"""The scheduler: enqueues tasks periodically."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from typing import Any, Final, Unpack

from asyncq._broker.checkup import check_once, wait_until_reachable
from asyncq._clock import from_unix, now
from asyncq._compose import new_id
from asyncq._door import Runs, run_alone
from asyncq._logs import SCHEDULER_LOG, Log, log_for
from asyncq._probes import Probed, Probes
from asyncq._scheduling.condition import judge
from asyncq._scheduling.description import describe_scheduler
from asyncq._scheduling.follower import told
from asyncq._scheduling.orders import Orders
from asyncq._scheduling.pulse import Pulse, SchedulerHealth
from asyncq._scheduling.roster import Roster
from asyncq._scheduling.settings import SchedulerConfig, SchedulerOptions, options_of
from asyncq._scheduling.wiring import Actors, Plan
from asyncq._service import Errands, Service, end_within, running
from asyncq._signals import handled
from asyncq._timetable import Timetable
from asyncq.client import Client
from asyncq.connection import ConnectionOptions, Pong
from asyncq.entries import Entry, EntryOptions, PeriodicTask, define
from asyncq.errors import AlreadyRunningError, ClosedError, NotStartedError
from asyncq.shared import Connection, read_connection
from asyncq.task import Task

__all__ = ["Entry", "Scheduler", "SchedulerConfig", "SchedulerHealth"]

_ID_LENGTH: Final = 12


class Scheduler(Probed, Runs):
    """Enqueues tasks at the times that were registered.

        scheduler = Scheduler("redis://localhost:6379/0", timezone="Asia/Shanghai")
        scheduler.register("*/20 * * * *", Task("report:earnings"), queue="low")
        scheduler.run()

    Any number of schedulers may have the same entries: each time of an entry is enqueued by one of
    them. What makes it the same entry is its id.

    Args:
        url: Where Redis is: a URL, `ConnectionOptions`, or a `Connection` that is shared.
        config: The options as an object.
        prefix: What every key begins with; `asyncq:` when not given.
        wire: How tasks look in Redis: `native` when not given, or `asynq` to share them with Go.
        options: The options of `SchedulerConfig` by name; they win over `config`.
    """

    _WHAT = "the scheduler"

    def __init__(
        self,
        url: str | ConnectionOptions | Connection,
        config: SchedulerConfig | None = None,
        *,
        prefix: str | None = None,
        wire: str | None = None,
        **options: Unpack[SchedulerOptions],
    ) -> None:
        given = options_of(SchedulerConfig, options, self._WHAT)
        self.config: SchedulerConfig = replace(config, **given) if config else SchedulerConfig(**given)
        self._set_up(url, prefix, wire)

    def _set_up(
        self, url: str | ConnectionOptions | Connection, prefix: str | None, wire: str | None
    ) -> None:
        self._connection, self._owns_connection = read_connection(url, prefix, wire)
        codecs = self.config.codecs.on(self._connection.wire.codec)
        self.config = replace(self.config, codecs=codecs)
        self._client = Client(self._connection, codecs=codecs)
        self._log: Log = log_for(self.config.logger, self.config.least_level, standard=SCHEDULER_LOG)
        self._probes = Probes(self.config.probes, self._log)
        self._timetable = Timetable()
        self._pulse = Pulse(self._timetable, clock=_now, limit=self.config.stalled_after)
        app = self.config.application
        self._roster = Roster(self._timetable, application=app, codecs=codecs, clock=_now, log=self._log)
        self._status = "new"
        self._id = ""
        self._started_at = 0.0
        self._ended: asyncio.Future[None] | None = None
        self._reaching: asyncio.Timeout | None = None
        self._stack = AsyncExitStack()
        self._acting: Actors | None = None
        self._should_rest, self._obeying = False, asyncio.Lock()

    def register(
        self,
        spec: str | timedelta | datetime,
        task: Task,
        *,
        entry_id: str = "",
        timezone: str | tzinfo | None = None,
        replace: bool = False,
        **options: Unpack[EntryOptions],
    ) -> str:
        """Register a periodic task. Also while the scheduler runs.

        It is stored in Redis as declared in code: tools show it, and it may be paused from anywhere.

        Args:
            spec: Five cron fields, or six with the second first; `@hourly` and its kind; `@every 1h30m`
                or a `timedelta`; an aware datetime for once. `CRON_TZ=Zone ` before fields names a zone.
            task: What to enqueue each time.
            entry_id: A name of your own, under which the history of the entry is kept. Made of the
                definition when not given: the same definition has the same id after a restart.
            timezone: Zone of this entry; the scheduler's when not given.
            replace: Take the place of an entry of this id that is defined otherwise: one registered
                before, or one that a client has put.
            options: As for `Client.enqueue`, and those of `EntryOptions`: `catch_up`, `overlap` and so on.

        Returns:
            The id of the entry, for `unregister`.

        Raises:
            ConfigError: The spec, the zone, the task or an option is wrong, or the id is taken.
        """
        wanted = PeriodicTask(spec, task, id=entry_id or None, timezone=timezone, **options)
        entry = define(wanted, timezone=self.config.zone, codecs=self.config.codecs)
        if not replace:
            self._roster.refuse_second(entry, is_named=bool(entry_id))
        self._roster.declare(entry, replace=replace)
        self._entries_changed()
        return entry.id

    def unregister(self, entry_id: str) -> None:
        """Register an entry no more. What it has enqueued stays, and so does its history for a while.

        It is removed when no other scheduler of the application declares it. What a client has put is
        removed by a client.

        Raises:
            EntryNotFoundError: None of this id was registered here; says which ids look like it.
        """
        self._roster.drop(entry_id)
        self._entries_changed()

    @property
    def entries(self) -> list[Entry]:
        """All entries that are enqueued here, by their next run; those that are paused come last."""
        return [*self._timetable.in_order(), *self._roster.paused.values()]

    def _entries_changed(self) -> None:
        if self._acting is not None:
            for actor in (self._acting.ticker, self._acting.herald, self._acting.follower):
                actor.poke()

    def _poke(self) -> None:
        if self._acting is not None:
            self._acting.ticker.poke()

    @property
    def id(self) -> str:
        """The id under which tools show this scheduler.

        Raises:
            NotStartedError: It was not started yet.
            ClosedError: It has left.
        """
        self._actors()
        return self._id

    @property
    def health(self) -> SchedulerHealth:
        """Whether it enqueues what is due: `ok`, `stalled` or `stopped`, and since when."""
        return self._pulse.health(is_stopped=self._status not in ("starting", "running"))

    @property
    def status(self) -> str:
        """`new`, `starting`, `running`, `stopped`, `leaving` or `left`."""
        return self._status

    def _actors(self) -> Actors:
        if self._status in ("leaving", "left"):
            raise ClosedError(self._WHAT)
        if self._acting is None:
            raise NotStartedError(self._WHAT)
        return self._acting

    def run(self) -> None:
        """Enqueue what is due until SIGTERM or SIGINT.

        SIGTSTP stops enqueueing only, and SIGCONT takes that back.

        Raises:
            AlreadyRunningError: It runs already, or is called inside an event loop.
            BrokerError: Redis cannot be used; the text says why and what to try.
        """
        run_alone(self._run, instead="await scheduler.serve()")

    async def _run(self) -> None:
        errands = Errands()
        with handled(Orders(self, errands).by_signal):
            await self.serve()
            await errands.finish()

    async def start(self) -> None:
        """Begin, and return when tools can see it, or when it was told to leave before that.

        Raises:
            AlreadyRunningError: It runs already.
            ClosedError: It was shut down; make a new one.
            BrokerError: Redis cannot be used.
        """
        if self._status != "new":
            raise ClosedError(self._WHAT) if self._status == "left" else AlreadyRunningError(self._WHAT)
        self._status = "starting"
        self._ended = asyncio.get_running_loop().create_future()
        if self._owns_connection:
            self._stack.push_async_callback(self._connection.aclose)
        self._stack.push_async_callback(self._client.aclose)
        probes = self._probes.open(
            self._connection.router, lambda trouble: judge(self._status, self.health, trouble), self._break
        )
        try:
            await self._stack.enter_async_context(probes)
            if await self._reach():
                await self._begin()
        except BaseException:
            await self._end()
            raise
        if self._status != "starting":  # told to leave meanwhile
            await self._end()
            return
        self._status = "running"
        self._log.info(
            "scheduler runs %d entries", len(self._timetable), extra={"event": "scheduler_started"}
        )
        await self._obey(rest=self._should_rest)

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
        """Start the actors."""
        self._id, self._started_at = new_id()[:_ID_LENGTH], now()
        broker = self._client._connected()
        actors = self._plan().actors(broker)
        self._timetable.begin(_now())
        await actors.enter(
            self._stack, lambda one: running(one, self._break, self._log), self._further_services()
        )
        await self._stack.enter_async_context(told(broker, actors.follower, self.config.waking))
        self._acting = actors

    def _plan(self) -> Plan:
        return Plan(
            self._id,
            self.config,
            self._timetable,
            self._roster,
            self._client,
            self._pulse,
            clock=_now,
            describe=self._describe,
            health=lambda: self.health,
            poke=self._poke,
            log=self._log,
        )

    def _further_services(self) -> list[Service]:
        return []

    def _break(self, error: BaseException) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_exception(error)

    async def stop(self) -> None:
        """Enqueue nothing more until `resume`, and stay where tools can see it.

        A scheduler that is starting does so when it has started.

        Raises:
            NotStartedError: It was not started yet.
            ClosedError: It has left.
        """
        await self._obey(rest=True)

    async def resume(self) -> None:
        """Undo `stop`, and raise as it does. What was due meanwhile is made up for if its entry says so."""
        await self._obey(rest=False)

    async def _obey(self, *, rest: bool) -> None:
        """Do what was asked for last, one after the other, and say it."""
        if self._status != "starting":
            self._actors()  # says what is wrong
        self._should_rest = rest
        async with self._obeying:
            if self._should_rest and self._status == "running":
                self._status = "stopped"
                await self._actors().rest()
            elif not self._should_rest and self._status == "stopped":
                self._status = "running"
                self._timetable.go_on(_now())
                self._actors().go_on(self._break)
            if self._acting is not None:  # nobody left meanwhile
                self._acting.herald.poke()

    async def shutdown(self) -> None:
        """Enqueue nothing more, and leave. Does nothing when it does not run."""
        if self._status == "starting":
            self._status = "leaving"
            end_within(self._reaching, 0.0)
        if self._status in ("leaving", "left"):
            if self._ended is not None and not self._ended.done():
                await asyncio.wait([self._ended])
        elif self._status != "new":
            self._status = "leaving"
            await self._end()

    async def _end(self) -> None:
        self._status = "leaving"
        try:
            await self._stack.aclose()
        finally:
            self._acting = None
            self._status = "left"
            if self._ended is not None and not self._ended.done():
                self._ended.set_result(None)
            if self._id:
                self._log.info("scheduler has left", extra={"event": "scheduler_left"})

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
        """Look whether Redis is there and fit for tasks. Also before the scheduler is started.

        Raises:
            ClosedError: It has left.
            BrokerError: It is not; the text says what is wrong and what to try.
        """
        if self._status == "left":
            raise ClosedError(self._WHAT)
        if self._status != "new" or not self._owns_connection:
            return await self._client.ping()
        return await check_once(self._connection.options)

    def _describe(self) -> dict[str, Any]:
        return describe_scheduler(
            self.config, self._roster, self.health, status=self._status, started_at=self._started_at
        )


def _now() -> datetime:
    return from_unix(now())
