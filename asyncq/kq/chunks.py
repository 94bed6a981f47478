"""When a chunk of messages is sent: it is full, or the oldest message in it has waited long enough."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, Generic, TypeVar

T = TypeVar("T")


class Chunk(Generic[T]):
    """Messages that wait to be sent together.

    Args:
        size: Bytes of values at which it is full. As in go-queue keys and headers do not count.
        interval: Seconds that a message may wait in it.
    """

    def __init__(self, size: int, interval: float) -> None:
        self._size: Final = size
        self._interval: Final = interval
        self._items: list[T] = []
        self._bytes = 0
        self._due = float("inf")

    def add(self, item: T, size: int, now: float) -> bool:
        """Add a message. Returns whether it is time to send, because the chunk is full."""
        if not self._items:
            self._due = now + self._interval
        self._items.append(item)
        self._bytes += size
        return self._bytes >= self._size or self._interval <= 0

    @property
    def due(self) -> float:
        """When it has to be sent; `math.inf` while it is empty."""
        return self._due

    def take(self) -> list[T]:
        """Everything that is in it; it is empty then."""
        items, self._items = self._items, []
        self._bytes, self._due = 0, float("inf")
        return items

    def __len__(self) -> int:
        return len(self._items)


class Room:
    """So many bytes may be on their way at the same time; who comes then waits, in order.

    A message that is larger than all of it goes in alone.
    """

    def __init__(self, size: int) -> None:
        self._size: Final = size
        self._taken = 0
        self._waiting: Final[deque[tuple[int, asyncio.Future[None]]]] = deque()

    @property
    def taken(self) -> int:
        """Bytes that are on their way."""
        return self._taken

    async def enter(self, size: int) -> None:
        """Wait until there is room, and take it."""
        if not self._waiting and self._fits(size):
            self._taken += size
            return
        entry = (size, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        try:
            await entry[1]
        except asyncio.CancelledError:
            if entry in self._waiting:
                self._waiting.remove(entry)
                self._let_in()
            else:  # let in at the same moment
                self.leave(size)
            raise

    def leave(self, size: int) -> None:
        """Give room back."""
        self._taken -= size
        self._let_in()

    def _fits(self, size: int) -> bool:
        return self._taken == 0 or self._taken + size <= self._size

    def _let_in(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            size, future = self._waiting.popleft()
            if not future.done():
                self._taken += size
                future.set_result(None)
