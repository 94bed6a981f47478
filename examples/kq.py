"""Events in a Kafka topic: pushed with a key, read by a group, tried again when they fail, made into tasks.

Needs Kafka at `ASYNCQ_KAFKA` with a topic `payments`, or confluent-kafka, which can play one.

It prints:

    stored in partition 0
    payments-0-0, attempt 1: the bank is away
    payments-0-0, attempt 2: order A7 is paid
    task payments-0-0: notify {'order': 'A7'}
"""

from __future__ import annotations

import asyncio
import json
import logging

from _example import example_url
from _kafka import example_brokers

from asyncq import Client, Inspector, Task
from asyncq.kq import KqConf, Message, Pusher, Queue, bridge

TOPIC = "payments"


async def push(brokers: list[str]) -> None:
    """With `balancer="hash"` messages with the same key would go to the same partition, in order."""
    async with Pusher(brokers, TOPIC, balancer="round_robin", flush_interval=0.1) as pusher:
        delivery = await pusher.push(json.dumps({"orderSn": "A7", "payStatus": 1}), key="A7")
        print("stored in partition", (await delivery).partition)


async def handle(brokers: list[str], client: Client) -> None:
    """A message that fails is tried again in its place, since `force_commit` is off."""
    handled = asyncio.Event()

    def notify(message: Message) -> Task:
        order = json.loads(message.value)["orderSn"]
        if message.attempt == 1:
            print(f"{message.id}, attempt 1: the bank is away")
            raise ConnectionError("the bank is away")
        print(f"{message.id}, attempt {message.attempt}: order {order} is paid")
        return Task("notify", {"order": order})

    turn_into_task = bridge.enqueue(client, notify)

    async def settle(message: Message) -> None:
        await turn_into_task(message)
        handled.set()

    conf = KqConf(
        brokers=tuple(brokers), group="bank", topic=TOPIC, offset="first", min_bytes=1, force_commit=False
    )
    async with Queue(conf, settle).running():
        await handled.wait()


async def main(url: str) -> None:
    """Push, handle, and hand on."""
    logging.getLogger("asyncq.kq").setLevel(logging.ERROR)  # or each failure would be told with its traceback
    with example_brokers(TOPIC) as brokers:
        async with Client(url) as client, Inspector(url) as inspector:
            await push(brokers)
            await handle(brokers, client)
            async for task in inspector.tasks.iterate("default", "pending"):
                print(f"task {task.id}: {task.type} {task.payload}")


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))
