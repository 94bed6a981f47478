"""Go and Python behind one set of verbs, so that a test says each thing once for both directions.

A side has a client, a server and an inspector on the same Redis. Handlers of both sides do what the payload
says (`script`), and note their runs. What an inspector says of a task is brought into one form, a `View`:
whole seconds and bytes, which is what both can say.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from tests.support.waiting import wait_until

__all__ = ["RefusedError", "Run", "Side", "View", "agreed", "script", "soon", "whole"]


def script(**what: Any) -> bytes:
    """Make a payload that tells the handler of either side what to do: see `drive/handler.go`."""
    return json.dumps(what).encode()


class RefusedError(Exception):
    """A side said no; the word says why."""


@dataclass(frozen=True)
class View:
    """A task, as far as both languages can say what it is like."""

    id: str
    type: str
    payload: bytes
    state: str
    max_retry: int = 25
    retried: int = 0
    last_error: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    timeout: int = 1800
    deadline: int | None = None
    retention: int = 0
    group: str = ""
    result: bytes = b""
    due: int | None = None
    """Of scheduled and retry tasks."""
    failed_at: int | None = None
    completed_at: int | None = None


@dataclass(frozen=True)
class Run:
    """What a handler saw of one attempt."""

    task: str
    type: str
    payload: bytes
    headers: dict[str, str]
    retried: int
    max_retry: int
    queue: str
    deadline: float | None


class Side(Protocol):
    """What a test can ask of a language."""

    name: str

    async def enqueue(
        self, kind: str, payload: bytes, headers: dict[str, str] | None = None, **o: Any
    ) -> str:
        """Enqueue a task with options under the names of both; instants and durations are seconds."""
        ...

    async def serve(self, name: str = "a", **options: Any) -> None:
        """Start a server with `concurrency`, `queues`, `strict`, `retry_delay`, `shutdown` or `group`."""
        ...

    async def shut_down(self, name: str = "a") -> None:
        """Let it leave in order."""
        ...

    async def view(self, task_id: str, queue: str = "default") -> View | None:
        """Look at a task with the inspector of this side."""
        ...

    async def views(self, state: str, queue: str = "default", group: str = "") -> list[View]:
        """Look at all tasks of a state."""
        ...

    async def act(self, action: str, task_id: str, queue: str = "default") -> None:
        """Run, archive, delete or cancel a task."""
        ...

    async def act_on_all(self, action: str, state: str, queue: str = "default", group: str = "") -> int:
        """The same for all of a state."""
        ...

    async def edit(self, task_id: str, payload: bytes, queue: str = "default") -> None:
        """Give a task another payload."""
        ...

    async def pause(self, queue: str = "default") -> None:
        """Let nothing be taken."""
        ...

    async def unpause(self, queue: str = "default") -> None:
        """Let it be taken again."""
        ...

    async def run(self, task_id: str, number: int = 0) -> Run:
        """Wait for the given attempt at a task on this side, and return it."""
        ...

    def runs(self) -> list[Run]:
        """All attempts so far on this side."""
        ...

    async def groups(self, queue: str = "default") -> dict[str, int]:
        """The groups of a queue that have tasks, and how many."""
        ...

    async def parts(self, group: str) -> list[bytes]:
        """Wait until this side has aggregated a group, and return the payloads it was given."""
        ...

    async def numbers(self, queue: str = "default") -> dict[str, int]:
        """What a queue has processed, by the inspector of this side."""
        ...


def whole(moment: float | datetime | None) -> int | None:
    """Cut an instant to the whole seconds that both can say."""
    if moment is None:
        return None
    return int(moment.timestamp() if isinstance(moment, datetime) else moment)


async def agreed(sides: Iterable[Side], task_id: str, queue: str = "default", **expected: Any) -> View | None:
    """Wait until every side sees a task like this, and assert that all see the same.

    `state=None` is for a task that is gone; of `last_error` a part is enough.
    """
    sides = list(sides)
    error = expected.pop("last_error", "")
    views: list[View | None] = []

    async def is_so() -> bool:
        views[:] = [await side.view(task_id, queue) for side in sides]
        if expected.get("state", "") is None:
            return views == [None] * len(views)
        return all(
            view is not None
            and error in view.last_error
            and all(getattr(view, name) == value for name, value in expected.items())
            for view in views
        )

    try:
        await wait_until(is_so, f"{expected} of {task_id}", 15)
    except AssertionError as error:
        raise AssertionError(f"{error}; seen: {views}") from None
    first = views[0]
    assert all(_close(view, first) for view in views), views
    return first


def _close(one: View | None, other: View | None) -> bool:
    """Equal, but that a due time with a fraction may be shown as it is, or as the next whole second."""
    if one is None or other is None:
        return one is other
    if one.due is not None and other.due is not None and abs(one.due - other.due) <= 1:
        other = replace(other, due=one.due)
    return one == other


def soon(seconds: float) -> float:
    """An instant from now, in whole Unix seconds as Go has them."""
    return float(int(time.time() + seconds))
