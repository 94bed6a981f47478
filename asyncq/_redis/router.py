"""Calls to Redis: find the server, send, and do what the failure at hand asks for.

The usual case is one dictionary look-up and one `Link.send`, without a coroutine: what is called
thousands of times a second must not cost a task each. Only when something goes wrong does a call
get a task of its own, which follows redirections, waits, looks for the new primary and sends again.

Sending again is safe for everything that goes through here: scripts recognise it (`script.py`),
and the few plain commands we use have the same effect twice as once.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from asyncq._redis.failures import LinkLostError, ReplyError, from_reply
from asyncq._redis.insistence import Insistence, exchange
from asyncq._redis.link import Link, Reply, dial, pack
from asyncq._redis.packed import Packed
from asyncq._redis.script import Script
from asyncq._redis.topology import Topology, topology_for
from asyncq.connection import Address, ConnectionOptions
from asyncq.errors import AsyncqError, BrokerError, BrokerReplyError, BrokerUnavailableError, ClosedError

log = logging.getLogger("asyncq.redis")

OnValue = Callable[[Any], None]
OnFailure = Callable[[AsyncqError], None]

_TROUBLE: Final = (ReplyError, LinkLostError)
"""Named once: `ReplyError | LinkLostError` inside a function makes a new object at each call."""


class Call:
    """One command or script call, from the first sending to its answer."""

    __slots__ = ("again", "args", "on_failure", "on_value", "patience", "router", "script", "slot", "urgent")

    def __init__(  # noqa: PLR0913 - one record, built where the call is made
        self,
        router: Router,
        script: Script | None,
        args: Sequence[Any] | Packed,
        *,
        slot: int,
        patience: float,
        on_value: OnValue,
        on_failure: OnFailure,
        urgent: bool = False,
    ) -> None:
        self.router = router
        self.script = script
        self.args = args
        self.slot = slot
        self.patience = patience
        self.on_value = on_value
        self.on_failure = on_failure
        self.urgent = urgent
        self.again = False

    @property
    def name(self) -> str:
        """For messages."""
        if self.script:
            return self.script.name
        return "" if isinstance(self.args, Packed) else str(self.args[0])

    def packed(self, *, with_source: bool = False) -> bytes:
        """The bytes to send. `args` of a script call are: number of keys, keys, arguments."""
        script, args = self.script, self.args
        if script is None:
            return b"" if isinstance(args, Packed) else pack(tuple(args))
        text = script.texts[self.router.dialect]
        head = ("EVAL", text.source) if with_source else ("EVALSHA", text.sha)
        if isinstance(args, Packed):
            return args.command(*head, is_again=self.again)
        keys_end = args[0] + 1
        return pack((*head, *args[:keys_end], "1" if self.again else "", *args[keys_end:]))

    def __call__(self, reply: Reply) -> None:
        """Take the answer; called by the link."""
        if isinstance(reply, _TROUBLE):
            self.router.retry(self, reply)
        else:
            self.on_value(reply)


class Router:
    """All connections of one client or server in one event loop, and the way through them."""

    def __init__(self, options: ConnectionOptions, *, name: str, dialect: str = "native") -> None:
        self.options = options
        self.dialect = dialect
        self._name = name
        self._topology: Topology = topology_for(options, self._ask_who_serves)
        self._links: dict[Address, Link] = {}
        self._dialling: dict[Address, asyncio.Task[Link]] = {}
        self._retries: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def where(self) -> str:
        """Where this leads, for messages."""
        return self.options.describe()

    @property
    def is_cluster(self) -> bool:
        """Whether keys of different queues live on different servers."""
        return self._topology.is_cluster

    def slot_of(self, key: str) -> int:
        """Keys with the same number may be in one call."""
        return self._topology.slot_of(key)

    def submit(self, call: Call) -> None:
        """Send a call. Its callbacks are called later, never from in here."""
        address = self._topology.known(call.slot)
        link = self._links.get(address) if address is not None else None
        if link is not None and link.is_open and not self._closed:
            link.send(call.packed(), call, urgent=call.urgent)
        else:
            self.retry(call, None)

    async def run(
        self, script: Script, keys: Sequence[str], args: Sequence[Any], *, slot: int, patience: float
    ) -> Any:
        """Call a script and wait for its answer.

        Raises:
            BrokerUnavailableError: `patience` seconds were not enough.
        """
        return await self._await(script, (len(keys), *keys, *args), slot=slot, patience=patience)

    async def command(self, *args: Any, slot: int = 0, patience: float) -> Any:
        """Send one plain command, which must have the same effect twice as once."""
        return await self._await(None, args, slot=slot, patience=patience)

    async def _await(self, script: Script | None, args: Sequence[Any], *, slot: int, patience: float) -> Any:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.submit(
            Call(
                self,
                script,
                args,
                slot=slot,
                patience=patience,
                on_value=lambda value: None if future.done() else future.set_result(value),
                on_failure=lambda error: None if future.done() else future.set_exception(error),
            )
        )
        return await future

    def retry(self, call: Call, problem: ReplyError | LinkLostError | None) -> None:
        """Give a call that could not go the short way a task of its own."""
        task = asyncio.get_running_loop().create_task(
            self._retry(call, problem), name=f"asyncq call {call.name}"
        )
        self._retries.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._retries.discard(task)
            if task.cancelled():
                # Told from here, since a task that is cancelled before its first step tells nobody.
                call.on_failure(ClosedError("the connection"))
            elif (error := task.exception()) is not None:
                # A bug of ours or of the library's. Whoever waits must not wait for ever.
                log.error("call %s failed", call.name, exc_info=error, extra={"event": "call_failed"})
                call.on_failure(BrokerReplyError(call.name, error))

        task.add_done_callback(ended)

    async def _retry(self, call: Call, problem: ReplyError | LinkLostError | None) -> None:
        try:
            if self._closed:
                raise ClosedError("the connection")
            insistence = Insistence(
                call, self._topology, where=self.where, link_to=self._link, abandon=self._abandon
            )
            value = await insistence.run(problem)
        except AsyncqError as error:
            call.on_failure(error)
        else:
            call.on_value(value)

    def _abandon(self, slot: int) -> None:
        """The server that we took for the primary is not: find out who is, over a new connection."""
        address = self._topology.known(slot)
        self._topology.forget(address)
        link = self._links.pop(address, None) if address else None
        if link is not None:
            link.abort("this server is no longer the primary")

    async def _link(self, address: Address) -> Link:
        if self._closed:
            raise ClosedError("the connection")
        link = self._links.get(address)
        if link is not None and link.is_open:
            return link
        dialling = self._dialling.get(address)
        if dialling is None:
            fresh = Link(address, response_timeout=self.options.response_timeout)
            dialling = asyncio.get_running_loop().create_task(
                dial(fresh, self.options, name=self._name), name=f"asyncq dial {address}"
            )
            self._dialling[address] = dialling
            dialling.add_done_callback(lambda task: self._dialled(address, task))
        # Several callers wait for one dial: the impatience of one must not spoil it for the others.
        return await asyncio.shield(dialling)

    def _dialled(self, address: Address, task: asyncio.Task[Link]) -> None:
        self._dialling.pop(address, None)
        if task.cancelled() or task.exception() is not None:
            return
        if self._closed:
            task.result().close()
        else:
            self._links[address] = task.result()

    async def ask(self, address: Address, command: tuple[Any, ...]) -> Any:
        """One question to one server, whatever it holds. Not sent again."""
        link = await self._link(address)
        answer = await exchange(link, pack(command))
        if isinstance(answer, ReplyError):
            raise from_reply(answer, where=str(address), what=str(command[0]))
        if isinstance(answer, LinkLostError):
            raise BrokerUnavailableError(str(address), str(answer))
        return answer

    async def _ask_who_serves(self, address: Address, command: tuple[Any, ...]) -> Any:
        """A question of the topology, which asks one server after the other: none may hold it up for long."""
        answer = await self.ask_in_vain(address, *command)
        if isinstance(answer, BrokerError):
            raise answer
        return answer

    async def address_of(self, slot: int = 0) -> Address:
        """Where a slot is served now."""
        return await self._topology.locate(slot)

    async def somewhere(self, attempt: int) -> Address:
        """A server on which all that is published is heard: in a cluster, another one with each attempt."""
        try:
            first = await self._topology.locate(0)
        except BrokerUnavailableError:
            if not self._topology.everywhere():
                raise
        else:
            if not self.is_cluster:
                return first
        nodes = self._topology.everywhere()
        return nodes[attempt % len(nodes)]

    def owner(self, slot: int) -> Address | None:
        """The server that was said last to serve a slot, for messages; it may have gone away since."""
        return self._topology.owner(slot)

    def doubt(self, address: Address) -> None:
        """This server did not answer: another one may have taken over what it served."""
        self._topology.forget(address)

    async def learn_again(self) -> None:
        """Find out anew which servers hold which keys: others may have taken over."""
        self._topology.forget()
        await self._topology.locate(0)

    async def holders(self) -> list[Address]:
        """All servers that hold keys.

        Raises:
            BrokerUnavailableError: Nobody knows which servers these are.
        """
        await self._topology.locate(0)
        return self._topology.everywhere()

    async def ask_each(self, *command: Any) -> dict[Address, Any]:
        """One question to all servers that hold keys at the same time: answers, and why there is none.

        Each gets as long as one attempt to connect may take.

        Raises:
            BrokerUnavailableError: Nobody knows which servers these are.
        """
        answers: dict[Address, Any] = {}
        for _ in range(2):
            answers = {address: answers.get(address) for address in await self.holders()}
            asked = [address for address, answer in answers.items() if answer is None]
            found = await asyncio.gather(*(self.ask_in_vain(address, *command) for address in asked))
            answers.update(zip(asked, found, strict=True))
            away = [address for address in asked if isinstance(answers[address], BrokerUnavailableError)]
            if not away or not self.is_cluster:
                break
            # Replicas may have taken over meanwhile: the others know.
            for address in (*away, None):
                self._topology.forget(address)
        return answers

    async def ask_in_vain(self, address: Address, *command: Any, within: float = math.inf) -> Any:
        """An answer of one server, or the error in its place.

        Args:
            address: Which server.
            command: What to ask it.
            within: Seconds to wait, if that is less than one attempt to connect may take.
        """
        within = min(within, self.options.connect_timeout)
        try:
            async with asyncio.timeout(within if self.is_cluster else None):
                return await self.ask(address, command)
        except TimeoutError:
            return BrokerUnavailableError(str(address), f"no answer within {within:g} s")
        except BrokerError as error:
            return error

    async def aclose(self) -> None:
        """Close everything; calls still on their way fail with `ClosedError`."""
        if self._closed:
            return
        self._closed = True
        # First what needs no await: whoever closes us may be cancelled meanwhile.
        for link in self._links.values():
            link.close()
        self._links.clear()
        for task in [*self._retries, *self._dialling.values()]:
            task.cancel()
        await asyncio.gather(*self._retries, *self._dialling.values(), return_exceptions=True)
        await self._topology.aclose()


FOREVER: Final = math.inf
"""Patience of what must not be given up, such as an outcome that has to be written."""
