"""Messages that were not stored: each is told to somebody, once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from asyncq._logs import Log
from asyncq._service import Errands
from asyncq.kq.delivery import Delivery
from asyncq.kq.errors import PushError, Unstored

__all__ = ["PushErrorHandler"]

PushErrorHandler = Callable[[PushError], Awaitable[None] | None]
"""Is told of each message that was not stored."""

MOST_KEPT: Final = 100


class Failures:
    """Tells of messages that were not stored: whoever awaits them, or a callback, or the next who asks.

    Args:
        topic: Where they should be.
        on_error: The callback.
        log: Where to say it, in any case.
    """

    def __init__(self, topic: str, on_error: PushErrorHandler | None, log: Log) -> None:
        self._topic: Final = topic
        self._on_error: Final = on_error
        self._log: Final = log
        self._errands: Final = Errands()
        self._first: Final[dict[Delivery, Exception]] = {}
        self._more = 0

    def report(self, delivery: Delivery, error: Exception) -> None:
        """Tell of one."""
        failed = PushError(self._topic, [Unstored(delivery.key, delivery.value, error)])
        failed.__cause__ = error
        delivery._fail(failed)
        self._log.error(
            "%s", failed, extra={"event": "kq_not_stored", "topic": self._topic, "key": repr(delivery.key)}
        )
        if self._on_error is not None:
            self._errands.start(self._tell(self._on_error, failed), name="kq on_error")
        elif delivery.is_seen:
            return
        elif len(self._first) < MOST_KEPT:
            self._first[delivery] = error
        else:
            self._more += 1

    async def _tell(self, on_error: PushErrorHandler, failed: PushError) -> None:
        try:
            answer = on_error(failed)
            if answer is not None:
                await answer
        except Exception:  # noqa: BLE001 - a user's callback: logged
            self._log.exception(
                "on_error of the pusher of %s failed",
                self._topic,
                extra={"event": "callback_failed", "callback": "on_error"},
            )

    def see(self, delivery: Delivery) -> None:
        """Forget one: somebody awaits it."""
        self._first.pop(delivery, None)

    def raise_unseen(self) -> None:
        """Raise those that nobody has heard of, if there are any; they are forgotten then.

        Raises:
            PushError: With the first of them, and how many there are.
        """
        count = len(self._first) + self._more
        if not count:
            return
        kept = [Unstored(delivery.key, delivery.value, error) for delivery, error in self._first.items()]
        self._first.clear()
        self._more = 0
        raise PushError(self._topic, kept, count)

    async def finish(self) -> None:
        """Wait until callbacks are over."""
        await self._errands.finish()
