"""Says that this server is there, and what it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from asyncq._broker.presence import Presence
from asyncq._clock import now
from asyncq._service import Service

INTERVAL: Final = 5.0


class Heartbeat(Service):
    """Announces the server, for tools to show. Nothing depends on it: leases say who runs what."""

    def __init__(self, presence: Presence, describe: Callable[[], Mapping[str, Any]]) -> None:
        super().__init__("heartbeat")
        self._presence: Final = presence
        self._describe: Final = describe

    async def tick(self) -> float:
        await self._presence.announce(self._describe(), now=now())
        return INTERVAL
