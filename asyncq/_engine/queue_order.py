"""From which queues to take how many tasks next. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ROUNDING: Final = 1e-9
"""What sums of shares may be off by."""


class QueueOrder:
    """Divides what is wanted among queues: by weight, or strictly by rank.

    Weighted shares are exact over any window: what a queue is short of in one division because
    tasks do not split is carried over to the next. A queue that had nothing to give does not save
    up what it was offered; the others take it (deliver.lua), so nothing idles.
    """

    def __init__(self, queues: Mapping[str, int], *, strict: bool) -> None:
        self._ranked = sorted(queues, key=lambda name: (-queues[name], name))
        self._strict = strict
        total = sum(queues.values())
        self._shares = {name: queues[name] / total for name in self._ranked}
        self._carried = dict.fromkeys(self._ranked, 0.0)

    @property
    def names(self) -> list[str]:
        """The queues, heaviest first."""
        return list(self._ranked)

    def divide(self, want: int) -> list[tuple[str, int]]:
        """Quotas that add up to `want`, in the order in which what is left over is to be filled."""
        if self._strict or len(self._ranked) == 1:
            return [
                (name, want if self._strict or index == 0 else 0) for index, name in enumerate(self._ranked)
            ]
        due = {name: self._carried[name] + want * self._shares[name] for name in self._ranked}
        quotas = {name: max(0, int(due[name])) for name in self._ranked}
        by_need = sorted(self._ranked, key=lambda name: quotas[name] - due[name])
        for name in self._by_deadline(due, quotas)[: want - sum(quotas.values())]:
            quotas[name] += 1
        for name in self._ranked:
            self._carried[name] = due[name] - quotas[name]
        return [(name, quotas[name]) for name in by_need]

    def _by_deadline(self, due: Mapping[str, float], quotas: Mapping[str, int]) -> list[str]:
        """Who is to be served first of those that have begun to be owed a task.

        By when they will be owed the whole of it, not by how much they are owed now: a light queue may
        wait, and a heavy one would be owed two by the next time. That is what keeps all of them within one
        task of their shares (Tijdeman's solution of the chairman assignment problem).
        """

        def deadline(name: str) -> tuple[bool, float]:
            owed = due[name] - quotas[name]
            return owed <= ROUNDING, (1.0 - owed) / self._shares[name]

        return sorted(self._ranked, key=deadline)
