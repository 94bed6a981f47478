"""Work on the data of Go's asynq: run what Go has enqueued, and enqueue what Go can read.

There need not be any Go here: what Go's client sends to Redis is sent by hand, byte for byte.

It prints:

    from Go: email:send {'id': 1}, 25 retries
    Go reads the result: b'{"sent":true}'
    Go reads the state: completed
    Go finds for itself: a task with {"id":2}, due in a minute
"""

from __future__ import annotations

import asyncio
import time

from _example import example_url
from redis import Redis

from asyncq import Client, Context, Mux, Server, Task

mux = Mux()

# What Go 0.26 writes for NewTask("email:send", {"id":1}, Timeout(30m), Retention(1m)).
ID = b"11111111-2222-3333-4444-555555555555"
MESSAGE = bytes.fromhex("0a0a656d61696c3a73656e6412087b226964223a317d1a24") + ID
MESSAGE += bytes.fromhex("220764656661756c74281940880e603c")


def enqueue_as_go_does(redis: Redis) -> None:
    """Three commands; Go sends the last two as a script."""
    redis.sadd("asynq:queues", "default")
    task = "asynq:{default}:t:" + ID.decode()
    redis.hset(task, mapping={"msg": MESSAGE, "state": "pending", "pending_since": time.time_ns()})
    redis.lpush("asynq:{default}:pending", ID)


@mux.handle("email:send")
async def send(task: Task, ctx: Context) -> dict[str, bool]:
    """A handler like any other."""
    print(f"from Go: {task.type} {task.payload}, {ctx.max_retry} retries")
    return {"sent": True}


async def main(url: str) -> None:
    """Be Go first, and then look with its eyes."""
    with Redis.from_url(url) as redis:
        async with Client(url, wire="asynq") as client:
            async with Server(url, wire="asynq").running(mux):
                enqueue_as_go_does(redis)
                await client.result(ID.decode(), timeout=10)
            task = redis.hgetall("asynq:{default}:t:" + ID.decode())
            print("Go reads the result:", task[b"result"])
            print("Go reads the state:", task[b"state"].decode())

            info = await client.enqueue(Task("email:send", {"id": 2}), process_in=60)
        message = redis.hget("asynq:{default}:t:" + info.id, "msg")
        due = redis.zscore("asynq:{default}:scheduled", info.id)
        is_soon = 50 < due - time.time() < 62 and due == int(due)
        when = "in a minute" if is_soon else f"at {due}"
        print(f"Go finds for itself: a task with {message[14:22].decode()}, due {when}")


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))
