"""Who is there by the indexes that Go's servers and schedulers write."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from asyncq._broker.basis import Basis
from asyncq._broker.directory import listed
from asyncq._broker.rounds import Round
from asyncq._wire.keys import is_ours

FORGOTTEN_AFTER: Final = 60.0
"""Seconds for which we leave a name in an index whose record has gone: clocks may differ."""


async def others(  # noqa: PLR0913 - one sentence
    basis: Basis, round_: Round, what: str, index: str, *, key: str, now: float, walk: bool = True
) -> list[str]:
    """What those are called that are not ours.

    Args:
        basis: The way to Redis.
        round_: The look that this is part of.
        what: Of which kind: servers or schedulers.
        index: The sorted set of the keys of their records, by the instant until which they are there.
        key: Such a key, with `{}` for what is asked for.
        now: Unix seconds.
        walk: Whether to look for such keys when the index cannot be read.
    """
    head = key.removesuffix("}").encode()

    async def command(name: str, *args: Any) -> Any:
        router = basis.router
        return await router.command(name, index, *args, slot=router.slot_of(index), patience=basis.patience)

    async def read() -> list[bytes]:
        await command("ZREMRANGEBYSCORE", "-inf", now - FORGOTTEN_AFTER)
        return list(_inside(await command("ZRANGE", 0, -1), head))

    names = await listed(basis, round_, what, index, read, key=key, walk=walk)
    return [name for name in names if not is_ours(name)]


def _inside(members: Iterable[bytes], head: bytes) -> Iterable[bytes]:
    """What members have in braces. Those that have none have been put there by mistake."""
    for member in members:
        if member.startswith(head) and member.endswith(b"}"):
            yield member[len(head) : -1]
