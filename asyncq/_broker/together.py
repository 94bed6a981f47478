"""Calls to several places that must not wait for each other."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any


async def together(calls: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Make all calls at the same time, and raise the first error when all have ended.

    In a cluster each call may go to another node, and one that is down must not keep the
    others from theirs.
    """
    if len(calls) == 1:
        await calls[0]
        return
    for answer in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(answer, BaseException):
            raise answer
