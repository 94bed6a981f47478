"""The entries of schedulers, as Redis has them: what is true for all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import msgpack

from asyncq._broker.basis import Basis, script
from asyncq._broker.fences import Fences
from asyncq._broker.ticks import Recalled
from asyncq.errors import BrokerReplyError, WireError

PUT: Final = script("entry_put")
MARK: Final = script("entry_mark")
REMOVE: Final = script("entry_remove")
NEWS: Final = script("entry_news")
SETTLE: Final = script("entry_settle")

CHUNK: Final = 250
"""Entries in one call, fewer when they are large."""

MOST_BYTES: Final = 512 * 1024
"""Bytes of definitions in one call: Redis does nothing else meanwhile."""

FENCES_AT_A_TIME: Final = 100

Origin = Literal["code", "client"]
Mark = Literal["pause", "resume", "orphan"]

_FIELDS: Final = 16


@dataclass(frozen=True, slots=True)
class Definition:
    """An entry on its way into Redis."""

    id: str
    queue: str
    digest: str  #: equal for equal definitions
    rhythm: str  #: says when it is due: spec and time zone
    packed: bytes
    expected: int | None = None  #: the version it must have, 0 for none; `None` for whatever


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry as it is in Redis. Times are Unix seconds, 0 for never."""

    id: str
    version: int
    origin: str  #: code | client
    application: str  #: whose code it is
    digest: str
    packed: bytes
    queue: str
    created_at: float
    changed_at: float
    since: float  #: when its rhythm began
    paused_at: float
    reason: str  #: why it is paused
    orphaned_at: float
    left: tuple[str, ...] = ()  #: queues in which this version is still to be said

    @property
    def is_moving(self) -> bool:
        """Whether a queue that it has left may not know of that yet."""
        return any(queue != self.queue for queue in self.left)


class Put(NamedTuple):
    """What became of a definition."""

    word: str  #: added | changed | kept | exists | stale | declared
    version: int  #: that the entry has now


class Marked(NamedTuple):
    """What became of a mark."""

    word: str  #: done | kept | missing | stale
    version: int
    queue: str
    remains: Recalled | None = None  #: what is left to be done for times that were over


class Removed(NamedTuple):
    """What became of a removal."""

    word: str  #: removed | missing | stale | declared
    version: int  #: of the end of the entry
    remains: Sequence[tuple[str, Recalled]] = ()  #: by queue, what is left to be done


class Change(NamedTuple):
    """The last change of one entry."""

    id: str
    version: int
    is_there: bool  #: else it was removed
    stored: Stored | None  #: also `None` when it cannot be read


class News(NamedTuple):
    """What has changed."""

    version: int  #: the last one there is
    sum: int  #: of the versions of all entries, modulo `MODULUS`
    floor: int  #: removals up to here are forgotten
    is_all: bool  #: whether nothing is left to be told
    last: int  #: the last version that is told of in here
    rows: list[Change]


MODULUS: Final = 2**50


class Entries:
    """The area of stored entries."""

    def __init__(self, basis: Basis) -> None:
        self._basis = basis
        self._fences = Fences(basis)
        keys = basis.wire.keys.entries
        self.keys: Final = [keys.entries, keys.changes, keys.state, keys.removed]

    @property
    def slot(self) -> int:
        """Where they lie."""
        return self._basis.router.slot_of(self.keys[0])

    async def put(
        self,
        definitions: Sequence[Definition],
        *,
        call: str,
        origin: Origin,
        application: str = "",
        replace: bool = True,
        force: bool = False,
    ) -> list[Put]:
        """Store definitions, each on its own. When this returns nothing is enqueued by older ones.

        Args:
            definitions: Of different entries.
            call: An id of this call, so that it is known when it is sent again.
            origin: Who says so.
            application: Whose code it is.
            replace: Also change what a client has put.
            force: Also change what the code of another application declares.
        """
        done: list[Put] = []
        changes: list[_Change] = []
        options = [origin, application, "put" if replace else "add", "1" if force else ""]
        for number, chunk in enumerate(_chunks(definitions)):
            args: list[object] = [self._basis.wire.keys.entry_news, f"{call}.{number}", *options]
            for one in chunk:
                expected = "" if one.expected is None else one.expected
                args += (one.id, expected, one.digest, one.rhythm, one.queue, one.packed)
            reply: Any = await self._basis.run(PUT, self.keys, args, slot=self.slot)
            if len(reply) != 4 * len(chunk):
                raise BrokerReplyError(PUT.name, reply)
            for index, one in enumerate(chunk):
                word, version, left, paused = reply[4 * index : 4 * index + 4]
                done.append(Put(word.decode(), int(version)))
                if left:
                    # What waits there is of one that was removed, if it is there since then.
                    reason = "paused" if paused else "removed" if word == b"added" else ""
                    places = _places(left)
                    changes.append(_Change(one.id, int(version), one.queue, places, bool(paused), reason))
        for first in range(0, len(changes), FENCES_AT_A_TIME):
            await self._tell(changes[first : first + FENCES_AT_A_TIME])
        return done

    async def _tell(self, changes: Sequence[_Change]) -> None:
        """Let changes hold, and note which of them do."""
        told = await asyncio.gather(*[self._let_hold(change) for change in changes], return_exceptions=True)
        held = {one.id: one.version for one, found in zip(changes, told, strict=True) if found is None}
        await self.settle(held)
        for problem in told:
            if problem is not None:
                raise problem

    async def _let_hold(self, change: _Change) -> None:
        await self._leave(change)
        if change.queue in change.left or (change.is_paused and change.left):
            await self._fences.raise_to(
                change.queue, change.id, change.version, lasts=change.is_paused, reason=change.reason
            )

    async def _leave(self, change: _Change) -> None:
        for queue in change.left:
            if queue != change.queue:
                await self._fences.move(change.id, change.version, source=queue, target=change.queue)

    async def hand_over(self, stored: Stored) -> None:
        """See to it that queues which an entry has left enqueue it no more, and that its own knows its times.

        Who has changed it does so, too, and may have died before. Done twice it is done once.
        """
        await self._tell(
            [_Change(stored.id, stored.version, stored.queue, stored.left, bool(stored.paused_at), "")]
        )

    async def settle(self, versions: Mapping[str, int]) -> None:
        """Note of entries that these versions hold everywhere."""
        args: list[object] = [part for pair in versions.items() for part in pair]
        if args:
            await self._basis.run(SETTLE, self.keys, args, slot=self.slot)

    async def mark(
        self, entry_id: str, mark: Mark, *, expected: int | None = None, reason: str = ""
    ) -> Marked:
        """Pause an entry, let it go on, or note that it is an orphan. Once more is once.

        When this returns no time of a paused entry is enqueued any more.
        """
        reply: Any = await self._basis.run(
            MARK,
            self.keys,
            [self._basis.wire.keys.entry_news, entry_id, "" if expected is None else expected, mark, reason],
            slot=self.slot,
        )
        marked = Marked(reply[0].decode(), int(reply[1]), reply[2].decode())
        # Also when it was so already: whoever did it may have died before this.
        if mark == "orphan" or marked.word not in ("done", "kept"):
            return marked
        change = _Change(entry_id, marked.version, marked.queue, _places(reply[3]))
        await self._leave(change)
        reason = "paused" if mark == "pause" else ""
        known = await self._fences.raise_to(
            marked.queue, entry_id, marked.version, lasts=mark == "pause", reason=reason
        )
        if change.left:
            await self.settle({entry_id: marked.version})
        return marked._replace(remains=known)

    async def renew(self, entry_id: str, queue: str) -> Marked | None:
        """Give an entry a later version if one that is lost fences it off; `None` when nothing is fenced.

        A fence lies with the queue. A fail-over of where the entries lie may lose the change that it was
        written for; then the entry as it is now would not be enqueued until the fence expires.
        """
        fence = self._basis.queue(queue).fence(entry_id)
        router, patience = self._basis.router, self._basis.patience
        raw = await router.command("GET", fence, slot=self._basis.slot(queue), patience=patience)
        if raw is None or not raw.isdigit():
            return None
        args = [self._basis.wire.keys.entry_news, entry_id, "", "renew", int(raw)]
        reply: Any = await self._basis.run(MARK, self.keys, args, slot=self.slot)
        return Marked(reply[0].decode(), int(reply[1]), reply[2].decode())

    async def remove(self, stored: Stored, *, force: bool = False) -> Removed:
        """Forget an entry if it still is what was seen. When this returns it is enqueued no more.

        Call `settle` when what remains was done: until then it is told to whoever removes it again.
        """
        return await self._remove(stored.id, stored.version, force=force)

    async def finish_removal(self, entry_id: str) -> Removed:
        """Let the removal of an entry hold that is gone: `removed`, or `missing` when that was done."""
        return await self._remove(entry_id, 0, force=False)

    async def _remove(self, entry_id: str, expected: int, *, force: bool) -> Removed:
        reply: Any = await self._basis.run(
            REMOVE,
            self.keys,
            [self._basis.wire.keys.entry_news, entry_id, expected, "1" if force else ""],
            slot=self.slot,
        )
        word, version, places = str(reply[0].decode()), int(reply[1]), _places(reply[2])
        if not places:
            return Removed(word, version)
        known = [
            (queue, await self._fences.raise_to(queue, entry_id, version, reason="removed"))
            for queue in places
        ]
        return Removed("removed", version, known)

    async def get(self, entry_id: str) -> Stored | None:
        """One entry; `None` if there is none.

        Raises:
            WireError: It cannot be read.
        """
        key = self.keys[0]
        router = self._basis.router
        raw = await router.command("HGET", key, entry_id, slot=self.slot, patience=self._basis.patience)
        return None if raw is None else unpacked(entry_id, raw)

    async def news(self, after: int, *, limit: int = CHUNK) -> News:
        """What has changed after a version; from 0 on, all there is."""
        reply: Any = await self._basis.run(NEWS, self.keys[:3], [after, limit, MOST_BYTES], slot=self.slot)
        version, total, floor, is_all, *rest = reply
        rows: list[Change] = []
        last = after
        for index in range(0, len(rest), 3):
            entry_id, last = rest[index].decode("utf-8", "replace"), int(float(rest[index + 1]))
            try:
                stored = unpacked(entry_id, rest[index + 2]) if rest[index + 2] else None
            except WireError:
                stored = None
            rows.append(Change(entry_id, last, bool(rest[index + 2]), stored))
        return News(int(version), int(total), int(floor), bool(is_all), last, rows)

    async def some_ids(self) -> list[str]:
        """Ids of entries, for hints: those that were not changed for the longest time."""
        return [change.id for change in (await self.news(0, limit=1000)).rows if change.is_there]


def unpacked(entry_id: str, raw: bytes) -> Stored:
    """Read a record.

    Raises:
        WireError: It is none.
    """
    try:
        fields: Any = msgpack.unpackb(raw, raw=True)
        _, version, origin, application, digest, _, packed, queue, *times, _, left = fields[:_FIELDS]
        created_at, changed_at, since, paused_at, reason, orphaned_at = times
        return Stored(
            entry_id,
            int(version),
            origin.decode(),
            application.decode(),
            digest.decode(),
            packed,
            queue.decode(),
            float(created_at),
            float(changed_at),
            float(since),
            float(paused_at),
            reason.decode(),
            float(orphaned_at),
            _places(left),
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise WireError(f"the entry {entry_id!r}", f"it is no record ({error})") from error


class _Change(NamedTuple):
    """A change that is stored, and does not hold everywhere yet."""

    id: str
    version: int
    queue: str
    left: tuple[str, ...]  #: queues in which it is still to be said
    is_paused: bool = False
    reason: str = ""  #: why nothing may wait in its queue; '' if it may


def _places(raw: bytes) -> tuple[str, ...]:
    return tuple(raw.decode().split("}")) if raw else ()


def _chunks(definitions: Sequence[Definition]) -> Iterable[list[Definition]]:
    """Portions that are neither many nor large."""
    chunk: list[Definition] = []
    size = 0
    for one in definitions:
        chunk.append(one)
        size += len(one.packed)
        if len(chunk) >= CHUNK or size >= MOST_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
