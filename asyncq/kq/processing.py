"""The processors of one reader: they run handlers, and say what became of each message."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from asyncq._logs import Log
from asyncq._service import Errands
from asyncq.errors import RevokeTask
from asyncq.kq.calls import Calls, ErrorHandler
from asyncq.kq.config import KqConf
from asyncq.kq.errors import MessageFailedError
from asyncq.kq.lanes import Lanes, Order
from asyncq.kq.ledger import Ledger
from asyncq.kq.message import Message
from asyncq.kq.stats import QueueStats
from asyncq.kq.verdicts import decide

CANCEL_GRACE: Final = 1.0
"""Seconds that a cancelled handler has to end."""


@dataclass(slots=True, eq=False)
class _Job:
    """A message on its way through the processors."""

    message: Message
    ledger: Ledger
    lane: Hashable | None
    lanes: Lanes[_Job]  # those it came through: others are in use when it was given up meanwhile


def lane_of(message: Message, order: Order) -> Hashable | None:
    """Which messages this one waits for: those of the same lane. None: for none."""
    if order == "none" or (order == "key" and message.key is None):
        return None
    return (message.partition, message.key) if order == "key" else message.partition


class Processors:
    """Handles the messages of one reader, so many at a time.

    Args:
        conf: The settings.
        calls: How the handler is called.
        error_handler: Whom to tell of attempts that failed.
        stats: What to count in.
        log: Where to say it.
        on_progress: Called when a message is finished, or dropped: there is room, and maybe something to
            commit.
        on_halt: Called when a message failed that may not be skipped.
    """

    def __init__(  # noqa: PLR0913 - its parts, one by one
        self,
        conf: KqConf,
        calls: Calls,
        *,
        error_handler: ErrorHandler | None,
        stats: QueueStats,
        log: Log,
        on_progress: Callable[[], None],
        on_halt: Callable[[MessageFailedError], None],
    ) -> None:
        self._conf: Final = conf
        self._calls: Final = calls
        self._error_handler: Final = error_handler
        self._stats: Final = stats
        self._log: Final = log
        self._on_progress: Final = on_progress
        self._on_halt: Final = on_halt
        self._errands: Final = Errands()
        self._context: Final = contextvars.copy_context()
        self._lanes: Lanes[_Job] = Lanes()
        self._waiting: set[_Job] = set()
        self._running: Final[dict[_Job, asyncio.Task[None]]] = {}
        self._parked: Final[dict[_Job, asyncio.TimerHandle]] = {}

    @property
    def room(self) -> int:
        """How many messages may come now."""
        return self._conf.consumers + self._conf.processors - self._lanes.ready - len(self._running)

    def submit(self, message: Message, ledger: Ledger) -> None:
        """Handle a message as soon as a processor is free."""
        job = _Job(message, ledger, lane_of(message, self._conf.order), self._lanes)
        self._waiting.add(job)
        self._lanes.add(job, job.lane)
        self._dispatch()

    def _dispatch(self) -> None:
        while len(self._running) < self._conf.processors and (job := self._lanes.next()) is not None:
            self._waiting.discard(job)
            self._stats.running += 1
            # Not in the context of the message that made room: what its handler left there is its own.
            begin = partial(self._errands.start, self._run(job), name=f"kq {job.message.id}")
            self._running[job] = self._context.copy().run(begin)

    async def _run(self, job: _Job) -> None:
        is_over = False
        try:
            error = await self._attempt(job)
            await self._conclude(job, error)
            is_over = True
        finally:
            del self._running[job]
            self._stats.running -= 1
            self._stats.dropped += not is_over
            self._dispatch()
            self._on_progress()

    async def _attempt(self, job: _Job) -> BaseException | None:
        try:
            await self._calls(job.message)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return error  # it cancelled itself: a failure like any other
        except BaseException as error:  # noqa: BLE001 - nothing of a handler may end the process
            return error
        return None

    async def _conclude(self, job: _Job, error: BaseException | None) -> None:
        conf, message = self._conf, job.message
        verdict = decide(
            error, message.attempt, force_commit=conf.force_commit, max_attempts=conf.max_attempts
        )
        if error is not None and not isinstance(error, RevokeTask):
            await self._tell(message, error)
        if verdict.fate == "again":
            self._park(job, verdict.delay)
        elif verdict.fate == "halt":
            self._stats.dropped += 1
            failed = MessageFailedError(message.id, message.attempt, error or RuntimeError())
            failed.__cause__ = error
            self._on_halt(failed)
        else:
            if verdict.fate == "skipped":
                self._stats.skipped += 1
                self._log.error(
                    "%s: message %s failed for good and is skipped",
                    conf.title,
                    message.id,
                    extra={"event": "kq_skipped", "topic": message.topic, "message_id": message.id},
                )
            else:
                self._stats.handled += 1
            job.ledger.finish(message.offset)
            job.lanes.free(job.lane)

    async def _tell(self, message: Message, error: BaseException) -> None:
        self._stats.failures += 1
        self._log.warning(
            "%s: message %s failed, attempt %d: %r",
            self._conf.title,
            message.id,
            message.attempt,
            error,
            exc_info=error,
            extra={
                "event": "kq_message_failed",
                "topic": message.topic,
                "message_id": message.id,
                "attempt": message.attempt,
            },
        )
        if self._error_handler is None:
            return
        try:
            answer = self._error_handler(message, error)
            if answer is not None:
                await answer
        except Exception:  # noqa: BLE001 - a user's callback: logged
            self._log.exception(
                "%s: the error handler failed with message %s",
                self._conf.title,
                message.id,
                extra={"event": "callback_failed", "callback": "error_handler", "message_id": message.id},
            )

    def _park(self, job: _Job, delay: float) -> None:
        """Let a message wait for its next attempt; it holds up its lane and no processor."""
        if job.lanes is not self._lanes:
            self._stats.dropped += 1  # given up meanwhile
            return
        loop = asyncio.get_running_loop()
        self._parked[job] = loop.call_later(delay, self._unpark, job)

    def _unpark(self, job: _Job) -> None:
        del self._parked[job]
        job.message = replace(job.message, attempt=job.message.attempt + 1)
        self._waiting.add(job)
        self._lanes.again(job)
        self._dispatch()

    async def drain(self, seconds: float) -> None:
        """Drop what has not begun, and wait for what has; cancel what is not over in so many seconds.

        What was dropped or cancelled is not finished, so it is not committed, and comes again.
        """
        for handle in self._parked.values():
            handle.cancel()
        self._stats.dropped += len(self._parked) + len(self._waiting)
        self._parked.clear()
        self._waiting.clear()
        self._lanes = Lanes()
        try:
            for patience in (seconds, CANCEL_GRACE):
                running = {*self._running.values()} - {asyncio.current_task()}
                if not running:
                    break
                _, late = await asyncio.wait(running, timeout=patience)
                for task in late:
                    task.cancel()
        except asyncio.CancelledError:
            for task in self._running.values():
                task.cancel()
            raise
        self._on_progress()

    @property
    def are_idle(self) -> bool:
        """Whether no handler runs."""
        return not self._running
