"""Many tasks with few calls, and what became of each.

It prints:

    9,998 enqueued, 2 refused
    task 4999 has an id that is taken
    task 7777 has a payload that cannot be encoded
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from _example import example_url

from asyncq import Client, Task
from asyncq.errors import PayloadError, TaskIdConflictError

MANY = 10_000


async def read_tasks() -> AsyncIterator[Task]:
    """Tasks as they come; there may be millions, since they are read as they are needed."""
    for number in range(MANY):
        payload = {"number": number if number != 7777 else object()}
        yield Task("import:row", payload, task_id="row-0" if number == 4999 else f"row-{number}")


async def main(url: str) -> None:
    """A task that is refused does not hold up the others."""
    refused: list[str] = []
    enqueued = number = 0
    async with Client(url) as client:
        async for outcome in client.enqueue_many(read_tasks(), queue="imports"):
            match outcome.error:
                case None:
                    enqueued += 1
                case TaskIdConflictError():
                    refused.append(f"task {number} has an id that is taken")
                case PayloadError():
                    refused.append(f"task {number} has a payload that cannot be encoded")
                case error:
                    raise error
            number += 1
    print(f"{enqueued:,} enqueued, {len(refused)} refused", *refused, sep="\n")


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))
