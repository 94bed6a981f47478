"""Looking at what is there, without changing it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from asyncq._broker.basis import Basis, script
from asyncq._broker.directory import listed
from asyncq._broker.rounds import Question, Round
from asyncq._wire.messages import Envelope
from asyncq._wire.states import State
from asyncq.errors import WireError

LOOK: Final = script("look")
LIST: Final = script("list")
LIST_PENDING: Final = script("list_pending")

PAGE_BYTES: Final = 4 * 1024 * 1024
"""Bytes of fields in one answer, so that a few large tasks do not make one enormous answer."""

ANCHORS: Final = 4
"""Ids by which a place in the pending list is found again. More than one, as each may be gone."""

NOT_THERE: Final = "there is no task behind this id"

MOST_HOLDERS: Final = 100
"""Queues that are searched for a task that is not where it was looked for."""

HINT_SECONDS: Final = 1.0
"""How long a hint waits for a node: what is known for sure must be said soon."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One task at one moment, as it is in Redis."""

    id: str
    envelope: Envelope
    state: State
    fields: dict[str, bytes]  #: of the hash, without the message
    message: bytes
    due: bytes  #: as Redis writes it; empty when it is not delayed
    score: float  #: in its sorted set; 0 when it is in none, or in which is not known
    now: float  #: Redis' clock
    lease_ends: float = 0.0  #: Unix seconds, 0 when nobody holds it
    unreadable: str = ""  #: why there is no envelope; then it is an empty one

    def number(self, field: str) -> float:
        """A field that holds a number; 0 when it is not there, or is none."""
        try:
            return float(self.fields.get(field, b"0"))
        except ValueError:
            return 0.0

    def text(self, field: str) -> str:
        """A field that holds text; empty when it is not there."""
        return self.fields.get(field, b"").decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Spot:
    """Where the reading of a place stopped. In a sorted set `score` and `ids`, in the list the rest."""

    score: bytes = b""
    passed: int = 0  #: how many were passed in the pending list
    ids: tuple[str, ...] = ()  #: what was passed last, the very last one first


START: Final = Spot()


@dataclass(frozen=True, slots=True)
class Window:
    """What part of a place is read."""

    size: int
    backwards: bool = False
    least: float | None = None  #: lowest score
    most: float | None = None  #: highest score
    skip: int = 0  #: how many to pass over, after the spot
    asked: tuple[str, ...] = ()  #: ids of which it is asked whether they are still pending
    only_ids: bool = False


@dataclass(frozen=True, slots=True)
class Leaf:
    """A part of a place, as one call has read it."""

    now: float
    total: int  #: how many are in the place
    follow: int  #: how many of those that were asked for come after these
    ids: list[str]
    tasks: list[Seen]  #: one for each id, unless only ids were asked for
    spots: list[Spot]  #: after each
    passed: int = 0  #: in the pending list: how many stand before the first
    asked: int = 0  #: how many of the ids asked about are still pending


class Browse:
    """The browse area."""

    def __init__(self, basis: Basis) -> None:
        self._basis = basis

    async def look(self, queue: str, task_id: str) -> Seen | None:
        """Everything about one task; `None` when there is none with this id.

        Raises:
            WireError: Its message cannot be read, or its key holds something else than a task.
        """
        keys = self._basis.queue(queue)
        reply: Any = await self._basis.run(
            LOOK,
            [keys.task(task_id), keys.scheduled, keys.retry, keys.lease],
            [task_id],
            slot=self._basis.slot(queue),
        )
        if not reply:
            return None
        if reply[0] == b"unusable":
            raise WireError(
                keys.task(task_id), "not a hash; somebody put something else there (TYPE says what)"
            )
        fields = self._basis.wire.fields(_named(reply[3:]))
        message = fields.pop("msg", b"")
        return Seen(
            task_id,
            self._envelope(message),
            _state(fields, State.PENDING),
            fields,
            message,
            reply[1],
            float(reply[1] or 0),
            float(reply[0]),
            float(reply[2] or 0),
        )

    async def leaf(
        self, queue: str, state: State, window: Window, *, group: str = "", after: Spot = START
    ) -> Leaf:
        """A part of the tasks in one state, in one call whose time does not depend on where it is."""
        if state is State.PENDING:
            return await self._pending(queue, window, after)
        keys = self._basis.queue(queue)
        place = {
            State.ACTIVE: keys.lease,
            State.SCHEDULED: keys.scheduled,
            State.RETRY: keys.retry,
            State.ARCHIVED: keys.archived,
            State.COMPLETED: keys.completed,
            State.AGGREGATING: keys.group(group),
        }[state]
        args: list[Any] = [keys.task_prefix, "1" if window.backwards else "", window.size]
        args += ["" if window.only_ids else PAGE_BYTES]
        args += ["-inf" if window.least is None else repr(window.least)]
        args += ["+inf" if window.most is None else repr(window.most)]
        args += [window.skip, after.score, after.ids[0] if after.ids else ""]
        reply: Any = await self._basis.run(LIST, [place], args, slot=self._basis.slot(queue))
        now, total, follow, raw_ids, scores, found, moments = reply
        ids = [_text(raw) for raw in raw_ids]
        # An active task's score is the end of its lease, and says nothing of when it is due.
        tasks = [
            self._seen(task_id, fields, state, moment, float(now))
            for task_id, fields, moment in zip(ids, found, moments, strict=False)
        ]
        spots = [Spot(score, 0, (task_id,)) for task_id, score in zip(ids, scores, strict=True)]
        return Leaf(float(now), total, follow, ids, tasks, spots)

    async def _pending(self, queue: str, window: Window, after: Spot) -> Leaf:
        keys = self._basis.queue(queue)
        args: list[Any] = [keys.task_prefix, "1" if window.backwards else "", window.size]
        args += ["" if window.only_ids else PAGE_BYTES, after.passed + window.skip]
        anchors = after.ids[:ANCHORS]
        args += [len(anchors), *anchors, *window.asked]
        reply: Any = await self._basis.run(LIST_PENDING, [keys.pending], args, slot=self._basis.slot(queue))
        now, total, follow, raw_ids, found, passed, asked = reply
        ids = [_text(raw) for raw in raw_ids]
        tasks = [
            self._seen(task_id, fields, State.PENDING, b"", float(now))
            for task_id, fields in zip(ids, found, strict=False)
        ]
        history = [*reversed(ids), *after.ids]
        spots = [
            Spot(b"", passed + at + 1, tuple(history[len(ids) - at - 1 :][:ANCHORS]))
            for at in range(len(ids))
        ]
        return Leaf(float(now), total, follow, ids, tasks, spots, passed, asked)

    def _seen(self, task_id: str, raw: list[bytes], state: State, score: bytes, now: float) -> Seen:
        fields = self._basis.wire.fields(_named(raw))
        message = fields.pop("msg", b"")
        unreadable = ""
        try:
            envelope = self._envelope(message)
        except WireError as error:
            envelope = Envelope("", message)
            unreadable = error.reason if message else NOT_THERE
        due = score if state in (State.SCHEDULED, State.RETRY) else b""
        number = float(score or 0)
        ends = number if state is State.ACTIVE else 0.0
        return Seen(task_id, envelope, state, fields, message, due, number, now, ends, unreadable)

    def _envelope(self, message: bytes) -> Envelope:
        """What was enqueued; what became of it since is told by the fields, whatever the wire."""
        envelope = self._basis.wire.decode(message)
        envelope.past = None
        return envelope

    async def queues(self) -> list[str]:
        """Names of the queues that tasks were ever put into, sorted."""
        return await self.names(Round(self._basis, partial=False))

    async def names(self, round_: Round, *, walk: bool = True) -> list[str]:
        """The same, as part of a look at more; without `walk` none when their index cannot be read."""
        basis, key = self._basis, self._basis.wire.keys.queues

        async def read() -> list[bytes]:
            slot = basis.router.slot_of(key)
            return [*await basis.router.command("SMEMBERS", key, slot=slot, patience=basis.patience)]

        return await listed(basis, round_, "queues", key, read, key=basis.queue("").flow, walk=walk)

    async def has_tasks(self, queue: str) -> bool:
        """Whether a task was ever put into this queue since it was last removed."""
        router, basis, keys = self._basis.router, self._basis, self._basis.queue(queue)
        places = [keys.flow]
        if basis.wire.is_shared:
            # Go counts none in, and leaves our counters when it removes a queue: what is there tells.
            places = [keys.pending, keys.active, keys.scheduled, keys.retry, keys.archived]
            places += (keys.completed, keys.groups, keys.aggregation_sets)
        found: Any = await router.command("EXISTS", *places, slot=basis.slot(queue), patience=basis.patience)
        return bool(found)

    async def elsewhere(self, queue: str, task_id: str) -> list[str]:
        """Other queues that have a task with this id. A hint: looks at a bounded number, and not for long."""
        basis = self._basis
        round_ = Round(basis, partial=True, within=HINT_SECONDS)
        others = [name for name in await self.names(round_, walk=False) if name != queue]

        async def look(name: str) -> str:
            key = basis.queue(name).task(task_id)
            found = await basis.router.command("EXISTS", key, slot=basis.slot(name), patience=basis.patience)
            return name if found else ""

        found = await round_.each(
            Question("queue", [name], basis.slot(name), partial(look, name)) for name in others[:MOST_HOLDERS]
        )
        return sorted(filter(None, found))

    async def groups(self, queue: str) -> set[str]:
        """Names of the groups of a queue in which tasks wait."""
        keys = self._basis.queue(queue)
        names: Any = await self._basis.router.command(
            "SMEMBERS", keys.groups, slot=self._basis.slot(queue), patience=self._basis.patience
        )
        return {_text(name) for name in names}


def _named(raw: list[bytes]) -> dict[str, bytes]:
    return {_text(raw[at]): raw[at + 1] for at in range(0, len(raw), 2)}


def _state(fields: dict[str, bytes], otherwise: State) -> State:
    return State(fields["state"].decode()) if "state" in fields else otherwise


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")
