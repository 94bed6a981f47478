"""A queue in the asynq wire, and the scripts in its dialect: arranged as Go would, or as ours would."""

from __future__ import annotations

from typing import Any, cast

from redis import Redis

from asyncq._wire import asynq
from asyncq._wire.keys import ASYNQ_PREFIX
from asyncq._wire.messages import Envelope
from asyncq._wire.wire import AsynqWire
from tests.lua.space import CHANNEL, NEWS, Space
from tests.support.go_steps import GoSteps

__all__ = ["AsynqSpace", "enqueue"]


class AsynqSpace(Space):
    """The keyspace of the queue `q`; `go` does there what Go would."""

    dialect = "asynq"
    keys = AsynqWire().keys

    def __init__(self, client: Redis) -> None:
        super().__init__(client)
        self.go = GoSteps(client, "q")

    def both(self, task_id: str, **envelope: Any) -> bytes:
        """Return a message as our client gives it to scripts."""
        return AsynqWire().encode("q", task_id, Envelope(**{"type": "work", "payload": b"{}"} | envelope))

    def hash(self, task_id: str) -> dict[str, bytes]:
        """Return the hash of a task, in bytes."""
        found = cast("dict[bytes, bytes]", self.client.hgetall(self.q.task(task_id)))
        return {name.decode(): value for name, value in found.items()}

    def envelope(self, task_id: str) -> Envelope:
        """Return what the message of a task says, with what stands beside it."""
        found = self.hash(task_id)
        return asynq.decode(found.get("extra", b"") + found["msg"])

    def put(self, task_id: str, state: str, queue: Any = None, **fields: object) -> None:
        """Arrange the hash of a task as ours has it: with a message that Go can read."""
        keys = queue or self.q
        message = asynq.encode(ASYNQ_PREFIX, keys.name, task_id, Envelope("work", b"{}", "json"))[0]
        mapping: Any = {"msg": message, "state": state, **fields}
        unique = mapping.pop("unique", None)
        if unique is not None:
            mapping["unique_key"] = keys.unique(unique)
        if "delivery" in mapping and mapping["delivery"] != "asynq:0":
            mapping["pending_since"] = "1"
        self.client.hset(keys.task(task_id), mapping=mapping)

    def pending(self, *ids: str, queue: Any = None, **fields: object) -> None:
        """Arrange pending tasks; the first is next to be taken."""
        for task_id in ids:
            self.put(task_id, "pending", queue, pending_since="1", **fields)
            self.client.lpush((queue or self.q).pending, task_id)

    def active(self, task_id: str, token: str, *, ends_in: float = 30.0, **fields: object) -> None:
        """Arrange an active task of ours whose lease ends so many seconds from now."""
        super().active(task_id, token, ends_in=ends_in, **fields)
        self.client.lpush(self.q.active, task_id)


def enqueue(space: AsynqSpace, both: bytes, detail: bytes | str = "", *extra: str, number: int = 1) -> Any:
    """Enqueue the task `a`; the word for it."""
    q = space.q
    keys = [q.pending, q.scheduled, q.groups, q.flow, q.waiting, q.receipt("c"), q.task("a"), *extra]
    args = [number, 60, CHANNEL, NEWS, "", q.task_prefix, 0, both, detail]
    return space.run("enqueue", keys, *args)[0]
