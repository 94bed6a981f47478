"""Hears what is said to this server: there is work or a slot, something is due, a group is full, stop."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from asyncq._broker.broker import Broker
from asyncq._broker.semaphores import CALLED, ROOM
from asyncq._redis.subscription import Subscription
from asyncq._service import Errands, Service
from asyncq._wire.keys import GoKeys

CANCEL: Final = b"cancel "
GROUPS: Final = b"groups"


class Listener:
    """Turns messages into calls of the actors they are for."""

    def __init__(  # noqa: PLR0913 - one for each kind of message
        self,
        *,
        wake: Callable[[bytes | None], None],
        due: Callable[[], None],
        gathered: Callable[[], None],
        cancel: Callable[[str], object],
        cancel_task: Callable[[str], object],
        slots: Callable[[bytes], None],
        news: str,
        go_cancel: str,
    ) -> None:
        self._wake: Final = wake
        self._due: Final = due
        self._gathered: Final = gathered
        self._cancel: Final = cancel
        self._slots: Final = slots
        self._cancel_task: Final = cancel_task
        self._news: Final = news.encode()
        self._go_cancel: Final = go_cancel.encode()
        self._errands: Final = Errands()

    def on_message(self, channel: bytes, data: bytes) -> None:
        """One message."""
        if channel == self._go_cancel:
            # What is no text is no id of ours either.
            self._cancel_task(data.decode("utf-8", "replace"))
        elif channel == self._news:
            (self._gathered if data == GROUPS else self._due)()
        elif data.startswith(CANCEL):
            self._cancel(data[len(CANCEL) :].decode())
        elif data.startswith((CALLED, ROOM)):
            self._slots(data)
        else:
            self._wake(data)

    def on_listening(self) -> None:
        """Listening began, or began again: whatever was said before was not heard."""
        self._wake(None)
        self._due()
        self._gathered()
        self._slots(b"")

    def start(self, subscription: Subscription) -> None:
        """Begin to listen."""
        self._errands.start(subscription.run(), name="listener")

    async def stop(self) -> None:
        """Stop listening."""
        await self._errands.cancel()


@asynccontextmanager
async def listening(  # noqa: PLR0913 - as above
    broker: Broker,
    *,
    wake: Callable[[bytes | None], None],
    due: Sequence[Service],
    gathered: Sequence[Service],
    cancel: Callable[[str], object],
    cancel_task: Callable[[str], object],
    slots: Callable[[bytes], None],
) -> AsyncGenerator[Listener]:
    """Listen to what is said to the owner of `broker`, for the length of a block."""
    keys, go_cancel = broker.wire.keys, GoKeys().cancel
    listener = Listener(
        wake=wake,
        due=partial(_poke, due),
        gathered=partial(_poke, gathered),
        cancel=cancel,
        cancel_task=cancel_task,
        slots=slots,
        news=keys.news,
        go_cancel=go_cancel,
    )
    listener.start(
        Subscription(
            broker.router,
            (keys.channel(broker.owner), keys.news, *([go_cancel] if broker.wire.is_shared else [])),
            name=f"asyncq:listener:{broker.owner}",
            on_message=listener.on_message,
            on_listening=listener.on_listening,
        )
    )
    try:
        yield listener
    finally:
        await listener.stop()


def _poke(services: Sequence[Service]) -> None:
    for service in services:
        service.poke()
