"""How a user's aggregator is called, and for how long a group is left alone when it fails."""

from __future__ import annotations

import asyncio
import threading

import pytest

from asyncq._broker.groups import AggregationSet
from asyncq._engine.aggregation import Aggregation
from asyncq._engine.aggregator import LONGEST_BACKOFF, MOST_LEFT_ALONE, Backoffs
from asyncq.codecs import Codecs
from asyncq.errors import ConfigError, HandlerCrashedError
from asyncq.task import Task


def _aggregation(function: object, *, time_limit: float = 5.0) -> Aggregation:
    return Aggregation(function, Codecs(), at_once=2, time_limit=time_limit)  # type: ignore[arg-type]


async def test_the_new_task_is_composed_with_its_own_options() -> None:
    """In the queue of its group, if it names no other. Nothing of the single tasks is passed on."""
    new = await _aggregation(lambda group, tasks: Task("t", [group, len(tasks)], retention=5)).ask(
        "q", "g", [Task("one", unique=60, group="g")]
    )
    assert (new.queue, new.envelope.retention, new.unique_ttl, new.envelope.group) == ("q", 5.0, 0.0, "")
    other = await _aggregation(lambda group, tasks: Task("t", queue="r", group="g")).ask("q", "g", [])
    assert (other.queue, other.envelope.group) == ("r", "g")


@pytest.mark.parametrize("answer", [None, "t", {"type": "t"}, [Task("t")], Task("t", group="g")])
async def test_nonsense_is_refused(answer: object) -> None:
    """With a sentence that says what was expected."""
    with pytest.raises(ConfigError, match="group_aggregator"):
        await _aggregation(lambda group, tasks: answer).ask("q", "g", [])


async def test_what_would_end_the_loop_is_wrapped() -> None:
    """`sys.exit()` in an aggregator ends no server."""

    def leave(_: str, __: list[Task]) -> Task:
        raise SystemExit(1)

    async def cancel(_: str, __: list[Task]) -> Task:
        raise asyncio.CancelledError

    for function in (leave, cancel):
        with pytest.raises(HandlerCrashedError):
            await _aggregation(function).ask("q", "g", [])


async def test_a_cancellation_from_outside_is_one() -> None:
    """The server leaves: it must not wait for the aggregator."""
    began = asyncio.Event()

    async def forever(_: str, __: list[Task]) -> Task:
        began.set()
        await asyncio.Event().wait()
        raise AssertionError

    asking = asyncio.ensure_future(_aggregation(forever).ask("q", "g", []))
    await began.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_it_does_not_take_for_ever(kind: str) -> None:
    """A thread goes on, and nobody waits for it."""
    gate = threading.Event()

    async def forever(_: str, __: list[Task]) -> Task:
        await asyncio.Event().wait()
        raise AssertionError

    def blocks(_: str, __: list[Task]) -> Task:
        gate.wait(10)
        return Task("t")

    try:
        with pytest.raises(TimeoutError):
            await _aggregation(forever if kind == "async" else blocks, time_limit=0.05).ask("q", "g", [])
    finally:
        gate.set()


def _set(name: str) -> AggregationSet:
    return AggregationSet("q", name.encode(), b"key", 1)


def test_a_group_that_fails_is_left_alone_for_longer_each_time() -> None:
    """Up to a minute; and no longer once it could be aggregated."""
    backoffs, now, delays = Backoffs(), 1000.0, []
    for _ in range(8):
        delays.append(backoffs.note(_set("g"), now))
        assert backoffs.at(now) == ({"q": [b"g"]}, now + delays[-1])
        now += delays[-1]
        assert backoffs.at(now) == ({}, None)
    assert delays == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    backoffs.forget(_set("g"))
    assert backoffs.note(_set("g"), now) == 1.0


def test_what_failed_long_ago_is_forgotten() -> None:
    """Its tasks went elsewhere, and the name may be used again."""
    backoffs = Backoffs()
    backoffs.note(_set("g"), 0.0)
    backoffs.at(10 * LONGEST_BACKOFF)
    assert backoffs.note(_set("g"), 10 * LONGEST_BACKOFF) == 1.0


def test_when_very_many_fail_all_are_left_alone() -> None:
    """The reason is in the function, not in the groups; and each look would carry all of the names."""
    backoffs = Backoffs()
    for number in range(MOST_LEFT_ALONE + 1):
        backoffs.note(_set(f"g{number}"), 0.0)
    assert backoffs.at(0.5) == (None, 1.0)
