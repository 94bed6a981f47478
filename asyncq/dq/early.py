"""The order of go-queue: deleted first, then told apart, then handled. Once at the most.

What is deleted is in nobody's hands but ours, so all that goes wrong afterwards loses it: Redis is away,
the handler fails, the process ends. That is what the original does, and what `ack="early"` is for.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import anyio

from asyncq.beanstalk import BeanstalkError, Client, Job
from asyncq.dq.conf import Beanstalk
from asyncq.dq.delivery import KEEP, Arrival, Tools, new_token, say_discarded, say_failed
from asyncq.errors import AsyncqError


class Early:
    """Deliveries in the order of go-queue."""

    def __init__(self, tools: Tools) -> None:
        self._tools: Final = tools
        self._scopes: Final[set[anyio.CancelScope]] = set()

    async def deliver(self, client: Client, node: Beanstalk, job: Job) -> None:
        """Delete, look whether it is new, handle."""
        tools = self._tools
        with suppress(BeanstalkError):  # as go-queue: what comes of it is not looked at
            await client.delete(job.id)
        found = Arrival.of(node, job, tools.config.guard_ns)
        message = found.message()
        if message is None or found.is_late:
            discarded = found.discarded()
            say_discarded(tools, discarded)
            await tools.caller.tell(tools.config.on_discard, discarded)
            return
        try:
            is_new = await tools.claims.lock(found.key, new_token(), keep=KEEP)
        except AsyncqError as error:
            tools.watch.redis.away(error)
            self._lost(found)
            return
        tools.watch.redis.back()
        if not is_new:
            tools.watch.count(duplicates=1)
            return
        failure: Exception | None = None
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            tools.watch.count(running=1)
            try:
                failure = await tools.caller.attempt(tools.handler, message)
            finally:
                self._scopes.discard(scope)
                tools.watch.count(running=-1)
            if failure is None:
                tools.watch.count(handled=1)
                return
            say_failed(tools, message, failure)
            await tools.caller.tell(tools.config.on_error, message, failure)
        self._lost(found)

    def abandon(self) -> None:
        """Stop the handlers that still run."""
        for scope in self._scopes:
            scope.cancel()

    def _lost(self, found: Arrival) -> None:
        self._tools.watch.count(lost=1)
        self._tools.watch.log.error(
            "%s has lost %s",
            self._tools.watch.name,
            found.id,
            extra={"event": "message_lost", "message_id": found.id},
        )
