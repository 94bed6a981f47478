"""Is this a Redis that tasks can be trusted to? Asked once at the start, and by `ping`."""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing
from typing import Any, Final

from asyncq._redis.router import Router
from asyncq.connection import Address, ConnectionOptions, Pong
from asyncq.errors import BrokerError, BrokerUnavailableError, Missing, ServerTooOldError, UnsafeServerError

OLDEST: Final = (6, 2)


async def check(router: Router, *, patience: float, away: set[Address] | None = None) -> Pong:
    """Look at every server that holds keys.

    A node of a cluster that does not answer is a warning as long as another one does: what lives on the
    others can go on, and whoever started only when all are well could not be restarted in bad times.

    Args:
        router: The way to Redis.
        patience: Seconds to wait for the one server, where there is one.
        away: Takes the nodes of a cluster that do not answer.

    Raises:
        BrokerUnavailableError: Nobody answers; says where, why and what to try.
        AuthenticationError: Wrong password or user.
        ServerTooOldError: Before Redis 6.2.
        UnsafeServerError: It throws tasks away when memory is full, or it is a read-only replica.
    """
    if not router.is_cluster:
        await router.command("PING", patience=patience)
    warnings: list[str] = []
    missing: list[Missing] = []
    server = ""
    answers, latency = await _ask(router)
    for address, answer in answers.items():
        if isinstance(answer, BrokerUnavailableError):
            warnings.append(f"{address} does not answer, and what lives there has to wait: {answer.why}")
            missing.append(Missing("node", str(address), str(address), answer.why))
            if away is not None:
                away.add(address)
            continue
        facts = facts_of(answer)
        server = identity(facts)
        _check_version(address, facts)
        _check_role(address, facts)
        warnings += _check_persistence(address, facts)
        warnings += _check_policy(address, facts)
    return Pong(router.where, server, latency, tuple(warnings), tuple(missing))


async def check_once(options: ConnectionOptions) -> Pong:
    """Look, on a connection for this once: that of a door belongs to the loop that it will run in.

    Raises:
        BrokerError: It is not fit; the text says what is wrong and what to try.
    """
    async with aclosing(Router(options, name="asyncq:ping")) as router:
        return await check(router, patience=0.0)


async def _ask(router: Router) -> tuple[dict[Address, Any], float]:
    """What each server says of itself, and in how many seconds those answer that do."""
    answers = await router.ask_each("INFO")
    errors = [answer for answer in answers.values() if isinstance(answer, BrokerError)]
    refused = [error for error in errors if not isinstance(error, BrokerUnavailableError)]
    if refused or len(errors) == len(answers):
        raise (refused or errors)[0]
    there = next(address for address, answer in answers.items() if not isinstance(answer, BrokerError))
    return answers, await _latency(router, there)


def facts_of(answer: Any) -> dict[str, str]:
    """What `INFO` answered, as names and values."""
    text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer)
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
    return {name: value.strip() for name, _, value in pairs}


def identity(facts: dict[str, str]) -> str:
    """Name and version of a server."""
    if "valkey_version" in facts:
        return f"valkey {facts['valkey_version']}"
    return f"redis {facts.get('redis_version', 'of unknown version')}"


def _check_version(address: Address, facts: dict[str, str]) -> None:
    numbers = re.match(r"(\d+)\.(\d+)", facts.get("redis_version", ""))
    if numbers and (int(numbers[1]), int(numbers[2])) < OLDEST:
        raise ServerTooOldError(
            str(address),
            f"this is {identity(facts)}",
            f"asyncq needs Redis {'.'.join(map(str, OLDEST))} or Valkey",
        )


def _check_role(address: Address, facts: dict[str, str]) -> None:
    if facts.get("role") == "slave" and facts.get("slave_read_only", "1") == "1":
        primary = f"{facts.get('master_host', '?')}:{facts.get('master_port', '?')}"
        raise UnsafeServerError(
            str(address),
            f"this is a read-only replica of {primary}",
            "give the address of the primary, or use redis-sentinel:// to follow fail-overs",
        )


def _check_persistence(address: Address, facts: dict[str, str]) -> list[str]:
    if facts.get("aof_enabled") == "0":
        return [f"{address}: no append-only file; what came since the last snapshot is lost when it crashes"]
    return []


def _check_policy(address: Address, facts: dict[str, str]) -> list[str]:
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy.startswith("allkeys"):
        raise UnsafeServerError(
            str(address),
            f"maxmemory-policy is {policy}: when its memory is full, this Redis throws tasks away",
            "CONFIG SET maxmemory-policy noeviction, or use another Redis for tasks than for caching",
        )
    if policy != "noeviction" and facts.get("maxmemory", "0") != "0":
        return [f"{address}: maxmemory-policy {policy} may drop unique locks early; noeviction would not"]
    return []


async def _latency(router: Router, address: Address) -> float:
    loop = asyncio.get_running_loop()
    best = float("inf")
    for _ in range(3):
        started = loop.time()
        await router.ask(address, ("PING",))
        best = min(best, loop.time() - started)
    return best


async def wait_until_reachable(router: Router, *, patience: float) -> Pong:
    """`check`, trying again for a while when nobody answers: Redis and servers are often started together."""
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + patience
    while True:
        try:
            return await check(router, patience=max(0.0, give_up_at - loop.time()))
        except BrokerUnavailableError:
            if loop.time() >= give_up_at:
                raise
            await asyncio.sleep(0.1)
