"""How far a partition may be committed.

Kafka keeps one number for a group and a partition: everything before it counts as handled. Handlers end in
any order, so the number must not pass a message that is still being handled: after a crash nobody would hand
it out again.

The rule `prefix` commits the finished messages up to the first unfinished one. The rule `max` is that of
go-queue: the highest finished message, whatever is unfinished before it.

    taken 5 6 7 8, finished 6 and 8     prefix: 5     max: 9
    taken 5 6 7 8, finished 5, 6, 8     prefix: 7     max: 9
"""

from __future__ import annotations

from collections import deque
from typing import Final, Literal

CommitRule = Literal["prefix", "max"]


class Ledger:
    """What one partition has handed out since it was assigned to us, and what of it is finished."""

    __slots__ = ("_committed", "_finished", "_is_prefix", "_may_commit", "_open")

    def __init__(self, rule: CommitRule = "prefix") -> None:
        self._is_prefix: Final = rule == "prefix"
        # Ascending, from the first unfinished one on; finished ones behind it wait in `_finished`.
        self._open: Final[deque[int]] = deque()
        self._finished: Final[set[int]] = set()
        self._may_commit = -1
        self._committed = -1

    def take(self, offset: int) -> None:
        """Note that a message is handed out. Offsets ascend, with gaps where Kafka has removed some.

        Raises:
            ValueError: It does not come after the last one.
        """
        if self._open and offset <= self._open[-1]:
            raise ValueError(offset)
        self._open.append(offset)

    def finish(self, offset: int) -> None:
        """Note that a message is handled, or skipped for good.

        Raises:
            ValueError: It was not handed out, or finished before.
        """
        if offset in self._finished or not self._open or not self._open[0] <= offset <= self._open[-1]:
            raise ValueError(offset)
        self._finished.add(offset)
        while self._open and self._open[0] in self._finished:
            first = self._open.popleft()
            self._finished.discard(first)
            self._may_commit = max(self._may_commit, first + 1)
        if not self._is_prefix:
            self._may_commit = max(self._may_commit, offset + 1)

    @property
    def span(self) -> int:
        """Messages from the first unfinished one to the last one that was handed out."""
        return len(self._open)

    @property
    def committable(self) -> int | None:
        """The number to commit: the next message after a crash. None when there is nothing new."""
        return self._may_commit if self._may_commit > self._committed else None

    def note_committed(self, number: int) -> None:
        """Note that Kafka has this number."""
        self._committed = max(self._committed, number)
