"""Programs that a benchmark starts beside itself: a producer, and a server that holds tasks.

    python benchmarks/_child.py produce URL COUNT GAP
    python benchmarks/_child.py push URL COUNT GAP
    python benchmarks/_child.py hold URL CONCURRENCY LEASE
    python benchmarks/_child.py bulk URL QUEUE ACTION STATE FILTER

A producer enqueues one task after another, `GAP` seconds apart, and prints when each
`enqueue` began and returned. `push` does the same without telling anybody, as producers of other libraries
do, and prints when each push began. A holder takes tasks and never finishes one; it prints a line
when it holds as many as it can. Bulk work acts upon all tasks in a state, or upon each second one if
there is a filter, and prints how many those were and how long it took. Times are those of
`time.perf_counter`, which on Linux all processes share.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import redis
from _bench import die_with_parent

from asyncq import Client, Inspector, Mux, Server, Task
from asyncq._wire.asynq import encode
from asyncq._wire.keys import ASYNQ_PREFIX, Keys
from asyncq._wire.messages import Envelope

TYPE = "bench:noop"


def start(*arguments: object, **options: Any) -> subprocess.Popen[bytes]:
    """Start one of the programs; it goes when this process goes, however that went."""
    command = [sys.executable, Path(__file__), *map(str, arguments)]
    # preexec_fn is only unsafe beside threads that hold locks; there is no other way to say this.
    return subprocess.Popen(command, stdout=subprocess.PIPE, preexec_fn=die_with_parent, **options)  # noqa: PLW1509


async def produce(url: str, count: int, gap: float) -> None:
    """Enqueue one task after another."""
    seen: list[tuple[float, float]] = []
    async with Client(url) as client:
        await client.ping()
        for number in range(-10, count):
            began = time.perf_counter()
            await client.enqueue(Task(TYPE, json.dumps({"number": number}).encode().ljust(100)))
            if number >= 0:
                seen.append((began, time.perf_counter()))
            await asyncio.sleep(gap)
    print(json.dumps(seen))


def push(url: str, count: int, gap: float) -> None:
    """Put one task after another into the queue of Go's asynq, and say nothing."""
    keys, began = Keys(ASYNQ_PREFIX).queue("default"), []
    with redis.Redis.from_url(url) as client:
        for number in range(-10, count):
            task_id = f"silent-{number}"
            payload = json.dumps({"number": number}).encode().ljust(100)
            message, _ = encode(ASYNQ_PREFIX, "default", task_id, Envelope(TYPE, payload))
            began.append(time.perf_counter())
            with client.pipeline(transaction=True) as both:
                both.hset(keys.task(task_id), mapping={"msg": message, "state": "pending"})
                both.lpush(keys.pending, task_id)
                both.execute()
            time.sleep(gap)
    print(json.dumps(began[10:]))


async def hold(url: str, concurrency: int, lease: float) -> None:
    """Take tasks and keep them."""
    held = 0
    forever = asyncio.Event()

    async def handle(_task: Task) -> None:
        nonlocal held
        held += 1
        if held == concurrency:
            print("full", flush=True)
        await forever.wait()

    mux = Mux()
    mux.handle(TYPE, handle)
    await Server(url, concurrency=concurrency, lease=lease, shutdown_timeout=0).serve(mux)


async def bulk(url: str, queue: str, action: str, state: Any, filtered: str) -> None:
    """Run, archive or delete."""
    async with Inspector(url) as inspector:
        tasks = inspector.tasks
        act = {"run": tasks.run_all, "archive": tasks.archive_all, "delete": tasks.delete_all}[action]
        began = time.perf_counter()
        if filtered:
            report = await act(queue, state, where=lambda task: int(task.id) % 2 == 0)
        else:
            report = await act(queue, state)
        print(json.dumps((report.done, time.perf_counter() - began)))


def main() -> None:
    """Do what the arguments say."""
    logging.getLogger("asyncq").setLevel(logging.ERROR)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    role, url, *rest = sys.argv[1:]
    if role == "produce":
        asyncio.run(produce(url, int(rest[0]), float(rest[1])))
    elif role == "push":
        push(url, int(rest[0]), float(rest[1]))
    elif role == "bulk":
        asyncio.run(bulk(url, *rest))
    else:
        asyncio.run(hold(url, int(rest[0]), float(rest[1])))


if __name__ == "__main__":
    main()
