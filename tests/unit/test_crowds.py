"""Times of a crowd are claimed ahead and moved when they come."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from asyncq._broker.delayed import Forwarded
from asyncq._broker.enqueue import Placed
from asyncq._scheduling.claimant import Answer
from asyncq._scheduling.crowds import LEAST, is_plain
from asyncq._scheduling.ticker import Ticker
from asyncq._scheduling.waves import Prepared, Waves
from asyncq._timetable import Tick, Timetable
from asyncq._wire.messages import Claim, Envelope, NewTask
from asyncq.codecs import Codecs
from asyncq.entries import PeriodicTask, define
from asyncq.errors import BrokerError
from asyncq.task import Task
from tests.support.waiting import wait_until

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DUE = NOON + SECOND


@dataclass
class Queue:
    """One queue of a Redis that answers at once, unless told otherwise, and whose clock is set by hand."""

    now: float = DUE.timestamp() - 0.25
    error: Exception | None = None
    answers: bool = True
    scheduled: list[str] = field(default_factory=list[str])
    pending: list[str] = field(default_factory=list[str])
    looks: list[int] = field(default_factory=list[int])

    async def forward(self, queues: Sequence[str]) -> Forwarded:
        """Move what is due, 200 at a time."""
        assert queues == ["default"]
        if self.error:
            raise self.error
        self.looks.append(len(self.scheduled))
        if self.now < DUE.timestamp():
            wait, self.now = DUE.timestamp() - self.now, DUE.timestamp()
            return Forwarded(0, min(wait, 0.001), DUE.timestamp(), self.now - wait)
        moved, self.scheduled[:200] = self.scheduled[:200], []
        self.pending += moved
        self.now += 0.25
        due = DUE.timestamp() if self.scheduled else math.inf
        return Forwarded(len(moved), due - self.now, due, self.now)


class Redis:
    """What waves talk to: a claimant, a dispatcher, and what moves tasks."""

    def __init__(self, **envelope: Any) -> None:
        self.queue = Queue()
        self.envelope = envelope
        self.begun_with: list[str] = []
        self.concluded: dict[str, Any] = {}
        self.sent: list[NewTask] = []
        self.unanswered: list[asyncio.Future[Placed]] = []

    def prepare(self, task: Task, options: Any) -> NewTask:
        """Be a claimant."""
        more = {"unique_ttl": self.envelope["unique_ttl"]} if "unique_ttl" in self.envelope else {}
        envelope = Envelope(task.type, b"", group=self.envelope.get("group", ""))
        return NewTask("default", options["task_id"], envelope, **more)

    def make(self, new: NewTask) -> Any:
        """Be a claimant."""
        return lambda: self._send(new)

    def _send(self, new: NewTask) -> asyncio.Future[Placed]:
        self.sent.append(new)
        future: asyncio.Future[Placed] = asyncio.get_running_loop().create_future()
        if not self.queue.answers:
            self.unanswered.append(future)
        elif new.at > self.queue.now:
            self.queue.scheduled.append(new.id)
            future.set_result(Placed("scheduled", self.queue.now))
        else:
            self.queue.pending.append(new.id)
            future.set_result(Placed("pending", self.queue.now))
        return future

    def read(self, new: NewTask, placed: Placed) -> Answer:
        """Be a claimant."""
        self.concluded[new.id] = placed
        return Answer(placed.word)

    def begin(self, tick: Tick) -> None:
        """Be a dispatcher."""
        raise AssertionError(tick)

    def begun(self, tick: Tick) -> None:
        """Be a dispatcher."""
        self.begun_with.append(tick.entry.id)

    def is_too_late(self, tick: Tick) -> bool:
        """Be a dispatcher."""
        del tick
        return False

    async def conclude(self, tick: Tick, outcome: Answer | Exception) -> None:
        """Be a dispatcher."""
        if isinstance(outcome, Exception):
            self.concluded[tick.entry.id] = outcome

    async def forward(self, queues: Sequence[str]) -> Forwarded:
        """Be what moves tasks."""
        return await self.queue.forward(queues)


class Scene:
    """So many entries that are due at `DUE`, and what prepares them."""

    def __init__(
        self, count: int, *, timeout: float = 5.0, redis: Redis | None = None, **options: Any
    ) -> None:
        self.redis = redis or Redis()
        table = Timetable()
        for number in range(count):
            wanted = PeriodicTask("@every 1s", Task("x"), id=f"entry {number}", **options)
            table.add(define(wanted, codecs=Codecs()), NOON)
        self.waves = Waves(table, self.redis, self.redis, self.redis, timeout=timeout, is_direct=True)
        self.ticks = table.take_due(NOON, ahead=SECOND)
        assert len(self.ticks) == count
        self.prepared: list[Prepared] = []

    def prepare(self, ago: float = 0.25) -> None:
        """Prepare them so many seconds before they are due."""
        self.prepared = self.waves.prepare(self.ticks, DUE - ago * SECOND)

    def come(self) -> None:
        """Let the moment come, for us and for Redis."""
        self.redis.queue.now = max(self.redis.queue.now, DUE.timestamp())
        self.waves.begin(self.prepared, is_all=True)

    async def concluded(self) -> dict[str, Any]:
        """Wait for what became of each."""

        async def are_there() -> bool:
            await self.waves.tick()
            return len(self.redis.concluded) == len(self.ticks)

        await wait_until(are_there, "all to be concluded", 5)
        await self.waves.aclose()
        return self.redis.concluded


async def test_a_crowd_is_claimed_ahead_and_moved_when_its_moment_comes() -> None:
    """Each is told of as pending since then, and not before."""
    scene = Scene(450)
    scene.prepare()
    queue = scene.redis.queue
    assert (len(queue.scheduled), queue.pending, scene.redis.begun_with) == (450, [], [])
    assert {new.at for new in scene.redis.sent} == {DUE.timestamp()}
    await asyncio.sleep(0)
    assert await scene.waves.tick() == math.inf
    assert scene.redis.concluded == {}
    scene.come()
    placed = set((await scene.concluded()).values())
    # As many calls as are needed, all at once; the last of them says when all were there.
    assert queue.looks == [450, 250, 50]
    assert placed == {Placed("pending", DUE.timestamp() + 0.75)}
    assert (len(queue.pending), queue.scheduled, len(scene.redis.begun_with)) == (450, [], 450)


@pytest.mark.parametrize(
    ("count", "options", "redis"),
    [
        (LEAST - 1, {}, {}),
        (LEAST, {"overlap": "skip"}, {}),
        (LEAST, {"catch_up": "all"}, {}),
        (LEAST, {}, {"group": "g"}),
        (LEAST, {}, {"unique_ttl": 5.0}),
    ],
    ids=["few", "overlap", "no time may be left out", "group", "unique"],
)
async def test_what_is_no_crowd_or_not_plain_is_claimed_when_it_comes(
    count: int, options: dict[str, Any], redis: dict[str, Any]
) -> None:
    """What becomes of it may change until then."""
    scene = Scene(count, redis=Redis(**redis), **options)
    scene.prepare()
    assert scene.redis.sent == []
    scene.come()
    assert {one.word for one in (await scene.concluded()).values()} == {"pending"}
    assert {new.at for new in scene.redis.sent} == {0.0}
    assert scene.redis.queue.looks == []


async def test_what_is_prepared_late_is_claimed_when_it_is_sent() -> None:
    """It is due already, and has no time to be moved."""
    scene = Scene(LEAST)
    scene.prepare(ago=-0.1)
    assert scene.redis.sent == []
    scene.come()
    assert len(await scene.concluded()) == LEAST


async def test_a_redis_whose_clock_is_behind_is_asked_again_when_its_moment_comes() -> None:
    """The task of a time is never there before, by the clock of Redis."""
    scene = Scene(LEAST)
    scene.prepare()
    scene.waves.begin(scene.prepared, is_all=True)  # a quarter of a second before, for Redis
    placed = set((await scene.concluded()).values())
    assert scene.redis.queue.looks == [LEAST, LEAST]
    assert placed == {Placed("pending", DUE.timestamp() + 0.25)}


async def test_what_cannot_be_moved_is_left_to_servers(caplog: pytest.LogCaptureFixture) -> None:
    """It is in Redis, scheduled: that is told, and a warning is logged."""
    scene = Scene(LEAST)
    scene.prepare()
    scene.redis.queue.error = BrokerError("forward", "Redis is away")
    with caplog.at_level(logging.WARNING, "asyncq.scheduler"):
        scene.come()
        placed = (await scene.concluded()).values()
    assert {one.word for one in placed} == {"scheduled"}
    (record,) = caplog.records
    assert (record.__dict__["event"], f"{LEAST} tasks" in record.message) == ("crowd_left", True)
    assert "Redis is away" in record.message


async def test_an_answer_that_comes_after_the_moment_is_waited_for() -> None:
    """And the others are moved before it."""
    scene = Scene(LEAST)
    scene.redis.queue.answers = False
    scene.prepare()
    first, *others = scene.redis.unanswered
    queue = scene.redis.queue
    for future, new in zip(others, scene.redis.sent[1:], strict=True):
        queue.scheduled.append(new.id)
        future.set_result(Placed("scheduled", queue.now))
    scene.come()
    await wait_until(lambda: len(queue.pending) == LEAST - 1, "the others to be moved", 5)
    queue.scheduled.append(scene.redis.sent[0].id)
    first.set_result(Placed("scheduled+", queue.now))
    concluded = await scene.concluded()
    assert len(queue.pending) == LEAST
    assert concluded[scene.redis.sent[0].id].word == "pending+"


async def test_an_answer_that_never_comes_is_an_error_of_that_one() -> None:
    """Not of the others."""
    scene = Scene(LEAST, timeout=0.05)
    scene.redis.queue.answers = False
    scene.prepare()
    for future in scene.redis.unanswered[1:]:
        future.set_result(Placed("taken", scene.redis.queue.now))
    scene.come()
    outcomes = list((await scene.concluded()).values())
    assert sum(isinstance(one, TimeoutError) for one in outcomes) == 1
    assert sum(isinstance(one, Placed) and one.word == "taken" for one in outcomes) == LEAST - 1
    assert scene.redis.queue.looks == []  # somebody else has claimed them, and moves them


async def test_a_scheduler_that_leaves_before_the_moment_leaves_the_crowd_to_servers() -> None:
    """What it knows of it is told; what Redis has not answered may be there or not."""
    scene = Scene(LEAST)
    scene.prepare()
    await scene.waves.aclose()
    assert {one.word for one in scene.redis.concluded.values()} == {"scheduled"}
    assert scene.redis.queue.looks == []


async def test_what_was_claimed_is_brought_also_when_the_clock_is_put_back() -> None:
    """Ours: Redis knows for itself when it is due."""
    now = DUE - 0.2 * SECOND
    redis = Redis()
    table = Timetable()
    for number in range(LEAST):
        wanted = PeriodicTask("@every 1s", Task("x"), id=f"entry {number}")
        table.add(define(wanted, codecs=Codecs()), NOON)
    waves = Waves(table, redis, redis, redis, timeout=5, is_direct=True)
    ticker = Ticker(table, waves, clock=lambda: now)
    await ticker.tick()
    assert len(redis.queue.scheduled) == LEAST
    now -= timedelta(hours=1)
    redis.queue.now = DUE.timestamp()
    await ticker.tick()
    await wait_until(lambda: len(redis.queue.pending) == LEAST, "the crowd to be moved", 5)
    await waves.aclose()
    assert {one.word for one in redis.concluded.values()} == {"pending"}
    assert sum(new.at == DUE.timestamp() for new in redis.sent) == LEAST


def test_a_claim_says_for_itself_whether_it_is_plain() -> None:
    """A task that belongs to no entry is none of ours."""
    claim = Claim("x", nominal=1.0, gap=0.0, keep=1)
    assert is_plain(NewTask("default", "id", Envelope("x", b""), claim=claim))
    assert not is_plain(NewTask("default", "id", Envelope("x", b"")))
    assert not is_plain(NewTask("default", "id", Envelope("x", b""), at=5.0, claim=claim))
    assert not is_plain(NewTask("default", "id", Envelope("x", b""), delay=5.0, claim=claim))
