"""What there is: names of queues, ids of servers and schedulers.

A set names them all. In a cluster it lives on one node; while that one is away, what the others hold
is found by walking their keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from asyncq._broker.basis import Basis
from asyncq._broker.rounds import Question, Round
from asyncq.connection import Address
from asyncq.errors import BrokerUnavailableError

SCAN_COUNT: Final = 1000


async def listed(  # noqa: PLR0913 - one sentence
    basis: Basis,
    round_: Round,
    what: str,
    index: str,
    read: Callable[[], Awaitable[list[bytes]]],
    *,
    key: str,
    walk: bool,
) -> list[str]:
    """All names of a kind.

    Args:
        basis: The way to Redis.
        round_: The look that this is part of.
        what: Of which kind: queues, servers or schedulers.
        index: The key of the set that names them.
        read: Reads this set.
        key: A key that each of them has, with `{}` for its name.
        walk: Whether to look for such keys when the set cannot be read.
    """
    slot = basis.router.slot_of(index)
    raw = await round_.one(Question("index", [what], slot, read))
    if raw is not None:
        return sorted(name.decode("utf-8", "replace") for name in raw)
    return sorted(await _walk(basis, round_, key)) if walk else []


async def _walk(basis: Basis, round_: Round, key: str) -> set[str]:
    """Names in the keys of all nodes that answer."""
    head, _, tail = key.rpartition("{}")
    names = set[str]()
    nodes = [node for node in await basis.router.holders() if round_.why_away(node) is None]
    walks = [
        partial(_walk_node, basis, node, f"{head}{{", f"}}{tail}", round_.bound, names) for node in nodes
    ]
    questions = [Question("node", [str(node)], node, walk) for node, walk in zip(nodes, walks, strict=True)]
    for node in await round_.each(questions):
        if node is not None:
            why = f"its keys were not all looked at within {round_.bound:g} s"
            round_.lack("node", [str(node)], node, BrokerUnavailableError(str(node), why))
    return names


async def _walk_node(
    basis: Basis, node: Address, head: str, tail: str, seconds: float, names: set[str]
) -> Address | None:
    """Take the names from the keys of a node; the node itself, if the time was not enough for all."""
    time = asyncio.get_running_loop().time
    give_up_at, cursor = time() + seconds, 0
    pattern = f"{escape(head)}*{escape(tail)}"
    while time() < give_up_at:
        reply: Any = await basis.router.ask(node, ("SCAN", cursor, "MATCH", pattern, "COUNT", SCAN_COUNT))
        cursor = int(reply[0])
        for key in reply[1]:
            name = key.decode("utf-8", "replace")[len(head) : -len(tail)]
            if "{" not in name and "}" not in name:
                names.add(name)
        if cursor == 0:
            return None
    return node


def escape(pattern: str) -> str:
    """Text that stands for itself in a pattern of Redis."""
    for special in "\\*?[]":
        pattern = pattern.replace(special, "\\" + special)
    return pattern
