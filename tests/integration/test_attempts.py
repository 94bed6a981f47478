"""What a task keeps of deliveries that did not succeed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from asyncq import Client, Inspector, Mux, SkipRetry, Task
from asyncq.inspector import Attempt
from tests.conftest import AnyRedis
from tests.integration.serving import at_work
from tests.support.waiting import wait_until


class Odd(Exception):  # noqa: N818 - as users name theirs
    """An error that cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


def _inner() -> None:
    raise LookupError("no <b>address</b>")


async def _told(inspector: Inspector, task_id: str, count: int) -> tuple[Attempt, ...]:
    async def is_there() -> bool:
        info = await inspector.tasks.get("default", task_id)
        return len(info.attempts) >= count or info.state in ("archived", "completed")

    await wait_until(is_there, f"{count} attempts")
    return (await inspector.tasks.get("default", task_id)).attempts


@pytest.mark.parametrize("wire", ["native", "asynq"])
async def test_each_failure_is_kept_with_its_traceback(any_redis: AnyRedis, wire: str) -> None:
    """Until it is archived, and while it waits; a list does not carry them."""
    mux = Mux()
    turn = iter(range(10))

    @mux.handle("x")
    async def fail(_: Task) -> None:
        match next(turn):
            case 0:
                _inner()
            case 1:
                try:
                    _inner()
                except LookupError as error:
                    raise ValueError("wrapped") from error
            case 2:
                raise ExceptionGroup("several", [Odd(), KeyError("a")])
            case _:
                raise SkipRetry("enough")

    how: Any = {"wire": wire, "retry": lambda *_: 0.01}
    async with (
        at_work(any_redis.url, mux, **how) as (_, server),
        Client(any_redis.url, wire=wire) as client,
        Inspector(any_redis.url, wire=wire) as inspector,
    ):
        task = await client.enqueue(Task("x"))
        found = await _told(inspector, task.id, 4)
        assert [(one.number, one.outcome) for one in found] == [
            (1, "retry"), (2, "retry"), (3, "retry"), (4, "skip_retry"),
        ]  # fmt: skip
        assert {one.server_id for one in found} == {server.id}
        for one in found:
            assert one.started_at is not None
            assert one.ended_at is not None
            assert one.started_at <= one.ended_at
        first, second, third, last = found
        assert first.error == "LookupError: no <b>address</b>"
        assert "in _inner" in first.traceback
        assert "asyncq/_engine" not in first.traceback
        assert first.traceback.endswith("LookupError: no <b>address</b>\n")
        assert second.traceback.index("LookupError") < second.traceback.index("ValueError: wrapped")
        assert "its text could not be made" in third.traceback
        assert "KeyError" in third.traceback
        assert last.error == "SkipRetry: enough"
        info = await inspector.tasks.get("default", task.id)
        assert (info.reason, info.last_error) == ("skip_retry", last.error)
        assert info.delivered_at == last.started_at
        assert [one.attempts for one in await inspector.tasks.list("default", "archived")] == [()]


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
@pytest.mark.parametrize(("keep", "kept"), [(0, []), (2, [4, 5]), (10, [1, 2, 3, 4, 5])])
async def test_so_many_are_kept(any_redis: AnyRedis, keep: int, kept: list[int]) -> None:
    """The last ones; none, if nobody wants them."""
    mux = Mux()

    @mux.handle("x")
    async def fail(_: Task) -> None:
        raise ValueError

    async with (
        at_work(any_redis.url, mux, keep_attempts=keep, retry=lambda *_: 0.01) as (client, _),
        Inspector(any_redis.url) as inspector,
    ):
        task = await client.enqueue(Task("x"), max_retry=4)
        found = await _told(inspector, task.id, 5)
        assert [one.number for one in found] == kept
        assert (await inspector.tasks.get("default", task.id)).deliveries == 5


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
async def test_they_stay_small(any_redis: AnyRedis) -> None:
    """Whatever handlers raise: ten of these would be half a megabyte."""
    mux = Mux()

    @mux.handle("x")
    async def fail(_: Task) -> None:
        def deep(levels: int) -> None:
            if levels:
                deep(levels - 1)
            raise ValueError("é" * 50_000)

        deep(200)

    async with (
        at_work(any_redis.url, mux, retry=lambda *_: 0.01) as (client, _),
        Inspector(any_redis.url) as inspector,
    ):
        task = await client.enqueue(Task("x"), max_retry=11)
        found = await _told(inspector, task.id, 12)
        raw: Any = any_redis.client.hget(f"asyncq:{{default}}:t:{task.id}", "attempts")
        assert len(raw) <= 9000
        assert found[-1].number == 12
        assert found[-1].traceback
        assert len(found[-1].traceback) <= 4000
        assert not found[0].traceback


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
async def test_a_success_costs_nothing_and_forgets_nothing(any_redis: AnyRedis) -> None:
    """The record of what failed before stays with a task that is kept."""
    mux = Mux()

    @mux.handle("x")
    async def work(task: Task) -> None:
        if task.payload and task.payload.pop():
            raise ValueError("first")

    left = [True]

    @mux.handle("y")
    async def twice(_: Task) -> None:
        if left and left.pop():
            raise ValueError("first")

    async with (
        at_work(any_redis.url, mux, retry=lambda *_: 0.01) as (client, _),
        Inspector(any_redis.url) as inspector,
    ):
        at_once = await client.enqueue(Task("x"), retention=600)
        later = await client.enqueue(Task("y"), retention=600)
        found = await _told(inspector, later.id, 2)
        await _told(inspector, at_once.id, 1)
        assert [one.error for one in found] == ["ValueError: first"]
        assert not any_redis.client.hexists(f"asyncq:{{default}}:t:{at_once.id}", "attempts")


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
@pytest.mark.parametrize("garbage", [b"\xc1", b"", b"\x05", b"\x91\x01", b"\x91\x97" + b"\xc0" * 7])
async def test_garbage_hinders_nobody(any_redis: AnyRedis, garbage: bytes) -> None:
    """Somebody wrote something else there: it is not shown, and the next failure begins anew."""
    mux, go = Mux(), asyncio.Event()

    @mux.handle("x")
    async def fail(_: Task) -> None:
        await go.wait()
        raise ValueError("no")

    async with (
        at_work(any_redis.url, mux) as (client, _),
        Inspector(any_redis.url) as inspector,
    ):
        task = await client.enqueue(Task("x"), max_retry=0)
        any_redis.client.hset(f"asyncq:{{default}}:t:{task.id}", "attempts", garbage)
        assert (await inspector.tasks.get("default", task.id)).attempts == ()
        go.set()
        found = await _told(inspector, task.id, 1)
        assert [one.error for one in found][-1:] == ["ValueError: no"]
