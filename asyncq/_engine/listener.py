"""Hears what is said to this server: there is work, something is due earlier, a group is full, stop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from asyncq._redis.subscription import Subscription
from asyncq._service import Errands

CANCEL: Final = b"cancel "
GROUPS: Final = b"groups"


class Listener:
    """Turns messages into calls of the actors they are for."""

    def __init__(
        self,
        *,
        wake: Callable[[bytes | None], None],
        due: Callable[[], None],
        gathered: Callable[[], None],
        cancel: Callable[[str], None],
        news: str,
    ) -> None:
        self._wake: Final = wake
        self._due: Final = due
        self._gathered: Final = gathered
        self._cancel: Final = cancel
        self._news: Final = news.encode()
        self._errands: Final = Errands()

    def on_message(self, channel: bytes, data: bytes) -> None:
        """One message."""
        if channel == self._news:
            (self._gathered if data == GROUPS else self._due)()
        elif data.startswith(CANCEL):
            self._cancel(data[len(CANCEL) :].decode())
        else:
            self._wake(data)

    def on_listening(self) -> None:
        """Listening began, or began again: whatever was said before was not heard."""
        self._wake(None)
        self._due()
        self._gathered()

    def start(self, subscription: Subscription) -> None:
        """Begin to listen."""
        self._errands.start(subscription.run(), name="listener")

    async def stop(self) -> None:
        """Stop listening."""
        await self._errands.cancel()
