"""The order that loses nothing: hidden, claimed, handled, marked as done, deleted.

A copy that is reserved comes back the moment its consumer dies, while the lease in Redis still stands. One of
our own consumers would wait for it; a consumer of go-queue throws away what it meets under a lock, and this
may be the last copy. So a copy is not kept reserved: it is given back at once with a delay ("hidden"), which
a node keeps whatever becomes of us, and the lease ends before the delay. As long as the handler runs both are
prolonged, the hiding first. docs/adr/0024-late-acknowledgement.md goes through every point at which a
consumer may die.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import Final

import anyio

from asyncq._handlers import is_async
from asyncq.beanstalk import (
    BuriedError,
    Client,
    Job,
    JobNotFoundError,
    UnknownCommandError,
)
from asyncq.claims import Taken
from asyncq.dq.conf import Beanstalk
from asyncq.dq.delivery import KEEP, Arrival, Tools, new_token, say_discarded, say_failed
from asyncq.dq.node import PRIORITY
from asyncq.dq.watch import FIRST_PAUSE
from asyncq.errors import AsyncqError

REMEMBER: Final = 86_400
"""Seconds to remember that a message was begun and how often it failed, after the last sign of it."""

SLACK: Final = 1.0
"""Seconds that a lease ends before its copy can be seen again."""

FAREWELL: Final = 2.0
"""Seconds to give back what was not done, when we have to go. What is not given back comes back by itself."""


@dataclass(eq=False, slots=True)
class Held:
    """A message that is ours to handle."""

    found: Arrival
    client: Client
    token: str
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """It is settled: nothing is to be prolonged any more."""
    kept: asyncio.Event = field(default_factory=asyncio.Event)
    """Nothing is being prolonged any more."""
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    is_ours: bool = True
    is_doubtful: bool = False
    """A prolongation was not answered: it may be carried out later, and the lease then stand once more."""


class Late:
    """Deliveries that end with the deletion of the copy."""

    def __init__(self, tools: Tools) -> None:
        self._tools: Final = tools
        self._held: Final[set[Held]] = set()
        self._is_old = False

    async def deliver(self, client: Client, node: Beanstalk, job: Job) -> None:
        """Hide the copy, claim the message, and do what follows from that."""
        hold = self._tools.config.hold
        begun = asyncio.get_running_loop().time()
        try:
            await client.release(job.id, priority=PRIORITY, delay=hold)
        except BuriedError as error:
            self._say_buried_by_node(error)
        except JobNotFoundError:
            return  # we were frozen, and somebody else has it by now
        found = Arrival.of(node, job, self._tools.config.guard_ns)
        token = new_token()
        taken = await self._take(found, token, until=begun + hold - SLACK)
        if taken is not None and taken.word == "spent":
            if not await self._is_kicked(client, found):
                return
            taken = await self._take(found, token, until=begun + hold - SLACK, anew=True)
        if taken is None:
            # Hidden as it is, it comes back by itself.
            self._tools.watch.count(postponed=1)
            await self._tools.watch.redis.pause()
        elif taken.word == "taken":
            await self._hold(Held(found, client, token), taken)
        elif taken.word == "done":
            self._tools.watch.count(duplicates=1)
            await self._delete(client, found)
        elif taken.word == "late":
            self._tools.watch.count(postponed=1)
        else:
            self._tools.watch.count(backups=1)

    def abandon(self) -> None:
        """Stop the handlers that still run."""
        for held in self._held:
            held.scope.cancel()

    async def _take(self, found: Arrival, token: str, *, until: float, anew: bool = False) -> Taken | None:
        tools = self._tools
        is_good = found.due_ns is not None and not found.is_late
        try:
            taken = await tools.claims.take(
                found.key,
                token,
                until=until,
                limit=tools.config.max_attempts,
                # What is about to be discarded is not noted as begun: then it would be handled after all.
                remember=REMEMBER if is_good else 0,
                anew=anew,
            )
        except AsyncqError as error:
            tools.watch.redis.away(error)
            return None
        tools.watch.redis.back()
        return taken

    async def _hold(self, held: Held, taken: Taken) -> None:
        tools = self._tools
        self._held.add(held)
        tools.watch.count(running=1)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._keep, held)
                try:
                    await self._handle(held, taken)
                finally:
                    held.over.set()
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            self._held.discard(held)
            tools.watch.count(running=-1)

    async def _handle(self, held: Held, taken: Taken) -> None:
        tools, found = self._tools, held.found
        message = found.message(taken.number + 1)
        is_discarded = message is None or (found.is_late and not taken.is_begun)
        error: Exception | None = None
        is_over = False
        try:
            with held.scope:
                if message is not None and not is_discarded:
                    error = await tools.caller.attempt(tools.handler, message)
                elif tools.config.on_discard is not None:
                    error = await tools.caller.attempt(tools.config.on_discard, found.discarded())
                is_over = True
        finally:
            if not is_over:
                await self._give_back(held)
        if not is_over:
            return
        if error is None:
            if message is None or is_discarded:
                say_discarded(tools, found.discarded())
            else:
                tools.watch.count(handled=1)
            await self._succeed(held)
        else:
            if message is not None:
                say_failed(tools, message, error)
                await tools.caller.tell(tools.config.on_error, message, error)
            await self._fail(held)

    # --- while it is handled -------------------------------------------------------------------

    async def _keep(self, held: Held) -> None:
        """Prolong the hiding and then the lease, until it is over."""
        try:
            while not held.over.is_set():
                with anyio.move_on_after(self._tools.config.hold / 4):
                    await held.over.wait()
                    return
                await self._prolong(held)
        finally:
            held.kept.set()

    async def _prolong(self, held: Held) -> None:
        hold = self._tools.config.hold
        begun = asyncio.get_running_loop().time()
        # The lease never outlives the hiding: so it is not prolonged where the copy was not.
        if not await self._hide(held.client, held.found, hold) or not held.is_ours:
            return
        try:
            held.is_ours = await self._tools.claims.renew(
                held.found.key, held.token, until=begun + hold - SLACK, remember=REMEMBER
            )
        except AsyncqError as error:
            held.is_doubtful = True
            self._tools.watch.redis.away(error)
            return
        self._tools.watch.redis.back()
        if not held.is_ours and not held.over.is_set():
            self._tools.watch.log.warning(
                "%s was too slow to keep %s, and somebody else handles it, too",
                self._tools.watch.name,
                held.found.id,
                extra={"event": "claim_lost", "message_id": held.found.id},
            )

    async def _hide(self, client: Client, found: Arrival, seconds: int) -> bool:
        """Put a copy off that nobody holds. Tells whether it will be hidden for so long."""
        try:
            await client.postpone(found.job.id, priority=PRIORITY, delay=seconds)
        except BuriedError as error:
            self._say_buried_by_node(error)
        except JobNotFoundError:
            return False  # revoked, or lost with its node; or somebody has it
        except UnknownCommandError as error:
            self._say_old(error)
            return False
        except AsyncqError as error:
            self._say_unsettled(found, error)
            return False
        return True

    # --- when it is over -----------------------------------------------------------------------

    async def _succeed(self, held: Held) -> None:
        """Say that it is done, and delete the copy. While Redis is away the copy stays hidden."""
        tools = self._tools
        while True:
            try:
                await tools.claims.finish(held.found.key, held.token, keep=KEEP)
            except AsyncqError as error:
                tools.watch.redis.away(error)
                if tools.watch.is_over:
                    break  # the copy goes all the same; others may be handled again
                await anyio.sleep(FIRST_PAUSE)
            else:
                held.over.set()
                tools.watch.redis.back()
                break
        await self._delete(held.client, held.found)

    async def _fail(self, held: Held) -> None:
        """Count the failure, give the claim back, and put the copy off or bury it."""
        tools, found = self._tools, held.found
        held.over.set()
        await held.kept.wait()  # or a prolongation might take the lease once more
        try:
            failures = await tools.claims.drop(found.key, held.token, failed=True, remember=REMEMBER)
        except AsyncqError as error:
            tools.watch.redis.away(error)
            return  # the lease ends, and then the hiding
        tools.watch.redis.back()
        if tools.config.max_attempts and failures >= tools.config.max_attempts:
            await self._bury(held.client, found)
            return
        try:
            seconds = max(0, math.ceil(tools.config.backoff(failures)))
        except Exception:  # a user's function: as if it had said as long as the hiding
            tools.watch.log.exception("backoff failed", extra={"event": "callback_failed"})
            seconds = tools.config.hold
        if held.is_doubtful:
            seconds = max(seconds, tools.config.hold)
        await self._hide(held.client, found, seconds)

    async def _give_back(self, held: Held) -> None:
        """We have to go: others shall have it at once, if we can still say so."""
        held.over.set()
        tools = self._tools
        tools.watch.count(given_back=1)
        tools.watch.log.warning(
            "%s leaves %s to others, as it was not done in time",
            tools.watch.name,
            held.found.id,
            extra={"event": "message_given_back", "message_id": held.found.id},
        )
        if held.is_doubtful or not is_async(tools.handler):
            return  # a thread goes on, so the others had better wait until the lease is over
        with anyio.move_on_after(FAREWELL, shield=True):
            await held.kept.wait()
            try:
                await tools.claims.drop(held.found.key, held.token, failed=False)
            except AsyncqError as error:
                tools.watch.redis.away(error)
                return
            await self._hide(held.client, held.found, 0)

    async def _bury(self, client: Client, found: Arrival) -> None:
        tools = self._tools
        try:
            await client.bury_job(found.job.id, priority=PRIORITY)
        except UnknownCommandError as error:
            self._say_old(error)
        except AsyncqError as error:
            self._say_unsettled(found, error)
        else:
            tools.watch.count(buried=1)
            tools.watch.log.error(
                "%s buried %s, which failed %d times",
                tools.watch.name,
                found.id,
                tools.config.max_attempts,
                extra={"event": "message_buried", "message_id": found.id},
            )

    async def _is_kicked(self, client: Client, found: Arrival) -> bool:
        """Whether a copy of what failed too often was buried and is there again; if not, bury it."""
        try:
            stats = await client.stats_job(found.job.id)
        except AsyncqError as error:
            self._say_unsettled(found, error)
            return False
        if stats.get("state") == "buried":
            return False  # just now, by the one whose attempt was the last
        if not stats.get("buries"):
            await self._bury(client, found)
            return False
        return True

    async def _delete(self, client: Client, found: Arrival) -> None:
        try:
            await client.delete(found.job.id)
        except JobNotFoundError:
            pass  # revoked meanwhile; or somebody has it, who will see that it is done
        except AsyncqError as error:
            self._say_unsettled(found, error)

    # --- what is said --------------------------------------------------------------------------

    def _say_unsettled(self, found: Arrival, error: AsyncqError) -> None:
        """A node did not hear what became of its copy: it comes back, and is recognised then."""
        self._tools.watch.log.warning(
            "%s could not tell the node what becomes of %s: %s",
            self._tools.watch.name,
            found.id,
            error,
            extra={"event": "copy_unsettled", "message_id": found.id},
        )

    def _say_buried_by_node(self, error: BuriedError) -> None:
        self._tools.watch.log.error(
            "%s: %s", self._tools.watch.name, error, extra={"event": "buried_by_node", "where": error.where}
        )

    def _say_old(self, error: UnknownCommandError) -> None:
        if not self._is_old:
            self._is_old = True
            self._tools.watch.log.error(
                "%s needs beanstalkd 1.12 to prolong, put off and bury messages: %s",
                self._tools.watch.name,
                error,
                extra={"event": "node_too_old", "where": error.where},
            )
