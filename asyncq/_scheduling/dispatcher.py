"""Enqueues the task of an entry whose time has come, and writes down what became of it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol, Unpack, cast

from asyncq._broker.schedules import Schedules
from asyncq._clock import now
from asyncq._logs import Log
from asyncq._scheduling import hooks
from asyncq._scheduling.settings import SchedulerConfig
from asyncq._service import Errands
from asyncq._timetable import Tick
from asyncq.errors import BrokerError
from asyncq.options import TaskOptions
from asyncq.task import Task
from asyncq.task_info import TaskInfo

LAST_WORDS: Final = 5.0
"""Seconds for what is on its way when the scheduler leaves."""


class Enqueue(Protocol):
    """`Client.enqueue`."""

    def __call__(self, task: Task, **options: Unpack[TaskOptions]) -> Coroutine[Any, Any, TaskInfo]:
        """Put a task into its queue."""
        ...


class Dispatcher:
    """Enqueues what is due, each beside the others: an entry that hangs makes no other late.

    For each time of an entry:

    1. calls `pre_enqueue`;
    2. enqueues the task;
    3. says in the log and in the entry's history what became of it;
    4. calls `post_enqueue` and, when it failed, `on_error`.
    """

    def __init__(
        self,
        enqueue: Enqueue,
        schedules: Schedules,
        config: SchedulerConfig,
        *,
        scheduler_id: str,
        log: Log,
        on_change: Callable[[], None],
    ) -> None:
        self._enqueue: Final = enqueue
        self._schedules: Final = schedules
        self._config: Final = config
        self._scheduler_id: Final = scheduler_id
        self._log: Final = log
        self._on_change: Final = on_change
        self._errands: Final = Errands()

    def begin(self, tick: Tick) -> None:
        """Start with one time of one entry."""
        self._errands.start(self._dispatch(tick), name=f"entry {tick.entry.id}")

    async def aclose(self) -> None:
        """Wait for what is on its way, but not for ever."""
        await self._errands.finish(LAST_WORDS)
        await self._errands.cancel(LAST_WORDS)

    async def _dispatch(self, tick: Tick) -> None:
        try:
            await self._carry_out(tick)
        except Exception:  # noqa: BLE001 - a bug of ours: it must not stay in a task that nobody looks at
            self._log.exception(
                "entry %r failed", tick.entry.id, extra={"event": "dispatch_failed", "entry": tick.entry.id}
            )

    async def _carry_out(self, tick: Tick) -> None:
        entry, config = tick.entry, self._config
        await hooks.call(
            self._log,
            config.pre_enqueue,
            entry.task,
            cast("TaskOptions", {**entry.options}),
            name="pre_enqueue",
        )
        entry.last_at = tick.nominal
        try:
            info = await self._enqueue(entry.task, **entry.options)
        except Exception as error:  # noqa: BLE001 - ours or of a user's middleware: the entry goes on
            entry.last_error = str(error)
            self._log.error(
                "entry %r was not enqueued: %s",
                entry.id,
                error,
                extra={"event": "entry_failed", "entry": entry.id, "nominal": tick.nominal},
            )
            self._on_change()
            await self._record(tick, error=entry.last_error)
            await hooks.call(self._log, config.post_enqueue, error, name="post_enqueue")
            await hooks.call(self._log, config.on_error, entry, error, name="on_error")
        else:
            entry.last_error = ""
            self._log.info(
                "entry %r enqueued task %s",
                entry.id,
                info.id,
                extra={
                    "event": "entry_enqueued",
                    "entry": entry.id,
                    "task_id": info.id,
                    "queue": info.queue,
                    "nominal": tick.nominal,
                },
            )
            self._on_change()
            await self._record(tick, task_id=info.id)
            await hooks.call(self._log, config.post_enqueue, info, name="post_enqueue")

    async def _record(self, tick: Tick, *, task_id: str = "", error: str = "") -> None:
        nominal = tick.nominal.timestamp()
        event = {
            "task_id": task_id,
            "queue": tick.entry.queue,
            "enqueued_at": now(),
            "nominal": nominal,
            "error": error,
            "scheduler": self._scheduler_id,
        }
        next_at = 0.0 if tick.next_at is None else tick.next_at.timestamp()
        try:
            await self._schedules.record(tick.entry.id, event, at=nominal, next_at=next_at)
        except BrokerError as problem:
            self._log.warning(
                "what became of entry %r could not be written: %s",
                tick.entry.id,
                problem,
                extra={"event": "history_unwritten", "entry": tick.entry.id},
            )
