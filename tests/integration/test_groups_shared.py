"""Groups that Go's asynq works on, too: what it leaves of them is taken care of."""

from __future__ import annotations

import asyncio

from redis import Redis

from asyncq import Client, Context, Mux, Server, Task
from tests.support.go_steps import GoSteps
from tests.support.waiting import wait_until


async def test_a_group_that_go_took_from_us_is_listed_again(redis_url: str, redis_client: Redis) -> None:
    """Its clock is ahead, or we were frozen: it makes a group of our set again and lists it nowhere."""
    began, gate, sizes, ran = asyncio.Event(), asyncio.Event(), list[int](), list[object]()
    mux = Mux()

    async def aggregate(_: str, tasks: list[Task]) -> Task:
        sizes.append(len(tasks))
        began.set()
        await gate.wait()
        return Task("all", {"size": len(tasks)})

    @mux.handle("all")
    async def run_all(_: Task, ctx: Context) -> None:
        ran.append(ctx.id)

    server = Server(
        redis_url, wire="asynq", group_aggregator=aggregate, group_max_size=2, group_grace_period=3600
    )
    go = GoSteps(redis_client, "default")
    async with Client(redis_url, wire="asynq") as client, server.running(mux):
        for number in range(2):
            await client.enqueue(Task("part", number), group="g")
        await began.wait()
        (key,) = redis_client.zrange(go.keys.aggregation_sets, 0, -1)
        redis_client.zadd(go.keys.aggregation_sets, {key: 1})
        go.reclaim()
        assert not redis_client.exists(go.keys.groups)
        gate.set()
        await wait_until(lambda: ran, "its tasks to be aggregated after all")
    assert (sizes, len(ran)) == ([2, 2], 1)
