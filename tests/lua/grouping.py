"""Groups and aggregation sets to act on."""

from __future__ import annotations

from asyncq._wire.keys import QueueKeys
from tests.lua.space import Space

__all__ = ["add", "ripe", "take", "taken", "taken_with_a_ghost"]


def add(space: Space, group: str, *ids: str, ago: float = 0.0, queue: QueueKeys | None = None) -> None:
    """Let tasks wait in a group, the first for `ago` seconds, each other one a millisecond less."""
    keys = queue or space.q
    for number, task_id in enumerate(ids):
        space.put(task_id, "aggregating", keys, group=group)
        space.client.zadd(keys.group(group), {task_id: space.now() - ago + number / 1000})
    space.client.sadd(keys.groups, group)


def take(space: Space, group: str, *ids: str, ends_in: float = 30.0, name: str = "s.1.0") -> str:
    """Arrange an aggregation set; returns its key."""
    key = space.q.group(f"{group}:{name}")
    for number, task_id in enumerate(ids):
        space.put(task_id, "aggregating", group=group)
        space.client.zadd(key, {task_id: 100 + number})
    space.client.zadd(space.q.aggregation_sets, {key: space.now() + ends_in})
    return key


def ripe(space: Space) -> None:
    """One group is too large for one set, one is not; and the lease of a set ran out."""
    add(space, "g", "a", "b", "c", ago=100.0)
    add(space, "h", "d", ago=100.0)
    add(space, "i", "e", ago=100.0)
    take(space, "i", "f", ends_in=-1.0, name="dead.1.0")


def taken(space: Space) -> None:
    """A set, and more of its group; one of its tasks vanished for whoever reads it."""
    take(space, "g", "a", "b", "gone")
    add(space, "g", "c")


def taken_with_a_ghost(space: Space) -> None:
    """The same, when it has vanished."""
    taken(space)
    space.client.delete(space.q.task("gone"))
