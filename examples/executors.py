"""Three places for a handler to run: the event loop, a thread, a process that can be killed.

It prints:

    loop: awaits, beside hundreds of others
    thread: may block, and looks whether it is to stop; stopped by the timeout
    process: computes on a processor of its own; 832040
    process: computed for too long and was killed; stopped by the timeout
"""

from __future__ import annotations

import asyncio

from _example import example_url

from asyncq import Client, Context, Failure, Mux, Server, Task
from asyncq.errors import TaskTimedOutError
from asyncq.mux import Call

mux = Mux()
finished: asyncio.Queue[str] = asyncio.Queue()


@mux.handle("fetch")
async def fetch(_: Task) -> None:
    """`async def` runs on the loop."""
    await asyncio.sleep(0.01)
    finished.put_nowait("loop: awaits, beside hundreds of others")


@mux.handle("legacy")
def call_legacy_library(_: Task, ctx: Context) -> None:
    """`def` runs in a thread, which nobody can interrupt: it looks whether it is to stop."""
    for _step in range(1000):
        if ctx.wait_cancelled(0.02):  # a step of the work; or ask `ctx.is_cancelled` between two
            raise TimeoutError("stopped half-way")  # to return would say that it is done


@mux.handle("fibonacci", executor="process")
def fibonacci(task: Task) -> int:
    """At the top level of a module, so that the worker process can import it."""
    return _fibonacci(task.payload["n"])


def _fibonacci(n: int) -> int:
    return n if n < 2 else _fibonacci(n - 1) + _fibonacci(n - 2)


async def tell_results(task: Task, ctx: Context, call_next: Call) -> object:
    """Middleware runs on the loop, whatever the executor, and sees the result."""
    result = await call_next(task, ctx)
    if task.type == "fibonacci":
        finished.put_nowait(f"process: computes on a processor of its own; {result}")
    return result


def failed(failure: Failure) -> None:
    """Tell how the two that take too long have ended."""
    assert isinstance(failure.error, TaskTimedOutError)  # noqa: S101 - an example may insist
    end = {
        "legacy": "thread: may block, and looks whether it is to stop",
        "fibonacci": "process: computed for too long and was killed",
    }[failure.task.type]
    finished.put_nowait(f"{end}; stopped by the {failure.error.limit}")


async def main(url: str) -> None:
    """Run one of each kind after the other."""
    mux.use(tell_results)
    async with Client(url) as client, Server(url, processes=1, on_error=failed).running(mux):
        for task in (
            Task("fetch"),
            Task("legacy", timeout=0.3, max_retry=0),
            Task("fibonacci", {"n": 30}),
            Task("fibonacci", {"n": 90}, timeout=2, max_retry=0),
        ):
            await client.enqueue(task)
            print(await finished.get())


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))
