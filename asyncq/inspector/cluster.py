"""The inspector's room for where queues live."""

from __future__ import annotations

from typing import Final

from asyncq._broker.nodes import Node, RedisInfo
from asyncq.errors import ConfigError
from asyncq.inspector.found import Found
from asyncq.inspector.reach import Reach
from asyncq.options import is_queue_name


class Cluster:
    """Slots and nodes. Without a cluster there is one server, which holds every slot."""

    def __init__(self, reach: Reach) -> None:
        self._reach: Final = reach

    def slot(self, queue: str) -> int:
        """The slot of a queue, from 0 to 16,383: computed, whether or not the queue is there.

        Raises:
            ConfigError: A queue cannot have such a name.
        """
        self._reach.see(queue)
        if not is_queue_name(queue):
            raise ConfigError("queue", queue, "a name that is not blank and has no braces")
        return self._reach.broker().nodes.slot(queue)

    async def nodes(self, queue: str) -> list[Node]:
        """The nodes that hold a queue, or would: the primary first, then its replicas.

        Without a cluster, the server itself. Any node of the cluster can say it, so it is said also while
        these are away.

        Raises:
            ConfigError: A queue cannot have such a name.
        """
        self._reach.see(queue)
        self.slot(queue)
        return await self._reach.broker().nodes.of(queue)

    async def redis(self, *, partial: bool = False) -> Found[RedisInfo]:
        """What each Redis server that holds keys says of itself: version, memory, connections.

        Args:
            partial: Return what can be had when a node of a cluster is away; `missing` of the list says what
                cannot.

        Raises:
            PartlyUnavailableError: A node of a cluster is away, and `partial` was not given.
        """
        self._reach.see()
        round_ = self._reach.round(partial=partial)
        found = await self._reach.broker().nodes.info(round_)
        return Found(found, round_.end())
