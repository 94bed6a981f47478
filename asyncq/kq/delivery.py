"""What becomes of a message that was pushed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any, Final

from asyncq.kq.errors import PushError
from asyncq.kq.message import Place

__all__ = ["Delivery"]


class Delivery:
    """A message on its way. Awaiting it gives its `Place`, or raises a `PushError`.

    Who does not await it may rely on `flush` and `aclose`: they raise what nobody looked at.
    """

    __slots__ = ("_future", "_is_seen", "_on_seen", "key", "value")

    def __init__(self, key: bytes, value: bytes, on_seen: Callable[[Delivery], None]) -> None:
        self.key: Final = key
        self.value: Final = value
        self._future: Final[asyncio.Future[Place]] = asyncio.get_running_loop().create_future()
        self._on_seen: Final = on_seen
        self._is_seen = False

    def __await__(self) -> Generator[Any, None, Place]:
        if not self._is_seen:
            self._is_seen = True
            self._on_seen(self)
        # Who stops waiting does not stop the message, nor others that wait for it.
        return asyncio.shield(self._future).__await__()

    @property
    def is_done(self) -> bool:
        """Whether it is known what became of it."""
        return self._future.done()

    @property
    def is_seen(self) -> bool:
        """Whether somebody awaits it, or did."""
        return self._is_seen

    def _succeed(self, place: Place) -> None:
        """It is stored."""
        self._future.set_result(place)

    def _fail(self, error: PushError) -> None:
        """It is not."""
        self._future.set_exception(error)
        self._future.exception()  # looked at: asyncio need not complain when nobody awaits it
