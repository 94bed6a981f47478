"""What can be wrong in a queue, done by hand, and what a repair makes of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from asyncq._broker.findings import Kind
from asyncq._wire.keys import Keys, QueueKeys

__all__ = ["DAMAGES", "KEYS", "OTHER", "OWNED", "QUEUE", "THIRD", "VICTIM", "Damage", "Scene", "orphan"]

QUEUE = "orders"
KEYS = Keys().queue(QUEUE)
# Ids are given, so that a damage can name its victim.
VICTIM, OTHER, THIRD = "victim", "other", "third"


@dataclass
class Scene:
    """A queue with three pending tasks, to be damaged."""

    redis: Any
    keys: QueueKeys = KEYS

    @property
    def task(self) -> str:
        """Its hash."""
        return self.keys.task(VICTIM)

    def unlist(self) -> None:
        """Take the victim out of the pending list."""
        assert self.redis.lrem(self.keys.pending, 0, VICTIM) == 1

    def put(self, place: str, score: float = 0.0, *, state: str | None = None) -> None:
        """Move the victim to a sorted set, as our scripts would, or with another state."""
        self.unlist()
        self.redis.zadd(
            getattr(self.keys, "lease" if place == "active" else place), {VICTIM: score or time.time()}
        )
        self.redis.hset(self.task, "state", state or place)

    def places(self) -> list[str]:
        """Where the victim is now, and what its hash says."""
        k = self.keys
        found = ["pending"] * self.redis.lrange(k.pending, 0, -1).count(VICTIM.encode())
        sets = {"active": k.lease, "scheduled": k.scheduled, "retry": k.retry}
        sets |= {"archived": k.archived, "completed": k.completed, "group": k.group("g")}
        found += [name for name, key in sets.items() if self.redis.zscore(key, VICTIM) is not None]
        state = (self.redis.hget(self.task, "state") or b"pending").decode()
        return [*found, f"says {state}"] if self.redis.exists(self.task) else found


@dataclass(frozen=True)
class Damage:
    """One thing that can be wrong, how it comes about, and what a repair makes of it."""

    name: str
    kinds: set[Kind]
    cause: Callable[[Scene], Any]
    after: list[str] = field(default_factory=lambda: ["pending", "says pending"])
    flow: dict[str, int] = field(default_factory=dict[str, int])
    """Counters beside `created` after the repair."""


def orphan(state: str | None = None, **fields: Any) -> Callable[[Scene], None]:
    """The victim is in no list or set, and its hash says where it was."""

    def cause(scene: Scene) -> None:
        scene.unlist()
        if state:
            scene.redis.hset(scene.task, mapping={"state": state, **fields})

    return cause


def _twice(place: str, score: float, **fields: Any) -> Callable[[Scene], None]:
    def cause(scene: Scene) -> None:
        key = scene.keys.lease if place == "active" else getattr(scene.keys, place)
        scene.redis.zadd(key, {VICTIM: score})
        scene.redis.hset(scene.task, mapping={"state": place, **fields})

    return cause


def _two_sets(first: str, second: str) -> Callable[[Scene], None]:
    def cause(scene: Scene) -> None:
        scene.put(first)
        scene.redis.zadd(getattr(scene.keys, second), {VICTIM: 1.0})

    return cause


def _in_group(scene: Scene) -> None:
    scene.unlist()
    scene.redis.zadd(scene.keys.group("g"), {VICTIM: 1.0})
    scene.redis.hset(scene.task, mapping={"state": "aggregating", "group": "g"})


def _ghost_in(place: str) -> Callable[[Scene], None]:
    def cause(scene: Scene) -> None:
        scene.put(place)
        scene.redis.delete(scene.task)

    return cause


def _without_message(scene: Scene) -> None:
    scene.redis.hdel(scene.task, "msg")
    scene.redis.hset(scene.task, "retried", 2)


def _hollow(scene: Scene) -> None:
    _without_message(scene)
    scene.unlist()


def _gone_altogether(scene: Scene) -> None:
    scene.unlist()
    scene.redis.delete(scene.task)


PENDING = ["pending", "says pending"]
FAR = time.time() + 3600
OWNED = {"delivery": "server:1", "deliveries": 1}

DAMAGES = [
    Damage("orphan", {Kind.ORPHAN}, orphan()),
    Damage("orphan that ran", {Kind.ORPHAN}, orphan("active", **OWNED)),
    Damage("orphan that was scheduled", {Kind.ORPHAN}, orphan("scheduled")),
    Damage("archived orphan", {Kind.ORPHAN}, orphan("archived", failed_at=5), ["archived", "says archived"]),
    Damage("completed orphan", {Kind.ORPHAN}, orphan("completed"), ["completed", "says completed"]),
    Damage(
        "orphan of a group",
        {Kind.ORPHAN},
        orphan("aggregating", group="g"),
        ["group", "says aggregating"],
    ),
    Damage("ghost without hash", {Kind.GHOST}, lambda s: s.redis.delete(s.task), [], {"vanished": 1}),
    Damage("ghost without message", {Kind.GHOST}, _without_message, [], {"vanished": 1}),
    Damage("ghost in retry", {Kind.GHOST}, _ghost_in("retry"), [], {"vanished": 1}),
    Damage("ghost in completed", {Kind.GHOST}, _ghost_in("completed"), [], {"vanished": 1}),
    Damage("ghost with a lease", {Kind.GHOST}, _ghost_in("active"), [], {"vanished": 1}),
    Damage("hollow hash", {Kind.HOLLOW}, _hollow, [], {"vanished": 1}),
    Damage(
        "live lease wins over pending",
        {Kind.TWICE},
        _twice("active", FAR, **OWNED),
        ["active", "says active"],
    ),
    Damage(
        "pending wins over a lease that ran out",
        {Kind.TWICE, Kind.EXPIRED_LEASE},
        _twice("active", 1.0, **OWNED),
    ),
    Damage("pending wins over a lease without owner", {Kind.TWICE}, _twice("active", FAR)),
    Damage("pending wins over retry", {Kind.TWICE}, _twice("retry", FAR)),
    Damage("pending wins over archived", {Kind.TWICE}, _twice("archived", 1.0)),
    Damage(
        "retry wins over scheduled", {Kind.TWICE}, _two_sets("scheduled", "retry"), ["retry", "says retry"]
    ),
    Damage(
        "archived wins over completed",
        {Kind.TWICE},
        _two_sets("completed", "archived"),
        ["archived", "says archived"],
    ),
    Damage("duplicate", {Kind.DUPLICATE}, lambda s: s.redis.lpush(KEYS.pending, VICTIM, VICTIM)),
    Damage("wrong state", {Kind.WRONG_STATE}, lambda s: s.redis.hset(s.task, "state", "retry")),
    Damage(
        "wrong state in a set",
        {Kind.WRONG_STATE},
        lambda s: s.put("retry", FAR, state="archived"),
        ["retry", "says retry"],
    ),
    Damage("active without owner", {Kind.NO_TOKEN}, lambda s: s.put("active", FAR)),
    Damage("stale owner", {Kind.STALE_TOKEN}, lambda s: s.redis.hset(s.task, mapping=OWNED)),
    Damage("gone altogether", {Kind.COUNTERS}, _gone_altogether, [], {"corrected": -1}),
    Damage(
        "counters wrong",
        {Kind.COUNTERS},
        lambda s: s.redis.hincrby(KEYS.flow, "done", 2),
        PENDING,
        {"done": 2, "corrected": 2},
    ),
    Damage("counters gone", {Kind.COUNTERS}, lambda s: s.redis.delete(KEYS.flow), PENDING, {"corrected": 3}),
    Damage("dead lock", {Kind.DEAD_LOCK}, lambda s: s.redis.set(KEYS.unique("a:b"), "nobody")),
    Damage("stray lock", {Kind.STRAY_LOCK}, lambda s: s.redis.set(KEYS.unique("a:b"), VICTIM)),
    Damage("queue not listed", {Kind.UNLISTED_QUEUE}, lambda s: s.redis.delete("asyncq:queues")),
    Damage("group not listed", {Kind.UNLISTED_GROUP}, _in_group, ["group", "says aggregating"]),
    Damage("empty group listed", {Kind.EMPTY_GROUP}, lambda s: s.redis.sadd(KEYS.groups, "g")),
]
