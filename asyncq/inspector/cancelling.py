"""Cancelling one task, and waiting until it has ended."""

from __future__ import annotations

import asyncio
from typing import Final, Literal, cast

from asyncq._broker.results import Seen
from asyncq.inspector.reach import Reach

CancelAnswer = Literal["requested", "cancelled", "completed", "archived", "gone", "aggregating", "active"]

ASK_AGAIN: Final = 2.0
"""Seconds after which a task that still runs is asked for again. It may have been put back meanwhile."""


async def cancel(reach: Reach, queue: str, task_id: str, wait: float) -> CancelAnswer:
    """Cancel a task, and wait for so many seconds until it has ended; `Tasks.cancel` says what that means."""
    word = await reach.broker().notes.cancel(queue, task_id)
    if word == "missing":
        await reach.refuse_missing(queue, task_id)
    if word == "requested" and wait:
        word = await _until_stopped(reach, queue, task_id, wait)
    return cast("CancelAnswer", word)


async def _until_stopped(reach: Reach, queue: str, task_id: str, wait: float) -> str:
    loop, broker = asyncio.get_running_loop(), reach.broker()
    until = loop.time() + wait
    while (left := until - loop.time()) > 0:
        try:
            async with asyncio.timeout(min(left, ASK_AGAIN)):
                seen = await broker.results.wait(queue, task_id)
        except TimeoutError:
            word = await broker.notes.cancel(queue, task_id)
            if word == "archived":
                # Perhaps by our wish: it has ended between the two calls, or nobody told us.
                return _end_of(await broker.results.look(queue, task_id))
            if word != "requested":
                return "gone" if word == "missing" else word
        else:
            return _end_of(seen)
    return "requested"


def _end_of(seen: Seen) -> str:
    if seen.state == "missing":
        return "gone"
    is_ours = seen.state == "archived" and seen.reason == "cancelled"
    return "cancelled" if is_ours else seen.state
