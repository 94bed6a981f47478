"""A handler that notes what it gets, and settings that do not wait."""

from __future__ import annotations

import asyncio
from typing import Any

from asyncq.kq import KqConf, Message
from tests.support.kafka_double import FakeCluster
from tests.support.waiting import wait_until

__all__ = ["NotingHandler", "conf", "until_committed"]


def conf(**options: Any) -> KqConf:
    """Settings for the double: everything from the beginning, and every commit at once."""
    base: dict[str, Any] = {"offset": "first", "commit_interval": 0, "shutdown_timeout": 20}
    return KqConf(brokers=("b:1",), group="g", topic="t", **{**base, **options})


class NotingHandler:
    """Notes what comes, and holds a message until the test lets it go."""

    def __init__(self, *held: str) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.gates = {value: asyncio.Event() for value in held}

    async def __call__(self, message: Message) -> None:
        """Handle a message."""
        self.begun.append(message.text)
        if message.text in self.gates:
            await self.gates[message.text].wait()
        self.ended.append(message.text)

    def release(self, *values: str) -> None:
        """Let some go, or all."""
        for value in values or self.gates:
            self.gates[value].set()

    async def until(self, *values: str) -> None:
        """Wait until so many have ended."""
        await wait_until(lambda: set(values) <= set(self.ended), f"{values} to be handled")


async def until_committed(broker: FakeCluster, partition: int, number: int) -> None:
    """Wait until so much is committed."""
    await wait_until(lambda: broker.committed.get(partition) == number, f"{number} to be committed")
