"""What becomes of a task that fails: the policy says when it runs again, the handler may know better.

It prints:

    flaky, attempt 1: the other side is busy, again in 0.1 s
    hopeless, attempt 1: the address does not exist, not again
    limited, attempt 1: run again in 0.2 s, again in 0.2 s
    flaky, attempt 2: done
    limited, attempt 1: done
"""

from __future__ import annotations

import asyncio

from _example import example_url

from asyncq import Client, Context, Failure, Mux, RetryIn, Server, SkipRetry, Task
from asyncq.retry import Exponential, Fixed

mux = Mux()
two_are_done = asyncio.Semaphore(0)
may_call = iter([False, True])


@mux.handle("flaky")
async def flaky(task: Task, ctx: Context) -> None:
    """Whatever a handler raises is a failure, and the task is retried."""
    if ctx.attempt == 1:
        raise ConnectionError("the other side is busy")
    done(task, ctx)


@mux.handle("hopeless")
async def hopeless(_: Task) -> None:
    """Some failures are final: the task goes to the archive at once."""
    raise SkipRetry("the address does not exist")


@mux.handle("limited")
async def limited(task: Task, ctx: Context) -> None:
    """`counts=False` is "not yet": no retry is used up, and the attempt keeps its number."""
    if not next(may_call):
        raise RetryIn(0.2, counts=False)
    done(task, ctx)


def done(task: Task, ctx: Context) -> None:
    """Say so."""
    print(f"{task.type}, attempt {ctx.attempt}: done")
    two_are_done.release()


def report(failure: Failure) -> None:
    """Called after each failed attempt."""
    again = f"again in {failure.delay:g} s" if failure.will_retry else "not again"
    print(f"{failure.task.type}, attempt {failure.retried + 1}: {failure.error}, {again}")


async def main(url: str) -> None:
    """One policy for the server, and others that tasks ask for by name."""
    server = Server(
        url,
        concurrency=1,
        retry=Exponential(base=1.0, factor=2.0, maximum=600.0),
        retry_policies={"soon": Fixed(0.1)},
        on_error=report,
    )
    async with Client(url) as client:
        await client.enqueue(Task("flaky"), retry="soon", max_retry=5)
        await client.enqueue(Task("hopeless"))
        await client.enqueue(Task("limited"))
    async with server.running(mux):
        await two_are_done.acquire()
        await two_are_done.acquire()


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))
