"""Numbers over time, in Redis: added to by servers, read by the inspector.

Names of numbers are short, since they stand in Redis once for each minute: a letter for each outcome, and a
letter with a number for each class of times (`BOUNDS`). Sums of times are in microseconds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

import msgpack

from asyncq._broker.basis import Basis, script
from asyncq._broker.rounds import Question, Round
from asyncq.errors import BrokerReplyError, WireError

_T = TypeVar("_T")

MEASURE: Final = script("measure")
SAMPLE: Final = script("sample")

MINUTE: Final = 60
HOUR: Final = 3600
LETTERS: Final = {
    "done": "d",
    "retried": "r",
    "archived": "a",
    "revoked": "v",
    "expired": "x",
    "given_back": "g",
    "put_back": "p",
    "redelivered": "e",
}
"""What became of deliveries of one type."""

_DONE, _RETRIED, _ARCHIVED, _REVOKED = (
    LETTERS[name].encode() for name in ("done", "retried", "archived", "revoked")
)

TIMES: Final = {"wait": ("w", "W"), "run": ("t", "T"), "lateness": ("l", "L")}
"""How long things took: what stands before the number of a class, and the sum in microseconds."""

QUEUE_LETTERS: Final = {"lost": "o", "recovered": "c", "given_up": "u", "refused": "z", "unusable": "y"}
"""What happened in a queue, of whatever type."""

SAMPLED: Final = "n"
PENDING: Final = "P"
ACTIVE: Final = "A"
DELAYED: Final = "S"
OLDEST: Final = "^O"
"""How much there was to do: queues that were looked at, sums over them, and the greatest age, in ms."""

SPANS: Final = {MINUTE: 180, HOUR: 168}
"""How many minutes and hours are kept (measure.lua)."""

MOST_TYPES: Final = 100
"""Types of one queue with numbers of their own in Redis; each takes about 150 bytes a minute and an hour."""

MOST_PLACES: Final = 25
"""Queues of one call. With a hundred busy types, which a fleet of many servers may have, a queue costs Redis
2 to 3 ms; with a few types some tens of microseconds. A call has the numbers of one server, whose types are
bounded (`measured_types`): about 150 KB."""

LARGEST_MESSAGE: Final = 16 * 1024
"""Bytes up to which the message of a task is read for when it was enqueued."""

RECEIPT_SECONDS: Final = 3600
"""For so long a call whose answer was lost can be sent again."""

ALL: Final = ""
"""Stands for all queues together."""

Update = dict[str, dict[str, int]]
"""Numbers by type of task, and by name; the type `""` is for a queue as a whole.

Of a name that begins with `^` the greatest counts, of others the sum."""


def add(update: Update, more: Update) -> None:
    """Add numbers to numbers, as measure.lua does."""
    for kind, numbers in more.items():
        mine = update.get(kind)
        if mine is None:
            update[kind] = dict(numbers)
            continue
        get = mine.get
        for name, amount in numbers.items():
            mine[name] = get(name, 0) + amount
        if OLDEST in numbers:
            mine[OLDEST] = max(mine[OLDEST] - numbers[OLDEST], numbers[OLDEST])


class Sample(NamedTuple):
    """How much there is to do in a queue."""

    queue: str
    pending: int
    active: int
    delayed: int
    age: float  #: seconds for which the task that is taken next has been ready


@dataclass(slots=True)
class Batch:
    """What one call adds: it may be sent as often as needed, and is added once.

    Those of one lane have growing numbers, and a lane has its queues for ever: a call is known again by both.
    """

    lane: Sequence[str]  #: queues of one slot; or `ALL` alone
    number: int
    at: float  #: when it was counted, by the clock of Redis
    updates: dict[str, Update]  #: by queue, of those of the lane
    was_sent: bool = False  #: whether it may have been carried out, so that it must not be changed any more


class Measures:
    """The measures area."""

    def __init__(self, basis: Basis) -> None:
        self._basis = basis

    def lanes(self, queues: Iterable[str]) -> list[list[str]]:
        """Queues that may be in one call, in parts that keep nobody waiting; the last one is `ALL`."""
        parts = [
            names[start : start + MOST_PLACES]
            for names in self._basis.by_slot(queues).values()
            for start in range(0, len(names), MOST_PLACES)
        ]
        return [*parts, [ALL]]

    def _slot(self, queue: str) -> int:
        if queue == ALL:
            return self._basis.router.slot_of(self._basis.wire.keys.measures.minutes)
        return self._basis.slot(queue)

    async def add(self, batch: Batch) -> None:
        """Add numbers. A batch that was added before is not added again."""
        basis, first = self._basis, batch.lane[0]
        sender = f"{basis.owner}.measures"
        home = basis.wire.keys.measures if first == ALL else basis.queue(first)
        keys = [home.receipt(sender)]
        args: list[Any] = [batch.number, RECEIPT_SECONDS, batch.at, MOST_TYPES]
        for name, update in batch.updates.items():
            keys += self._rings(name)
            args.append(msgpack.packb(update, use_bin_type=False))
        batch.was_sent = True
        await basis.run(MEASURE, keys, args, slot=self._slot(first))

    def _rings(self, queue: str) -> tuple[str, str]:
        keys = self._basis.wire.keys.measures if queue == ALL else self._basis.queue(queue)
        return keys.minutes, keys.hours

    async def sample(self, queues: Sequence[str]) -> tuple[float, list[Sample]]:
        """Look at the queues of a lane; at each only if nobody did so in this minute.

        Returns:
            The time by Redis' clock, and what was seen.
        """
        basis = self._basis
        keys: list[str] = []
        args: list[Any] = [basis.owner, 2 * MINUTE, LARGEST_MESSAGE]
        for name in queues:
            queue = basis.queue(name)
            keys += (queue.minutes, queue.pending, queue.lease, queue.scheduled, queue.retry)
            args.append(queue.task_prefix)
        reply: Any = await basis.run(SAMPLE, keys, args, slot=basis.slot(queues[0]))
        now = float(reply[0])
        found: list[Sample] = []
        for number, pending, active, delayed, since, message in reply[1:]:
            age = self._age(now, since, message) if pending else 0.0
            found.append(Sample(queues[int(number) - 1], pending, active, delayed, age))
        return now, found

    def _age(self, now: float, since: bytes, message: bytes) -> float:
        try:
            ready_at = float(since) if since else self._basis.wire.decode(message).enqueued_at
        except (WireError, ValueError):
            return 0.0
        # Also when somebody wrote by hand what is no time.
        return now - ready_at if 0 < ready_at < now else 0.0

    async def now(self, queue: str, round_: Round) -> float | None:
        """The time by the clock of the Redis that has these numbers; `None` when it could not be asked."""

        async def ask() -> float:
            seconds, micros = await self._command("TIME", slot=self._slot(queue))
            return int(seconds) + int(micros) / 1e6

        return await round_.one(self._question(queue, ask))

    async def read(
        self, queue: str, length: int, first: int, last: int, round_: Round
    ) -> dict[int, Update] | None:
        """Read the numbers of a queue, or of `ALL`, from one minute or hour to another.

        Args:
            queue: Which.
            length: `MINUTE` or `HOUR`.
            first: Number of the first one, counted from 1970.
            last: Number of the last one.
            round_: The look that this is part of.

        Returns:
            What there is; `None` when it could not be read.
        """
        size = SPANS[length]
        key = self._rings(queue)[0 if length == MINUTE else 1]
        fields = [number % size for number in range(max(first, last - size + 1), last + 1)]

        async def ask() -> dict[int, Update]:
            raw = await self._command("HMGET", key, *fields, slot=self._slot(queue))
            found: dict[int, Update] = {}
            for one in raw:
                found |= _unpacked(one, _sound)
            return {number: update for number, update in found.items() if first <= number <= last}

        return await round_.one(self._question(queue, ask))

    async def moments(self, queues: Iterable[str], round_: Round) -> dict[str, float]:
        """For each queue the time by the clock of the Redis that has its numbers; one question a slot."""

        async def ask(slot: int, names: Sequence[str]) -> dict[str, float]:
            seconds, micros = await self._command("TIME", slot=slot)
            return dict.fromkeys(names, int(seconds) + int(micros) / 1e6)

        parts = await round_.each(
            Question("queue", names, slot, partial(ask, slot, names))
            for slot, names in self._basis.by_slot(queues).items()
        )
        return {name: now for part in parts for name, now in part.items()}

    async def ends(
        self, moments: Mapping[str, float], minutes: int, round_: Round
    ) -> dict[str, list[tuple[int, int]]]:
        """What was processed and what failed in the last minutes of many queues, the earliest first.

        Args:
            moments: The queues, and the time of each.
            minutes: How many, with the one that is not over.
            round_: The look that this is part of.
        """

        async def ask(queue: str) -> tuple[str, list[tuple[int, int]]]:
            last = int(moments[queue] // MINUTE)
            wanted = range(last - minutes + 1, last + 1)
            fields = [number % SPANS[MINUTE] for number in wanted]
            try:
                raw = await self._command("HMGET", self._rings(queue)[0], *fields, slot=self._slot(queue))
            except (
                BrokerReplyError
            ):  # something else altogether stands there: no other queue has to do with it
                raw = [None] * minutes
            found: dict[int, tuple[int, int]] = {}
            for one in raw:
                found |= _unpacked(one, _ended, is_raw=True)
            return queue, [found.get(number, (0, 0)) for number in wanted]

        questions = (Question("queue", [name], self._slot(name), partial(ask, name)) for name in moments)
        return dict(await round_.each(questions))

    def _question(self, queue: str, ask: Callable[[], Awaitable[_T]]) -> Question[_T]:
        if queue == ALL:
            return Question("index", ["measures"], self._slot(queue), ask)
        return Question("queue", [queue], self._slot(queue), ask)

    async def _command(self, *command: Any, slot: int) -> Any:
        return await self._basis.router.command(*command, slot=slot, patience=self._basis.patience)


def _unpacked(raw: bytes | None, read: Callable[[Any], _T], *, is_raw: bool = False) -> dict[int, _T]:
    """One minute or hour, what is read of it by its number; nothing for none, or for what is not ours."""
    if raw is None:
        return {}
    try:
        # Thousands are read for one page: names as bytes, and not checked, take a third of the time.
        number, types = msgpack.unpackb(raw, raw=is_raw, strict_map_key=False)
        return {int(number): read(types)}
    except Exception:  # noqa: BLE001 - msgpack raises half a dozen unrelated classes for bad bytes
        return {}


def _sound(types: dict[Any, dict[str, Any]]) -> Update:
    return {
        str(kind): {name: amount for name, amount in numbers.items() if isinstance(amount, int)}
        for kind, numbers in types.items()
    }


def _ended(types: dict[Any, dict[bytes, int]]) -> tuple[int, int]:
    """Attempts that ended, and those of them that failed; the rest of the numbers is left alone."""
    went_well = failed = 0
    for numbers in types.values():
        get = numbers.get
        went_well += get(_DONE, 0) + get(_REVOKED, 0)
        failed += get(_RETRIED, 0) + get(_ARCHIVED, 0)
    return went_well + failed, failed
