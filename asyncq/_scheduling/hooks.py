"""Calling what users hang into a scheduler: it may fail or hang, and nothing else does for that."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any, Final

from asyncq._logs import Log

PATIENCE: Final = 10.0
"""Seconds that an `async def` hook may take. Longer than most work of a hook, shorter than most intervals."""


async def call(log: Log, hook: Callable[..., Any] | None, *args: object, name: str) -> None:
    """Call a hook, and wait for it when it is async. That it fails is logged and changes nothing."""
    if hook is None:
        return
    try:
        answer = hook(*args)
        if inspect.isawaitable(answer):
            async with asyncio.timeout(PATIENCE):
                await answer
    except (Exception, SystemExit, KeyboardInterrupt):
        # A user's callback: it ends neither a loop of ours nor the program.
        log.exception("the callback %s failed", name, extra={"event": "callback_failed", "callback": name})
