"""The audit of the stored entries of schedulers, and of what queues remember of them.

Changes go on meanwhile. Whoever makes one stores it first, with the queues in which it is still to be
said, then says it there, and notes that it is done. So an entry that is equal before and after a look at
its queue, and has nothing left to be said, was not being changed, and what does not fit is damage.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import msgpack

from asyncq._broker.basis import Basis, script
from asyncq._broker.entries import MODULUS, Entries, Stored
from asyncq._broker.fences import FENCE_SECONDS, Fences
from asyncq._broker.findings import Finding, Kind, Report
from asyncq._broker.judgement import text_of
from asyncq.errors import WireError

ENTRY_MEND: Final = script("entry_mend")
TICK_MEND: Final = script("tick_mend")

CHUNK: Final = 100
"""Entries that are looked at by one call."""

GRACE: Final = 60.0
"""Seconds after which a change should hold everywhere, and a time that may run should have been enqueued."""

TICK_SECONDS: Final = 30 * 86400
"""Seconds for which a tick is kept that nobody has set an end."""

_WORDS: Final = {
    "untold": ("is an entry that no scheduler is told of", "give it a new version, so that all hear of it"),
    "lost": ("is in the index of the entries, and there is no such entry", "remove it from the index"),
    "stray": ("is noted as removed, which is not so", "remove the note"),
    "sum": (
        "is a wrong sum of the versions of all entries: schedulers read all of them again and again",
        "write the right one",
    ),
}
_UNREADABLE: Final = (
    "is an entry that cannot be read: no scheduler runs it",
    "store it again (`upsert`), or delete its field by hand",
)


@dataclass(frozen=True, slots=True)
class Trace:
    """What a queue remembers of an entry."""

    tick: str  #: type of the key
    tick_ttl: int  #: milliseconds; -1 for ever
    queued: float  #: the time that waits; 0 for none
    may_run: bool  #: whether nothing is in its way
    notes: int
    fence: str
    fence_ttl: int


@dataclass(slots=True)
class Book:
    """The entries, as they were read."""

    version: int = 0
    sum: int = 0
    is_still: bool = True  #: nothing changed while they were read
    rows: dict[str, int] = field(default_factory=dict[str, int])  #: those that are there, by version
    gone: set[str] = field(default_factory=set[str])
    odd: list[str] = field(default_factory=list[str])  #: what cannot be read
    unsaid: list[Stored] = field(default_factory=list[Stored])


class EntryAudit:
    """The audit of all entries."""

    def __init__(self, basis: Basis) -> None:
        self._basis = basis
        self._entries = Entries(basis)
        self.report: Final = Report()
        self._traces: dict[str, set[str]] = {}  # by queue, the ids of entries that it remembers

    @property
    def slot(self) -> int:
        """Where the entries lie."""
        return self._entries.slot

    @property
    def queues(self) -> list[str]:
        """Those that remember entries."""
        return [*self._traces]

    def take(self, queue: str, rest: bytes) -> bool:
        """One key of a queue, without its prefix; whether it is ours."""
        name, _, entry_id = rest.partition(b":")
        if name not in (b"tick", b"fence"):
            return False
        self._traces.setdefault(queue, set()).add(entry_id.decode("utf-8", "surrogateescape"))
        return True

    def _add(self, kind: Kind, queue: str, entry_id: str, text: str, remedy: str, home: str = "") -> None:
        raw = entry_id.encode("utf-8", "surrogateescape")
        self.report.add(Finding(kind, queue, text_of(raw), text, remedy, raw, home=home))

    async def _command(self, *args: Any) -> Any:
        return await self._basis.router.command(*args, slot=self.slot, patience=self._basis.patience)

    async def look_at_index(self) -> bool:
        """Compare the entries with their index; true when that was done."""
        keys = self._basis.wire.keys.entries
        book = await self._read()
        suspects = {*book.odd}
        size: Any = await self._command("HLEN", keys.entries)
        if size != len(book.rows):
            suspects |= {name for name in await self._ids() if name not in book.rows}
        removed: Any = await self._command("ZRANGE", keys.removed, 0, -1)
        tombs = {raw.decode("utf-8", "surrogateescape") for raw in removed}
        suspects |= (book.gone ^ tombs) | (tombs & book.rows.keys())
        await self._judge([*suspects])
        total = sum(book.rows.values()) % MODULUS
        if book.is_still and not suspects and total != book.sum:
            self._add(Kind.ENTRY_INDEX, "", str(book.sum), *_WORDS["sum"], home=f"{total} {book.version}")
        for stored in book.unsaid:
            if await self._entries.get(stored.id) == stored:
                self._note_unsaid(stored.id, stored.left)
        state: Any = await self._command("HGETALL", keys.state)
        for name, value in _pairs(state):
            version, _, queues = value.partition(b" ")
            if name.startswith(b"left:") and version.isdigit() and _is_old(int(version)):
                entry_id = name.removeprefix(b"left:").decode("utf-8", "surrogateescape")
                self._note_unsaid(entry_id, tuple(queues.decode("utf-8", "replace").split("}")))
        return True

    def _note_unsaid(self, entry_id: str, queues: Sequence[str]) -> None:
        where = ", ".join(map(repr, queues))
        text = f"was changed or removed, and {where} may still enqueue it as it was"
        self._add(Kind.UNFENCED, "", entry_id, text, "let it hold there, too")

    async def _read(self) -> Book:
        book, after, is_all = Book(), 0, False
        while not is_all:
            news = await self._entries.news(after)
            book.is_still = book.is_still and book.version in (0, news.version)
            book.version, book.sum, after, is_all = news.version, news.sum, news.last, news.is_all
            for change in news.rows:
                if not change.is_there:
                    book.gone.add(change.id)
                    continue
                book.rows[change.id] = change.version
                stored = change.stored
                if stored is None or stored.version != change.version:
                    book.odd.append(change.id)
                elif not _is_definition(stored.packed):
                    self._add(Kind.UNREADABLE_ENTRY, stored.queue, stored.id, *_UNREADABLE)
                elif stored.left and _is_old(stored.version):
                    book.unsaid.append(stored)
        return book

    async def _ids(self) -> list[str]:
        cursor: Any = 0
        found: list[str] = []
        key = self._basis.wire.keys.entries.entries
        while True:
            cursor, rows = await self._command("HSCAN", key, cursor, "COUNT", CHUNK)
            found += [raw.decode("utf-8", "surrogateescape") for raw, _ in _pairs(rows)]
            if int(cursor) == 0:
                return found

    async def _judge(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), CHUNK):
            some = ids[start : start + CHUNK]
            for entry_id, word in zip(some, await mend(self._basis, some), strict=True):
                if word == "unreadable":
                    self._add(Kind.UNREADABLE_ENTRY, "", entry_id, *_UNREADABLE)
                elif word in _WORDS:
                    self._add(Kind.ENTRY_INDEX, "", entry_id, *_WORDS[word])

    async def look_at_queue(self, queue: str) -> None:
        """Compare what a queue remembers with the entries."""
        ids = sorted(self._traces[queue])
        for start in range(0, len(ids), CHUNK):
            some = ids[start : start + CHUNK]
            for entry_id, trace in zip(some, await look(self._basis, queue, some), strict=True):
                if any(_judged(queue, entry_id, trace, None)):
                    await self._look_again(queue, entry_id)

    async def _look_again(self, queue: str, entry_id: str) -> None:
        before = await self._known(entry_id)
        (trace,) = await look(self._basis, queue, [entry_id])
        if before is _CHANGING or await self._known(entry_id) != before:
            return
        stored = before if isinstance(before, Stored) else None
        for finding in _judged(queue, entry_id, trace, stored, is_known=True):
            self.report.add(finding)

    async def _known(self, entry_id: str) -> object:
        """Return an entry, `None` if there is none, or that it is being changed or says nothing."""
        try:
            stored = await self._entries.get(entry_id)
        except WireError:
            return _CHANGING
        if stored is not None:
            return _CHANGING if stored.left else stored
        left = await self._command("HGET", self._basis.wire.keys.entries.state, f"left:{entry_id}")
        return _CHANGING if left else None


_CHANGING: Final = object()


def _judged(
    queue: str, entry_id: str, trace: Trace, stored: Stored | None, *, is_known: bool = False
) -> Iterator[Finding]:
    """Say what is wrong with what a queue remembers; unless the entry is known, what may be."""
    raw = entry_id.encode("utf-8", "surrogateescape")

    def found(kind: Kind, text: str, remedy: str, home: str = "") -> Finding:
        return Finding(kind, queue, text_of(raw), text, remedy, raw, home=home)

    for name, right, kind in (("tick", "hash", trace.tick), ("fence", "string", trace.fence)):
        if kind not in (right, "none"):
            text = f"has a {name} in this queue that is a {kind} and not a {right}"
            yield found(Kind.WRONG_TYPE, text, "rename or delete it, then look again")
    is_here = stored is not None and stored.queue == queue
    is_paused = stored is not None and bool(stored.paused_at)
    if trace.tick == "hash" and trace.tick_ttl == -1:
        yield found(Kind.LASTING, "has times in this queue that are never forgotten", "set an end", "tick")
    if trace.fence == "string" and trace.fence_ttl == -1 and not (is_known and is_here and is_paused):
        text = "is not paused here, and has a fence in this queue that is never forgotten"
        yield found(Kind.LASTING, text, "set an end", "fence")
    if trace.queued and (not is_known or not is_here or is_paused):
        text = "is gone, paused or elsewhere, and a time of it waits in this queue for the end of a run"
        yield found(Kind.STUCK_TIME, text, "let it wait no more, and leave the reason for the history")
    elif trace.queued and trace.may_run and trace.queued < time.time() - GRACE:
        text = "has a time that waits, and the run before it is over"
        yield found(Kind.UNATTENDED, text, "nothing: a scheduler of this entry does it as soon as one runs")
    elif trace.notes and not is_here and is_known:
        text = f"has {trace.notes} reasons in this queue that are not in its history"
        yield found(Kind.UNATTENDED, text, "nothing: they are forgotten with the times of the entry")


def _pairs(reply: Any) -> list[tuple[bytes, bytes]]:
    """Return fields and values, however the protocol has them."""
    if isinstance(reply, dict):
        return [*cast("dict[bytes, bytes]", reply).items()]
    return [*zip(reply[::2], reply[1::2], strict=True)]


def _is_old(version: int) -> bool:
    return version / 1e6 < time.time() - GRACE


def _is_definition(packed: bytes) -> bool:
    try:
        form: Any = msgpack.unpackb(packed, strict_map_key=False)
    except ValueError:
        return False
    return isinstance(form, dict) and {"format", "spec", "type"} <= {*form}


async def mend(
    basis: Basis, ids: Sequence[str], *, apply: bool = False, total: str = "", version: str = ""
) -> list[str]:
    """Judge what the index says of entries; with `apply`, put it right."""
    entries = Entries(basis)
    raws = [entry_id.encode("utf-8", "surrogateescape") for entry_id in ids]
    args: list[Any] = ["1" if apply else "", basis.wire.keys.entry_news, total, version, *raws]
    reply: Any = await basis.run(ENTRY_MEND, entries.keys, args, slot=entries.slot)
    return [word.decode() for word in reply]


async def look(
    basis: Basis, queue: str, ids: Sequence[str], *, tick_ends: str = "", fence_ends: str = ""
) -> list[Trace]:
    """See what a queue remembers of entries, and let it be forgotten after so many seconds."""
    keys = basis.queue(queue)
    names: list[Any] = []
    for entry_id in ids:
        raw = entry_id.encode("utf-8", "surrogateescape")
        names += (keys.tick_prefix.encode() + raw, keys.fence_prefix.encode() + raw)
    args = [keys.task_prefix, *([tick_ends, fence_ends] * len(ids))]
    reply: Any = await basis.run(TICK_MEND, names, args, slot=basis.slot(queue))
    return [_trace(reply[i : i + 7]) for i in range(0, len(reply), 7)]


def _trace(row: Sequence[Any]) -> Trace:
    tick, tick_ttl, queued, may_run, notes, fence, fence_ttl = row
    try:
        at = float(queued or 0)
    except ValueError:
        at = 0.0
    return Trace(tick.decode(), int(tick_ttl), at, bool(may_run), int(notes), fence.decode(), int(fence_ttl))


async def repair_entries(basis: Basis, findings: Sequence[Finding]) -> None:
    """Put right what was found. What is no longer so is left alone."""
    entries = Entries(basis)
    for finding in findings:
        entry_id = finding.raw.decode("utf-8", "surrogateescape")
        if finding.kind is Kind.ENTRY_INDEX:
            total, _, version = finding.home.partition(" ")
            await mend(basis, [] if total else [entry_id], apply=True, total=total, version=version)
        elif finding.kind is Kind.UNFENCED:
            stored = await entries.get(entry_id)
            if stored is not None:
                await entries.hand_over(stored)
            else:
                removed = await entries.finish_removal(entry_id)
                await entries.settle({entry_id: removed.version})
        elif finding.kind is Kind.LASTING:
            ends = {f"{finding.home}_ends": str(TICK_SECONDS if finding.home == "tick" else FENCE_SECONDS)}
            await look(basis, finding.queue, [entry_id], **ends)
        elif finding.kind is Kind.STUCK_TIME:
            await _free(basis, entries, finding.queue, entry_id)


async def _free(basis: Basis, entries: Entries, queue: str, entry_id: str) -> None:
    """Let a time wait no more. Whatever is stored later has a later version than the last one there is."""
    stored = await entries.get(entry_id)
    if stored is None or stored.queue != queue:
        news = await entries.news(0, limit=1)
        reason = "removed" if stored is None else "changed"
        await Fences(basis).raise_to(queue, entry_id, news.version, reason=reason)
    elif stored.paused_at:
        await Fences(basis).raise_to(queue, entry_id, stored.version, lasts=True, reason="paused")
