"""Consumers in a test: run for a block, with a record of what came."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from asyncq import beanstalk
from asyncq.dq import Beanstalk, Consumer, DqConf, Message, Producer
from asyncq.dq.stamp import key_of, wrap
from tests.support.fake_beanstalkd import FakeBeanstalkd, FakeJob
from tests.support.waiting import wait_until

__all__ = ["TUBE", "Record", "all_jobs", "confs", "consuming", "events", "gone", "put", "put_one"]

TUBE = "orders"


def confs(fakes: list[FakeBeanstalkd]) -> list[Beanstalk]:
    """The nodes, as they are configured."""
    return [Beanstalk(fake.endpoint, TUBE) for fake in fakes]


def all_jobs(fakes: list[FakeBeanstalkd]) -> list[FakeJob]:
    """Every copy that there is."""
    return [job for fake in fakes for job in fake.jobs.values()]


async def put(fakes: list[FakeBeanstalkd], *bodies: bytes) -> None:
    """Put messages that are due."""
    async with Producer(confs(fakes)) as producer:
        for body in bodies:
            await producer.delay(body, 0)


async def put_one(
    fake: FakeBeanstalkd, body: bytes, *, due_ns: int | None = None, raw: bytes | None = None
) -> str:
    """Put a copy by hand. Returns the key of its lock."""
    whole = wrap(body, time.time_ns() if due_ns is None else due_ns) if raw is None else raw
    async with beanstalk.Client(fake.endpoint) as client:
        await client.use(TUBE)
        await client.put(whole, priority=2, ttr=5)
    return key_of(whole)


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The words of what was logged."""
    return [str(getattr(record, "event", "")) for record in caplog.records]


async def gone(fakes: list[FakeBeanstalkd], step: float = 1.0) -> None:
    """Let time pass for the nodes until no copy is left."""

    def nothing_left() -> bool:
        for fake in fakes:
            fake.advance(step)
        return not all_jobs(fakes)

    await wait_until(nothing_left, "all copies to be gone")


@dataclass
class Record:
    """What handlers were given, and a handler that fails or waits as a message says.

    `fail` always fails, `fail 2` twice; `wait` waits for `go`.
    """

    messages: list[Message] = field(default_factory=list)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: int = 0

    @property
    def bodies(self) -> list[bytes]:
        """What came, in order."""
        return [message.body for message in self.messages]

    async def handler(self, message: Message) -> None:
        """Do as the message says."""
        self.messages.append(message)
        word, _, number = message.body.partition(b" ")
        if word == b"fail" and message.attempt <= int(number or b"1000"):
            raise ValueError(message.attempt)
        if word == b"wait":
            try:
                await self.go.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise


@asynccontextmanager
async def consuming(
    fakes: list[FakeBeanstalkd], url: str, handler: Any, **options: Any
) -> AsyncIterator[Consumer]:
    """Consume for the length of a block."""
    given = {"concurrency": 2, "hold": 3, "backoff": lambda _: 0.0, "shutdown_timeout": 5.0, **options}
    consumer = Consumer(DqConf(tuple(confs(fakes)), url), handler, **given)
    running = asyncio.ensure_future(consumer.start())
    try:
        yield consumer
    finally:
        await consumer.stop()
        await running
