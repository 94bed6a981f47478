"""Waiting for something to become true, instead of sleeping and hoping."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

__all__ = ["wait_until", "wait_until_sync"]

# A condition costs at most a round trip to a server on this machine, so looking 200
# times a second is cheap and makes a test late by 5 ms at most.
_STEP = 0.005


async def wait_until(
    condition: Callable[[], object | Awaitable[object]],
    what: str,
    timeout: float = 25.0,
) -> None:
    """Return as soon as `condition()` is true; it may be async.

    Args:
        condition: Asked again and again. What it raises goes through.
        what: Names the awaited thing in the error, as in "the task to be archived".
        timeout: Seconds.

    Raises:
        AssertionError: It did not come true in time.
    """
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return
        if time.monotonic() >= deadline:
            raise _too_long(what, timeout)
        await asyncio.sleep(_STEP)


def wait_until_sync(condition: Callable[[], object], what: str, timeout: float = 25.0) -> None:
    """Return as soon as `condition()` is true. See `wait_until`."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() >= deadline:
            raise _too_long(what, timeout)
        time.sleep(_STEP)


def _too_long(what: str, timeout: float) -> AssertionError:
    return AssertionError(f"waited {timeout:g} s for {what}")
