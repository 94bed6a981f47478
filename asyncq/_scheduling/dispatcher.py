"""Enqueues the task of an entry whose time has come, and writes down what became of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, cast

from asyncq._entry_form import rhythm
from asyncq._logs import Log
from asyncq._missed import longest_delay
from asyncq._scheduling import hooks
from asyncq._scheduling.alignment import Alignment
from asyncq._scheduling.chronicle import Chronicle, Skipped
from asyncq._scheduling.claimant import Answer, ClockAheadError
from asyncq._scheduling.claims import claim_on, is_before
from asyncq._scheduling.settings import SchedulerConfig
from asyncq._service import Errands
from asyncq._timetable import Tick
from asyncq._wire.messages import Claim
from asyncq.entries import Entry
from asyncq.errors import BrokerError, BrokerUnavailableError, DuplicateTaskError, TaskIdConflictError
from asyncq.options import TaskOptions
from asyncq.task import Task

LAST_WORDS: Final = 5.0
"""Seconds for what is on its way when the scheduler leaves."""

MOST_LOOKS: Final = 5
"""Times that an entry is looked up for one of its times. Somebody may change it again meanwhile."""

FAILED: Final = "failed"
_A_SECOND: Final = timedelta(seconds=1)

Enqueue = Callable[[Task, TaskOptions, Claim], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one time of an entry."""

    word: str  #: as of an `Answer`, or `failed`
    error: Exception | None = None  #: why it failed

    @property
    def is_settled(self) -> bool:
        """Whether Redis has said what became of it. That our clock is wrong says nothing."""
        return self.error is None or isinstance(self.error, DuplicateTaskError | TaskIdConflictError)

    @property
    def is_open(self) -> bool:
        """Whether it is still to be seen: Redis did not answer in time, or our clock is ahead of its."""
        return isinstance(self.error, BrokerUnavailableError | TimeoutError | ClockAheadError)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Whom a dispatcher tells what."""

    owe: Callable[[Entry], None]  #: times of this entry were missed
    look: Callable[[Entry], Awaitable[None]]  #: Redis remembers something that is to be done for it
    refresh: Callable[
        [Entry], Awaitable[tuple[Entry | None, str]]
    ]  #: it has changed; how is it now, or why not?
    on_change: Callable[[], None]  #: there is something to announce
    begun: Callable[[Tick], None]  #: a time has come
    settled: Callable[[], None]  #: Redis has said what became of one


class Dispatcher:
    """Enqueues what is due, each beside the others: an entry that hangs makes no other late.

    For each time of an entry:

    1. calls `pre_enqueue`;
    2. enqueues the task, unless another scheduler has done so: then that is all;
    3. says in the log and in the entry's history what became of it;
    4. calls `post_enqueue` and, when it failed, `on_error`.

    What was missed is not its business: it says so, and goes on.
    """

    def __init__(  # noqa: PLR0913 - what it needs to tell others
        self,
        enqueue: Enqueue,
        chronicle: Chronicle,
        alignment: Alignment,
        neighbours: Neighbours,
        config: SchedulerConfig,
        *,
        clock: Callable[[], datetime],
        log: Log,
    ) -> None:
        self._enqueue: Final = enqueue
        self._chronicle: Final = chronicle
        self._alignment: Final = alignment
        self._to: Final = neighbours
        self._config: Final = config
        self._clock: Final = clock
        self._log: Final = log
        self._errands: Final = Errands()

    def begin(self, tick: Tick) -> None:
        """Start with one time of one entry."""
        # The claim is made now: a pause that is heard of before it is sent must not count as known.
        self._errands.start(self._dispatch(tick, claim_on(tick)), name=f"entry {tick.entry.id}")

    async def aclose(self) -> None:
        """Wait for what is on its way, but not for ever."""
        await self._errands.finish(LAST_WORDS)
        await self._errands.cancel(LAST_WORDS)

    async def _dispatch(self, tick: Tick, claim: Claim) -> None:
        try:
            if not self.is_too_late(tick):
                self._to.begun(tick)
                self._settle(tick.entry, await self._carry_out(tick, claim))
        except Exception:  # noqa: BLE001 - a bug of ours: it must not stay in a task that nobody looks at
            self._report(tick.entry)

    def begun(self, tick: Tick) -> None:
        """Say that a time has come, and that Redis is asked for it."""
        self._to.begun(tick)

    async def conclude(self, tick: Tick, outcome: Answer | Exception) -> None:
        """Do what follows from the answer to one time."""
        tick.entry.last_at = tick.nominal
        try:
            self._settle(tick.entry, await self._follow(tick, outcome))
        except Exception:  # noqa: BLE001 - as above
            self._report(tick.entry)

    def is_too_late(self, tick: Tick) -> bool:
        """Whether a time is for those who make up for missed times; then they are told."""
        late = self._clock() - tick.nominal
        # Nearly always; and a wave has no time for more.
        if late < _A_SECOND or late - timedelta(seconds=tick.delay) <= longest_delay(tick.entry):
            return False
        self._to.owe(tick.entry)
        return True

    def _settle(self, entry: Entry, result: Result) -> None:
        if result.is_settled:
            self._to.settled()
        if result.word == "behind" or result.is_open:
            self._to.owe(entry)

    def _report(self, entry: Entry) -> None:
        self._log.exception(
            "entry %r failed", entry.id, extra={"event": "dispatch_failed", "entry": entry.id}
        )

    async def carry_out(self, tick: Tick, *, is_release: bool = False) -> Result:
        """Enqueue the task of one time.

        Args:
            tick: Which.
            is_release: It was claimed before, and has waited for the end of the last run.
        """
        return await self._carry_out(tick, claim_on(tick, is_release=is_release))

    async def _carry_out(self, tick: Tick, claim: Claim, *, looks: int = 0) -> Result:
        """Enqueue the task of one time, for which the entry was looked up so many times."""
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
            options = cast("TaskOptions", {**entry.options, "task_id": claim.task_id})
            answer = await self._enqueue(entry.task, options, claim)
        except Exception as error:  # noqa: BLE001 - ours or of a user's middleware: the entry goes on
            return await self._follow(tick, error)
        return await self._follow(tick, answer, is_release=claim.is_release, looks=looks)

    async def _follow(
        self, tick: Tick, answer: Answer | Exception, *, is_release: bool = False, looks: int = 0
    ) -> Result:
        entry = tick.entry
        if isinstance(answer, Exception):
            await self._failed(tick, answer)
            return Result(FAILED, answer)
        entry.last_error = ""
        if answer.info is not None:
            await self._enqueued(tick, answer)
        elif answer.word == "fenced":
            return await self._with_the_present_one(tick, is_release=is_release, looks=looks)
        elif answer.word == "taken":
            await self._leave_to_another(tick)
        if answer.asks_for_more:
            await self._look(entry)
        return Result(answer.word)

    async def _enqueued(self, tick: Tick, answer: Answer) -> None:
        entry, info = tick.entry, answer.info
        if info is None:
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
        self._to.on_change()
        await self._chronicle.note(tick, task_id=info.id)
        await hooks.call(self._log, self._config.post_enqueue, info, name="post_enqueue")

    async def _failed(self, tick: Tick, error: Exception) -> None:
        entry, config = tick.entry, self._config
        entry.last_error = str(error)
        self._log.error(
            "entry %r was not enqueued: %s",
            entry.id,
            error,
            extra={"event": "entry_failed", "entry": entry.id, "nominal": tick.nominal},
        )
        self._to.on_change()
        # Whoever is told shall not hear it only when Redis, of all things, has written it down.
        await hooks.call(self._log, config.post_enqueue, error, name="post_enqueue")
        await hooks.call(self._log, config.on_error, entry, error, name="on_error")
        await self._chronicle.note(tick, error=entry.last_error)

    async def _leave_to_another(self, tick: Tick) -> None:
        entry = tick.entry
        self._log.debug(
            "entry %r was enqueued by another scheduler",
            entry.id,
            extra={"event": "entry_taken", "entry": entry.id, "nominal": tick.nominal},
        )
        await self._alignment.align(entry)
        if entry.rules.overlap in ("queue_one", "cancel_running"):
            await self._look(entry)  # the other one may have died since
        self._to.on_change()

    async def _look(self, entry: Entry) -> None:
        try:
            await self._to.look(entry)
        except BrokerError as error:
            # It stays in Redis: the next one who looks finds it.
            self._log.debug("entry %r: %s", entry.id, error, extra={"event": "look_failed"})
            self._to.owe(entry)

    async def _with_the_present_one(self, tick: Tick, *, is_release: bool, looks: int) -> Result:
        """The entry has changed, and this scheduler has not heard of it yet."""
        reason = "changed"
        if looks < MOST_LOOKS:
            try:
                entry, reason = await self._to.refresh(tick.entry)
            except BrokerError as error:
                await self._failed(tick, error)
                return Result(FAILED, error)
            if entry is not None and _has(entry, tick):
                present = replace(tick, entry=entry)
                claim = claim_on(present, is_release=is_release)
                return await self._carry_out(present, claim, looks=looks + 1)
        skipped = Skipped(tick.nominal, tick.nominal, 1, reason, tick.nominal)
        await self._chronicle.skipped(tick.entry, skipped)
        return Result("fenced")


def _has(entry: Entry, tick: Tick) -> bool:
    """Whether a time is one of the entry as it is now."""
    old, new = tick.entry.schedule, entry.schedule
    if is_before(entry, tick.nominal):
        return False
    if rhythm(old) == rhythm(new):
        return True
    return not new.gap and new.next(tick.nominal - timedelta(milliseconds=1)) == tick.nominal
