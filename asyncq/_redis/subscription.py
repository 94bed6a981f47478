"""Listening on channels, over a connection of its own that is never given up.

What is published while the connection is down is gone: that is what pub/sub is. So whoever
listens is told when listening begins again, and looks for what it may have missed.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Final

from asyncq._redis.failures import LinkLostError, ReplyError, from_reply
from asyncq._redis.insistence import FIRST_DELAY, LONGEST_DELAY
from asyncq._redis.link import Link, Reply, dial, pack
from asyncq._redis.router import Router
from asyncq.connection import Address
from asyncq.errors import BrokerError, BrokerUnavailableError

log = logging.getLogger("asyncq.redis")

PING_EVERY: Final = 10.0
"""Seconds between two questions whether the other end still lives.

A connection that only listens would not notice a peer that vanished without a word. Six a minute
are part of the idle cost of a server (docs/concepts/performance.md)."""

PONG_WITHIN: Final = 5.0
"""Seconds for an answer, if no fewer are set for all. Less than for other calls, since nothing is lost with
this connection: whoever listens again asks for what it may have missed."""

LONGEST_REFUSED: Final = 60.0
"""Seconds between two attempts where Redis does not let us listen: it will not change its mind by itself."""

OnMessage = Callable[[bytes, bytes], None]


class _ListeningLink(Link):
    """A link on which messages arrive that nobody asked for."""

    def __init__(self, address: Address, *, response_timeout: float, on_message: OnMessage) -> None:
        super().__init__(address, response_timeout=response_timeout)
        self._on_message = on_message
        self.ended = asyncio.Event()

    def on_answer(self, reply: Reply) -> None:
        if reply.__class__ is list and len(reply) == 3 and reply[0] == b"message":
            self._on_message(reply[1], reply[2])
        else:
            super().on_answer(reply)

    def on_lost(self) -> None:
        self.ended.set()


class Subscription:
    """Channels that one owner listens to.

    `on_message(channel, data)` and `on_listening()` are called in the event loop of `run`.
    """

    def __init__(
        self,
        router: Router,
        channels: Sequence[str],
        *,
        name: str,
        on_message: OnMessage,
        on_listening: Callable[[], None],
    ) -> None:
        self._router = router
        self._channels = tuple(channels)
        self._name = name
        self._on_message = on_message
        self._on_listening = on_listening

    async def run(self) -> None:
        """Listen until cancelled; connect again whenever the connection is lost."""
        delay = FIRST_DELAY
        for attempt in count():
            try:
                await self._listen(attempt)
                delay, longest = FIRST_DELAY, LONGEST_DELAY
            except BrokerError as error:
                log.debug("cannot listen", extra={"event": "listen_failed", "reason": str(error)})
                is_away = isinstance(error, BrokerUnavailableError)
                longest = LONGEST_DELAY if is_away else LONGEST_REFUSED
            delay = min(delay, longest)
            await asyncio.sleep(random.uniform(delay / 2, delay))
            delay *= 2

    async def _listen(self, attempt: int) -> None:
        """One connection, from the dial until it is lost."""
        options = self._router.options
        link = _ListeningLink(
            await self._router.somewhere(attempt),
            response_timeout=min(PONG_WITHIN, options.response_timeout),
            on_message=self._on_message,
        )
        await dial(link, options, name=self._name)
        try:
            await self._subscribe(link)
            self._on_listening()
            while not link.ended.is_set():
                try:
                    await asyncio.wait_for(link.ended.wait(), PING_EVERY)
                except TimeoutError:
                    link.send(pack(("PING",)), _ignore)
        finally:
            link.close()

    async def _subscribe(self, link: Link) -> None:
        confirmed: list[asyncio.Future[Reply]] = []
        for channel in self._channels:
            future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
            confirmed.append(future)
            link.send(pack(("SUBSCRIBE", channel)), _resolve(future))
        for answer in await asyncio.gather(*confirmed):
            if isinstance(answer, ReplyError):
                raise from_reply(answer, where=str(link.address), what="SUBSCRIBE")
            if isinstance(answer, LinkLostError):
                raise BrokerUnavailableError(str(link.address), str(answer))


def _resolve(future: asyncio.Future[Any]) -> Callable[[Any], None]:
    return lambda reply: None if future.done() else future.set_result(reply)


def _ignore(reply: Reply) -> None:
    """A pong."""
