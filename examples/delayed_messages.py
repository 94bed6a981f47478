"""Delayed messages on two beanstalkds: put, revoked, handled once, tried again, and made into tasks.

It needs beanstalkd (`apt install beanstalkd`), which it starts by itself, or the endpoints of two nodes in
`ASYNCQ_EXAMPLE_NODES`.

It prints:

    each message is on 2 nodes
    the third order was paid, its message is revoked
    order 1 was not paid: closed, at attempt 1
    order 2 cannot be closed: its database is away
    order 2 was not paid: closed, at attempt 2
    2 messages were handled, 1 attempt failed
    a task of a message: order:archive b'order 4'
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

from _beanstalkds import example_nodes
from _example import example_url

from asyncq import Client, Mux, Server, Task
from asyncq.dq import Beanstalk, Consumer, DqConf, Message, Producer, bridge


@asynccontextmanager
async def running(consumer: Consumer) -> AsyncGenerator[None]:
    """Consume for the length of a block. A program of its own just says `await consumer.start()`."""
    async with asyncio.TaskGroup() as group:
        group.create_task(consumer.start())
        try:
            yield
        finally:
            await consumer.stop()


async def close_orders(nodes: list[Beanstalk], url: str) -> None:
    """Close orders that are not paid in time."""
    done = asyncio.Event()

    async def close(message: Message) -> None:
        order = message.body.decode()
        if order == "order 2" and message.attempt == 1:
            print(f"{order} cannot be closed: its database is away")
            raise ConnectionError
        print(f"{order} was not paid: closed, at attempt {message.attempt}")
        if order == "order 2":
            done.set()

    async with Producer(nodes) as producer:
        ids = await producer.delay(b"order 1", 0)
        print(f"each message is on {len(ids.split(','))} nodes")
        await producer.delay(b"order 2", timedelta(seconds=2))
        paid = await producer.delay(b"order 3", timedelta(seconds=2))
        await producer.revoke(paid)
        print("the third order was paid, its message is revoked")

    consumer = Consumer(DqConf(tuple(nodes), url), close, backoff=lambda _: 0.0, log_level="error")
    async with running(consumer):
        await done.wait()
    stats = consumer.stats
    print(f"{stats.handled} messages were handled, {stats.failed} attempt failed")


async def make_tasks(nodes: list[Beanstalk], url: str) -> None:
    """Let a queue do the work: with its retries, its archive and its tools."""
    mux = Mux()
    done = asyncio.Event()

    @mux.handle("order:archive")
    async def archive(task: Task) -> None:
        print("a task of a message:", task.type, task.payload)
        done.set()

    async with Client(url) as client, Producer(nodes) as producer, Server(url).running(mux):
        await producer.delay(b"order 4", 0)
        consumer = Consumer(DqConf(tuple(nodes), url), bridge.enqueue(client, "order:archive"))
        async with running(consumer):
            await done.wait()


async def main(nodes: list[Beanstalk], url: str) -> None:
    """One after the other."""
    await close_orders(nodes, url)
    await make_tasks(nodes, url)


if __name__ == "__main__":
    with example_url() as url, example_nodes() as endpoints:
        asyncio.run(main([Beanstalk(endpoint, "orders") for endpoint in endpoints], url))
