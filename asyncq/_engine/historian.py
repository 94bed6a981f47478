"""Adds what the server counted to the numbers in Redis."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from asyncq._broker.measures import (
    ACTIVE,
    ALL,
    DELAYED,
    LETTERS,
    MINUTE,
    OLDEST,
    PENDING,
    QUEUE_LETTERS,
    SAMPLED,
    TIMES,
    Batch,
    Measures,
    Sample,
    Update,
    add,
)
from asyncq._broker.together import together
from asyncq._engine.heartbeat import INTERVAL
from asyncq._engine.measures import QueueCounts, Recorder, Series, Times
from asyncq._service import Service

MOST_WAITING: Final = 60
"""Batches that wait for a Redis that is away. Beyond that minutes are put together: nothing is lost."""


class Historian(Service):
    """Adds what the server counted to the numbers in Redis, where all servers meet.

    Each tick:

    1. takes what is new, as a batch for each slot;
    2. once a minute looks how much there is to do in queues that nobody else has looked at;
    3. sends the batches, the oldest first.

    A batch that was sent stays as it is until Redis says that it has it: sent again it is known, and is
    added once. It runs in the thread of the vitals and ends behind the last outcome, so a server that leaves
    in order leaves nothing out; one that is killed takes the last few seconds with it. Nothing else depends
    on it.
    """

    def __init__(
        self, measures: Measures, recorder: Recorder, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__("historian")
        self._measures: Final = measures
        self._news: Final = News(recorder)
        self._clock: Final = clock
        self._lanes: Final = [Lane(names) for names in measures.lanes(recorder.queues)]
        self._offset: float | None = None  # of Redis' clock
        self._busy: set[str] = set()  # queues in which there was something when we looked

    async def tick(self) -> float:
        self._collect()
        await self._sample()
        await self._send()
        return INTERVAL

    async def leave(self) -> None:
        """Add what is left."""
        if self._offset is None:
            await self._sample()
        self._collect()
        await self._send()

    def _collect(self) -> None:
        if self._offset is not None:
            updates = self._news.take()
            for lane in self._lanes:
                lane.put(updates, self._now())

    def _now(self) -> float:
        return self._clock() + (self._offset or 0.0)

    async def _sample(self) -> None:
        minute = None if self._offset is None else self._now() // MINUTE
        lanes = [lane for lane in self._lanes if ALL not in lane.queues and lane.sampled != minute]
        if lanes:
            await together([self._sample_lane(lane) for lane in lanes])

    async def _sample_lane(self, lane: Lane) -> None:
        now, samples = await self._measures.sample(lane.queues)
        self._offset = now - self._clock()
        if lane.sampled == now // MINUTE:
            return  # we were a moment too early, and were told the same once more
        lane.sampled = now // MINUTE
        updates: dict[str, Update] = {}
        for sample in samples:
            numbers = _of_sample(sample)
            add(updates.setdefault(ALL, {}), {"": numbers})
            # Nothing is said of a queue that stays empty: there may be thousands.
            if len(numbers) > 1 or sample.queue in self._busy:
                updates[sample.queue] = {"": numbers}
            (self._busy.add if len(numbers) > 1 else self._busy.discard)(sample.queue)
        for one in self._lanes:
            one.put(updates, now)

    async def _send(self) -> None:
        await together([self._send_lane(lane) for lane in self._lanes])

    async def _send_lane(self, lane: Lane) -> None:
        while lane.waiting:
            await self._measures.add(lane.waiting[0])
            lane.waiting.popleft()


class Lane:
    """Batches of the same queues, which go one after the other."""

    def __init__(self, queues: list[str]) -> None:
        self.queues: Final = queues
        self.waiting: Final[deque[Batch]] = deque()
        self.sampled = -1.0  #: the minute in which its queues were looked at last
        self._number = 0

    def put(self, updates: dict[str, Update], at: float) -> None:
        """Let what concerns these queues wait for its turn."""
        mine = {name: updates[name] for name in self.queues if name in updates}
        if not mine:
            return
        last = self.waiting[-1] if self.waiting else None
        same_minute = last is not None and last.at // MINUTE == at // MINUTE
        if last is not None and not last.was_sent and (same_minute or len(self.waiting) >= MOST_WAITING):
            for name, update in mine.items():
                add(last.updates.setdefault(name, {}), update)
            return
        self._number += 1
        copies = {name: {one: dict(numbers) for one, numbers in mine[name].items()} for name in mine}
        self.waiting.append(Batch(self.queues, self._number, at, copies))


class News:
    """What a recorder has counted since the last time."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder: Final = recorder
        self._seen: Final[dict[tuple[str, str], dict[str, int]]] = {}

    def take(self) -> dict[str, Update]:
        """What is new: by queue, and of `ALL` together."""
        news: dict[str, Update] = {}
        for queue, kind, numbers in self._numbers():
            before = self._seen.get((queue, kind), {})
            new = {name: amount - before.get(name, 0) for name, amount in numbers.items()}
            new = {name: amount for name, amount in new.items() if amount > 0}
            if new:
                self._seen[queue, kind] = numbers
                for place in (queue, ALL):
                    add(news.setdefault(place, {}), {kind: new})
        return news

    def _numbers(self) -> Iterator[tuple[str, str, dict[str, int]]]:
        for series in self._recorder.series():
            yield series.queue, series.type, _of_series(series)
        for queue, counts in self._recorder.queues.items():
            yield queue, "", _of_queue(counts)


def _of_series(series: Series) -> dict[str, int]:
    numbers = {LETTERS[outcome]: tally.count for outcome, tally in series.tallies.items()}
    numbers[LETTERS["redelivered"]] = series.redelivered
    times = {"wait": series.waited, "run": series.ran, "lateness": series.late}
    for name, one in times.items():
        _put_times(numbers, one, *TIMES[name])
    return numbers


def _put_times(numbers: dict[str, int], times: Times, letter: str, total: str) -> None:
    # The sum first: it must not lack what the counts have.
    seconds = times.seconds
    for index, count in enumerate(list(times.counts)):
        if count:
            numbers[f"{letter}{index}"] = count
    numbers[total] = math.floor(seconds * 1e6)


def _of_queue(counts: QueueCounts) -> dict[str, int]:
    return {letter: getattr(counts, name) for name, letter in QUEUE_LETTERS.items()}


def _of_sample(sample: Sample) -> dict[str, int]:
    """What was seen, as numbers; only that it was looked at, where there was nothing."""
    seen = {PENDING: sample.pending, ACTIVE: sample.active, DELAYED: sample.delayed}
    numbers = {name: amount for name, amount in seen.items() if amount}
    if sample.age > 0:
        numbers[OLDEST] = math.ceil(sample.age * 1000)
    return {SAMPLED: 1, **numbers}
