"""Groups at work: tasks go in, and what comes out as one task is noted."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from asyncq import Client, Mux, Task
from tests.integration.serving import at_work
from tests.support.waiting import wait_until

__all__ = ["Batches", "combine", "put", "serve"]

GRACE = 0.05


class Batches:
    """Handles `batch`, and notes what was in each."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.at: list[float] = []
        self.mux = Mux()
        self.mux.handle("batch", self._batch)
        self.mux.handle("one", self._batch)

    async def _batch(self, task: Task) -> None:
        self.seen.append(task.payload)
        self.at.append(time.monotonic())

    @property
    def numbers(self) -> Counter[int]:
        """Return how often each number was in a batch."""
        return Counter(number for batch in self.seen for number in batch["of"])

    async def wait_for(self, *numbers: int) -> None:
        """Wait until these were in batches, and no others."""
        await wait_until(lambda: set(self.numbers) == set(numbers), "all to be handled")


def combine(group: str, tasks: list[Task]) -> Task:
    """Make one task of many."""
    return Task("batch", {"group": group, "of": [task.payload for task in tasks]})


async def put(client: Client, group: str, *numbers: int, **options: Any) -> list[str]:
    """Let tasks join a group; returns their ids."""
    placed = [await client.enqueue(Task("one", number), group=group, **options) for number in numbers]
    return [info.id for info in placed]


def serve(url: str, batches: Batches, aggregator: Callable[..., Any] = combine, **options: Any) -> Any:
    """Run a server that aggregates for the length of a block, and a client beside it."""
    given = {"group_aggregator": aggregator, "group_grace_period": GRACE, **options}
    return at_work(url, batches.mux, **given)
