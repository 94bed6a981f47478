"""The fetcher asks for as much as it can use, when there may be something, and forgets no message."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from typing import Any, cast

import pytest

from asyncq._broker.deliver import Delivery
from asyncq._engine import fetcher as module
from asyncq._engine.fetcher import LANES, SMALLEST_SHARE, Fetcher
from asyncq._wire.keys import Keys
from asyncq.errors import AsyncqError, BrokerReplyError, ClosedError
from tests.support.waiting import wait_until


class _Asked:
    """One call on its way."""

    def __init__(
        self, names: list[str], want: int, lane: int, answer: Callable[[list[Delivery]], None]
    ) -> None:
        self.names = names
        self.want = want
        self.lane = lane
        self._answer = answer
        self.fail: Callable[[AsyncqError], None]

    def give(self, count: int) -> None:
        """Answer with so many tasks."""
        self._answer([cast("Delivery", object())] * count)


class _Neighbours:
    """The basis and the deliver area as the fetcher sees them, and the executor's slots."""

    def __init__(self, slots: dict[int, list[str]], free: int) -> None:
        self.slots = slots
        self.free = free
        self.calls: list[_Asked] = []
        self.aside: list[list[str]] = []
        self.taken = 0
        self.given_back = 0
        self.most_asked = 0

    def by_slot(self, queues: Iterable[str]) -> dict[int, list[str]]:
        assert set(queues) == {name for names in self.slots.values() for name in names}
        return self.slots

    def queue(self, name: str) -> Any:
        return Keys().queue(name)

    def request(self, asks: Any, want: int, *, lane: int, on_delivered: Any, on_failure: Any) -> None:
        assert sum(quota for _, quota in asks) >= want
        assert (lane, [name for name, _ in asks]) not in [(call.lane, call.names) for call in self.calls]
        asked = _Asked([name for name, _ in asks], want, lane, on_delivered)
        asked.fail = on_failure
        self.calls.append(asked)
        self.most_asked = max(self.most_asked, sum(call.want for call in self.calls))

    def step_aside(self, names: Any, *, on_done: Callable[[], None]) -> None:
        self.aside.append(list(names))
        asyncio.get_running_loop().call_soon(on_done)

    def take(self, deliveries: list[Delivery]) -> None:
        assert len(deliveries) <= self.free, "more than there is room for"
        self.free -= len(deliveries)
        self.taken += len(deliveries)

    def give_back(self, deliveries: list[Delivery]) -> None:
        self.given_back += len(deliveries)

    def answer(self, count: int, call: int = 0) -> None:
        """Answer the oldest call, or another."""
        self.calls.pop(call).give(count)


async def _turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def _started(neighbours: _Neighbours, **options: Any) -> Fetcher:
    queues = {name: 1 for names in neighbours.slots.values() for name in names}
    any_ = cast("Any", neighbours)
    given: dict[str, Any] = {
        "strict": False,
        "lease": 60.0,
        "interval": 60.0,
        "concurrency": neighbours.free,
        **options,
    }
    fetcher = Fetcher(
        any_,
        any_,
        given.pop("queues", queues),
        free=lambda: neighbours.free,
        take=neighbours.take,
        give_back=neighbours.give_back,
        **given,
    )
    fetcher.start()
    await _turn()
    return fetcher


async def _stopped(fetcher: Fetcher, neighbours: _Neighbours) -> None:
    stopping = asyncio.ensure_future(fetcher.stop())
    await _turn()
    while neighbours.calls:
        neighbours.answer(0)
    await stopping


def _waiting(queue: str = "a") -> bytes:
    return Keys().queue(queue).waiting.encode()


async def test_it_asks_for_what_is_free_and_for_no_more() -> None:
    """Also over several calls at once."""
    there = _Neighbours({0: ["a"]}, free=5)
    fetcher = await _started(there)
    assert [call.want for call in there.calls] == [5]
    there.answer(5)
    await _turn()
    assert there.calls == []
    there.free = 2
    fetcher.slot_free()
    await _turn()
    assert [call.want for call in there.calls] == [2]
    await _stopped(fetcher, there)


async def _with_two_calls() -> tuple[_Neighbours, Fetcher]:
    there = _Neighbours({0: ["a"]}, free=10 * SMALLEST_SHARE)
    fetcher = await _started(there)
    there.answer(5 * SMALLEST_SHARE)
    there.free = 10 * SMALLEST_SHARE
    fetcher.slot_free()
    await _turn()
    return there, fetcher


async def test_large_wishes_are_shared_by_two_calls_as_soon_as_there_is_enough() -> None:
    """So that Redis has something to do while we run what it gave."""
    there, fetcher = await _with_two_calls()
    assert [call.want for call in there.calls] == [5 * SMALLEST_SHARE] * LANES
    await _stopped(fetcher, there)


async def test_an_answer_of_less_than_it_wanted_ends_its_hunger() -> None:
    """From then on Redis sends a message."""
    there = _Neighbours({0: ["a"]}, free=5)
    fetcher = await _started(there)
    there.answer(3)
    await _turn()
    fetcher.slot_free()
    await _turn()
    assert there.calls == []
    fetcher.wake(_waiting())
    assert [call.want for call in there.calls] == [2]
    await _stopped(fetcher, there)


async def test_a_message_that_overtakes_the_answer_is_not_forgotten() -> None:
    """They come on different connections; the task would wait for the safety poll."""
    there = _Neighbours({0: ["a"]}, free=5)
    fetcher = await _started(there)
    fetcher.wake(_waiting())
    assert len(there.calls) == 1
    there.answer(0)
    await _turn()
    assert [call.want for call in there.calls] == [5]
    for _ in range(2):  # once more because it had passed the message on, meanwhile
        there.answer(0)
        await _turn()
    assert there.calls == []
    await _stopped(fetcher, there)


async def test_a_message_that_overtakes_two_answers_is_not_forgotten() -> None:
    """Nor when both come at once: the second must not undo what the first left."""
    there, fetcher = await _with_two_calls()
    assert len(there.calls) == LANES
    fetcher.wake(_waiting())
    for _ in range(LANES):
        there.answer(0)
    await _turn()
    assert there.calls
    await _stopped(fetcher, there)


@pytest.mark.parametrize("key", [_waiting(), b"of a queue that is not ours"])
async def test_a_message_it_cannot_act_on_is_passed_on(key: bytes) -> None:
    """All slots are taken: somebody else may be idle."""
    there = _Neighbours({0: ["a"]}, free=1)
    fetcher = await _started(there)
    there.answer(1)
    await _turn()
    fetcher.wake(key)
    await _turn()
    assert there.aside == ([["a"]] if key == _waiting() else [])
    assert there.calls == []
    there.free = 1
    fetcher.slot_free()
    await _turn()
    assert len(there.calls) == 1, "what it heard while it was full it has not forgotten"
    await _stopped(fetcher, there)


async def test_a_message_is_for_one_source_and_silence_for_all() -> None:
    """In a cluster each queue may be somewhere else."""
    there = _Neighbours({1: ["a"], 2: ["b"]}, free=5)
    fetcher = await _started(there)
    for _ in range(2):
        there.answer(0)
        await _turn()
    assert there.calls == []
    fetcher.wake(_waiting("b"))
    assert [call.names for call in there.calls] == [["b"]]
    there.answer(0)
    await _turn()
    fetcher.wake()
    names = []
    while there.calls:
        names += there.calls[0].names
        there.answer(0)
        await _turn()
    assert sorted(names) == ["a", "b"]
    await _stopped(fetcher, there)


async def test_strict_priority_waits_for_the_answer_of_the_higher_rank() -> None:
    """A lower one may be asked only when all above are known to be empty."""
    there = _Neighbours({1: ["low"], 2: ["high"]}, free=5)
    fetcher = await _started(there, strict=True, queues={"high": 2, "low": 1})
    assert [call.names for call in there.calls] == [["high"]]
    there.answer(2)
    await _turn()
    assert [call.names for call in there.calls] == [["low"]]
    fetcher.wake(_waiting("high"))
    there.answer(1)
    await _turn()
    assert [call.names for call in there.calls] == [["high"]]
    await _stopped(fetcher, there)


@pytest.mark.parametrize("strict", [False, True])
async def test_a_source_that_does_not_answer_keeps_no_slots(
    monkeypatch: pytest.MonkeyPatch, *, strict: bool
) -> None:
    """A node of a cluster that is away is no reason to leave the queues of the others alone."""
    monkeypatch.setattr(module, "OVERDUE_AFTER", 0.01)
    neighbours = _Neighbours({1: ["a"], 2: ["b"]}, free=3)
    fetcher = await _started(neighbours, strict=strict, queues={"a": 2, "b": 1})
    first = neighbours.calls[0]
    await wait_until(lambda: len(neighbours.calls) == 2, "the other source to be asked")
    assert {call.names[0] for call in neighbours.calls} == {"a", "b"}
    assert first is neighbours.calls[0]
    neighbours.answer(1, call=1)
    await _turn()
    # The late answer fills what is free now, and what is too much goes back.
    kept = sum(call.want for call in neighbours.calls[1:])
    neighbours.answer(3)
    assert (neighbours.taken, neighbours.given_back) == (3 - kept, 1 + kept)
    await _stopped(fetcher, neighbours)


async def test_it_asks_now_and_then_although_it_heard_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages can be missed."""
    there = _Neighbours({0: ["a"]}, free=5)
    fetcher = await _started(there, interval=0.01)
    for _ in range(3):
        there.answer(0)
        await _turn()
        await wait_until(lambda: there.calls, "the safety poll")
    await _stopped(fetcher, there)


async def test_after_an_answer_that_makes_no_sense_it_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a moment, and not in a frenzy."""
    monkeypatch.setattr(module, "AFTER_FAILURE", 0.01)
    there = _Neighbours({0: ["a"]}, free=5)
    fetcher = await _started(there)
    there.calls.pop(0).fail(BrokerReplyError("deliver", b"?"))
    await _turn()
    assert there.calls == []
    await wait_until(lambda: there.calls, "another try")
    there.calls.pop(0).fail(ClosedError("the connection"))
    await _stopped(fetcher, there)


async def test_stopping_waits_for_the_answer_and_sends_messages_elsewhere() -> None:
    """What the answer brings is the executor's, which gives it back."""
    there = _Neighbours({1: ["a"], 2: ["b"]}, free=5)
    fetcher = await _started(there)
    stopping = asyncio.ensure_future(fetcher.stop())
    await _turn()
    assert not stopping.done()
    there.answer(2)
    await stopping
    assert there.taken == 2
    assert sorted(there.aside) == [["a"], ["b"]]
    fetcher.wake(_waiting("a"))
    fetcher.slot_free()
    await _turn()
    assert there.calls == []


async def test_stopping_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis is away."""
    monkeypatch.setattr(module, "STOP_PATIENCE", 0.01)
    there = _Neighbours({0: ["a"]}, free=5)
    fetcher = await _started(there)
    await fetcher.stop()
    there.answer(1)
    assert there.taken == 1


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_happens_it_never_asks_for_more_than_is_free(seed: int) -> None:
    """Answers, messages and slots in any order; and in the end it has fetched all there was."""
    draw = random.Random(seed)
    slots = draw.choice([{0: ["a", "b"]}, {1: ["a"], 2: ["b"]}])
    concurrency = draw.choice([1, 3, 40, 200])
    there = _Neighbours(slots, free=concurrency)
    fetcher = await _started(there)
    ready = dict.fromkeys(slots, 0)
    created = 0
    for _ in range(300):
        step = draw.random()
        slot = draw.choice(list(slots))
        if step < 0.4 and there.calls:
            call = there.calls[index := draw.randrange(len(there.calls))]
            of = next(number for number, names in slots.items() if names[0] in call.names)
            count = min(call.want, ready[of])
            ready[of] -= count
            there.answer(count, index)
        elif step < 0.6:
            more = draw.randrange(1, 50)
            created, ready[slot] = created + more, ready[slot] + more
            fetcher.wake(_waiting(slots[slot][0]))
        elif there.free < concurrency:
            there.free += 1
            fetcher.slot_free()
        await asyncio.sleep(0)
        assert sum(call.want for call in there.calls) <= there.free
    while sum(ready.values()) or there.calls:
        while there.calls:
            of = next(number for number, names in slots.items() if names[0] in there.calls[0].names)
            count = min(there.calls[0].want, ready[of])
            ready[of] -= count
            there.answer(count)
        there.free = concurrency
        fetcher.slot_free()
        await _turn()
        assert there.calls or not sum(ready.values()), "there is work, and nobody asks for it"
    assert there.taken == created
    await _stopped(fetcher, there)


async def test_it_says_when_it_rests_and_can_be_roused() -> None:
    """Whoever watches the queues reads what is there then, and passes on what others put there."""
    there = _Neighbours({0: ["a", "b"], 1: ["c"]}, free=5)
    fetcher = await _started(there)
    rests: list[list[str]] = []
    fetcher.on_rest = lambda queues: rests.append(sorted(queues))
    while there.calls:
        there.answer(len(there.calls[0].names))  # as many as it has queues: never all that was wanted
        await _turn()
    assert sorted(rests) == [["a", "b"], ["c"]]
    assert fetcher.taken == 3
    fetcher.rouse("b")
    assert [call.names for call in there.calls] == [["a", "b"]]
    assert (fetcher.is_asking("a"), fetcher.is_asking("c")) == (True, False)
    there.answer(there.calls[0].want)
    await _turn()
    assert len(rests) == 2, "it has not asked for all there is"
    there.free = 0
    fetcher.rouse("c")
    assert there.calls == there.aside == []
    await _stopped(fetcher, there)


async def test_a_rouse_that_overtakes_the_answer_is_not_forgotten() -> None:
    """As little as a message."""
    there = _Neighbours({0: ["a"]}, free=5)
    fetcher = await _started(there)
    rests: list[object] = []
    fetcher.on_rest = rests.append
    fetcher.rouse("a")
    there.answer(0)
    await _turn()
    assert rests == []
    there.answer(0)
    assert len(rests) == 1
    await _stopped(fetcher, there)
