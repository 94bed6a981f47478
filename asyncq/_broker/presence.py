"""What servers say of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final, cast

import msgpack

from asyncq._broker.basis import Basis
from asyncq._broker.directory import listed
from asyncq._broker.rounds import Question, Round

TTL: Final = 10
"""Seconds after which tools take a server that says nothing for gone. Recovery does not look at it."""


FIELDS: Final = {
    *("host", "pid", "name", "status", "concurrency", "active"),
    *("queues", "strict", "lease", "types", "started_at"),
}
"""What every server says. A record that lacks one is of some other version, and is left out."""


class Presence:
    """The presence area."""

    def __init__(self, basis: Basis) -> None:
        self._basis = basis

    async def announce(self, info: Mapping[str, Any], *, now: float) -> None:
        """Say what this server is and does. Two commands: the index lives in a slot of its own."""
        router, keys = self._basis.router, self._basis.wire.keys
        mine = keys.server(self._basis.owner)
        value = msgpack.packb(dict(info), use_bin_type=True)
        await router.command(
            "SET", mine, value, "EX", TTL, slot=router.slot_of(mine), patience=self._basis.patience
        )
        await router.command(
            "ZADD",
            keys.servers,
            now + TTL,
            self._basis.owner,
            slot=router.slot_of(keys.servers),
            patience=self._basis.patience,
        )

    async def leave(self) -> None:
        """Say that this server is gone."""
        router, keys = self._basis.router, self._basis.wire.keys
        mine = keys.server(self._basis.owner)
        await router.command("DEL", mine, slot=router.slot_of(mine), patience=self._basis.patience)
        await router.command(
            "ZREM",
            keys.servers,
            self._basis.owner,
            slot=router.slot_of(keys.servers),
            patience=self._basis.patience,
        )

    async def servers(self, round_: Round, *, now: float, walk: bool = True) -> list[dict[str, Any]]:
        """Every server that is there, and forget those that are not.

        Args:
            round_: The look that this is part of.
            now: Unix seconds.
            walk: Whether to look for them key by key when their index cannot be read.
        """
        basis, keys = self._basis, self._basis.wire.keys
        index = basis.router.slot_of(keys.servers)

        async def read() -> list[bytes]:
            command, patience = basis.router.command, basis.patience
            await command("ZREMRANGEBYSCORE", keys.servers, "-inf", now - TTL, slot=index, patience=patience)
            ids: list[bytes] = await command("ZRANGE", keys.servers, 0, -1, slot=index, patience=patience)
            return ids

        ids = await listed(basis, round_, "servers", keys.servers, read, key=keys.server(""), walk=walk)
        questions = [
            Question("server", [one], basis.router.slot_of(keys.server(one)), partial(self.server, one))
            for one in ids
        ]
        return [record for record in await round_.each(questions) if record is not None]

    async def server(self, server_id: str) -> dict[str, Any] | None:
        """What one server says of itself; `None` when it is gone, or says what we do not understand."""
        key = self._basis.wire.keys.server(server_id)
        slot = self._basis.router.slot_of(key)
        record = _read(await self._basis.router.command("GET", key, slot=slot, patience=self._basis.patience))
        return None if record is None else {"id": server_id, **record}


def _read(raw: Any) -> dict[str, Any] | None:
    """What a server says of itself; `None` when it is gone, or says what we do not understand."""
    if raw is None:
        return None
    try:
        record: Any = msgpack.unpackb(raw)
    except Exception:  # noqa: BLE001 - msgpack raises half a dozen unrelated classes for bad bytes
        return None
    if not isinstance(record, dict):
        return None
    known = cast("dict[str, Any]", record)
    return known if known.keys() >= FIELDS else None
