"""Queues as a whole: how much is in them, who works on them, and stopping and removing them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from asyncq._broker.basis import Basis, script
from asyncq._broker.judgement import place_keys
from asyncq._broker.rounds import Question, Round
from asyncq._clock import now
from asyncq._wire.keys import QueueKeys
from asyncq._wire.messages import Envelope
from asyncq.errors import BrokerReplyError, WireError

SURVEY: Final = script("survey")
SIZES: Final = script("sizes")
PAUSE: Final = script("pause")
UNPAUSE: Final = script("unpause")
REMOVE: Final = script("remove")
WEIGH: Final = script("weigh")
RUNNING: Final = script("running")

STATES: Final = ("pending", "active", "scheduled", "retry", "archived", "completed", "aggregating")

NOTHING: Final = [0] * 8
NOBODY: Final = (b"",) * 4
"""What is told of a queue that is not paused and in which nothing is pending."""

MOST_QUEUES: Final = 100
"""Queues that one call looks at: 1 to 5 ms of Redis' time."""

AT_ONCE: Final = 2
"""Such calls on their way at a time: whatever else goes over this connection waits for these, not for all."""

MOST_GROUPS: Final = 2000
"""Groups whose sizes one call adds up: about 1 ms of Redis' time."""

LARGEST_MESSAGE: Final = 64 * 1024
"""Bytes up to which messages come with what is said of their tasks; larger ones are fetched one by one."""

REMOVED_AT_ONCE: Final = 500
"""Tasks that one call removes: a few milliseconds of Redis' time."""

RECEIPT_SECONDS: Final = 600
"""How long a removal may be sent again."""

RUNNING_AT_ONCE: Final = 500
"""Active tasks that one call reads."""

HISTORY_DAYS: Final = 90
"""Days for which the daily counters are kept (settle.lua)."""

_T = TypeVar("_T")

REMOVING: Final = "removing"
"""What stands before the time in `Q paused` while a queue is being removed."""


class Survey(NamedTuple):
    """One queue at one moment."""

    now: float  #: Redis' clock
    sizes: dict[str, int]  #: tasks in each state
    groups: int
    orphaned: int  #: active tasks whose lease ran out
    counters: list[int]  #: processed and failed, ever; then the same for today
    paused: str  #: what stands there: a time, or `removing` and a time; empty when it is not paused
    waiting_since: float  #: when the task that is next became ready; 0 when there is none, or nobody knows


class Running(NamedTuple):
    """One active task."""

    id: str
    token: str
    now: float  #: Redis' clock
    lease_ends: float
    delivered_at: float  #: 0 when the server that took it did not note it
    deliveries: int
    retried: int
    envelope: Envelope | None  #: `None` when it cannot be read


class Removal(NamedTuple):
    """What one call of a removal did."""

    word: str  #: done, more or held
    removed: int
    contents: dict[str, int]  #: what is left, by state; `damaged` counts keys


class Weight(NamedTuple):
    """An estimate of the memory of the tasks in one state, with what lists them."""

    tasks: int
    bytes: int
    sampled: int


class Queues:
    """The area of queues as a whole."""

    def __init__(self, basis: Basis) -> None:
        self._basis = basis
        self._removals = 0

    async def _command(self, queue: str, *args: Any) -> Any:
        basis = self._basis
        return await basis.router.command(*args, slot=basis.slot(queue), patience=basis.patience)

    async def survey(self, queues: Sequence[str], round_: Round) -> dict[str, Survey]:
        """Look at queues, with one call for each slot, or more for very many; none of those not seen."""
        return await self._in_chunks(queues, round_, self._survey)

    async def sizes(self, queues: Sequence[str], round_: Round) -> dict[str, tuple[dict[str, int], int]]:
        """Count tasks by state, and groups: half of what `survey` costs Redis, in the same calls."""
        return await self._in_chunks(queues, round_, self._sizes)

    async def _in_chunks(
        self,
        queues: Sequence[str],
        round_: Round,
        ask: Callable[[int, Sequence[str]], Awaitable[dict[str, _T]]],
    ) -> dict[str, _T]:
        by_slot = self._basis.by_slot(queues)
        chunks = [
            (slot, names[start : start + MOST_QUEUES])
            for slot, names in by_slot.items()
            for start in range(0, len(names), MOST_QUEUES)
        ]
        gate = asyncio.Semaphore(AT_ONCE if len(by_slot) == 1 else MOST_QUEUES)

        async def in_turn(slot: int, names: Sequence[str]) -> dict[str, _T]:
            async with gate:
                return await ask(slot, names)

        parts = await round_.each(
            Question("queue", names, slot, partial(in_turn, slot, names)) for slot, names in chunks
        )
        return {name: one for part in parts for name, one in part.items()}

    async def _sizes(self, slot: int, names: Sequence[str]) -> dict[str, tuple[dict[str, int], int]]:
        queues = [self._basis.queue(name) for name in names]
        keys = [key for queue in queues for key in place_keys(queue)]
        args = [MOST_GROUPS, *(queue.group_prefix for queue in queues)]
        reply: Any = await self._basis.run(SIZES, keys, args, slot=slot)
        found: dict[str, tuple[dict[str, int], int]] = {}
        for name, numbers in zip(names, reply, strict=True):
            counts = [*map(int, numbers.split())] or NOTHING
            found[name] = dict(zip(STATES, counts, strict=False)), counts[7]
        return found

    async def _survey(self, slot: int, names: Sequence[str]) -> dict[str, Survey]:
        found: dict[str, Survey] = {}
        keys: list[str] = []
        args: list[Any] = [MOST_GROUPS, LARGEST_MESSAGE]
        today = now()
        for name in names:
            queue = self._basis.queue(name)
            *places, flow = place_keys(queue)
            keys += (*places, queue.paused, queue.processed, queue.failed)
            keys += (queue.day("processed", today), queue.day("failed", today), flow)
            args += (queue.task_prefix, queue.group_prefix)
        reply: Any = await self._basis.run(SURVEY, keys, args, slot=slot)
        at = float(reply[0])
        for name, one in zip(names, reply[1:], strict=True):
            numbers, paused, task_id, since, message = (one, *NOBODY) if isinstance(one, bytes) else one
            counts = [*map(int, numbers.split())]
            if task_id and not since and not message:
                message = await self._message(name, task_id)
            found[name] = Survey(
                at,
                dict(zip(STATES, counts, strict=False)),
                counts[7],
                counts[8],
                counts[9:],
                paused.decode("utf-8", "replace"),
                float(since) if since else self._enqueued_at(message) if message else 0.0,
            )
        return found

    async def _message(self, queue: str, task_id: bytes) -> bytes:
        """A message that was too large to come along; empty when it is gone meanwhile."""
        key = self._basis.queue(queue).task_prefix.encode() + task_id
        if await self._command(queue, "TYPE", key) != b"hash":
            return b""
        message, extra = await self._command(queue, "HMGET", key, "msg", "extra")
        return (extra or b"") + (message or b"")

    def _enqueued_at(self, message: bytes) -> float:
        envelope = self._decode(message)
        return envelope.enqueued_at if envelope else 0.0

    def _decode(self, message: bytes) -> Envelope | None:
        try:
            return self._basis.wire.decode(message)
        except WireError:
            return None

    async def history(self, queue: str, days: int) -> list[tuple[float, int, int]]:
        """An instant of each day, today first, with what was processed and what failed on it."""
        keys, today = self._basis.queue(queue), now()
        instants = [today - day * 86400 for day in range(days)]
        names = [keys.day(counter, instant) for instant in instants for counter in ("processed", "failed")]
        counts: Any = [int(value or 0) for value in await self._command(queue, "MGET", *names)]
        return list(zip(instants, counts[::2], counts[1::2], strict=True))

    async def pause(self, queue: str) -> bool:
        """Let nothing be taken any more. False when it was so already."""
        keys = self._basis.queue(queue)
        word = await self._basis.run(PAUSE, [keys.paused, keys.lease], [], slot=self._basis.slot(queue))
        return word == b"paused"

    async def unpause(self, queue: str) -> bool:
        """Let tasks be taken again. False when they could be already."""
        basis, keys = self._basis, self._basis.queue(queue)
        word = await basis.run(
            UNPAUSE,
            [keys.paused, keys.pending, keys.waiting],
            [basis.channel_prefix, basis.in_cluster],
            slot=basis.slot(queue),
        )
        return word == b"unpaused"

    async def remove(self, queue: str, *, force: bool) -> AsyncIterator[Removal]:
        """Remove a queue, a part with each step, until it is gone or, without force, turns out to hold tasks.

        May be left off after any step, and begun again by anybody: what is there is sound at any time.
        """
        basis, keys = self._basis, self._basis.queue(queue)
        self._removals += 1
        receipt, number = keys.receipt(f"{basis.owner}.remove{self._removals}"), 0
        while True:
            number += 1
            reply: Any = await basis.run(
                REMOVE,
                [*place_keys(keys), keys.paused, receipt, *_rest_of(keys)],
                [
                    *(number, RECEIPT_SECONDS, "1" if force else "", REMOVED_AT_ONCE),
                    *(keys.task_prefix, keys.unique_prefix, keys.group_prefix, basis.channel_prefix),
                ],
                slot=basis.slot(queue),
            )
            word = reply[0].decode()
            if word not in ("done", "more", "held"):
                raise BrokerReplyError(REMOVE.name, reply)
            if word == "done":
                await self._forget_name(queue)
            yield Removal(word, reply[1], dict(zip((*STATES, "damaged"), reply[2:], strict=True)))
            if word != "more":
                return

    async def _forget_name(self, queue: str) -> None:
        """Take a name out of the set of queues; the set may be on another node than the queue."""
        basis = self._basis
        router, queues = basis.router, basis.wire.keys.queues
        slot = router.slot_of(queues)
        await router.command("SREM", queues, queue, slot=slot, patience=basis.patience)
        # Tasks that came meanwhile made a new queue, and we may just have removed the name of that one.
        # A client that puts in the first task later than this look publishes the name after it.
        keys = basis.queue(queue)
        if await self._command(queue, "EXISTS", *place_keys(keys), *self._shared(keys)):
            await router.command("SADD", queues, queue, slot=slot, patience=basis.patience)

    async def weigh(self, queue: str, *, samples: int) -> tuple[dict[str, Weight], int]:
        """Estimate the memory of a queue: by state, and what belongs to none."""
        basis, keys = self._basis, self._basis.queue(queue)
        places, today = place_keys(keys), now()
        others = [*places[7:], keys.processed, keys.failed, keys.waiting, keys.minutes, keys.hours]
        others += [keys.day("processed", today), keys.day("failed", today), *self._shared(keys)]
        reply: Any = await basis.run(
            WEIGH,
            [*places[:7], *others],
            [samples, keys.task_prefix, keys.group_prefix],
            slot=basis.slot(queue),
        )
        return {state: _weight(*one) for state, one in zip(STATES, reply[1:], strict=True)}, reply[0]

    def _shared(self, keys: QueueKeys) -> tuple[str, ...]:
        """Places that a queue has only where Go works on it, too."""
        return (keys.active, *keys.moments) if self._basis.wire.is_shared else ()

    async def running(self, queue: str) -> AsyncIterator[Running]:
        """The active tasks of a queue; each once, and each that was active all the time."""
        keys, cursor, seen = self._basis.queue(queue), b"0", set[bytes]()
        while True:
            reply: Any = await self._basis.run(
                RUNNING,
                [keys.lease],
                [cursor, RUNNING_AT_ONCE, keys.task_prefix, LARGEST_MESSAGE],
                slot=self._basis.slot(queue),
            )
            cursor = reply[1]
            for at in range(2, len(reply), 7):
                task_id, ends, token, delivered_at, deliveries, retried, message = reply[at : at + 7]
                if task_id in seen or not token:
                    continue
                seen.add(task_id)
                yield Running(
                    task_id.decode("utf-8", "replace"),
                    token.decode("utf-8", "replace"),
                    float(reply[0]),
                    float(ends),
                    float(delivered_at or 0),
                    int(deliveries),
                    int(retried),
                    self._decode(message or await self._message(queue, task_id)),
                )
            if cursor == b"0":
                return


def _rest_of(keys: QueueKeys) -> list[str]:
    """What else goes with a queue: its counters. Receipts and waiting servers stay (remove.lua)."""
    today = now()
    days = [today - day * 86400 for day in range(-1, HISTORY_DAYS + 1)]
    daily = [keys.day(counter, day) for counter in ("processed", "failed") for day in days]
    theirs = [keys.active, *keys.moments]  # of the asynq wire
    return [keys.processed, keys.failed, keys.awaited, keys.minutes, keys.hours, *theirs, *daily]


def _weight(
    tasks: int, listing: int, sampled: int, weighed: int, looked_at: int = 0, groups: int = 0
) -> Weight:
    """Take the tasks, and the groups, that were not looked at to be like those that were."""
    more = groups / looked_at if looked_at else 1.0
    each = weighed / sampled if sampled else 0.0
    return Weight(round(tasks * more), round((listing + tasks * each) * more), sampled)
