"""Is every Redis that holds keys there? What health checks ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asyncq._redis.router import Router
from asyncq.connection import Address
from asyncq.errors import (
    AsyncqError,
    BrokerError,
    BrokerUnavailableError,
    Missing,
    PartlyUnavailableError,
)


async def trouble(router: Router) -> AsyncqError | None:
    """Ask once. `None` when all answered; otherwise the error, of a cluster with the nodes that did not."""
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
