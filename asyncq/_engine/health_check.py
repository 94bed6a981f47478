"""Tells the program whether its server reaches Redis."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from asyncq._engine.callbacks import tell
from asyncq._redis.router import Router
from asyncq._service import Service
from asyncq.connection import Address
from asyncq.errors import (
    AsyncqError,
    BrokerError,
    BrokerUnavailableError,
    Missing,
    PartlyUnavailableError,
)


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
        await tell(self.log, self._callback, await self._trouble())
        return self._interval

    async def _trouble(self) -> AsyncqError | None:
        router = self._router
        try:
            if not router.is_cluster:
                await router.command("PING", patience=0.0)
                return None
            return trouble_of(router.where, await router.ask_each("PING"))
        except AsyncqError as error:
            return error


def trouble_of(where: str, answers: Mapping[Address, Any]) -> BrokerError | None:
    """What is wrong, if anything is: whether no node answered, or which ones did not."""
    errors = {node: answer for node, answer in answers.items() if isinstance(answer, BrokerError)}
    refused = [error for error in errors.values() if not isinstance(error, BrokerUnavailableError)]
    if refused:
        return refused[0]
    if not errors:
        return None
    missing = [Missing("node", str(node), str(node), error.why) for node, error in errors.items()]
    if len(errors) < len(answers):
        return PartlyUnavailableError(where, missing)
    return next(iter(errors.values()))
