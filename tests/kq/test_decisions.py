"""What kq decides without Kafka: commits, lanes, chunks, partitions, verdicts."""

from __future__ import annotations

import asyncio
import math
import random
from typing import Any

import pytest
from aiokafka.partitioner import murmur2
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncq.errors import RetryIn, RevokeTask, SkipRetry
from asyncq.kq import Hash, LeastBytes, Murmur2, RoundRobin
from asyncq.kq.chunks import Chunk, Room
from asyncq.kq.lanes import Lanes
from asyncq.kq.ledger import Ledger
from asyncq.kq.verdicts import LONGEST_DELAY, Verdict, decide, delay_after

# --- the commit rule ---------------------------------------------------------------------------


@st.composite
def _lives(draw: st.DrawFn) -> list[tuple[str, int]]:
    """Messages are taken in order, with gaps, and finished in any order, some never."""
    steps = draw(st.lists(st.integers(1, 3), min_size=1, max_size=30))
    offsets = [sum(steps[: end + 1]) - 1 for end in range(len(steps))]
    untaken, open_, life = list(offsets), [], []
    while untaken or open_:
        what = draw(st.sampled_from(["take"] * bool(untaken) + ["finish", "stay"] * bool(open_)))
        if what == "take":
            open_.append(untaken.pop(0))
            life.append(("take", open_[-1]))
        else:
            offset = open_.pop(draw(st.integers(0, len(open_) - 1)))
            life += [("finish", offset)] * (what == "finish")
    return life


@given(_lives())
def test_nothing_unfinished_is_ever_passed(life: list[tuple[str, int]]) -> None:
    """In whatever order handlers end: what is committed leaves every unfinished message to come again."""
    ledger = Ledger("prefix")
    taken: list[int] = []
    finished: set[int] = set()
    committed = -1
    for what, offset in life:
        if what == "take":
            ledger.take(offset)
            taken.append(offset)
        else:
            ledger.finish(offset)
            finished.add(offset)
        number = ledger.committable
        unfinished = [one for one in taken if one not in finished]
        if number is not None:
            assert number > committed
            assert all(one >= number for one in unfinished)
            committed = number
            ledger.note_committed(number)
        # And nothing is held back: what is finished before the first unfinished one is committed.
        first = unfinished[0] if unfinished else math.inf
        assert committed == max([one + 1 for one in finished if one < first], default=-1)
        assert ledger.span == len([one for one in taken if one >= first])


@given(_lives())
def test_the_rule_of_go_queue_commits_the_highest(life: list[tuple[str, int]]) -> None:
    """`commit="max"` is for comparison: it passes what is unfinished."""
    ledger = Ledger("max")
    highest = -1
    for what, offset in life:
        if what == "take":
            ledger.take(offset)
            continue
        ledger.finish(offset)
        highest = max(highest, offset + 1)
        number = ledger.committable
        if number is not None:
            ledger.note_committed(number)
            assert number == highest


def test_what_go_queue_was_seen_to_commit() -> None:
    """ok, fail, ok without ForceCommit: the maximum, 3, in Go; 1 here, since the second is unfinished."""
    for rule, expected in (("max", 3), ("prefix", 1)):
        ledger = Ledger(rule)  # type: ignore[arg-type]
        for offset in (0, 1, 2):
            ledger.take(offset)
        ledger.finish(0)
        ledger.finish(2)
        assert ledger.committable == expected


def test_a_ledger_refuses_what_it_was_not_told() -> None:
    """A number that is wrong here is a message that is lost, so nothing is guessed."""
    ledger = Ledger()
    ledger.take(5)
    with pytest.raises(ValueError, match="5"):
        ledger.take(5)
    with pytest.raises(ValueError, match="4"):
        ledger.finish(4)
    ledger.finish(5)
    with pytest.raises(ValueError, match="5"):
        ledger.finish(5)


# --- lanes -------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(st.lists(st.sampled_from(["a", "b", None]), max_size=15), st.randoms(use_true_random=False))
def test_one_of_a_lane_at_a_time_and_in_order(lanes_of: list[str | None], chance: random.Random) -> None:
    """Whoever ends first: the next one of a lane begins when the last one is over; all get their turn."""
    lanes: Lanes[tuple[str | None, int]] = Lanes()
    for number, lane in enumerate(lanes_of):
        lanes.add((lane, number), lane)
    running: list[tuple[str | None, int]] = []
    begun: list[tuple[str | None, int]] = []
    while True:
        while (item := lanes.next()) is not None:
            assert item[0] is None or item[0] not in [lane for lane, _ in running]
            running.append(item)
            begun.append(item)
        if not running:
            break
        over = running.pop(chance.randrange(len(running)))
        if chance.random() < 0.3:  # tried again: its lane stays taken
            lanes.again(over)
            begun.remove(over)
        else:
            lanes.free(over[0])
    assert sorted(number for _, number in begun) == list(range(len(lanes_of)))
    for lane in ("a", "b"):
        mine = [number for name, number in begun if name == lane]
        assert mine == sorted(mine)


# --- chunks ------------------------------------------------------------------------------------


def test_a_chunk_is_sent_when_it_is_full() -> None:
    """As in go-queue: at the size, not above it; and only values count."""
    chunk: Chunk[str] = Chunk(10, 1.0)
    assert not chunk.add("a", 9, now=0.0)
    assert chunk.add("b", 1, now=0.0)
    assert chunk.take() == ["a", "b"]
    assert not chunk.add("c", 9, now=0.0)


def test_a_chunk_is_due_an_interval_after_its_first_message() -> None:
    """Later ones do not put it off."""
    chunk: Chunk[str] = Chunk(10, 1.0)
    assert chunk.due == math.inf
    chunk.add("a", 1, now=5.0)
    chunk.add("b", 1, now=5.9)
    assert chunk.due == 6.0
    chunk.take()
    assert chunk.due == math.inf
    assert len(chunk) == 0


def test_without_an_interval_nothing_waits() -> None:
    """`flush_interval=0` sends each message at once."""
    assert Chunk[str](10, 0.0).add("a", 1, now=0.0)


async def test_room_is_given_in_order() -> None:
    """A small message does not overtake a large one that waits, or the large one might wait for ever."""
    room = Room(10)
    await room.enter(8)
    order: list[str] = []

    async def come(name: str, size: int) -> None:
        await room.enter(size)
        order.append(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(come("large", 9))
        await asyncio.sleep(0)
        group.create_task(come("small", 1))
        await asyncio.sleep(0)
        assert order == []
        room.leave(8)
    assert order == ["large", "small"]
    assert room.taken == 10


async def test_a_message_larger_than_all_room_goes_alone() -> None:
    """Otherwise it would wait for ever."""
    room = Room(10)
    await room.enter(100)
    waiting = asyncio.ensure_future(room.enter(1))
    await asyncio.sleep(0)
    assert not waiting.done()
    room.leave(100)
    await waiting


async def test_who_stops_waiting_for_room_takes_none() -> None:
    """And those behind it are let in."""
    room = Room(10)
    await room.enter(10)
    first = asyncio.ensure_future(room.enter(10))
    second = asyncio.ensure_future(room.enter(1))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    room.leave(10)
    await second
    assert room.taken == 1


# --- partitions --------------------------------------------------------------------------------


def test_least_bytes_evens_out() -> None:
    """The way of go-queue: the partition that got the fewest bytes, the lowest of several."""
    balance = LeastBytes()
    assert [balance(b"k", size, (0, 1, 2)) for size in (10, 1, 5, 1, 1, 9)] == [0, 1, 2, 1, 1, 1]
    assert balance(b"k", 1, (0, 1, 2, 3)) == 0, "it begins again when there are other partitions"


def test_round_robin_takes_turns() -> None:
    """One after the other."""
    balance = RoundRobin()
    assert [balance(b"", 1, (0, 1, 2)) for _ in range(5)] == [0, 1, 2, 0, 1]


# Of Go's hash/fnv: fnv.New32a().
@pytest.mark.parametrize(("key", "number"), [(b"", 0x811C9DC5), (b"a", 0xE40C292C), (b"foobar", 0xBF9CF968)])
def test_hash_is_that_of_kafka_go(key: bytes, number: int) -> None:
    """FNV-1a, taken for a signed number, the remainder without its sign."""
    signed = number - 2**32 if number >= 2**31 else number
    for count in (1, 3, 7, 12):
        expected = abs(math.fmod(signed, count))
        assert Hash()(key, 1, range(count)) == expected


@given(st.binary(max_size=40), st.integers(1, 50))
def test_murmur2_is_that_of_kafkas_own_clients(key: bytes, count: int) -> None:
    """Aiokafka has the same function for its own partitioner."""
    assert Murmur2()(key, 1, range(count)) == (murmur2(key) & 0x7FFFFFFF) % count


@pytest.mark.parametrize("balance", [Hash(), Murmur2()])
def test_one_key_one_partition(balance: Any) -> None:
    """Or there would be no order."""
    places = {balance(b"order-7", size, range(6)) for size in range(20)}
    assert len(places) == 1


# --- verdicts ----------------------------------------------------------------------------------

_ERROR = ValueError("no")


@pytest.mark.parametrize(
    ("error", "attempt", "force", "most", "fate"),
    [
        (None, 1, True, None, "done"),
        (None, 1, False, None, "done"),
        (RevokeTask(), 1, False, None, "done"),
        (_ERROR, 1, True, None, "skipped"),
        (_ERROR, 1, True, 3, "again"),
        (_ERROR, 3, True, 3, "skipped"),
        (_ERROR, 1, False, None, "again"),
        (_ERROR, 1000, False, None, "again"),
        (_ERROR, 3, False, 3, "halt"),
        (SkipRetry(), 1, False, None, "skipped"),
        (RetryIn(2), 1, True, None, "again"),
        (RetryIn(2), 3, True, 3, "skipped"),
        (RetryIn(2, counts=False), 3, True, 3, "again"),
    ],
)
def test_verdicts(error: Any, attempt: int, force: bool, most: int | None, fate: str) -> None:  # noqa: FBT001 - a row
    """Without `force_commit` nothing that failed is skipped, unless its handler says so."""
    assert decide(error, attempt, force_commit=force, max_attempts=most).fate == fate


def test_a_handler_says_when_to_try_again() -> None:
    """`RetryIn` has a delay of its own."""
    assert decide(RetryIn(7), 1, force_commit=True, max_attempts=None) == Verdict("again", 7.0)


@given(st.integers(1, 10_000))
def test_delays_grow_and_are_bounded(attempt: int) -> None:
    """A message that fails for days is tried twice a minute, and not never."""
    longest = min(LONGEST_DELAY, 2.0 ** min(attempt - 1, 10))
    assert longest / 2 <= delay_after(attempt) <= longest
