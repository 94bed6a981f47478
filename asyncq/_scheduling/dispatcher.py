"""Enqueues the task of an entry whose time has come, and writes down what became of it."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Final, cast

from asyncq._logs import Log
from asyncq._scheduling import hooks
from asyncq._scheduling.alignment import Alignment
from asyncq._scheduling.chronicle import Chronicle
from asyncq._scheduling.settings import SchedulerConfig
from asyncq._service import Errands
from asyncq._timetable import Tick
from asyncq._wire.messages import Claim
from asyncq.options import TaskOptions
from asyncq.task import Task
from asyncq.task_info import TaskInfo

LAST_WORDS: Final = 5.0
"""Seconds for what is on its way when the scheduler leaves."""


LEAST_REMEMBERED: Final = 86400
"""Seconds for which a claim is remembered at least: longer than any scheduler is late, by an outage or a
wrong clock, and goes on nevertheless."""

_ID_BYTES: Final = 6

Enqueue = Callable[[Task, TaskOptions, Claim], Awaitable[TaskInfo | None]]


def claim_on(tick: Tick) -> Claim:
    """Return what one of several schedulers gets and the others do not."""
    nominal = tick.nominal.timestamp()
    following = 0.0 if tick.next_at is None else 2 * (tick.next_at.timestamp() - nominal)
    return Claim(
        tick.entry.id,
        nominal,
        tick.entry.schedule.gap,
        int(max(LEAST_REMEMBERED, following)),
        task_id_for(tick),
    )


def task_id_for(tick: Tick) -> str:
    """Return an id that each scheduler gives to the same time of the same entry.

    The claim alone would do; two tasks of one id cannot be either, whatever became of the claim.
    """
    digest = hashlib.blake2s(tick.entry.id.encode(), digest_size=_ID_BYTES).hexdigest()
    return f"{digest}-{tick.nominal.timestamp():.3f}"


class Dispatcher:
    """Enqueues what is due, each beside the others: an entry that hangs makes no other late.

    For each time of an entry:

    1. calls `pre_enqueue`;
    2. enqueues the task, unless another scheduler has done so: then that is all;
    3. says in the log and in the entry's history what became of it;
    4. calls `post_enqueue` and, when it failed, `on_error`.
    """

    def __init__(
        self,
        enqueue: Enqueue,
        chronicle: Chronicle,
        alignment: Alignment,
        config: SchedulerConfig,
        *,
        log: Log,
        on_change: Callable[[], None],
    ) -> None:
        self._enqueue: Final = enqueue
        self._chronicle: Final = chronicle
        self._alignment: Final = alignment
        self._config: Final = config
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
            claim = claim_on(tick)
            options = cast("TaskOptions", {**entry.options, "task_id": claim.task_id})
            info = await self._enqueue(entry.task, options, claim)
        except Exception as error:  # noqa: BLE001 - ours or of a user's middleware: the entry goes on
            entry.last_error = str(error)
            self._log.error(
                "entry %r was not enqueued: %s",
                entry.id,
                error,
                extra={"event": "entry_failed", "entry": entry.id, "nominal": tick.nominal},
            )
            self._on_change()
            await self._chronicle.note(tick, error=entry.last_error)
            await hooks.call(self._log, config.post_enqueue, error, name="post_enqueue")
            await hooks.call(self._log, config.on_error, entry, error, name="on_error")
        else:
            entry.last_error = ""
            if info is None:
                await self._leave_to_another(tick)
                return
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
            await self._chronicle.note(tick, task_id=info.id)
            await hooks.call(self._log, config.post_enqueue, info, name="post_enqueue")

    async def _leave_to_another(self, tick: Tick) -> None:
        entry = tick.entry
        self._log.debug(
            "entry %r was enqueued by another scheduler",
            entry.id,
            extra={"event": "entry_taken", "entry": entry.id, "nominal": tick.nominal},
        )
        await self._alignment.align(entry)
        self._on_change()
