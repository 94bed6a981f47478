"""Every loop of a server is a `Service`: started and stopped in any order, and what its failures mean."""

from __future__ import annotations

import asyncio
import logging
import math

import pytest

from asyncq import _service
from asyncq._service import BUGS_IN_A_ROW, Errands, Service, running
from asyncq.errors import AlreadyRunningError, BrokerUnavailableError
from tests.support.waiting import wait_until


class _Ticker(Service):
    """Ticks as it is told to: by a wait, by an error, or until it is cancelled."""

    def __init__(self, *script: float | Exception | str, then: float = math.inf) -> None:
        super().__init__("ticker")
        self.script = list(script)
        self.then = then
        self.ticks = 0
        self.cancelled = 0

    async def tick(self) -> float:
        self.ticks += 1
        step = self.script.pop(0) if self.script else self.then
        if isinstance(step, Exception):
            raise step
        if isinstance(step, str):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        assert isinstance(step, float | int)
        return step


def _never(error: BaseException) -> None:
    raise AssertionError(error)


async def _settle_down() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_started_twice_it_says_so() -> None:
    """Two loops of one service would do everything twice."""
    service = _Ticker()
    service.start(_never)
    with pytest.raises(AlreadyRunningError):
        service.start(_never)
    await _settle_down()
    assert (service.is_running, service.ticks) == (True, 1)
    await service.stop()


async def test_stopped_twice_or_before_it_began_it_does_nothing() -> None:
    """Whoever cleans up need not know how far things had come."""
    service = _Ticker()
    await service.stop()
    service.start(_never)
    await service.stop()
    await service.stop()
    assert not service.is_running


async def test_stopped_while_it_starts_it_never_ticks() -> None:
    """Not a single time."""
    service = _Ticker()
    service.start(_never)
    await service.stop()
    assert (service.is_running, service.ticks) == (False, 0)


async def test_stopped_in_the_middle_of_a_tick_it_is_interrupted() -> None:
    """And `stop` returns when the tick has ended."""
    service = _Ticker("hang")
    service.start(_never)
    await _settle_down()
    await service.stop()
    assert (service.cancelled, service.is_running) == (1, False)


async def test_it_can_be_started_again() -> None:
    """As often as one likes."""
    service = _Ticker()
    for round_ in range(1, 20):
        service.start(_never)
        await _settle_down()
        await service.stop()
        assert service.ticks == round_


async def test_many_starts_and_stops_at_once_leave_one_or_none() -> None:
    """Whatever their order, the loop is never there twice."""
    service = _Ticker(then=0.0)

    async def start() -> None:
        await asyncio.sleep(0)
        if not service.is_running:
            service.start(_never)

    for _ in range(20):
        await asyncio.gather(*(start() if number % 3 else service.stop() for number in range(30)))
        named = [task for task in asyncio.all_tasks() if task.get_name() == "asyncq ticker"]
        assert len(named) <= 1
    await asyncio.gather(*(service.stop() for _ in range(10)))
    assert not service.is_running


async def test_a_stop_that_is_cancelled_still_stops() -> None:
    """The loop has been told already."""
    service = _Ticker("hang")
    service.start(_never)
    await _settle_down()
    stopping = asyncio.ensure_future(service.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    await asyncio.wait([stopping])
    await _settle_down()
    assert not service.is_running


@pytest.mark.parametrize("wait", [math.inf, 3600.0])
async def test_a_poke_ends_the_wait(wait: float) -> None:
    """At once, and once for any number of pokes."""
    service = _Ticker(then=wait)
    async with running(service, _never):
        await _settle_down()
        for ticks in (2, 3):
            for _ in range(5):
                service.poke()
            await wait_until(lambda ticks=ticks: service.ticks == ticks, "another tick")
        await _settle_down()
        assert service.ticks == 3


async def test_a_poke_during_a_tick_is_not_forgotten() -> None:
    """What it is about may have come after the tick had looked."""
    service = _Ticker()

    async def tick() -> float:
        service.ticks += 1
        if service.ticks == 1:
            service.poke()
        return math.inf

    service.tick = tick  # type: ignore[method-assign]
    async with running(service, _never):
        await wait_until(lambda: service.ticks == 2, "the second tick")


async def test_ticks_without_a_wait_let_others_live() -> None:
    """A loop that has much to do is no reason to stop everything else."""
    service = _Ticker(then=0.0)
    async with running(service, _never):
        await wait_until(lambda: service.ticks > 100, "many ticks")


def _away() -> BrokerUnavailableError:
    return BrokerUnavailableError("there", "gone")


async def test_an_outage_is_logged_once_and_its_end_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it takes. Then everything goes on as before."""
    monkeypatch.setattr(_service, "FIRST_DELAY", 0.001)
    monkeypatch.setattr(Service, "longest_delay", 0.002)
    service = _Ticker(*(_away() for _ in range(50)))
    with caplog.at_level(logging.DEBUG):
        async with running(service, _never):
            await wait_until(lambda: service.ticks == 51, "Redis to be back")
            await _settle_down()
    assert [getattr(record, "event", "") for record in caplog.records] == ["redis_away", "redis_back"]
    assert getattr(caplog.records[1], "seconds", 0.0) > 0


async def test_the_third_bug_in_a_row_ends_it(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop that fails for ever in silence helps nobody: its owner is told, and why."""
    monkeypatch.setattr(_service, "LONGEST_DELAY", 0.001)
    broken: list[BaseException] = []
    service = _Ticker(*(ZeroDivisionError(str(number)) for number in range(10)))
    service.start(broken.append)
    await wait_until(lambda: broken, "the owner to be told")
    assert [str(error) for error in broken] == [str(BUGS_IN_A_ROW - 1)]
    assert not service.is_running
    assert [record.exc_info is not None for record in caplog.records] == [True] * BUGS_IN_A_ROW
    await service.stop()
    assert service.ticks == BUGS_IN_A_ROW


async def test_bugs_that_are_not_in_a_row_do_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two bugs, a good tick, two bugs. An outage between two bugs is no good tick."""
    monkeypatch.setattr(_service, "FIRST_DELAY", 0.001)
    monkeypatch.setattr(_service, "LONGEST_DELAY", 0.001)
    bug = ZeroDivisionError()
    service = _Ticker(bug, bug, 0.0, bug, bug, 0.0)
    async with running(service, _never):
        await wait_until(lambda: service.ticks == 7, "all ticks")
    broken: list[BaseException] = []
    service = _Ticker(bug, bug, _away(), bug)
    service.start(broken.append)
    await wait_until(lambda: broken, "the owner to be told")
    await service.stop()


async def test_a_block_that_fails_still_stops_it() -> None:
    """Nesting blocks is how the order of stopping is written."""
    service = _Ticker("hang")

    async def block() -> None:
        async with running(service, _never):
            await _settle_down()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await block()
    assert (service.cancelled, service.is_running) == (1, False)


# -- errands ----------------------------------------------------------------------------------------


async def test_errands_are_waited_for() -> None:
    """Also those that an errand starts."""
    errands = Errands()
    done: list[str] = []

    async def first() -> None:
        await asyncio.sleep(0)
        errands.start(second(), name="second")
        done.append("first")

    async def second() -> None:
        await asyncio.sleep(0)
        done.append("second")

    errands.start(first(), name="first")
    assert errands.are_under_way
    await errands.finish()
    assert done == ["first", "second"]
    assert not errands.are_under_way


async def test_errands_are_waited_for_so_long() -> None:
    """And then cancelled; one that does not obey is left behind."""
    errands = Errands()
    let_go = asyncio.Event()

    async def stubborn() -> None:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue

    task = errands.start(stubborn(), name="stubborn")
    await errands.finish(0.01)
    await errands.cancel(0.01)
    assert errands.are_under_way
    let_go.set()
    await task
    await errands.finish()
