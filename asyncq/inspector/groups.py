"""The inspector's room for groups."""

from __future__ import annotations

import builtins
import functools
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from asyncq._broker.groups import Surveyed
from asyncq._broker.rounds import Question
from asyncq._checks import near_misses
from asyncq._clock import from_unix
from asyncq.errors import GroupNotFoundError
from asyncq.inspector.found import Found
from asyncq.inspector.reach import Reach


@dataclass(frozen=True, slots=True)
class GroupInfo:
    """The tasks of one group at one moment."""

    queue: str
    name: str
    size: int  #: tasks that wait in it
    aggregating: int  #: tasks that a server is making one of, or that a server that vanished has left
    oldest_at: datetime  #: when the first of all these came
    latest_at: datetime  #: when the last of them did: the grace period counts from here


class Groups:
    """Groups of tasks that wait to become one."""

    def __init__(self, reach: Reach) -> None:
        self._reach: Final = reach

    async def list(self, queue: str, *, partial: bool = False) -> Found[GroupInfo]:
        """The groups of a queue that have tasks, by name.

        Args:
            queue: Its name.
            partial: When the node of a cluster that holds this queue is away, return no group, and the queue
                as `missing`.

        Raises:
            QueueNotFoundError: No task was ever put into such a queue.
            BrokerUnavailableError: The node is away, and `partial` was not given.
        """
        self._reach.see(queue)
        round_, broker = self._reach.round(partial=partial), self._reach.broker()
        look = functools.partial(broker.groups.survey, queue)
        found = await round_.one(Question("queue", [queue], broker.basis.slot(queue), look))
        if found is None:
            return Found((), round_.missing)
        if not found:
            await self._reach.require_queue(queue)
        by_name: dict[str, builtins.list[Surveyed]] = {}
        for one in found:
            by_name.setdefault(one.group, []).append(one)
        return Found([_group_info(queue, name, by_name[name]) for name in sorted(by_name)])

    async def get(self, queue: str, group: str) -> GroupInfo:
        """One group.

        Raises:
            QueueNotFoundError: No task was ever put into such a queue.
            GroupNotFoundError: No task waits in such a group; with the names that are like it.
        """
        self._reach.see(queue)
        found = {info.name: info for info in await self.list(queue)}
        if group not in found:
            raise GroupNotFoundError(queue, group, near_misses(group, [*found]))
        return found[group]


def _group_info(queue: str, name: str, found: list[Surveyed]) -> GroupInfo:
    return GroupInfo(
        queue,
        name,
        sum(one.size for one in found if not one.is_taken),
        sum(one.size for one in found if one.is_taken),
        from_unix(min(one.oldest for one in found)),
        from_unix(max(one.latest for one in found)),
    )
