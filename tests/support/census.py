"""Counts the tasks of a queue: every one in exactly one place, and none lost.

Written apart from `asyncq doctor` on purpose: two accounts that agree are worth more than one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redis import Redis
from redis.cluster import RedisCluster

from asyncq._wire.keys import Keys
from tests.support.keyspace import snapshot

__all__ = ["Census", "take_census"]

_PLACES = ("pending", "lease", "scheduled", "retry", "archived", "completed")
_GONE = (
    "done", "revoked", "expired", "reaped", "trimmed", "vanished", "deleted", "removed", "aggregated",
)  # fmt: skip


class Census:
    """Where each task of one queue is."""

    def __init__(self, space: Mapping[str, Any], queue: str) -> None:
        base = Keys().queue(queue).base
        mine = {name.removeprefix(base): value for name, value in space.items() if name.startswith(base)}
        self.hashes: dict[str, dict[str, str]] = {
            name.removeprefix("t:"): value for name, value in mine.items() if name.startswith("t:")
        }
        self.places: dict[str, list[str]] = {
            "active" if place == "lease" else place: list(mine.get(place, [])) for place in _PLACES
        }
        self.places["aggregating"] = [
            task_id for name, value in mine.items() if name.startswith("g:") for task_id in value
        ]
        flow = mine.get("flow", {})
        self.created = int(flow.get("created", 0))
        self.gone = {kind: int(flow[kind]) for kind in _GONE if kind in flow}
        self.locks: dict[str, str] = {
            name.removeprefix("unique:"): value for name, value in mine.items() if name.startswith("unique:")
        }

    def __getitem__(self, place: str) -> list[str]:
        return self.places[place]

    @property
    def counts(self) -> dict[str, int]:
        """How many are where; places without any are left out."""
        return {place: len(ids) for place, ids in self.places.items() if ids}

    def check(self) -> None:
        """Fail unless every task is in exactly one place, which is the one its hash names."""
        seen: dict[str, str] = {}
        for place, ids in self.places.items():
            for task_id in ids:
                assert task_id not in seen, f"{task_id} is {seen[task_id]} and {place}"
                seen[task_id] = place
                assert task_id in self.hashes, f"{task_id} is {place} and has no hash"
                task = self.hashes[task_id]
                assert task.get("state", "pending") == place, f"{task_id} is {place}, its hash says {task}"
                assert ("delivery" in task) == (place == "active"), f"{task_id} is {place} with {task}"
                assert "msg" in task, f"{task_id} has no message"
        assert set(self.hashes) == set(seen), f"in no place: {set(self.hashes) - set(seen)}"
        lost = self.created - len(self.hashes) - sum(self.gone.values())
        assert lost == 0, f"{self.created} created, {self.counts} here, {self.gone} gone: {lost} lost"
        for lock, owner in self.locks.items():
            assert owner in self.hashes, f"the lock {lock} is held by {owner}, which is gone"


def take_census(client: Redis | RedisCluster, queue: str = "default") -> Census:
    """Count and check the tasks of a queue."""
    census = Census(snapshot(client), queue)
    census.check()
    return census
