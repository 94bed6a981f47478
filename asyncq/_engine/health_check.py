"""Tells the program whether its server reaches Redis."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from asyncq._engine.callbacks import tell
from asyncq._redis.router import Router
from asyncq._service import Service
from asyncq.errors import AsyncqError


class HealthCheck(Service):
    """Asks every Redis that holds keys, and says what came of it.

    Each tick calls the callback once: with `None` when all of them answered, otherwise with the error.
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
        await tell(self.log, self._callback, await self._trouble())
        return self._interval

    async def _trouble(self) -> AsyncqError | None:
        try:
            await self._router.command("PING", patience=0.0)
            await self._router.ask_everywhere("PING")
        except AsyncqError as error:
            return error
        return None
