"""Enqueues a crowd of entries shortly before the moment at which all are due, and moves them when it comes.

To claim a time and to store its task takes Redis a hundredth of a millisecond, more where it has other work,
and of a thousand that come at once the last one waits for all. A task that is scheduled needs less when it is
due. So times of a crowd are claimed ahead, with tasks that are scheduled for the moment; from then on they
are safe, whatever becomes of us. Servers would move them, too; but there may be none, and they may be those
of another language, that look once in a while.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple, Protocol

from asyncq._broker.delayed import CHUNK, Forwarded
from asyncq._broker.enqueue import Placed
from asyncq._logs import SCHEDULER_LOG, Log
from asyncq._service import Errands
from asyncq._timetable import Tick
from asyncq._wire.messages import NewTask
from asyncq.errors import AsyncqError

LEAST: Final = 50
"""Times of one moment that are a crowd. Fewer are claimed when they come: that takes a millisecond."""

ROUNDING: Final = 0.001
"""Seconds: what is due so little later was due at the same moment."""


class Moving(Protocol):
    """Moves due tasks of queues to where they can be taken."""

    async def forward(self, queues: Sequence[str]) -> Forwarded:
        """Move some."""
        ...


class Sent(NamedTuple):
    """A time that was claimed ahead, or is being claimed."""

    tick: Tick
    new: NewTask
    placed: asyncio.Future[Placed]

    @property
    def waits(self) -> bool:
        """Whether its task is scheduled."""
        future = self.placed
        if not future.done() or future.cancelled() or future.exception() is not None:
            return False
        return future.result().word.rstrip("+") in ("scheduled", "already")


OnPlaced = Callable[[Tick, NewTask, "asyncio.Future[Placed]"], None]


def is_plain(new: NewTask) -> bool:
    """Whether nothing that may change until then decides what becomes of a time that is claimed ahead."""
    claim = new.claim
    if claim is None or claim.overlap or claim.is_strict:
        return False
    return not (new.at or new.delay or new.unique_ttl or new.envelope.group)


class Crowds:
    """Has the crowds whose moment is about to come.

    Args:
        moving: Moves due tasks.
        placed: Is told where each went, when its moment has come.
        timeout: Seconds to move a crowd within. What is not moved then is moved by servers.
    """

    def __init__(self, moving: Moving, placed: OnPlaced, *, timeout: float) -> None:
        self._moving: Final = moving
        self._placed: Final = placed
        self._timeout: Final = timeout
        self._waiting: Final[dict[datetime, list[Sent]]] = {}
        self._errands: Final = Errands()
        self.log: Log = SCHEDULER_LOG

    def add(self, due: datetime, sent: Sent) -> None:
        """Remember a time that is being claimed."""
        self._waiting.setdefault(due, []).append(sent)

    def come(self, moments: Iterable[datetime]) -> None:
        """Move what is due at these moments, which have come."""
        for due in moments:
            crowd = self._waiting.pop(due, None)
            if crowd:
                self._errands.start(self._bring(due.timestamp(), crowd), name="a crowd of entries")

    async def aclose(self, timeout: float) -> None:
        """Wait for what is on its way, but not for ever. What waits for its moment is left to servers."""
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout
        for crowd in self._waiting.values():
            unanswered = {sent.placed for sent in crowd if not sent.placed.done()}
            if unanswered:
                await asyncio.wait(unanswered, timeout=max(0.0, until - loop.time()))
            self._tell(crowd)
        self._waiting.clear()
        await self._errands.finish(max(0.0, until - loop.time()))
        await self._errands.cancel(timeout)

    async def _bring(self, due: float, crowd: list[Sent]) -> None:
        """Move a crowd, and tell of each of it."""
        unmoved = crowd
        try:
            async with asyncio.timeout(self._timeout):
                while unmoved:
                    there = [sent for sent in unmoved if sent.placed.done()]
                    rest = [sent for sent in unmoved if not sent.placed.done()]
                    if there:
                        moved_at = await self._move(due, there)
                        unmoved = rest
                        self._tell(there, moved_at)
                    else:
                        waited_for = {sent.placed for sent in rest}
                        await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
        except (AsyncqError, TimeoutError) as error:
            self.log.warning(
                "%d tasks of entries are scheduled for a moment that has come; they are left to servers: %s",
                sum(sent.waits for sent in unmoved),
                str(error) or type(error).__name__,
                extra={"event": "crowd_left"},
            )
        finally:
            self._tell(unmoved)

    async def _move(self, due: float, crowd: Sequence[Sent]) -> dict[str, float]:
        """Move what is scheduled, and return when the last of each queue was moved."""
        counts = Counter(sent.new.queue for sent in crowd if sent.waits)
        queues = list(counts)
        moved = await asyncio.gather(*(self._move_in(queue, due, counts[queue]) for queue in queues))
        return dict(zip(queues, moved, strict=True))

    async def _move_in(self, queue: str, due: float, count: int) -> float:
        # All at once: while Redis is at work on one, the next one stands in the socket.
        calls = math.ceil(count / CHUNK)
        while True:
            forward = self._moving.forward
            moved = await asyncio.gather(*(forward([queue]) for _ in range(calls)))
            last = max(moved, key=lambda one: one.now)
            if last.due > due + ROUNDING:
                return last.now
            # Much else is due, or the clock of Redis says that the moment is still to come.
            calls = 1
            await asyncio.sleep(last.wait)

    def _tell(self, crowd: Iterable[Sent], moved_at: dict[str, float] | None = None) -> None:
        for sent in crowd:
            tick, new, future = sent
            if not future.done():
                future.set_exception(TimeoutError("no answer so far: it may be enqueued"))
            now = moved_at.get(new.queue) if moved_at else None
            if now is not None and sent.waits:
                more = "+" if future.result().word.endswith("+") else ""
                self._placed(tick, new, _answer(Placed("pending" + more, now)))
            else:
                self._placed(tick, new, future)


def _answer(placed: Placed) -> asyncio.Future[Placed]:
    future: asyncio.Future[Placed] = asyncio.get_running_loop().create_future()
    future.set_result(placed)
    return future
