"""A slot on its way to another node of a cluster, and what a call is told meanwhile."""

from __future__ import annotations

from typing import Any, Literal, Self

import pytest
from redis.exceptions import ResponseError, TryAgainError

from asyncq._redis.failures import ReplyError
from tests.lua.calls import Act
from tests.lua.scenes import Arrange
from tests.lua.space import Space
from tests.support.cluster import ClusterProcesses, SlotMove

__all__ = ["Moving", "Side", "refusal"]

Side = Literal["source", "target"]


class Moving(Space):
    """The queue `q` half-way between two nodes, seen from one of them."""

    def __init__(self, nodes: ClusterProcesses, arrange: Arrange) -> None:
        pending = "asyncq:{q}:pending"
        nodes.wait_agreed()  # of the last move: else a claim of before it may undo the next one
        source = nodes.owner_of(pending)
        target = next(node for node in nodes.nodes if node is not source)
        self._move = SlotMove(nodes, pending, target)
        self._clients = {"source": source.client(), "target": target.client()}
        self._asks = False
        self.in_cluster = "1"
        super().__init__(self._clients["source"])
        self.client.flushall()
        _furnish(self)
        arrange(self)
        self.before = self.everything()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the nodes as they should be, also where the move cannot be brought to its end."""
        for client in self._clients.values():
            client.flushall()
            client.close()
        self._move.end(unwatched=True)

    def begin(self, side: Side, late: str) -> None:
        """Let one key be where the others are not, and look from where those are."""
        self._move.begin()
        moved = [key for key in self._move.left() if (key == self.q.base + late) == (side == "source")]
        assert moved
        self._move.carry(*moved)
        self.client = self._clients[side]
        self._asks = side == "target"

    def end(self) -> None:
        """Let all the rest arrive."""
        self._move.end(unwatched=True)
        self.client = self._clients["target"]
        self._asks = False

    def run(self, name: str, keys: Any, *args: object, again: bool = False) -> Any:
        """Run a script where one was sent with ASK, if one was."""
        if self._asks:
            self.client.execute_command("ASKING")  # the next command has the same connection
        return super().run(name, keys, *args, again=again)


def _furnish(space: Space) -> None:
    """Let every key be there that a script may declare: only then does Redis begin it at all."""
    q, later = space.q, space.now() + 1000
    space.pending("p")
    space.active("l", "other:1", ends_in=1000)
    for state in ("scheduled", "retry", "completed"):
        space.delayed(f"x{state}", state, due_in=1000)
    space.delayed("old", "archived", due_in=0)
    space.put("y", "aggregating", group="g")
    space.client.zadd(q.group("g"), {"y": later})
    space.client.sadd(q.groups, "g")
    space.put("z", "aggregating", group="h")
    space.client.zadd(q.base + "set", {"z": later})
    space.client.zadd(q.aggregation_sets, {q.base + "set": later})
    space.client.hset(q.flow, "created", 100)
    space.client.set(q.paused, "1")
    # More than are woken.
    space.client.zadd(q.waiting, {f"idle{number}": later for number in range(9)})


def refusal(space: Space, act: Act) -> ReplyError:
    """What the router would get to see."""
    with pytest.raises((ResponseError, TryAgainError)) as refused:
        act(space)
    # The library takes the first word away.
    word = "TRYAGAIN" if isinstance(refused.value, TryAgainError) else "ERR"
    return ReplyError(f"{word} {refused.value}")
