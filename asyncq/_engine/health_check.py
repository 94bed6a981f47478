"""Tells the program whether its server reaches Redis."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from asyncq._broker.trouble import trouble
from asyncq._engine.callbacks import tell
from asyncq._redis.router import Router
from asyncq._service import Service
from asyncq.errors import AsyncqError


class HealthCheck(Service):
    """Asks every Redis that holds keys, and says what came of it.

    Each tick calls the callback once: with `None` when all of them answered, otherwise with the error; of
    a cluster of which some did, with a `PartlyUnavailableError` that names those that did not.
    It runs in the loop of the handlers: when that is blocked no call comes, which is an answer, too.
    """

    def __init__(
        self,
        router: Router,
        callback: Callable[[AsyncqError | None], Awaitable[None] | None],
        *,
        interval: float,
    ) -> None:
        super().__init__("health check")
        self._router: Final = router
        self._callback: Final = callback
        self._interval: Final = interval

    async def tick(self) -> float:
        await tell(self.log, self._callback, await trouble(self._router))
        return self._interval
