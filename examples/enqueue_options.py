"""What can be said about a task when it is enqueued, and what comes back.

It prints:

    send: pending in default, up to 25 retries
    send: pending in critical, up to 3 retries
    send: scheduled in default, up to 25 retries
    order-7: refused, queue 'default' has a task with the id 'order-7' already
    max_reties: expected an option that exists; did you mean 'max_retry'?
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from _example import example_url

from asyncq import Client, Task, TaskInfo
from asyncq.errors import ConfigError, TaskIdConflictError


def show(info: TaskInfo) -> None:
    """Print where a task is."""
    print(f"{info.type}: {info.state} in {info.queue}, up to {info.max_retry} retries")


async def main(url: str) -> None:
    """Enqueue with more and more options."""
    async with Client(url, defaults={"timeout": 60}) as client:
        show(await client.enqueue(Task("send", {"to": "ann@example.org"})))

        # Options of the task, of which those of `enqueue` win.
        urgent = Task("send", b"bytes go as they are", queue="critical", max_retry=10)
        show(await client.enqueue(urgent, max_retry=3, timeout=timedelta(seconds=20)))

        tomorrow = datetime.now(UTC) + timedelta(days=1)
        show(
            await client.enqueue(
                Task("send", {"to": "bob@example.org"}),
                process_at=tomorrow,  # or process_in, in seconds or as a timedelta
                expires_at=tomorrow + timedelta(hours=1),  # not started by then, it is dropped
                retention=3600,  # kept for an hour after it succeeded, with its result
                headers={"request-id": "8f14e45f"},  # text beside the payload
                task_id="order-7",
            )
        )

        # An id of your own is refused while there is a task with that id.
        try:
            await client.enqueue(Task("send", None, task_id="order-7"))
        except TaskIdConflictError as error:
            print(f"{error.task_id}: refused, {error}")

        # Mistakes are found before anything is sent.
        try:
            await client.enqueue(Task("send"), max_reties=3)  # type: ignore[call-arg]
        except ConfigError as error:
            print(f"{error.option}: expected {error.expected}")


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))
