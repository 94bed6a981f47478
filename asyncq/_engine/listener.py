"""Hears what is said to this server: there is work, something is due earlier, stop this task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from asyncq._redis.subscription import Subscription

CANCEL: Final = b"cancel "


class Listener:
    """Turns messages into calls of the actors they are for."""

    def __init__(
        self,
        *,
        wake: Callable[[bytes | None], None],
        due: Callable[[], None],
        cancel: Callable[[str], None],
        news: str,
    ) -> None:
        self._wake: Final = wake
        self._due: Final = due
        self._cancel: Final = cancel
        self._news: Final = news.encode()
        self._task: asyncio.Task[None] | None = None

    def on_message(self, channel: bytes, data: bytes) -> None:
        """One message."""
        if channel == self._news:
            self._due()
        elif data.startswith(CANCEL):
            self._cancel(data[len(CANCEL) :].decode())
        else:
            self._wake(data)

    def on_listening(self) -> None:
        """Listening began, or began again: whatever was said before was not heard."""
        self._wake(None)
        self._due()

    def start(self, subscription: Subscription) -> None:
        """Begin to listen."""
        self._task = asyncio.get_running_loop().create_task(subscription.run(), name="asyncq listener")

    async def stop(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
