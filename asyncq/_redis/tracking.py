"""Hearing from the server itself that keys have changed, for writers that say nothing.

With `CLIENT TRACKING` a server remembers which keys a connection has read, and tells it when one of them
is changed: once for each reading. So whoever reads a key and then waits misses nothing, and a key that
changes all the time costs nothing until it is read again (docs/adr/0020-hearing-silent-pushes.md).

There is one connection to each server, shared by all who watch keys there. It speaks RESP3, in which messages
and answers come on the same connection: the other way, with a second one for the messages, is not offered
everywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any, Final, cast

import hiredis

from asyncq._redis.failures import LinkLostError, Remedy, ReplyError, from_reply
from asyncq._redis.insistence import exchange
from asyncq._redis.link import Link, Reply, dial, pack
from asyncq._redis.router import Router
from asyncq.connection import Address
from asyncq.errors import BrokerError, BrokerUnavailableError

ANSWER_WITHIN: Final = 5.0
"""Seconds for an answer, if no fewer are set for all: nothing is lost with this connection."""

HANDSHAKE: Final = (("HELLO", "3"), ("CLIENT", "TRACKING", "ON"))
INVALIDATE: Final = b"invalidate"


class _TrackingLink(Link):
    """A link on which the server also says what has changed."""

    def __init__(self, address: Address, *, response_timeout: float) -> None:
        super().__init__(address, response_timeout=response_timeout)
        self.watches: set[Watch] = set()

    def on_answer(self, reply: Reply) -> None:
        if isinstance(reply, hiredis.PushNotification):
            message = cast("list[Any]", reply)
            if message[0] == INVALIDATE:
                self._tell(message[1])
        else:
            super().on_answer(reply)

    def _tell(self, keys: list[bytes] | None) -> None:
        """Without keys: all of them, since everything was flushed."""
        for watch in tuple(self.watches):
            watch.on_changed(keys)

    def on_lost(self) -> None:
        for watch in tuple(self.watches):
            watch.left(self)


class Tracking:
    """The connections of one owner on which servers tell of changes."""

    def __init__(self, router: Router, *, name: str) -> None:
        self.router: Final = router
        self._name: Final = name
        self._links: dict[Address, _TrackingLink] = {}
        self._dialling: dict[Address, asyncio.Lock] = {}

    async def link_to(self, address: Address) -> _TrackingLink:
        """The connection to one server; those who share it wait while the first of them dials."""
        async with self._dialling.setdefault(address, asyncio.Lock()):
            link = self._links.get(address)
            if link is None or not link.is_open:
                link = self._links[address] = await self._dial(address)
            return link

    async def _dial(self, address: Address) -> _TrackingLink:
        options = self.router.options
        link = _TrackingLink(address, response_timeout=min(ANSWER_WITHIN, options.response_timeout))
        await dial(link, options, name=self._name)
        try:
            for command in HANDSHAKE:
                await self._ask(link, command)
        except BaseException:
            link.close()
            raise
        return link

    async def _ask(self, link: Link, command: tuple[str, ...]) -> None:
        answer = await exchange(link, pack(command))
        if isinstance(answer, ReplyError | LinkLostError):
            raise self.problem(link.address, answer, " ".join(command))

    def problem(self, address: Address, answer: ReplyError | LinkLostError, what: str) -> BrokerError:
        """An answer that is none, as one of our errors; somebody else may serve the key."""
        if isinstance(answer, LinkLostError):
            return BrokerUnavailableError(str(address), str(answer))
        if answer.remedy in (Remedy.FOLLOW, Remedy.REDISCOVER):
            self.router.doubt(address)
        if answer.remedy in (Remedy.FOLLOW, Remedy.ASK_ONCE):
            return BrokerUnavailableError(str(address), answer.text)
        return from_reply(answer, where=str(address), what=what)

    def release(self, link: _TrackingLink) -> None:
        """Close a connection that nobody needs any more."""
        if not link.watches and self._links.get(link.address) is link:
            del self._links[link.address]
            link.close()

    def close(self) -> None:
        """Close all of them."""
        for link in self._links.values():
            link.watches.clear()
            link.close()
        self._links.clear()


class Watch:
    """Keys of one slot, wherever that is served.

    `on_changed` is called with the keys that a server says have changed, which may be those of others, or
    with `None` for all there are; `on_lost` when nothing will be heard until `open` is called again.
    """

    def __init__(
        self,
        tracking: Tracking,
        slot: int,
        *,
        on_changed: Callable[[Collection[bytes] | None], None],
        on_lost: Callable[[BrokerError], None],
    ) -> None:
        self._tracking: Final = tracking
        self._slot: Final = slot
        self.on_changed: Final = on_changed
        self._on_lost: Final = on_lost
        self._link: _TrackingLink | None = None

    @property
    def is_open(self) -> bool:
        """Whether changes of what is read now will be heard of."""
        return self._link is not None

    async def open(self) -> bool:
        """Be connected to whoever serves the slot now; whether that is new, and all is to be read again.

        Raises:
            BrokerUnavailableError: Nobody can be reached. Trying again may help.
            BrokerError: Redis does not offer this, or not to us. Trying again will hardly help.
        """
        link = await self._tracking.link_to(await self._tracking.router.address_of(self._slot))
        if not link.is_open:
            raise BrokerUnavailableError(str(link.address), "the connection was lost")
        if link is self._link:
            return False
        self.close()
        self._link = link
        link.watches.add(self)
        return True

    def close(self) -> None:
        """Hear no more."""
        link, self._link = self._link, None
        if link is not None:
            link.watches.discard(self)
            self._tracking.release(link)

    def left(self, link: _TrackingLink) -> None:
        """The connection is gone; called by it."""
        if link is self._link:
            self._link = None
            self._on_lost(BrokerUnavailableError(str(link.address), "the connection was lost"))

    def read(self, command: tuple[Any, ...], on_value: Callable[[Any], None]) -> None:
        """Read keys, and hear once of each when it changes after that.

        `on_value` is called with the answer, and with `None` where a key holds something else than it should.
        """
        link = self._link
        if link is None:
            return

        def on_reply(reply: Reply) -> None:
            if link is not self._link:
                return
            if not isinstance(reply, ReplyError | LinkLostError):
                on_value(reply)
            elif isinstance(reply, ReplyError) and reply.code == "WRONGTYPE":
                on_value(None)
            else:
                error = self._tracking.problem(link.address, reply, str(command[0]))
                self.close()
                self._on_lost(error)

        link.send(pack(command), on_reply)
