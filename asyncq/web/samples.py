"""What many visitors look at is read once: shared answers, and the streams that show them.

While no page is watched, nothing is read: the visitor who finds a sample too old takes the next one, and
those who ask meanwhile wait for it. So ten windows on one page cost Redis as much as one. What takes long is
read beside the visitors, who are shown the one before, with its age, or that it is on its way.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Generator, Hashable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from starlette.exceptions import HTTPException

from asyncq._service import Errands
from asyncq.errors import BrokerError

T = TypeVar("T")

FRESH: Final = 1.0
"""Seconds for which a sample is shown."""

COST_FACTOR: Final = 10.0
"""A sample that took long is shown so many times as long: watching keeps Redis busy for a tenth at most."""

OLDEST: Final = 60.0
"""Seconds after which a sample is not shown any more while the next one is on its way."""

MOST_SAMPLES: Final = 1000
"""More than are shown at the same time, or visitors would throw away what others are about to be shown."""

MOST_STREAMS: Final = 200
MOST_OF_ONE: Final = 6
"""Streams of one client: a browser holds six connections to a host."""


@dataclass(frozen=True, slots=True)
class Glance(Generic[T]):
    """What could be shown without waiting for long."""

    value: T | None  #: `None` while the first sample is on its way
    age: float = 0.0  #: seconds since it was begun


class _Sample:
    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.coming: asyncio.Task[Any] | None = None
        self.value: Any = None
        self.error: BrokerError | None = None
        self.taken_at = float("-inf")
        self.cost = 0.0


class Samples:
    """Answers that are shared for a moment, by name."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._samples: OrderedDict[Hashable, _Sample] = OrderedDict()
        self._errands = Errands()

    async def get(self, key: Hashable, take: Callable[[], Awaitable[T]], *, fresh: float = FRESH) -> T:
        """A sample that is fresh, taken by one of those who ask for it.

        Args:
            key: What it is of. Who may see different things has different keys: put `rights` into it.
            take: Reads it.
            fresh: Seconds for which it is shown; longer when it took long to take.

        Raises:
            BrokerError: Redis is away. Whoever waited meanwhile is told so at once, instead of trying again
                one after the other, each with all of its patience.
        """
        return await self._shared(self._of(key), take, fresh)

    async def soon(
        self, key: Hashable, take: Callable[[], Awaitable[T]], *, within: float, fresh: float = FRESH
    ) -> Glance[T]:
        """The same, for what may take long: it is taken beside whoever asks, once for all of them.

        Args:
            key: As for `get`.
            take: As for `get`. Must not need the request any more when it is over.
            within: Seconds to wait for it. Then it is the sample before, if that is not too old, or none.
            fresh: As for `get`.

        Raises:
            BrokerError: As for `get`.
        """
        sample = self._of(key)
        if sample.coming is None or sample.coming.done():
            sample.coming = self._errands.start(self._shared(sample, take, fresh), name="web sample")
            sample.coming.add_done_callback(_looked_at)
        done, _ = await asyncio.wait((sample.coming,), timeout=within)
        age = self._clock() - sample.taken_at + sample.cost
        if done and not sample.coming.cancelled():
            return Glance(sample.coming.result(), age)
        return Glance(sample.value if age < OLDEST and sample.error is None else None, age)

    async def settle(self) -> None:
        """Wait until nothing is being taken beside anybody."""
        await self._errands.finish()

    async def aclose(self) -> None:
        """Read nothing more."""
        await self._errands.cancel()

    def _of(self, key: Hashable) -> _Sample:
        sample = self._samples.get(key)
        if sample is None:
            sample = self._samples[key] = _Sample()
            self._make_room()
        self._samples.move_to_end(key)
        return sample

    async def _shared(self, sample: _Sample, take: Callable[[], Awaitable[T]], fresh: float) -> T:
        asked_at = self._clock()
        async with sample.lock:
            if sample.error is not None:
                is_new = sample.taken_at > asked_at or self._clock() - sample.taken_at < min(fresh, FRESH)
                if is_new:
                    raise sample.error.with_traceback(None)
            elif self._clock() - sample.taken_at < max(fresh, COST_FACTOR * sample.cost):
                value: T = sample.value
                return value
            return await self._take(sample, take)

    async def _take(self, sample: _Sample, take: Callable[[], Awaitable[T]]) -> T:
        started = self._clock()
        try:
            sample.value = value = await take()
        except BrokerError as error:
            # Other errors may name who asked, and are not for others.
            sample.error = error
            sample.taken_at = self._clock()
            raise
        sample.error = None
        sample.taken_at = self._clock()
        sample.cost = sample.taken_at - started
        return value

    def _make_room(self) -> None:
        """Forget what was looked at longest ago, but nothing that somebody is taking: others wait for it."""
        if len(self._samples) > MOST_SAMPLES:
            over = next((key for key, one in self._samples.items() if not one.lock.locked()), None)
            # The last one is what this is done for.
            if over is not None and over != next(reversed(self._samples)):
                del self._samples[over]

    def forget(self) -> None:
        """Read everything anew: something was changed."""
        self._samples.clear()


def _looked_at(task: asyncio.Task[Any]) -> None:
    """Whoever asks next is told of an error by the sample; nobody may have waited for this one."""
    if not task.cancelled():
        task.exception()


class Streams:
    """Counts the streams, by client."""

    def __init__(self, most: int = MOST_STREAMS, most_of_one: int = MOST_OF_ONE) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._of: Counter[str] = Counter()

    @property
    def open(self) -> int:
        """How many there are."""
        return self._of.total()

    @contextmanager
    def seat(self, client: str) -> Generator[None]:
        """Count one more for the length of a block.

        Raises:
            HTTPException: There are too many, of this client or of all.
        """
        if self._of[client] >= self._most_of_one or self.open >= self._most:
            raise HTTPException(429, "Too many live pages are open; this one does not update itself.")
        self._of[client] += 1
        try:
            yield
        finally:
            self._of[client] -= 1
            if not self._of[client]:
                del self._of[client]
