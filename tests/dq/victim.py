"""A consumer to be killed: a program.

    python -m tests.dq.victim NODES URL LEDGER

NODES are endpoints with commas between. What its handler begins and ends is a line in LEDGER. It handles
what says `refuse` at the second attempt, waits for ever when it says `wait`, and half a second at `pause`.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from asyncq.dq import Beanstalk, Consumer, DqConf, Message


async def main(endpoints: str, url: str, ledger: Path) -> None:
    """Consume until the end."""

    def note(word: str, message: Message) -> None:
        with ledger.open("a") as file:
            file.write(f"{word} {message.body.decode()}\n")

    async def handler(message: Message) -> None:
        note("begin", message)
        word = message.body.split()[0]
        if word == b"refuse" and message.attempt == 1:
            raise ValueError
        if word == b"wait":
            await asyncio.Event().wait()
        if word == b"pause":
            await asyncio.sleep(0.5)
        note("end", message)

    nodes = tuple(Beanstalk(endpoint, "orders") for endpoint in endpoints.split(","))
    await Consumer(DqConf(nodes, url), handler, hold=3, concurrency=12, backoff=lambda _: 0.0).start()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
