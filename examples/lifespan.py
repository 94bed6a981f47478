"""Set up before the first task and tear down behind the last; the same around each task.

It prints:

    the bank opens
    begin a transfer
    moved 30, left 70
    commit
    begin a transfer
    roll back: only 70 left
    the bank closes with 70
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from _example import example_url

from asyncq import Client, Context, Mux, Server, SkipRetry, Task

is_done = asyncio.Semaphore(0)
mux = Mux()


@dataclass
class Bank:
    """Stands for a pool of connections to a database."""

    balance: int


@dataclass
class Transfer:
    """Stands for a transaction."""

    amount: int = 0


@asynccontextmanager
async def bank() -> AsyncGenerator[Bank]:
    """Around the server: `ctx.state`."""
    print("the bank opens")
    bank = Bank(100)
    yield bank
    print("the bank closes with", bank.balance)


@asynccontextmanager
async def transfer(task: Task, ctx: Context) -> AsyncGenerator[Transfer]:
    """Around each task: `ctx.local`."""
    print("begin a", task.type)
    transfer = Transfer()
    try:
        yield transfer
        ctx.state.balance -= transfer.amount
        print("commit")
    except Exception as error:
        print("roll back:", error)
        raise
    finally:
        is_done.release()


@mux.handle("transfer")
async def move(task: Task, ctx: Context) -> None:
    """Use what was set up."""
    bank: Bank = ctx.state
    if task.payload > bank.balance:
        raise SkipRetry(f"only {bank.balance} left")
    ctx.local.amount = task.payload
    print(f"moved {task.payload}, left {bank.balance - task.payload}")


async def main(url: str) -> None:
    """Two transfers, of which one fails."""
    server = Server(url, concurrency=1, lifespan=bank, task_lifespan=transfer)
    async with Client(url) as client, server.running(mux):
        for amount in (30, 80):
            await client.enqueue(Task("transfer", amount))
            await is_done.acquire()


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))
