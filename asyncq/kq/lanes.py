"""Which message is next, when some must wait for others."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Final, Generic, Literal, TypeVar

Order = Literal["none", "key", "partition"]

T = TypeVar("T")


class Lanes(Generic[T]):
    """Work that waits for a free processor.

    Items of one lane are given out one after another: the next one when the lane was freed. Items without a
    lane wait for nobody. What was given out first is given out first.
    """

    def __init__(self) -> None:
        self._ready: Final[deque[T]] = deque()
        # A lane is here as long as one of its items is ready or given out; with those that wait for it.
        self._behind: Final[dict[Hashable, deque[T]]] = {}

    def add(self, item: T, lane: Hashable | None) -> None:
        """Put an item at the end of its lane."""
        if lane is None:
            self._ready.append(item)
        elif (behind := self._behind.get(lane)) is not None:
            behind.append(item)
        else:
            self._behind[lane] = deque()
            self._ready.append(item)

    def next(self) -> T | None:
        """Give out an item, if one may be given out."""
        return self._ready.popleft() if self._ready else None

    def again(self, item: T) -> None:
        """Put an item that was given out to the front; its lane was not freed."""
        self._ready.appendleft(item)

    def free(self, lane: Hashable | None) -> None:
        """Note that the item of a lane that was given out is over."""
        if lane is None:
            return
        behind = self._behind[lane]
        if behind:
            self._ready.append(behind.popleft())
        else:
            del self._behind[lane]

    @property
    def ready(self) -> int:
        """Items that may be given out now."""
        return len(self._ready)

    def clear(self) -> None:
        """Forget everything, also which lanes are taken."""
        self._ready.clear()
        self._behind.clear()
