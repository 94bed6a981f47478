"""Removes what has been kept for long enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from asyncq._broker.upkeep import Upkeep
from asyncq._engine.callbacks import tell
from asyncq._service import Service


class Janitor(Service):
    """Removes completed tasks whose retention is over, and archived ones that are too old or too many.

    A bounded number in each call, so that nobody waits for it. What it drops from the archive it
    says: in the log, in the counter `trimmed`, and to `on_dropped`.
    """

    def __init__(  # noqa: PLR0913 - its options, one by one
        self,
        upkeep: Upkeep,
        queues: Sequence[str],
        *,
        max_age: float,
        max_count: int,
        on_dropped: Callable[[str, list[str]], Any] | None,
        interval: float,
        batch: int,
    ) -> None:
        super().__init__("janitor")
        self._upkeep: Final = upkeep
        self._queues: Final = list(queues)
        self._max_age: Final = max_age
        self._max_count: Final = max_count
        self._on_dropped: Final = on_dropped
        self._interval: Final = interval
        self._batch: Final = batch

    async def tick(self) -> float:
        swept = await self._upkeep.sweep(
            self._queues, max_age=self._max_age, max_count=self._max_count, batch=self._batch
        )
        for queue, ids in swept.dropped.items():
            self.log.warning(
                "%d archived tasks of %s were removed, too old or too many",
                len(ids),
                queue,
                extra={"event": "archive_trimmed", "queue": queue, "count": len(ids)},
            )
            await tell(self.log, self._on_dropped, queue, ids)
        return 0.0 if swept.more else self._interval
