"""The inspector's room for servers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from asyncq._clock import from_unix, now
from asyncq.inspector.reach import Reach


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What a server says of itself, at most a few seconds old."""

    id: str
    host: str
    pid: int
    name: str
    status: str
    concurrency: int
    active: int
    queues: dict[str, int]
    strict_priority: bool
    lease: float
    types: tuple[str, ...]  #: patterns it has handlers for
    started_at: datetime


class Servers:
    """The servers that are there."""

    def __init__(self, reach: Reach) -> None:
        self._reach: Final = reach

    async def list(self) -> list[ServerInfo]:
        """All servers that said something in the last ten seconds, the oldest first."""
        found = await self._reach.broker().presence.servers(now=now())
        return sorted((_server_info(entry) for entry in found), key=lambda info: info.started_at)


def _server_info(entry: dict[str, Any]) -> ServerInfo:
    return ServerInfo(
        id=entry["id"],
        host=entry["host"],
        pid=entry["pid"],
        name=entry["name"],
        status=entry["status"],
        concurrency=entry["concurrency"],
        active=entry["active"],
        queues=dict(entry["queues"]),
        strict_priority=entry["strict"],
        lease=entry["lease"],
        types=tuple(entry["types"]),
        started_at=from_unix(entry["started_at"]),
    )
