"""Fake nodes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.fake_beanstalkd import FakeBeanstalkd

pytest.register_assert_rewrite("tests.support.beanstalk_cases")


@pytest.fixture
async def fake() -> AsyncIterator[FakeBeanstalkd]:
    """A node that forgets everything when it ends."""
    async with FakeBeanstalkd() as server:
        yield server
    await asyncio.sleep(0)


@pytest.fixture
async def fakes() -> AsyncIterator[list[FakeBeanstalkd]]:
    """Three nodes that keep their jobs over a crash."""
    servers = [FakeBeanstalkd(durable=True) for _ in range(3)]
    for server in servers:
        await server.start()
    yield servers
    for server in servers:
        await server.kill()
