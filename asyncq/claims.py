"""Claims: of several copies of one thing, which come to several consumers, one is handled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final, Self

from asyncq._broker.broker import Broker
from asyncq._broker.claims import Taken
from asyncq._clock import seconds
from asyncq._compose import new_id
from asyncq.connection import ConnectionOptions
from asyncq.errors import BrokerUnavailableError, ClosedError, ConfigError
from asyncq.shared import Connection, read_connection

__all__ = ["Claims", "Taken"]

_LONGEST_NAME: Final = 512


class Claims:
    """Tells consumers apart that were handed copies of one thing: who handles it, and whether it is done.

    `asyncq.dq` stands on this; its locks are those of go-queue. A claim is a lease: it ends by itself
    at the instant that its holder said, by the clock of the event loop, and never later, whenever Redis
    came to write it down.

    Args:
        url: Where Redis is: a URL, `ConnectionOptions`, or a `Connection` that is shared.
        patience: Seconds after which a call fails while Redis does not answer.
        prefix: What our own keys begin with; the lock itself has the name of the thing.
    """

    def __init__(
        self,
        url: str | ConnectionOptions | Connection,
        *,
        patience: float | timedelta = 2.0,
        prefix: str | None = None,
    ) -> None:
        self._connection, self._owns_connection = read_connection(url, prefix, None)
        self._patience: Final = seconds(patience, name="patience")
        self._broker: Broker | None = None
        self._is_closed = False

    async def take(
        self, name: str, token: str, *, until: float, limit: int = 0, remember: int = 0, anew: bool = False
    ) -> Taken:
        """Take the claim on a thing.

        Args:
            name: Of the thing; the key of its lock.
            token: Whose claim it is; a new one for each.
            until: When the lease ends, by the clock of the event loop.
            limit: Failures after which it is not taken; 0 for none.
            remember: Seconds to remember that somebody began; 0 not to note it.
            anew: Take it however often it failed, and forget that.

        Returns:
            As `word`: `taken`; `held`, by the lease of somebody else; `done`, or in the hands of a
            consumer of go-queue; `spent`, as it failed too often; `late`, as `until` is over.

        Raises:
            BrokerUnavailableError: Redis was not reached in time. The claim may be there, until then.
        """
        async with self._calling(name) as broker:
            return await broker.claims.take(
                name, token, until=until, limit=limit, remember=remember, anew=anew
            )

    async def renew(self, name: str, token: str, *, until: float, remember: int = 0) -> bool:
        """Go on holding a claim. False when somebody else has it, or the thing is done.

        Raises:
            BrokerUnavailableError: Redis was not reached in time.
        """
        async with self._calling(name) as broker:
            word = await broker.claims.renew(name, token, until=until, remember=remember)
            return word != "lost"

    async def finish(self, name: str, token: str, *, keep: float) -> None:
        """Say that it is done, which is remembered for `keep` seconds.

        Raises:
            BrokerUnavailableError: Redis was not reached in time. Calling again is safe.
        """
        async with self._calling(name) as broker:
            await broker.claims.finish(name, token, keep=keep)

    async def drop(self, name: str, token: str, *, failed: bool, remember: int = 0) -> int:
        """Give a claim back. Returns how often the thing failed; each claim counts once at the most.

        Raises:
            BrokerUnavailableError: Redis was not reached in time. The lease ends by itself.
        """
        async with self._calling(name) as broker:
            return await broker.claims.drop(name, token, failed=failed, remember=remember)

    async def lock(self, name: str, value: str, *, keep: float) -> bool:
        """Take the lock for good, as go-queue does. Tells whether it was free.

        Raises:
            BrokerUnavailableError: Redis was not reached in time.
        """
        async with self._calling(name) as broker:
            return await broker.claims.lock(name, value, keep=keep)

    async def aclose(self) -> None:
        """Close. May be called twice. Claims stay until they end."""
        self._is_closed = True
        if self._owns_connection:
            await self._connection.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @asynccontextmanager
    async def _calling(self, name: str) -> AsyncGenerator[Broker]:
        if not is_claim_name(name):
            raise ConfigError("name", name, f"1 to {_LONGEST_NAME} characters without braces")
        if self._is_closed:
            raise ClosedError("the claims")
        connection = self._connection
        if self._broker is None:
            self._broker = Broker(
                connection.router(), connection.wire, owner=new_id()[:12], patience=self._patience
            )
        try:
            # A Redis that is frozen takes longer to fail than a copy may wait.
            async with asyncio.timeout(self._patience + 0.5):
                yield self._broker
        except TimeoutError:
            where = connection.options.describe()
            raise BrokerUnavailableError(where, f"no answer within {self._patience:g} s") from None


def is_claim_name(name: object) -> bool:
    """Whether a claim may have this name: braces would put its keys into different places of a cluster."""
    return isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME and not {"{", "}"} & set(name)
