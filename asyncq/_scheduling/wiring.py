"""Puts the actors of a scheduler together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from asyncq._broker.broker import Broker
from asyncq._broker.enqueue import Placed
from asyncq._broker.entries import Stored
from asyncq._broker.trouble import trouble
from asyncq._logs import Log
from asyncq._scheduling.aftermath import Aftermath, Means
from asyncq._scheduling.alignment import Alignment
from asyncq._scheduling.catch_up import CatchUp
from asyncq._scheduling.chronicle import Chronicle
from asyncq._scheduling.claimant import Claimant
from asyncq._scheduling.clerk import see_off
from asyncq._scheduling.crowds import Moving
from asyncq._scheduling.dispatcher import FAILED, Dispatcher, Neighbours
from asyncq._scheduling.follower import Follower
from asyncq._scheduling.go_herald import GoHerald
from asyncq._scheduling.herald import Herald
from asyncq._scheduling.pulse import Pulse, SchedulerHealth
from asyncq._scheduling.reconciler import Reconciler
from asyncq._scheduling.roster import Roster
from asyncq._scheduling.settings import SchedulerConfig
from asyncq._scheduling.ticker import Ticker
from asyncq._scheduling.watchman import Watchman
from asyncq._scheduling.waves import Waves
from asyncq._service import OnBroken, Service
from asyncq._timetable import Tick, Timetable
from asyncq._wire.messages import NewTask
from asyncq.entries import Entry
from asyncq.options import TaskOptions
from asyncq.task import Task
from asyncq.task_info import TaskInfo


class Enqueuing(Protocol):
    """What a scheduler needs of a client."""

    def _compose(self, task: Task, options: TaskOptions) -> NewTask: ...

    def _info(self, new: NewTask, placed: Placed) -> TaskInfo: ...


Start = Callable[[Service], AbstractAsyncContextManager[Service]]


@dataclass(frozen=True, slots=True)
class Actors:
    """Those of one scheduler, in the order in which they are started."""

    herald: Herald
    follower: Follower
    dispatcher: Dispatcher
    aftermath: Aftermath
    catch_up: CatchUp
    waves: Waves
    ticker: Ticker
    watchman: Watchman
    go_herald: GoHerald | None  #: in the asynq wire

    async def rest(self) -> None:
        """Begin nothing more; what is on its way goes on."""
        await self.ticker.stop()
        self.ticker.forget()
        await self.catch_up.stop()
        await self.catch_up.aclose()

    def go_on(self, on_broken: OnBroken) -> None:
        """Begin again after a rest."""
        self.catch_up.survey()
        for service in (self.ticker, self.catch_up):
            if not service.is_running:  # the rest was cancelled half-way
                service.start(on_broken)

    def _leaves(self) -> list[Callable[[], Awaitable[None]]]:
        closing = (self.dispatcher, self.aftermath, self.catch_up, self.waves, self.follower)
        return [one.aclose for one in closing]

    async def enter(self, stack: AsyncExitStack, start: Start, further: Iterable[Service]) -> None:
        """Start them. The order of the blocks is the order in which they stop, the last first."""
        stack.push_async_callback(self.herald.leave)
        # Before anything is stored, so that others see that there is somebody who declares it.
        await self.herald.tick()
        await self.follower.begin()
        await stack.enter_async_context(start(self.herald))
        if self.go_herald is not None:
            stack.push_async_callback(self.go_herald.leave)
            await stack.enter_async_context(start(self.go_herald))
        for leave in self._leaves():
            stack.push_async_callback(leave)
        for service in (self.waves, self.ticker, self.catch_up, self.watchman, self.follower, *further):
            await stack.enter_async_context(start(service))


@dataclass(frozen=True, slots=True)
class Plan:
    """What the actors of one scheduler are made of."""

    scheduler_id: str
    config: SchedulerConfig
    timetable: Timetable
    roster: Roster
    client: Enqueuing
    pulse: Pulse
    clock: Callable[[], datetime]
    describe: Callable[[], Mapping[str, Any]]
    health: Callable[[], SchedulerHealth]
    poke: Callable[[], None]  #: the times have changed
    log: Log

    def actors(self, broker: Broker) -> Actors:
        """Make them. None of them does anything yet."""
        config, timetable, log = self.config, self.timetable, self.log
        herald = Herald(
            broker.schedules, self.scheduler_id, self.describe, interval=config.heartbeat_interval
        )
        alignment = Alignment(broker.ticks, timetable, clock=self.clock, on_change=self.poke)
        chronicle = Chronicle(broker.schedules, scheduler_id=self.scheduler_id, log=log)

        def owe(entry: Entry) -> None:
            catch_up.owe(entry)

        follower = self._follower(broker, alignment, herald, owe)

        async def release(entry: Entry, nominal: datetime) -> bool:
            tick = Tick(entry, nominal, entry.schedule.next(nominal))
            result = await dispatcher.carry_out(tick, is_release=True)
            return result.is_open or result.word not in (FAILED, "fenced")

        means = Means(broker.notes.cancel, broker.results.wait, release, owe)
        aftermath = Aftermath(broker.ticks, chronicle, means, current=timetable.find, log=log)
        neighbours = Neighbours(
            owe=owe,
            look=aftermath.look,
            refresh=lambda entry: follower.refresh(entry.id),
            on_change=herald.poke_soon,
            begun=self.pulse.begun,
            settled=self.pulse.settled,
        )
        claimant = self._claimant(broker)
        dispatcher = Dispatcher(claimant, chronicle, alignment, neighbours, config, clock=self.clock, log=log)
        catch_up = CatchUp(broker.ticks, timetable, aftermath, dispatcher.carry_out, clock=self.clock)
        waves = self._waves(claimant, dispatcher, broker.delayed)
        ticker = Ticker(timetable, waves, clock=self.clock)
        watchman = self._watchman(broker, herald)
        go_herald = self._go_herald(broker) if broker.wire.is_shared else None
        return Actors(herald, follower, dispatcher, aftermath, catch_up, waves, ticker, watchman, go_herald)

    def _go_herald(self, broker: Broker) -> GoHerald:
        return GoHerald(
            broker.go_schedulers,
            self.scheduler_id,
            self.timetable,
            codecs=self.config.codecs,
            is_at_rest=lambda: self.health().state == "stopped",
            interval=self.config.heartbeat_interval,
        )

    def _waves(self, claimant: Claimant, dispatcher: Dispatcher, moving: Moving) -> Waves:
        return Waves(
            self.timetable,
            claimant,
            dispatcher,
            moving,
            timeout=self.config.enqueue_timeout,
            is_direct=self.config.pre_enqueue is None,
        )

    def _watchman(self, broker: Broker, herald: Herald) -> Watchman:
        return Watchman(
            self.health,
            lambda: trouble(broker.router),
            self.config,
            on_change=herald.poke,
            clock=self.clock,
            log=self.log,
        )

    def _claimant(self, broker: Broker) -> Claimant:
        client, config = self.client, self.config
        return Claimant(
            client._compose,
            broker.enqueue.submit,
            broker.enqueue.prepare,
            client._info,
            config.middleware,
            timeout=config.enqueue_timeout,
        )

    def _follower(
        self, broker: Broker, alignment: Alignment, herald: Herald, owe: Callable[[Entry], None]
    ) -> Follower:
        config = self.config

        async def remove(stored: Stored) -> str:
            removed = await broker.entries.remove(stored, force=True)
            if removed.word == "removed":
                await see_off(broker, stored, removed, config.codecs, log=self.log)
            return removed.word

        reconciler = Reconciler(
            broker.entries,
            broker.schedules,
            self.roster,
            scheduler_id=self.scheduler_id,
            application=config.application,
            removes_orphans=config.orphans == "remove",
            remove=remove,
            announce=herald.tick,
            codecs=config.codecs,
            log=self.log,
        )
        return Follower(
            broker.entries,
            self.roster,
            reconciler,
            align=alignment.align_all,
            owe=owe,
            interval=config.look_interval,
            on_change=self.poke,
            log=self.log,
        )
