"""A group of services: they begin together, break together, and leave one after another."""

from __future__ import annotations

import asyncio
import math
from datetime import timedelta
from typing import Any

import pytest

from asyncq.app import App, ServiceGroup, Shutdown, with_start
from asyncq.app import group as group_module
from asyncq.errors import AlreadyRunningError, ClosedError, ConfigError, NotStartedError
from asyncq.mux import Mux
from asyncq.scheduler import Scheduler
from asyncq.server import Server
from tests.support.waiting import wait_until

NOWHERE = "redis://127.0.0.1:1/0"


class Teller:
    """A service that says what happens to it."""

    def __init__(self, name: str, said: list[str]) -> None:
        self.name = name
        self.said = said
        self.ended = asyncio.Event()

    async def start(self) -> None:
        """Run."""
        self.said.append(f"{self.name} starts")
        await self.ended.wait()
        self.said.append(f"{self.name} ends")

    async def stop(self) -> None:
        """End."""
        self.said.append(f"{self.name} stops")
        self.ended.set()


class Stubborn(Teller):
    """One that does not stop when it is asked to."""

    async def stop(self) -> None:
        """End."""
        self.said.append(f"{self.name} stops")
        await asyncio.Event().wait()


class Deaf(Teller):
    """One that does not even end when it is cancelled, until the test lets it."""

    def __init__(self, name: str, said: list[str]) -> None:
        super().__init__(name, said)
        self.mercy = asyncio.Event()

    async def start(self) -> None:
        """Run."""
        while not self.mercy.is_set():
            try:
                await self.mercy.wait()
            except asyncio.CancelledError:
                self.said.append(f"{self.name} ignores it")

    async def stop(self) -> None:
        """End."""
        self.said.append(f"{self.name} stops")


async def _serving(group: ServiceGroup, said: list[str], count: int) -> asyncio.Task[None]:
    task = asyncio.ensure_future(group.start())
    await wait_until(lambda: len(said) == count, "all services to start")
    return task


async def test_starting_blocks_until_all_have_ended() -> None:
    """One that ends is no end of the others; the last one is the end of the group."""
    said: list[str] = []
    one, two = Teller("one", said), Teller("two", said)
    group = ServiceGroup().add(one).add(two)
    serving = await _serving(group, said, 2)
    one.ended.set()
    await wait_until(lambda: "one ends" in said, "one to end")
    assert not serving.done()
    two.ended.set()
    await serving
    assert said[:2] == ["one starts", "two starts"]


async def test_stopping_is_one_after_another_the_last_one_first() -> None:
    """Each has ended before the next one is asked. Asking twice, and later, does nothing."""
    said: list[str] = []
    group = ServiceGroup()
    for name in ("one", "two", "three"):
        group.add(Teller(name, said))
    serving = await _serving(group, said, 3)
    await asyncio.gather(group.stop(), group.stop())
    await group.stop()
    await serving
    order = [f"{name} {what}" for name in ("three", "two", "one") for what in ("stops", "ends")]
    assert said[3:] == order


async def test_a_service_that_fails_stops_the_group_and_is_named() -> None:
    """Its own error is raised, so that it can be caught as what it is."""
    said: list[str] = []

    async def fail() -> None:
        await asyncio.sleep(0)
        raise KeyError("why")

    group = ServiceGroup().add(Teller("one", said)).add(with_start(fail))
    with pytest.raises(KeyError, match="why") as caught:
        await group.start()
    assert caught.value.__notes__ == ["raised by the service 'fail' of a group"]
    assert said == ["one starts", "one stops", "one ends"]
    with pytest.raises(KeyError):
        await group.wait()


async def test_the_first_error_is_the_one_of_the_group(caplog: pytest.LogCaptureFixture) -> None:
    """What fails while the others leave is logged."""

    class Sore(Teller):
        async def stop(self) -> None:
            await super().stop()
            raise ValueError("sore")

    async def fail() -> None:
        raise KeyError("first")

    with pytest.raises(KeyError, match="first"):
        await ServiceGroup().add(Sore("sore", [])).add(with_start(fail)).start()
    failed = [record for record in caplog.records if getattr(record, "event", "") == "service_failed"]
    assert [vars(record)["service"] for record in failed] == ["fail", "sore"]


async def test_one_that_hangs_does_not_keep_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """Its time is over, it is cancelled, and the next one is stopped."""
    said: list[str] = []
    group = ServiceGroup().add(Teller("one", said)).add(Stubborn("two", said), stop_timeout=0.05)
    serving = await _serving(group, said, 2)
    await group.stop()
    await serving
    assert said[2:] == ["two stops", "one stops", "one ends"]
    assert "service_hangs" in {getattr(record, "event", "") for record in caplog.records}


async def test_one_that_ignores_cancellation_is_left_alone(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for it for ever."""
    monkeypatch.setattr(group_module, "CANCEL_PATIENCE", 0.05)
    said: list[str] = []
    deaf = Deaf("deaf", said)
    group = ServiceGroup().add(Teller("one", said)).add(deaf, stop_timeout=0.05)
    serving = await _serving(group, said, 1)
    await group.stop()
    await serving
    assert said[1:] == ["deaf stops", "deaf ignores it", "one stops", "one ends"]
    assert "service_stuck" in {getattr(record, "event", "") for record in caplog.records}
    deaf.mercy.set()


async def test_in_a_hurry_everything_is_cancelled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second order does not wait for what the first one waits for."""
    monkeypatch.setattr(group_module, "HURRY_PATIENCE", 0.05)
    said: list[str] = []
    group = ServiceGroup().add(Teller("one", said)).add(Stubborn("two", said), stop_timeout=math.inf)
    serving = await _serving(group, said, 2)
    stopping = asyncio.ensure_future(group.stop())
    await wait_until(lambda: "two stops" in said, "the second one to be stopped")
    await group.stop(now=True)
    await asyncio.gather(stopping, serving)
    assert said[2:] == ["two stops", "one stops"]


async def test_stopped_before_it_was_started() -> None:
    """A program that is told to leave while it is put together does not begin, and lets go what it has."""
    said: list[str] = []
    group = ServiceGroup().add(Teller("one", said))
    await group.stop()
    await group.start()
    assert said == ["one stops"]
    await ServiceGroup().stop()


async def test_cancelling_leaves_in_order() -> None:
    """And the cancellation goes on afterwards."""
    said: list[str] = []
    group = ServiceGroup().add(Teller("one", said)).add(Teller("two", said))
    serving = await _serving(group, said, 2)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert said[2:] == ["two stops", "two ends", "one stops", "one ends"]


async def test_a_service_may_stop_its_group() -> None:
    """It does not wait for itself."""
    group = ServiceGroup()

    async def leave() -> None:
        await group.stop()

    await group.add(with_start(leave)).start()


async def test_a_block_and_what_happens_in_it() -> None:
    """Everything has begun inside, and has left behind it."""
    said: list[str] = []
    group = ServiceGroup().add(Teller("one", said))
    async with group:
        assert said == ["one starts"]
    assert said == ["one starts", "one stops", "one ends"]
    with pytest.raises(ClosedError):
        async with group:
            pass


async def test_a_block_whose_services_fail() -> None:
    """An error of a service is raised at the end, unless the block has one of its own."""
    failing = asyncio.Event()

    async def fail() -> None:
        await failing.wait()
        raise KeyError("why")

    async def inside() -> None:
        async with ServiceGroup().add(with_start(fail)) as group:
            failing.set()
            with pytest.raises(KeyError):
                await group.wait()

    with pytest.raises(KeyError):
        await inside()
    with pytest.raises(LookupError, match="own"):
        async with ServiceGroup().add(Teller("one", [])):
            raise LookupError("own")


async def test_a_group_in_a_group() -> None:
    """It is a service like any other."""
    said: list[str] = []
    inner = ServiceGroup().add(Teller("one", said)).add(Teller("two", said))
    outer = ServiceGroup().add(inner).add(Teller("three", said))
    serving = await _serving(outer, said, 3)
    await outer.stop()
    await serving
    assert [line for line in said if line.endswith("stops")] == ["three stops", "two stops", "one stops"]
    assert inner.shutdown_timeout == 10.0


async def test_a_function_as_a_service() -> None:
    """Stopping cancels it; what it does about that is its own affair."""
    said: list[object] = []

    async def poll(what: str) -> None:
        said.append(what)
        try:
            await asyncio.Event().wait()
        finally:
            said.append("over")

    service = with_start(poll, "bank")
    assert vars(service)["name"] == "poll"
    async with ServiceGroup().add(service):
        await wait_until(lambda: said == ["bank"], "it to start")
    assert said == ["bank", "over"]
    stopped = with_start(poll, "never", name="other")
    await stopped.stop()
    await stopped.start()
    assert said == ["bank", "over"]


@pytest.mark.parametrize(
    ("service", "mux", "expected"),
    [
        (object(), None, "service="),
        (Teller, None, "service="),
        (Server(NOWHERE), None, "a Mux"),
        (Scheduler(NOWHERE), Mux(), "only a Server has a mux"),
    ],
    ids=["no service", "a class", "no mux", "a mux too many"],
)
def test_what_is_no_service_is_refused(service: Any, mux: Mux | None, expected: str) -> None:
    """Before anything has begun."""
    with pytest.raises(ConfigError, match=expected):
        ServiceGroup().add(service, mux)


async def test_wrong_moments() -> None:
    """Each says what is wrong."""
    group = ServiceGroup()
    with pytest.raises(ConfigError, match=r"group\.add"):
        await group.start()
    with pytest.raises(NotStartedError):
        await group.wait()
    one = Teller("one", [])
    group.add(one)
    with pytest.raises(ConfigError, match="once"):
        group.add(one)
    async with group:
        with pytest.raises(AlreadyRunningError):
            await group.start()
        with pytest.raises(AlreadyRunningError):
            group.add(Teller("two", []))
        with pytest.raises(AlreadyRunningError, match=r"await group\.start"):
            group.run()
    with pytest.raises(ClosedError):
        await group.start()
    with pytest.raises(ConfigError, match="coroutine"):
        with_start(print)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"wrap_up_time": -1}, "wrap_up_time=-1"),
        ({"wait_time": "5s"}, "wait_time='5s'"),
        ({"wrap_up_time": 3, "wait_time": 2}, "at least wrap_up_time, 3 s"),
    ],
)
def test_times_that_cannot_be(given: dict[str, Any], expected: str) -> None:
    """All of them are said at once."""
    with pytest.raises(ConfigError, match=expected):
        Shutdown(**given)


def test_times_of_leaving() -> None:
    """go-zero's, unless a service needs longer or the program says something else."""
    assert Shutdown().limit([]) == 5.5
    assert Shutdown(wrap_up_time=10).limit([0.0]) == 14.5
    assert Shutdown().limit([13.0, 8.0]) == 26.5
    assert Shutdown(wait_time=timedelta(seconds=4)).limit([13.0]) == 4.0
    assert Shutdown(wait_time=math.inf).limit([13.0]) == math.inf


async def test_doors_that_were_told_to_leave_before_they_began() -> None:
    """Redis is not there yet, and an order to leave does not wait for it."""
    group = ServiceGroup()
    group.add(Server(NOWHERE, start_patience=60), Mux())
    group.add(Scheduler(NOWHERE, start_patience=60))
    group.add(App(schedulers=[Scheduler(NOWHERE, start_patience=60)]))
    serving = asyncio.ensure_future(group.start())
    await asyncio.sleep(0)
    await group.stop()
    await serving
