"""What a queue looks like when a call comes, where more than one test begins with it."""

from __future__ import annotations

from collections.abc import Callable

from tests.lua.calls import STAND
from tests.lua.space import Space

__all__ = ["Arrange", "at_rest", "due", "lost", "over", "paused", "running", "waiting"]

Arrange = Callable[[Space], None]


def at_rest(_: Space) -> None:
    """Nothing is there."""


def running(space: Space) -> None:
    """The task `a` runs, with a lock; `b` runs too, and a server idles."""
    space.active("a", "s:1", unique="k")
    space.active("b", "s:2")
    space.client.set(space.q.unique("k"), "a")
    space.client.zadd(space.q.waiting, {"t": space.now() + STAND})


def waiting(space: Space) -> None:
    """There is something to take, and an id without a task."""
    space.client.lpush(space.q.pending, "gone")
    space.pending("a", "b")


def due(space: Space) -> None:
    """A task of each kind that waits for its time may be forwarded, and an id without one."""
    space.delayed("a", "scheduled", due_in=-1)
    space.delayed("b", "retry", due_in=-1)
    space.delayed("c", "scheduled", due_in=-1, group="g")
    space.client.zadd(space.q.retry, {"gone": 1})


def lost(space: Space) -> None:
    """Of two leases that ran out one belongs to a task that lost too many, one to no task."""
    space.active("a", "s:1", ends_in=-1)
    space.active("b", "s:2", ends_in=-1, lost=4)
    space.client.zadd(space.q.lease, {"gone": 1})


def over(space: Space) -> None:
    """A completed task has been kept long enough, and an archived one."""
    for task_id, state in (("a", "completed"), ("b", "archived")):
        space.delayed(task_id, state, due_in=-1000, unique=task_id)
        space.client.set(space.q.unique(task_id), task_id)


def paused(space: Space) -> None:
    """There is something to take, and it may not be taken."""
    waiting(space)
    space.client.set(space.q.paused, "1")
