"""Tasks that somebody wrote by hand, and of which we can make nothing, hold up no other."""

from __future__ import annotations

import asyncio

import pytest
from redis import Redis

from asyncq import Client, Mux, Server, Task

_BASE = b"asyncq:{default}:"


@pytest.mark.parametrize(
    ("odd", "fields"), [(b"\xff", {}), (b"odd", {"retried": "often", "deliveries": "1"})]
)
async def test_what_cannot_be_made_a_delivery_is_passed_over(
    redis_url: str, redis_client: Redis, odd: bytes, fields: dict[str, str]
) -> None:
    """The slot that was kept for the answer is free again; the lease of the odd one runs out."""
    ran = asyncio.Event()
    mux = Mux()

    @mux.handle("t")
    async def work(task: Task) -> None:
        ran.set()

    async with Client(redis_url) as client:
        first = await client.enqueue(Task("t"))
        message = redis_client.hget(f"asyncq:{{default}}:t:{first.id}", "msg")
        redis_client.hset(_BASE + b"t:" + odd, mapping={"msg": message, **fields})  # type: ignore[dict-item]
        redis_client.rpush(_BASE + b"pending", odd)
        async with Server(redis_url, concurrency=1).running(mux), asyncio.timeout(5.0):
            await ran.wait()
