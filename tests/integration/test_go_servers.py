"""What Go's tools read of our servers in the asynq wire, and what Go's channel does to our handlers."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any, cast

import pytest
from redis import Redis

from asyncq import Client, Context, Mux, Server, SkipRetry, Task
from asyncq._wire.asynq_records import ServerInfo, WorkerInfo
from asyncq._wire.keys import GoKeys
from asyncq.config import Failure
from asyncq.errors import AttemptCancelledError
from asyncq.retry import Fixed
from tests.conftest import TOPOLOGIES, AnyRedis
from tests.support.waiting import wait_until

GO = GoKeys()


def _members(client: Any, index: str) -> list[str]:
    return [member.decode() for member in client.zrange(index, 0, -1)]


def _records(client: Any) -> tuple[ServerInfo | None, list[WorkerInfo]]:
    """Return what the one server that is there says."""
    members = _members(client, GO.servers)
    if not members:
        return None, []
    (key,) = members
    raw = client.get(key)
    workers = client.hvals(key.replace(GO.servers, GO.workers, 1))
    return ServerInfo.decode(raw) if raw else None, [WorkerInfo.decode(one) for one in workers]


@pytest.mark.parametrize("any_redis", TOPOLOGIES, indirect=True)
async def test_a_server_says_what_it_is_and_what_it_runs(any_redis: AnyRedis) -> None:
    """As long as it is there, in Go's words; without a trace when it has left."""
    mux, gate, redis = Mux(), asyncio.Event(), cast("Any", any_redis.client)

    @mux.handle("report")
    async def report(_: Task) -> None:
        await gate.wait()

    server = Server(
        any_redis.url, wire="asynq", queues={"low": 2, "high": 3}, strict_priority=True, concurrency=7
    )
    async with Client(any_redis.url, wire="asynq") as client:
        task = await client.enqueue(Task("report", {"of": "x" * 5000}), queue="low", timeout=90)
        async with server.running(mux):
            await wait_until(lambda: _records(redis)[1], "the task to be shown")
            info, (worker,) = _records(redis)
            assert info is not None
            assert (info.host, info.pid, info.server_id) == (socket.gethostname(), os.getpid(), server.id)
            assert (info.queues, info.is_strict, info.concurrency) == ({"low": 2, "high": 3}, True, 7)
            assert (info.status, info.active) == ("active", 1)
            assert (worker.server_id, worker.task_id, worker.queue) == (server.id, task.id, "low")
            assert (worker.task_type, len(worker.payload)) == ("report", 4096)
            assert worker.deadline.unix - worker.started.unix == pytest.approx(90, abs=0.01)
            (key,), (workers,) = _members(redis, GO.servers), _members(redis, GO.workers)
            process = f"{info.host}:{info.pid}:asyncq-{server.id}"
            assert (key, workers) == (GO.server(process), GO.running(process))
            # A server that crashes is gone from there in ten seconds.
            assert 0 < redis.ttl(key) <= 10
            assert 0 < redis.ttl(workers) <= 10
            gate.set()
    assert not redis.exists(key)
    assert not redis.exists(workers)
    assert _members(redis, GO.servers) == _members(redis, GO.workers) == []


async def test_in_the_native_wire_nothing_is_said_to_go(redis_url: str, redis_client: Redis) -> None:
    """Nobody would read it."""
    async with Server(redis_url).running(Mux()):
        assert not [key for key in redis_client.scan_iter() if key.startswith(b"asynq:")]


async def test_indexes_that_are_something_else_do_no_harm(redis_url: str, redis_client: Redis) -> None:
    """Tasks are run all the same."""
    mux, done = Mux(), asyncio.Event()

    @mux.handle("report")
    async def report(_: Task) -> None:
        done.set()

    redis_client.set(GO.servers, "x")
    async with Client(redis_url, wire="asynq") as client, Server(redis_url, wire="asynq").running(mux):
        await client.enqueue(Task("report"))
        await asyncio.wait_for(done.wait(), 10)


async def _say_cancel(redis: Redis, *task_ids: str | bytes) -> None:
    await wait_until(lambda: redis.pubsub_numsub(GO.cancel)[0][1], "the server to listen")
    for task_id in task_ids:
        redis.publish(GO.cancel, task_id)


@pytest.mark.parametrize(("max_retry", "state"), [(3, "retry"), (0, "archived")])
async def test_what_is_cancelled_from_go_has_failed(
    redis_url: str, redis_client: Redis, max_retry: int, state: str
) -> None:
    """In Go's way: the attempt is over, the task is not. Ids that nobody runs do nothing."""
    failures: list[Failure] = []
    mux, begun, reasons = Mux(), asyncio.Event(), list[Any]()

    @mux.handle("report")
    async def report(_: Task, ctx: Context) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            reasons.append(ctx.cancel_reason)

    server = Server(redis_url, wire="asynq", retry=Fixed(600), on_error=failures.append)
    async with Client(redis_url, wire="asynq") as client, server.running(mux):
        await client.enqueue(Task("report"), task_id="mine", max_retry=max_retry)
        await begun.wait()
        await _say_cancel(redis_client, "other", b"\xff\xfe", "mine", "mine")
        key = f"asynq:{{default}}:{state}"
        await wait_until(lambda: redis_client.zscore(key, "mine") is not None, state)
        (failure,) = failures
        assert isinstance(failure.error, AttemptCancelledError)
        assert (failure.will_retry, reasons) == (state == "retry", ["attempt_cancelled"])


async def test_a_handler_that_is_cancelled_from_go_may_steer(redis_url: str, redis_client: Redis) -> None:
    """Other than in Go, where what it raises then is too late."""
    mux, begun = Mux(), list[str]()

    @mux.handle("report")
    async def report(task: Task) -> None:
        begun.append(task.id)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise SkipRetry("enough") from None

    queues = {"low": 1, "high": 1}
    async with (
        Client(redis_url, wire="asynq") as client,
        Server(redis_url, wire="asynq", queues=queues).running(mux),
    ):
        for queue in queues:
            await client.enqueue(Task("report"), task_id="mine", queue=queue)
        await wait_until(lambda: len(begun) == 2, "both to run")
        # The message names no queue, so it means all of them, as in Go.
        await _say_cancel(redis_client, "mine")
        for queue in queues:
            key = f"asynq:{{{queue}}}:archived"
            await wait_until(lambda key=key: redis_client.zcard(key) == 1, "it to be archived")  # type: ignore[misc]
