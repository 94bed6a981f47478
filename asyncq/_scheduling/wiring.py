"""Puts the actors of a scheduler together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from asyncq._broker.broker import Broker
from asyncq._broker.enqueue import Placed
from asyncq._logs import Log
from asyncq._scheduling.alignment import Alignment
from asyncq._scheduling.chronicle import Chronicle
from asyncq._scheduling.claimant import Claimant
from asyncq._scheduling.dispatcher import Dispatcher
from asyncq._scheduling.follower import Follower
from asyncq._scheduling.herald import Herald
from asyncq._scheduling.reconciler import Reconciler
from asyncq._scheduling.roster import Roster
from asyncq._scheduling.settings import SchedulerConfig
from asyncq._scheduling.ticker import Ticker
from asyncq._timetable import Timetable
from asyncq._wire.messages import NewTask
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
    dispatcher: Dispatcher
    follower: Follower
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
        schedules, config = broker.schedules, self.config
        herald = Herald(schedules, self.scheduler_id, self.describe, interval=config.heartbeat_interval)
        alignment = Alignment(schedules, self.timetable, clock=self.clock, on_change=self.poke)
        client = self.client
        dispatcher = Dispatcher(
            Claimant(client._compose, broker.enqueue.submit, client._info, config.middleware),
            Chronicle(schedules, scheduler_id=self.scheduler_id, log=self.log),
            alignment,
            config,
            log=self.log,
            on_change=herald.poke_soon,
        )
        return Actors(
            herald,
            dispatcher,
            self._follower(broker, alignment),
            Ticker(self.timetable, dispatcher.begin, clock=self.clock),
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
