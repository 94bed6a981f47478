"""What hands times on, on a clock that jumps."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from asyncq._broker.delayed import Forwarded
from asyncq._scheduling.claimant import Answer
from asyncq._scheduling.ticker import MOST_AT_ONCE, Ticker
from asyncq._scheduling.waves import Prepared, Waves
from asyncq._timetable import Tick, Timetable
from asyncq._wire.messages import Envelope, NewTask
from asyncq.codecs import Codecs
from asyncq.entries import Entry, PeriodicTask, define
from asyncq.task import Task

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


def entry(spec: str, entry_id: str, payload: object = None, **options: Any) -> Entry:
    """Return an entry."""
    return define(PeriodicTask(spec, Task("x", payload), id=entry_id, **options), codecs=Codecs())


class Clocked:
    """A ticker whose clock is set by hand, and what it has begun."""

    def __init__(self, *entries: Entry) -> None:
        self.now = NOON
        self.table = Timetable()
        for one in entries:
            self.table.add(one, NOON)
        self.begun: list[str] = []
        self.ticker = Ticker(self.table, self, clock=lambda: self.now)

    def prepare(self, ticks: Sequence[Tick], now: datetime) -> list[Prepared]:
        """Be a wave."""
        del now
        return [Prepared(tick, tick.nominal + timedelta(seconds=tick.delay)) for tick in ticks]

    def begin(self, prepared: Sequence[Prepared], *, is_all: bool) -> None:
        """Be a wave."""
        del is_all
        self.begun += [f"{one.tick.entry.id} {one.tick.nominal:%H:%M:%S}" for one in prepared]

    async def until(self, moment: datetime) -> None:
        """Let time pass; what sleeps is woken when it wants to be."""
        while True:
            # Time passes, too, for those who do not sleep.
            wait = max(await self.ticker.tick(), 0.0001)
            if self.now + timedelta(seconds=wait) > moment:
                self.now = moment
                return
            self.now += timedelta(seconds=wait)


async def test_nothing_is_begun_before_it_comes() -> None:
    """It is prepared before, and changes its mind when it is too early."""
    clocked = Clocked(entry("@every 10s", "x"))
    await clocked.until(NOON + 9.9 * SECOND)
    await clocked.ticker.tick()
    assert clocked.begun == []
    await clocked.until(NOON + 30 * SECOND)
    await clocked.ticker.tick()
    assert clocked.begun == ["x 12:00:10", "x 12:00:20", "x 12:00:30"]


@pytest.mark.parametrize(
    ("spec", "next_ones"), [("* * * * *", ["12:02", "12:03"]), ("@every 1m", ["12:02", "12:03"])]
)
async def test_a_clock_that_was_wrong_is_no_reason_to_miss_anything(spec: str, next_ones: list[str]) -> None:
    """It was an hour ahead for a moment; the times of that hour come as if nothing had been."""
    clocked = Clocked(entry(spec, "x"))
    await clocked.until(NOON + 70 * SECOND)
    clocked.now += HOUR
    await clocked.until(clocked.now + 10 * SECOND)
    await clocked.ticker.tick()
    clocked.begun.clear()  # refused by Redis
    clocked.now -= HOUR
    await clocked.until(NOON + 190 * SECOND)
    assert clocked.begun == [f"x {moment}:00" for moment in next_ones]


async def test_what_was_prepared_does_not_come_twice_when_the_clock_is_put_back() -> None:
    """And entries that are new are not held up by it."""
    clocked = Clocked(entry("@every 10s", "x"))
    await clocked.until(NOON + 19.9 * SECOND)
    await clocked.ticker.tick()
    clocked.now -= 15 * SECOND
    clocked.table.add(entry("@every 2s", "new"), clocked.now)
    start = clocked.now
    await clocked.until(start + 3 * SECOND)
    clocked.table.remove("new")
    await clocked.until(NOON + 21 * SECOND)
    # That it was had the first time Redis says to whoever claims it.
    times = ["x 12:00:10", f"new {start + 2 * SECOND:%H:%M:%S}", "x 12:00:10", "x 12:00:20"]
    assert clocked.begun == times


async def test_a_clock_that_is_put_forward_brings_the_last_time_only() -> None:
    """What lies between is for those who make up for missed times. It is seen within half a minute."""
    clocked = Clocked(entry("* * * * *", "x"))
    assert await clocked.ticker.tick() <= 30
    clocked.now += HOUR + 30 * SECOND
    await clocked.ticker.tick()
    await clocked.ticker.tick()
    assert clocked.begun == ["x 13:00:00"]


async def test_many_that_come_at_once_are_begun_in_turns() -> None:
    """So that the first are on their way while the others are begun."""
    clocked = Clocked(*(entry("@every 10s", f"{number}") for number in range(3 * MOST_AT_ONCE)))
    await clocked.until(NOON + 9.99 * SECOND)
    clocked.now = NOON + 10 * SECOND
    for turn in (1, 2, 3):
        assert await clocked.ticker.tick() == 0 or turn == 3
        assert len(clocked.begun) == turn * MOST_AT_ONCE


class Sent:
    """What waves talk to: it remembers what is sent, and answers when it is told to."""

    def __init__(self) -> None:
        self.now = NOON.timestamp()
        self.envelopes: list[Envelope] = []
        self.futures: list[asyncio.Future[Any]] = []
        self.long_way: list[Tick] = []
        self.concluded: list[tuple[str, object]] = []

    def prepare(self, task: Task, options: Any) -> NewTask:
        """Be a claimant."""
        del options
        self.envelopes.append(Envelope(task.type, b"", enqueued_at=self.now, expires_at=self.now + 1))
        return NewTask("default", "id", self.envelopes[-1])

    def make(self, new: NewTask) -> Any:
        """Be a claimant."""
        del new

        def send() -> asyncio.Future[Any]:
            self.futures.append(asyncio.get_running_loop().create_future())
            return self.futures[-1]

        return send

    def read(self, new: NewTask, placed: Any) -> Answer:
        """Be a claimant."""
        del new
        return Answer(placed)

    def begin(self, tick: Tick) -> None:
        """Be a dispatcher."""
        self.long_way.append(tick)

    def is_too_late(self, tick: Tick) -> bool:
        """Be a dispatcher."""
        return tick.entry.id == "late"

    def begun(self, tick: Tick) -> None:
        """Be a dispatcher."""

    async def forward(self, queues: Sequence[str]) -> Forwarded:
        """Be what moves tasks: there is no crowd here."""
        raise AssertionError(queues)

    async def conclude(self, tick: Tick, outcome: Answer | Exception) -> None:
        """Be a dispatcher."""
        self.concluded.append((tick.entry.id, getattr(outcome, "word", outcome)))


def _waves(table: Timetable, sent: Sent, *, timeout: float = 60.0, is_direct: bool = True) -> Waves:
    return Waves(table, sent, sent, sent, timeout=timeout, is_direct=is_direct)


def _due(*entries: Entry) -> tuple[Timetable, list[Tick]]:
    table = Timetable()
    for one in entries:
        table.add(one, NOON)
    return table, table.take_due(NOON + HOUR)


async def test_answers_are_dealt_with_when_all_are_there() -> None:
    """What follows from the first must not make the last one late."""
    table, ticks = _due(*(entry("@hourly", name) for name in "abc"))
    sent = Sent()
    waves = _waves(table, sent)
    waves.begin(waves.prepare(ticks, NOON), is_all=True)
    for future in sent.futures[:2]:
        future.set_result("taken")
    await asyncio.sleep(0)
    assert 0 < await waves.tick() < 0.1
    assert sent.concluded == []
    sent.futures[2].set_result("behind")
    await asyncio.sleep(0)
    assert await waves.tick() == float("inf")
    await waves.aclose()
    assert sent.concluded == [("a", "taken"), ("b", "taken"), ("c", "behind")]


async def test_what_is_prepared_is_not_older_than_its_time() -> None:
    """Else a task that expires soon would have less time than was said, or none."""
    table, ticks = _due(entry("@hourly", "a", expires_in=1), entry("@hourly", "b", expires_at=NOON + HOUR))
    sent = Sent()
    sent.now = (NOON + HOUR).timestamp() - 0.25
    waves = _waves(table, sent)
    waves.prepare(ticks, NOON)
    one, other = sent.envelopes
    assert one.enqueued_at == other.enqueued_at == sent.now + 0.25
    assert one.expires_at == sent.now + 1.25
    assert other.expires_at == sent.now + 1
    sent.now += 0.5  # what is late is made when it is sent
    waves.prepare(ticks[:1], NOON)
    assert sent.envelopes[2].enqueued_at == sent.now


async def test_an_entry_that_comes_back_from_redis_is_as_due_as_before() -> None:
    """Its zone has a name there; its time must not be lost for that, as the table gives it no other."""
    table, ticks = _due(entry("0 13 * * *", "x"))
    sent = Sent()
    waves = _waves(table, sent)
    prepared = waves.prepare(ticks, NOON)
    stored = define(
        PeriodicTask(" 0 13 * * *", Task("x", 2), id="x", timezone=ZoneInfo("UTC")), codecs=Codecs()
    )
    table.add(stored, NOON + HOUR - SECOND)
    assert table.take_due(NOON + HOUR) == []
    waves.begin(prepared, is_all=True)
    assert [tick.entry for tick in sent.long_way] == [stored]


async def test_what_is_not_answered_in_time_has_failed() -> None:
    """And holds up nobody."""
    table, ticks = _due(entry("@hourly", "x"))
    sent = Sent()
    waves = _waves(table, sent, timeout=0.01)
    waves.begin(waves.prepare(ticks, NOON), is_all=True)
    with pytest.raises(TimeoutError):
        await sent.futures[0]
    await waves.tick()
    await waves.aclose()
    ((name, error),) = sent.concluded
    assert (name, type(error), str(error)) == (
        "x",
        TimeoutError,
        "no answer within 0.01 s: it may be enqueued",
    )


async def test_what_has_changed_since_it_was_prepared_is_sent_as_it_is_now() -> None:
    """Or not at all, when it is gone or comes at other times."""
    names = ("removed", "changed", "moved", "late", "kept")
    table, ticks = _due(*(entry("@hourly", name) for name in names))
    sent = Sent()
    waves = _waves(table, sent)
    prepared = waves.prepare(ticks, NOON)
    table.remove("removed")
    table.add(entry("@hourly", "changed", "payload"), NOON + HOUR)
    table.add(entry("@daily", "moved"), NOON + HOUR)
    waves.begin(prepared, is_all=True)
    assert [(tick.entry.id, tick.entry.task.payload) for tick in sent.long_way] == [("changed", "payload")]
    assert len(sent.futures) == 1  # that of `kept`
    sent.futures[0].cancel()


async def test_what_was_prepared_before_an_entry_was_resumed_is_none_of_its_times() -> None:
    """Its interval begins anew, also if it was given another payload in the same moment."""
    table, ticks = _due(entry("@every 1h", "x"))
    sent = Sent()
    waves = _waves(table, sent)
    prepared = waves.prepare(ticks, NOON)
    table.remove("x")
    resumed = entry("@every 1h", "x", "payload")
    resumed.since = NOON + HOUR - SECOND
    table.add(resumed, resumed.since)
    waves.begin(prepared, is_all=True)
    assert (sent.long_way, sent.futures) == ([], [])
    assert resumed.next_at == NOON + 2 * HOUR - SECOND


async def test_where_somebody_has_a_word_before_each_takes_the_long_way() -> None:
    """`pre_enqueue` may take ten seconds."""
    table, ticks = _due(entry("@hourly", "x"))
    sent = Sent()
    waves = _waves(table, sent, is_direct=False)
    waves.begin(waves.prepare(ticks, NOON), is_all=True)
    assert (len(sent.long_way), sent.futures) == (1, [])


async def test_it_is_awake_when_a_time_comes() -> None:
    """A timer of the event loop may be late by a millisecond, which is much where a thousand follow."""
    clocked = Clocked(entry("@every 10s", "x"))
    await clocked.until(NOON + 9.9 * SECOND)
    wait = await clocked.ticker.tick()
    assert 0.098 <= wait <= 0.1 - 0.0009
    clocked.now = NOON + 9.9995 * SECOND
    assert await clocked.ticker.tick() == 0
    assert clocked.begun == []
