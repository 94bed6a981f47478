"""Calling functions of the user that are told something: what they do wrong stays theirs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from asyncq._logs import Log


async def tell(log: Log, callback: Callable[..., Any] | None, *what: object) -> None:
    """Call a callback, plain or async, if there is one. That it fails is logged and changes nothing."""
    if callback is None:
        return
    try:
        answer = callback(*what)
        if inspect.isawaitable(answer):
            await answer
    except (Exception, SystemExit, KeyboardInterrupt):
        # It must not change what becomes of a task, nor end a loop of ours or the program.
        log.exception("a callback failed", extra={"event": "callback_failed"})
