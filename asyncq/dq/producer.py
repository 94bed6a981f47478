"""Puts messages that are handled later: several copies, on different nodes."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Self

from asyncq._service import Errands
from asyncq.beanstalk import HIGHEST, BeanstalkError, JobNotFoundError
from asyncq.dq.conf import LEAST_NODES, MOST_COPIES, Beanstalk, read_nodes, require_different
from asyncq.dq.errors import NotRevokedError, NotWrittenError
from asyncq.dq.node import Copy, Node, read_ids
from asyncq.dq.stamp import SECOND, duration_ns, instant_ns, wrap
from asyncq.errors import AsyncqError, ClosedError, ConfigError

__all__ = ["Producer", "ProducerNode"]


class Producer:
    """Puts each message to several beanstalkds, so that it outlives the loss of one.

        nodes = [Beanstalk("10.0.0.1:11300", "orders"), Beanstalk("10.0.0.2:11300", "orders")]
        async with Producer(nodes) as orders:
            ids = await orders.delay(b"close 42", timedelta(minutes=30))
            await orders.revoke(ids)

    A message counts as put when two nodes have it; what was written when it does not is deleted again. Of
    more than three nodes three are drawn for each message. Bytes and ids are those of go-queue, so that its
    consumers handle what is put here, and its producers can revoke it. Nothing is connected before the
    first use.

    Args:
        beanstalks: The nodes, two at least, on different endpoints.
        connect_timeout: Seconds for one attempt to connect to a node.
        response_timeout: Seconds for one answer of a node.
    """

    _needed: int = LEAST_NODES

    def __init__(
        self,
        beanstalks: Sequence[Beanstalk],
        *,
        connect_timeout: float = 10.0,
        response_timeout: float = 10.0,
    ) -> None:
        confs = read_nodes(beanstalks, least=self._needed)
        require_different(confs)
        self._nodes: Final = tuple(
            Node(conf, connect_timeout=connect_timeout, response_timeout=response_timeout) for conf in confs
        )
        self._errands: Final = Errands()
        self._is_closed = False

    async def at(self, body: bytes, when: datetime) -> str:
        """Put a message that is to be handled at a moment.

        Nodes count whole seconds, so it may be handled up to one second before its time.

        Args:
            body: The message.
            when: An aware datetime; not in the past.

        Returns:
            Its id, to revoke it with: of each copy `endpoint/tube/number`, with commas between.

        Raises:
            ConfigError: The moment is in the past, or is none.
            NotWrittenError: Fewer than two nodes took it. None has it then, as far as they were reached.
        """
        due = instant_ns(when)
        ahead = due - time.time_ns()
        if ahead < 0:
            raise ConfigError("when", when, "a moment that is not in the past")
        return await self._put(body, due, ahead)

    async def delay(self, body: bytes, delay: float | timedelta) -> str:
        """Put a message that is to be handled after some time.

        Args:
            body: The message.
            delay: Seconds or a `timedelta`. Nodes count whole seconds: 1.9 is handled after 1.

        Returns:
            Its id, as of `at`.

        Raises:
            ConfigError: The delay is negative, or is none.
            NotWrittenError: Fewer than two nodes took it. None has it then, as far as they were reached.
        """
        ahead = duration_ns(delay)
        return await self._put(body, time.time_ns() + ahead, ahead)

    async def revoke(self, ids: str) -> None:
        """Delete the copies of a message. Copies on nodes that are not ours are left alone.

        Raises:
            ConfigError: It is no id, or none of its copies is on a node of this producer.
            NotRevokedError: Not every copy was deleted: handled already, revoked, or its node is away.
        """
        copies = read_ids(ids)
        pairs = [(node, copy) for copy in copies for node in self._nodes if node.has(copy)]
        if not pairs:
            raise ConfigError("ids", ids, "an id of a message on nodes of this producer")
        self._require_open()
        failures = await asyncio.shield(self._errands.start(_delete(pairs), name="dq revoke"))
        if failures:
            revoked = [str(copy) for _, copy in pairs if str(copy) not in failures]
            raise NotRevokedError(revoked, failures)

    async def close(self) -> None:
        """Close the connections. What is on its way is finished first. May be called twice."""
        self._is_closed = True
        await self._errands.finish()
        for node in self._nodes:
            await node.aclose()

    aclose = close

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {', '.join(f'{n.conf.endpoint}/{n.conf.tube}' for n in self._nodes)}>"

    async def _put(self, body: bytes, due_ns: int, ahead_ns: int) -> str:
        if not isinstance(body, bytes):
            raise ConfigError("body", body, 'bytes, such as b"hello" or "hello".encode()')
        seconds = ahead_ns // SECOND
        if seconds > HIGHEST or due_ns >= 2**63:
            raise ConfigError("delay", seconds, f"{HIGHEST} seconds at the most, which is 136 years")
        raw = wrap(body, due_ns)
        nodes = self._nodes if len(self._nodes) <= MOST_COPIES else random.sample(self._nodes, MOST_COPIES)
        self._require_open()
        writing = _Writing(nodes, raw, seconds=seconds, needed=self._needed)
        task = self._errands.start(writing.run(), name="dq put")
        try:
            # Not ended with its caller: a copy may be there already, of which nobody would know.
            await asyncio.shield(task)
        except asyncio.CancelledError:
            writing.is_wanted = False
            if task.done():
                self._errands.start(writing.take_back(), name="dq take back")
            raise
        if not writing.is_enough:
            raise NotWrittenError(
                writing.count, self._needed, writing.failures, [str(copy) for _, copy in writing.written]
            )
        return ",".join(str(copy) for _, copy in writing.written)

    def _require_open(self) -> None:
        if self._is_closed:
            raise ClosedError("the producer")


class ProducerNode(Producer):
    """Puts each message to one beanstalkd. When that is lost, what waits there is lost with it.

    Args:
        endpoint: `host:port`.
        tube: The tube in it.
        connect_timeout: Seconds for one attempt to connect.
        response_timeout: Seconds for one answer.
    """

    _needed = 1

    def __init__(
        self, endpoint: str, tube: str, *, connect_timeout: float = 10.0, response_timeout: float = 10.0
    ) -> None:
        super().__init__(
            [Beanstalk(endpoint, tube)], connect_timeout=connect_timeout, response_timeout=response_timeout
        )


class _Writing:
    """The copies of one message on their way to their nodes."""

    def __init__(self, nodes: Sequence[Node], raw: bytes, *, seconds: int, needed: int) -> None:
        self._nodes: Final = nodes
        self._raw: Final = raw
        self._seconds: Final = seconds
        self._needed: Final = needed
        self.is_wanted = True
        """False when nobody waits for it any more: then nothing may stay."""
        self.written: list[tuple[Node, Copy]] = []
        """In the order in which the nodes answered, as in go-queue's ids."""
        self.count = 0
        self.failures: dict[str, Exception] = {}

    @property
    def is_enough(self) -> bool:
        """Whether the message counts as put."""
        return self.count >= self._needed

    async def run(self) -> None:
        """Write them all at the same time; too few, or unwanted, are deleted again."""
        # What is too big for one node is written to none, where that is known before.
        for node in self._nodes:
            self._check(node)
        if not self.failures:
            await asyncio.gather(*(self._write(node) for node in self._nodes))
        self.count = len(self.written)
        if not (self.is_enough and self.is_wanted):
            await self.take_back()

    async def take_back(self) -> None:
        """Delete what was written. What could not be deleted stays in `written`."""
        failures = await _delete(self.written)
        self.written = [
            (node, copy)
            for node, copy in self.written
            if not isinstance(failures.get(str(copy)), JobNotFoundError | None)
        ]

    def _check(self, node: Node) -> None:
        try:
            node.check(self._raw)
        except BeanstalkError as error:
            self.failures[node.conf.endpoint] = error

    async def _write(self, node: Node) -> None:
        try:
            self.written.append((node, await node.put(self._raw, delay=self._seconds)))
        except AsyncqError as error:
            self.failures[node.conf.endpoint] = error


async def _delete(pairs: Sequence[tuple[Node, Copy]]) -> dict[str, Exception]:
    """Delete copies at the same time. Returns why of those that could not be."""
    failures: dict[str, Exception] = {}

    async def delete(node: Node, copy: Copy) -> None:
        try:
            await node.delete(copy)
        except AsyncqError as error:
            failures[str(copy)] = error

    await asyncio.gather(*(delete(node, copy) for node, copy in pairs))
    return failures
