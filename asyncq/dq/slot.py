"""One connection that reserves from one node, and what is done with what it gets."""

from __future__ import annotations

from typing import Final

import anyio

from asyncq.beanstalk import (
    BeanstalkError,
    Client,
    DeadlineSoonError,
    Job,
    NodeAwayError,
    TimedOutError,
    UnreadableReplyError,
)
from asyncq.dq.conf import Beanstalk
from asyncq.dq.delivery import Order
from asyncq.dq.watch import Outage, Watch

WAIT: Final = 5
"""Seconds that a node may let a reservation wait, as in go-queue. A stop does not wait for it."""


class Slot:
    """Takes one message after the other from one node, until the consumer stops.

    A node that is away is tried again with growing pauses, for ever; the other nodes have the copies.
    """

    def __init__(self, node: Beanstalk, client: Client, order: Order, watch: Watch, outage: Outage) -> None:
        self._node: Final = node
        self._client: Final = client
        self._order: Final = order
        self._watch: Final = watch
        self._outage: Final = outage
        self._reserving: anyio.CancelScope | None = None

    async def run(self) -> None:
        """Work until the consumer stops."""
        try:
            await self._client.watch_only(self._node.tube)
            while not self._watch.stopping.is_set():
                try:
                    job = await self._reserve()
                    if job is not None:
                        self._watch.count(received=1)
                        await self._order.deliver(self._client, self._node, job)
                except (NodeAwayError, UnreadableReplyError) as error:
                    self._outage.away(error)
                    await self._outage.pause()
                except BeanstalkError as error:
                    self._say_refused(error)
                    await self._outage.pause()
        finally:
            with anyio.CancelScope(shield=True):
                await self._client.aclose()

    def stop(self) -> None:
        """Wait for no further message. A job that comes at this moment is ready again with its connection."""
        if self._reserving is not None:
            self._reserving.cancel()

    def _say_refused(self, error: BeanstalkError) -> None:
        where = self._node.endpoint
        self._watch.log.error(
            "%s: %s", self._watch.name, error, extra={"event": "node_refused", "where": where}
        )

    async def _reserve(self) -> Job | None:
        job: Job | None = None
        with anyio.CancelScope() as self._reserving:
            try:
                job = await self._client.reserve(WAIT)
            except (TimedOutError, DeadlineSoonError):
                job = None
            self._outage.back()
        self._reserving = None
        return job
