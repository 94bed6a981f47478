"""What every room of the inspector stands on: the way to Redis, and errors that say what is missing."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Final, NoReturn

from asyncq._broker.broker import Broker
from asyncq._broker.rounds import Round
from asyncq._checks import near_misses
from asyncq._compose import new_id
from asyncq.codecs import Codecs
from asyncq.connection import ConnectionOptions
from asyncq.errors import GroupNotFoundError, QueueNotFoundError, TaskNotFoundError
from asyncq.inspector.guard import Change, Who
from asyncq.inspector.noting import Noter, OnChange
from asyncq.inspector.rights import CHANGES
from asyncq.shared import Connection, read_connection

_ID_LENGTH: Final = 12


class Reach:
    """The way of one inspector to Redis, and who goes it."""

    def __init__(  # noqa: PLR0913 - what the inspector was given
        self,
        url: str | ConnectionOptions | Connection,
        *,
        codecs: Codecs | None,
        patience: float,
        prefix: str | None,
        wire: str | None,
        who: Who,
        on_change: OnChange | None = None,
    ) -> None:
        self._way = _Way(*read_connection(url, prefix, wire), patience)
        self._noter = Noter(self._way.broker, on_change)
        self.codecs = (codecs or Codecs()).on(self._way.connection.wire.codec)
        self.who = who
        self._is_view = False

    def acting_as(self, who: Who) -> Reach:
        """The same way, gone by somebody else."""
        view = copy.copy(self)
        view.who, view._is_view = who, True
        return view

    @property
    def where(self) -> str:
        """Where it leads, for messages; without user and password."""
        return self._way.connection.options.describe()

    def broker(self) -> Broker:
        """The areas, made at the first use."""
        return self._way.broker()

    def round(self, *, partial: bool, within: float | None = None) -> Round:
        """A look at many places, of which some may be away."""
        return Round(self.broker().basis, partial=partial, within=within)

    def sees(self, queue: str) -> bool:
        """Whether this queue is among those that may be looked at."""
        return self.who.rights.may("view", queue)

    def see(self, queue: str | None = None) -> None:
        """Refuse to look, in general or at this queue. The first line of what reads.

        Raises:
            NotAllowedError: The right `view` is missing, or the rights are not for this queue.
        """
        self.who.require("view", queue)

    def change(
        self,
        method: str,
        queue: str | None,
        target: str = "",
        *,
        right: str | None = None,
        is_bulk: bool = False,
        queues: Iterable[str] = (),
    ) -> Change:
        """What every method that changes something stands in: it is refused, or done and noted.

        Args:
            method: As the table of rights calls it.
            queue: The queue; `None` for what is of none, or of one that is not known yet.
            target: Id of the task or entry, or a description of which ones.
            right: Which one of those that the table has for this method.
            is_bulk: Whether it is noted at its begin, too.
            queues: The queues of what is of several.

        Raises:
            NotAllowedError: When it is entered, before anything is sent.
        """
        return Change(
            self.who, self._noter.note, method, queue, target, right=right, is_bulk=is_bulk, queues=queues
        )

    async def admit(self, right: str, queue: str | None, target: str) -> None:
        """Refuse now what a method that needs this right would refuse later, and note it as that would.

        Raises:
            NotAllowedError: The right is missing, or is not for this queue.
            ConfigError: There is no such right.
        """
        method = next((name for name, needed in CHANGES.items() if right in needed), None)
        if method is None:
            self.who.require(right, queue)
        else:
            await self.change(method, queue, target, right=right).admit()

    async def require_queue(self, queue: str) -> None:
        """Refuse a queue that is not there.

        Raises:
            QueueNotFoundError: With the names that are like it.
        """
        # The queue itself is asked first: the names of all may be on another node of a cluster, where a
        # client puts them beside its first task, and which may be away.
        browse = self.broker().browse
        if not await browse.has_tasks(queue) and queue not in (known := await browse.queues()):
            raise QueueNotFoundError(queue, near_misses(queue, filter(self.sees, known)))

    async def refuse_missing(self, queue: str, task_id: str) -> NoReturn:
        """Say whether it is the queue or the task that is not there.

        Raises:
            QueueNotFoundError: With the names that are like it.
            TaskNotFoundError: With the queues that do have a task with this id.
        """
        await self.require_queue(queue)
        elsewhere = await self.broker().browse.elsewhere(queue, task_id)
        raise TaskNotFoundError(queue, task_id, [*filter(self.sees, elsewhere)])

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
        """Close it. May be called twice. Somebody else's view of it closes nothing."""
        if not self._is_view:
            await self._noter.aclose()
            await self._way.aclose()


class _Way:
    """What an inspector and all views of it share."""

    def __init__(self, connection: Connection, owns_connection: bool, patience: float) -> None:  # noqa: FBT001 - as it is returned
        self.connection: Final = connection
        self._owns_connection: Final = owns_connection
        self._patience: Final = patience
        self._broker: Broker | None = None

    def broker(self) -> Broker:
        if self._broker is None:
            self._broker = Broker(
                self.connection.router(),
                self.connection.wire,
                owner=new_id()[:_ID_LENGTH],
                patience=self._patience,
            )
        return self._broker

    async def aclose(self) -> None:
        if self._broker is not None:
            broker, self._broker = self._broker, None
            await broker.results.aclose()
        if self._owns_connection:
            await self.connection.aclose()
