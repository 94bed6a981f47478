"""Putting tasks in.

Tasks for one queue share calls: while one call is on its way, what is enqueued meanwhile gathers
and leaves together when the answer is there. One call at a time for each queue also makes the
receipt possible: the script notes the number and the answer of the client's last call, so a call
whose answer was lost can be sent again and finds that it has been done (enqueue.lua).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

import msgpack

from asyncq._broker.basis import Basis, script
from asyncq._redis.packed import Packed, packed
from asyncq._redis.router import Call
from asyncq._wire.messages import Claim, NewTask
from asyncq.errors import AsyncqError, BrokerReplyError, ClosedError

SCRIPT: Final = script("enqueue")
ANNOUNCE: Final = script("announce")

MAX_TASKS: Final = 500
"""Tasks in one call. Larger calls gain nothing (docs/adr/0002-batching.md) and hold Redis up for longer."""

MANY: Final = 100
"""Tasks that do not wait for others, when nothing is on its way."""

LANES: Final = 6
"""Calls that are on their way at once for tasks that were prepared: with the next one at hand when one is
done, Redis does not wait for us."""

MAX_BYTES: Final = 4 * 1024 * 1024
"""Bytes of messages in one call, so that a few large tasks do not make one enormous command."""

RECEIPT_SECONDS: Final = 600
"""How long a call may be sent again. Longer than the patience of any client we know of."""

ANNOUNCE_EVERY: Final = 60.0
"""Seconds after which a queue's name is put into the set of queues again.

It is put there at once when the script says that these are the first tasks of the queue: somebody may
have removed it since the name was put there last, and its tasks would be invisible to tools."""

_THE_SAME: Final = packed("=")

_pack: Final = msgpack.Packer(use_bin_type=False).pack


class Placed(NamedTuple):
    """Where a task went."""

    word: str  #: pending, scheduled, aggregating, already, conflict, duplicate, or what became of a claim
    now: float  #: Unix seconds by Redis' clock


@dataclass(slots=True)
class _Entry:
    message: bytes
    special: bytes
    extra_keys: tuple[str, ...]
    fence: str  #: of the entry of schedulers whose time it is; empty for none
    placed: asyncio.Future[Placed]
    pieces: tuple[bytes, bytes, bytes] | None = None
    """Keys, message and fence as they are sent, of one that was prepared."""

    def prepare(self) -> None:
        """Do what else can be done before it is sent."""
        fence = packed(self.fence) if self.fence else b""
        self.pieces = packed(*self.extra_keys), packed(self.message), fence


def _asked(claim: Claim, detail: tuple[object, ...]) -> bytes:
    """What the script wants to know of a claim. What many have in common comes last: it is read once."""
    rules = (
        f"{claim.nominal:.6f}",
        claim.gap,
        claim.keep,
        claim.since,
        "1" if claim.is_strict else "",
        claim.overlap,
        "1" if claim.is_release else "",
    )
    return _pack((claim.version, claim.begun, _pack(detail + rules)))


def _with_details(entries: Sequence[_Entry]) -> Iterator[bytes]:
    """The message and what else is asked for of each; many that come at once ask for the same."""
    before: bytes | None = None
    for entry in entries:
        if entry.pieces is not None:
            yield entry.pieces[1]
            yield _THE_SAME if entry.special == before else packed(entry.special)
            before = entry.special


Send = Callable[[], "asyncio.Future[Placed]"]


class Enqueue:
    """The enqueue area."""

    def __init__(self, basis: Basis) -> None:
        self._basis = basis
        self._lanes: dict[str, _Lane] = {}
        self._relays: dict[str, _Relay] = {}

    def submit(self, task: NewTask) -> asyncio.Future[Placed]:
        """Send a task with whatever else is on its way to that queue.

        Cancelling the future does not call the task back: it may be in Redis already.
        """
        lane = self._lane(task.queue)
        return lane.put(lane.make(task))

    def prepare(self, task: NewTask) -> Send:
        """Make what is sent of a task, and return what sends it: for those who have no time then."""
        relay = self._relays.get(task.queue)
        if relay is None:
            relay = self._relays[task.queue] = _Relay(self._basis, task.queue)
        entry = relay.make(task)
        entry.prepare()
        return partial(relay.put, entry)

    def _lane(self, queue: str) -> _Lane:
        lane = self._lanes.get(queue)
        if lane is None:
            lane = self._lanes[queue] = _Lane(self._basis, queue)
        return lane

    @property
    def is_busy(self) -> bool:
        """Whether any task is still on its way."""
        return any(lane.is_busy for lane in self._every_lane())

    async def drain(self) -> None:
        """Wait until nothing is on its way any more, whether it arrived or failed."""
        while futures := [future for lane in self._every_lane() for future in lane.outstanding()]:
            await asyncio.wait(futures)

    def _every_lane(self) -> Iterator[_Lane]:
        yield from self._lanes.values()
        for relay in self._relays.values():
            yield from relay.lanes


class _Relay:
    """Several lanes to one queue, for many tasks that were prepared and come at once.

    While Redis is at work on one call the next ones are on their way, so it does not wait for us. For tasks
    that come one by one this would only make more calls of them.
    """

    def __init__(self, basis: Basis, queue: str) -> None:
        self._basis = basis
        self._queue = queue
        self._gathered: deque[_Entry] = deque()
        self.lanes: Final = [self._new_lane(0)]
        self.make: Final = self.lanes[0].make
        self._is_planned = False

    def _new_lane(self, number: int) -> _Lane:
        sender = f"{self._basis.owner}.{number}"
        return _Lane(self._basis, self._queue, sender=sender, gathered=self._gathered)

    def put(self, entry: _Entry) -> asyncio.Future[Placed]:
        """Send it with what else is put in this turn of the event loop.

        The first ones of many do not wait for that: Redis has something to do while the others are put in.
        """
        self._gathered.append(entry)
        if len(self._gathered) >= MANY and not any(lane.is_busy for lane in self.lanes):
            self._send()
        elif not self._is_planned:
            self._is_planned = True
            asyncio.get_running_loop().call_soon(self._send_planned)
        return entry.placed

    def _send_planned(self) -> None:
        self._is_planned = False
        if self._gathered:
            self._send()

    def _send(self) -> None:
        for lane in self.lanes:
            if not lane.is_busy:
                lane.send()
                return
        # Where as many as may be are busy, the one that has its answer first goes on with what has gathered.
        if len(self.lanes) < LANES:
            self.lanes.append(self._new_lane(len(self.lanes)))
            self.lanes[-1].send()


class _Lane:
    """The way to one queue, one call at a time."""

    def __init__(
        self, basis: Basis, queue: str, *, sender: str = "", gathered: deque[_Entry] | None = None
    ) -> None:
        self._basis = basis
        self._keys = keys = basis.queue(queue)
        self._slot = basis.slot(queue)
        self._queue = queue
        self._head = (
            keys.pending,
            keys.scheduled,
            keys.groups,
            keys.flow,
            keys.waiting,
            keys.receipt(sender or basis.owner),
        )
        self._is_relayed = gathered is not None
        self._settings = (
            RECEIPT_SECONDS,
            basis.channel_prefix,
            basis.wire.keys.news,
            basis.in_cluster,
            keys.task_prefix,
        )
        self._gathered: deque[_Entry] = deque() if gathered is None else gathered
        self._under_way: list[_Entry] = []
        self._number = 0
        self._announced_at = -ANNOUNCE_EVERY
        self._announcement: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def is_busy(self) -> bool:
        return bool(self._under_way)

    def outstanding(self) -> list[asyncio.Future[Any]]:
        futures: list[asyncio.Future[Any]] = [entry.placed for entry in (*self._under_way, *self._gathered)]
        # In a cluster the queue's name goes to another node than its tasks, and may take longer: a
        # client that puts in one task and closes must not leave a queue that tools do not see.
        if self._announcement is not None:
            futures.append(self._announcement)
        return [future for future in futures if not future.done()]

    def make(self, task: NewTask) -> _Entry:
        envelope = task.envelope
        message = self._basis.wire.encode(task.queue, task.id, envelope)
        special, fence, claim = b"", "", task.claim
        extra_keys: tuple[str, ...] = (self._keys.task_prefix + task.id,)
        if task.at or task.delay or task.unique_ttl or envelope.group or claim:
            suffix = envelope.unique_key if task.unique_ttl else ""
            detail = (task.at, task.delay, task.unique_ttl, suffix, envelope.group)
            special = _pack(detail) if claim is None else _asked(claim, detail)
            if task.unique_ttl:
                extra_keys += (self._keys.unique(suffix),)
            if envelope.group:
                extra_keys += (self._keys.group(envelope.group), self._keys.gathering)
            if claim is not None:
                extra_keys += (self._keys.tick(claim.entry_id),)
                fence = self._keys.fence(claim.entry_id)
        return _Entry(message, special, extra_keys, fence, self._loop.create_future())

    def put(self, entry: _Entry) -> asyncio.Future[Placed]:
        self._gathered.append(entry)
        if not self._under_way:
            self.send()
        return entry.placed

    def send(self) -> None:
        """Send what has gathered, up to the limits."""
        basis = self._basis
        entries = self._under_way
        size, is_prepared = 0, True
        gathered = self._gathered
        while gathered and len(entries) < MAX_TASKS and size < MAX_BYTES:
            entry = gathered.popleft()
            if entry.fence and entry.placed.done():
                continue  # nobody waits for it: what becomes of that time is for those who make up for it
            entries.append(entry)
            size += len(entry.message)
            is_prepared = is_prepared and entry.pieces is not None
        if not entries:
            return
        now = self._loop.time()
        if now - self._announced_at >= ANNOUNCE_EVERY:
            self._announce(now)
        self._number += 1
        basis.router.submit(
            Call(
                basis.router,
                SCRIPT,
                self._joined(entries) if is_prepared else self._listed(entries),
                slot=self._slot,
                patience=basis.patience,
                on_value=self._on_value,
                on_failure=self._on_failure,
                # What is put next is for the next call.
                urgent=self._is_relayed,
            )
        )

    def _listed(self, entries: Sequence[_Entry]) -> Sequence[Any]:
        """The keys and arguments of a call."""
        keys = [*self._head]
        args: list[Any] = []
        fences: list[str] = []
        for entry in entries:
            keys += entry.extra_keys
            args += (entry.message, entry.special)
            if entry.fence:
                fences.append(entry.fence)
        return (len(keys) + len(fences), *keys, *fences, self._number, *self._settings, len(fences), *args)

    def _joined(self, entries: Sequence[_Entry]) -> Packed:
        """The same, of what was prepared."""
        pieces = [entry.pieces for entry in entries if entry.pieces is not None]
        fences = [fence for _, _, fence in pieces if fence]
        settings = (self._number, *self._settings, len(fences))
        keys = len(self._head) + len(fences) + sum([len(entry.extra_keys) for entry in entries])
        return Packed(
            keys + len(settings) + 2 * len(pieces),
            keys,
            [packed(*self._head), *[keys for keys, _, _ in pieces], *fences],
            [packed(*settings), *_with_details(entries)],
        )

    def _announce(self, now: float, *, has_tasks: bool = False) -> None:
        """Publish the name of the queue; where it has tasks for sure, even if Redis is full."""

        def failed(error: AsyncqError) -> None:  # noqa: ARG001 - the enqueue beside it reports the outage
            self._announced_at = -ANNOUNCE_EVERY
            arrived(None)

        def arrived(reply: object) -> None:  # noqa: ARG001 - how many names were new does not matter
            if not announcement.done():
                announcement.set_result(None)

        self._announced_at = now
        announcement = self._announcement = self._loop.create_future()
        router, queues = self._basis.router, self._basis.wire.keys.queues
        router.submit(
            Call(
                router,
                ANNOUNCE if has_tasks else None,
                (1, queues, self._queue) if has_tasks else ("SADD", queues, self._queue),
                slot=router.slot_of(queues),
                patience=self._basis.patience,
                on_value=arrived,
                on_failure=failed,
            )
        )

    def _on_value(self, reply: Any) -> None:
        if reply[2]:
            # Before anybody hears that the task is there, so that `drain` waits for it.
            self._announce(self._loop.time(), has_tasks=True)
        entries, self._under_way = self._under_way, []
        if self._gathered:
            self.send()  # Redis is not to wait until everybody is told
        text, now = reply[0].decode(), float(reply[1])
        if "," not in text:
            everyone = Placed(text, now)  # one for all: the usual case, and it cannot be changed
            for entry in entries:
                if not entry.placed.done():
                    entry.placed.set_result(everyone)
        elif len(words := text.split(",")) != len(entries):
            self._fail(entries, BrokerReplyError(SCRIPT.name, reply))
        else:
            for entry, word in zip(entries, words, strict=True):
                if not entry.placed.done():
                    entry.placed.set_result(Placed(word, now))

    def _on_failure(self, error: AsyncqError) -> None:
        entries, self._under_way = self._under_way, []
        self._fail(entries, error)
        if not self._gathered:
            return
        if isinstance(error, ClosedError):
            gathered = [*self._gathered]
            self._gathered.clear()
            self._fail(gathered, error)
        else:
            self.send()

    @staticmethod
    def _fail(entries: list[_Entry], error: AsyncqError) -> None:
        for entry in entries:
            if not entry.placed.done():
                # One object for all would collect the traceback of every waiter.
                entry.placed.set_exception(type(error)(*error.args))
