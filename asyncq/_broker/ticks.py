"""The last times of entries, as the queues of their tasks remember them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from asyncq._broker.basis import Basis, script

PASS_OVER: Final = script("pass_over")
RECALL: Final = script("recall")
ATTENDED: Final = script("attended")

MOST_AT_ONCE: Final = 500
"""Entries that one call asks about."""


@dataclass(frozen=True, slots=True)
class Note:
    """Times that were not enqueued, and why; still to be written into the history."""

    field: str  #: under which it stands in Redis
    reason: str
    after: float  #: the time before them; equal to `last` where it is one time alone
    last: float
    noted_at: float
    detail: str = ""  #: the task that stood in the way
    text: str = ""  #: what stands in Redis


class Cancel(NamedTuple):
    """A task that is to be cancelled."""

    task_id: str
    queue: str  #: '' for that of the entry

    @property
    def field(self) -> str:
        """Under which it stands in Redis."""
        return f"cancel:{self.task_id}"


@dataclass(slots=True)
class Recalled:
    """What Redis remembers of the last times of one entry."""

    at: float | None = None  #: the last time that is over, Unix seconds; `None` when nothing is known
    run: str = ""  #: the task of the last run; of entries that look at it
    queued: float = 0.0  #: the time that waits for the end of that run
    queued_text: str = ""  #: as it stands in Redis
    cancels: list[Cancel] = field(default_factory=list["Cancel"])  #: tasks that are to be cancelled
    notes: list[Note] = field(default_factory=list[Note])

    @property
    def asks_for_more(self) -> bool:
        """Whether there is something left to do."""
        return bool(self.queued or self.cancels or self.notes)


class Ticks:
    """The area of the times of entries."""

    def __init__(self, basis: Basis) -> None:
        self._basis = basis

    async def recall(self, queue: str, entry_ids: Sequence[str]) -> list[Recalled]:
        """What is known of entries of one queue, `MOST_AT_ONCE` at the most."""
        keys = self._basis.queue(queue)
        reply: Any = await self._basis.run(
            RECALL, [keys.tick(entry_id) for entry_id in entry_ids], [], slot=self._basis.slot(queue)
        )
        return [read_tick(fields) for fields in reply]

    async def pass_over(
        self, queue: str, entry_id: str, *, after: float | None, last: float, reason: str, keep: int
    ) -> str:
        """Say of times that nobody will enqueue them: `done`, or why it does not hold, `moved` or `early`.

        Args:
            queue: Of the entry.
            entry_id: Whose times.
            after: The last time that is over, as far as is known; `None` when nothing is.
            last: The last of those that are passed over.
            reason: Why, a word.
            keep: Seconds for which it is remembered.
        """
        word: Any = await self._basis.run(
            PASS_OVER,
            [self._basis.queue(queue).tick(entry_id)],
            ["" if after is None else f"{after:.6f}", f"{last:.6f}", reason, keep],
            slot=self._basis.slot(queue),
        )
        return str(word.decode())

    async def done(self, queue: str, entry_id: str, fields: Mapping[str, str]) -> None:
        """What these fields asked for, by the values they had, was done."""
        basis = self._basis
        args = [part for pair in fields.items() for part in pair]
        await basis.run(ATTENDED, [basis.queue(queue).tick(entry_id)], args, slot=basis.slot(queue))


def read_tick(fields: Sequence[bytes]) -> Recalled:
    """Read the fields and values of a tick, in turn."""
    found = Recalled()
    for raw_name, raw in zip(fields[::2], fields[1::2], strict=True):
        name, value = raw_name.decode("utf-8", "replace"), raw.decode("utf-8", "replace")
        try:
            if name == "at":
                found.at = float(value)
            elif name == "run":
                found.run = value
            elif name == "queued":
                found.queued, found.queued_text = float(value), value
            elif name.startswith("cancel:"):
                found.cancels.append(Cancel(name.removeprefix("cancel:"), value))
            elif name.startswith("note:"):
                found.notes.append(_note(name, value))
        except ValueError:  # written by hand: as good as not there
            continue
    return found


def _note(name: str, text: str) -> Note:
    reason, after, last, noted_at, *rest = text.split(" ", 4)
    detail = rest[0] if rest else ""
    return Note(name, reason, float(after), float(last), float(noted_at), detail, text)
