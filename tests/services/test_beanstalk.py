"""Our client against a real beanstalkd: the same as against the fake one (tests/dq/test_client.py)."""

from __future__ import annotations

import ast
import asyncio
import os
import sys
import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from asyncq.beanstalk import Client
from tests.support.beanstalk_cases import CASES, Case
from tests.support.services.beanstalkd import BeanstalkdNode

ROOT = Path(__file__).resolve().parents[2]


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


async def test_the_example_prints_what_it_says(nodes: list[BeanstalkdNode], redis_url: str) -> None:
    """With real nodes; tests/acceptance runs it with fake ones."""
    path = ROOT / "examples" / "delayed_messages.py"
    places = {"ASYNCQ_URL": redis_url, "ASYNCQ_EXAMPLE_NODES": f"{nodes[0].endpoint},{nodes[1].endpoint}"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", path, env={**os.environ, **places}, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    promised = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("It prints:")[
        2
    ]
    assert said.decode().strip() == textwrap.dedent(promised).strip()
