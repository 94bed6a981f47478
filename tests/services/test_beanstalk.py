"""Our client against a real beanstalkd: the same as against the fake one (tests/dq/test_client.py)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from asyncq.beanstalk import Client
from tests.support.beanstalk_cases import CASES, Case
from tests.support.services.beanstalkd import BeanstalkdNode


class _RealRig:
    """A real one, for which time passes by itself."""

    def __init__(self, node: BeanstalkdNode) -> None:
        self.endpoint = node.endpoint
        self._node = node

    async def pass_time(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def drain(self) -> None:
        self._node.drain()
        await self._node.tube("default")  # a round trip after the signal


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_case(case: Case, start_node: Callable[..., Awaitable[BeanstalkdNode]]) -> None:
    """The same as against the fake one."""
    node = await start_node()
    async with Client(node.endpoint) as one, Client(node.endpoint) as other:
        await case(_RealRig(node), one, other)
