"""What every room of the inspector stands on: the way to Redis, and errors that say what is missing."""

from __future__ import annotations

from typing import Final, NoReturn

from asyncq._broker.broker import Broker
from asyncq._broker.rounds import Round
from asyncq._checks import near_misses
from asyncq._compose import new_id
from asyncq.codecs import Codecs
from asyncq.connection import ConnectionOptions
from asyncq.errors import GroupNotFoundError, QueueNotFoundError, TaskNotFoundError
from asyncq.shared import Connection, read_connection

_ID_LENGTH: Final = 12


class Reach:
    """The way of one inspector to Redis."""

    def __init__(
        self,
        url: str | ConnectionOptions | Connection,
        *,
        codecs: Codecs | None,
        patience: float,
        prefix: str | None,
        wire: str | None,
    ) -> None:
        self._connection, self._owns_connection = read_connection(url, prefix, wire)
        self._patience = patience
        self._broker: Broker | None = None
        self.codecs: Final = (codecs or Codecs()).on(self._connection.wire.codec)

    @property
    def where(self) -> str:
        """Where it leads, for messages; without user and password."""
        return self._connection.options.describe()

    def broker(self) -> Broker:
        """The areas, made at the first use."""
        if self._broker is None:
            self._broker = Broker(
                self._connection.router(),
                self._connection.wire,
                owner=new_id()[:_ID_LENGTH],
                patience=self._patience,
            )
        return self._broker

    def round(self, *, partial: bool, within: float | None = None) -> Round:
        """A look at many places, of which some may be away."""
        return Round(self.broker().basis, partial=partial, within=within)

    async def require_queue(self, queue: str) -> None:
        """Refuse a queue that is not there.

        Raises:
            QueueNotFoundError: With the names that are like it.
        """
        # The queue itself is asked first: the names of all may be on another node of a cluster, where a
        # client puts them beside its first task, and which may be away.
        browse = self.broker().browse
        if not await browse.has_tasks(queue) and queue not in (known := await browse.queues()):
            raise QueueNotFoundError(queue, near_misses(queue, known))

    async def refuse_missing(self, queue: str, task_id: str) -> NoReturn:
        """Say whether it is the queue or the task that is not there.

        Raises:
            QueueNotFoundError: With the names that are like it.
            TaskNotFoundError: With the queues that do have a task with this id.
        """
        await self.require_queue(queue)
        raise TaskNotFoundError(queue, task_id, await self.broker().browse.elsewhere(queue, task_id))

    async def refuse_unknown(self, queue: str, group: str = "") -> None:
        """Refuse a queue, or a group of it, that is not there.

        Raises:
            QueueNotFoundError: With the names that are like it.
            GroupNotFoundError: With the names that are like it.
        """
        await self.require_queue(queue)
        if group:
            known = sorted(await self.broker().browse.groups(queue))
            if group not in known:
                raise GroupNotFoundError(queue, group, near_misses(group, known))

    async def aclose(self) -> None:
        """Close it. May be called twice."""
        if self._broker is not None:
            broker, self._broker = self._broker, None
            await broker.results.aclose()
        if self._owns_connection:
            await self._connection.aclose()
