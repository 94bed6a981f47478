"""Puts the actors of a scheduler together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from asyncq._broker.broker import Broker
from asyncq._broker.enqueue import Placed
from asyncq._logs import Log
from asyncq._scheduling.aftermath import Aftermath, Means
from asyncq._scheduling.alignment import Alignment
from asyncq._scheduling.catch_up import CatchUp
from asyncq._scheduling.chronicle import Chronicle
from asyncq._scheduling.claimant import Claimant
from asyncq._scheduling.dispatcher import FAILED, Dispatcher, Neighbours
from asyncq._scheduling.follower import Follower
from asyncq._scheduling.herald import Herald
from asyncq._scheduling.reconciler import Reconciler
from asyncq._scheduling.roster import Roster
from asyncq._scheduling.settings import SchedulerConfig
from asyncq._scheduling.ticker import Ticker
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


@dataclass(frozen=True, slots=True)
class Actors:
    """Those of one scheduler, in the order in which they are started."""

    herald: Herald
    follower: Follower
    dispatcher: Dispatcher
    aftermath: Aftermath
    catch_up: CatchUp
    ticker: Ticker


@dataclass(frozen=True, slots=True)
class Plan:
    """What the actors of one scheduler are made of."""

    scheduler_id: str
    config: SchedulerConfig
    timetable: Timetable
    roster: Roster
    client: Enqueuing
    clock: Callable[[], datetime]
    describe: Callable[[], Mapping[str, Any]]
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
        follower = self._follower(broker, alignment)

        def owe(entry: Entry) -> None:
            catch_up.owe(entry)

        async def release(entry: Entry, nominal: datetime) -> bool:
            tick = Tick(entry, nominal, entry.schedule.next(nominal))
            result = await dispatcher.carry_out(tick, is_release=True)
            return result.is_unknown or result.word != FAILED

        means = Means(broker.notes.cancel, broker.results.wait, release, owe)
        aftermath = Aftermath(broker.ticks, chronicle, means, current=timetable.find, log=log)
        neighbours = Neighbours(
            owe=owe,
            look=aftermath.look,
            refresh=lambda entry: follower.refresh(entry.id),
            on_change=herald.poke_soon,
        )
        claimant = self._claimant(broker)
        dispatcher = Dispatcher(claimant, chronicle, alignment, neighbours, config, clock=self.clock, log=log)
        catch_up = CatchUp(broker.ticks, timetable, aftermath, dispatcher.carry_out, clock=self.clock)
        ticker = Ticker(timetable, dispatcher.begin, clock=self.clock)
        return Actors(herald, follower, dispatcher, aftermath, catch_up, ticker)

    def _claimant(self, broker: Broker) -> Claimant:
        client, config = self.client, self.config
        return Claimant(
            client._compose,
            broker.enqueue.submit,
            client._info,
            config.middleware,
            timeout=config.enqueue_timeout,
        )

    def _follower(self, broker: Broker, alignment: Alignment) -> Follower:
        config = self.config
        reconciler = Reconciler(
            broker.entries,
            broker.schedules,
            self.roster,
            scheduler_id=self.scheduler_id,
            application=config.application,
            removes_orphans=config.orphans == "remove",
            codecs=config.codecs,
            log=self.log,
        )
        return Follower(
            broker.entries,
            self.roster,
            reconciler,
            align=alignment.align_all,
            interval=config.look_interval,
            on_change=self.poke,
            log=self.log,
        )
