"""One queue in a real server, and the scripts to act on it: arrange, act once, compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Self, cast

import msgpack
import pytest
from redis import Redis
from redis.client import PubSub

from asyncq._broker.basis import script
from asyncq._wire.keys import Keys, QueueKeys
from tests.support.keyspace import snapshot

__all__ = ["CHANNEL", "NEWS", "Space", "about", "commands_of"]

KEYS = Keys()
CHANNEL = KEYS.channel("")
NEWS = KEYS.news


def about(moment: float) -> Any:
    """Return what equals a moment that was not long ago."""
    return pytest.approx(moment, abs=5.0)


@cache
def _source(name: str, dialect: str) -> str:
    return script(name).texts[dialect].source


class Space:
    """The keyspace of one queue, `q`, and another one, `r`."""

    in_cluster = ""
    """As scripts are told it."""

    dialect = "native"
    keys = KEYS

    def __init__(self, client: Redis) -> None:
        self.client = client
        self.q: QueueKeys = self.keys.queue("q")
        self.r: QueueKeys = self.keys.queue("r")

    def now(self) -> float:
        """Return the time by the server's clock."""
        seconds, micros = cast("tuple[int, int]", self.client.time())
        return seconds + micros / 1e6

    def run(self, name: str, keys: Sequence[str], *args: object, again: bool = False) -> Any:
        """Run a script; the reply with its bytes as text."""
        given: Any = ["1" if again else "", *args]
        return _decoded(self.client.eval(_source(name, self.dialect), len(keys), *keys, *given))

    def put(self, task_id: str, state: str, queue: QueueKeys | None = None, **fields: object) -> None:
        """Arrange the hash of a task, with the message `m-<id>`."""
        keys = queue or self.q
        self.client.hset(keys.task(task_id), mapping=_fields(task_id, state, fields))

    def pending(self, *ids: str, queue: QueueKeys | None = None, **fields: object) -> None:
        """Arrange pending tasks; the first is next to be taken."""
        keys = queue or self.q
        with self.client.pipeline(transaction=False) as pipe:
            for task_id in ids:
                pipe.hset(keys.task(task_id), mapping=_fields(task_id, "pending", fields))
                pipe.lpush(keys.pending, task_id)
            pipe.execute()

    def active(self, task_id: str, token: str, *, ends_in: float = 30.0, **fields: object) -> None:
        """Arrange an active task whose lease ends so many seconds from now."""
        self.put(task_id, "active", delivery=token, **{"deliveries": "1", **fields})
        self.client.zadd(self.q.lease, {task_id: self.now() + ends_in})

    def delayed(self, task_id: str, state: str, *, due_in: float, **fields: object) -> None:
        """Arrange a scheduled or retry task."""
        self.put(task_id, state, **fields)
        self.client.zadd(self.q.base + state, {task_id: self.now() + due_in})

    def everything(self, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
        """Return all keys, those of the queue without their common beginning."""
        found = snapshot(self.client, without=without, as_it_is=True)
        return {name.removeprefix(self.q.base): value for name, value in found.items()}

    def task(self, task_id: str) -> dict[str, str]:
        """Return the hash of a task."""
        return cast("dict[str, str]", snapshot_hash(self.client, self.q.task(task_id)))

    def listen(self, *channels: str) -> Ear:
        """Begin to listen."""
        return Ear(self.client, channels)


def commands_of(space: Space, call: Callable[[], object]) -> dict[str, int]:
    """What a call asks Redis for in its script, and how often."""

    def counts() -> dict[str, int]:
        told = cast("dict[str, Any]", space.client.info("commandstats"))
        return {name.removeprefix("cmdstat_"): stats["calls"] for name, stats in told.items()}

    before = counts()
    call()
    asked = {name: count - before.get(name, 0) for name, count in counts().items()}
    return {name: count for name, count in asked.items() if count and name not in ("eval", "info")}


def _fields(task_id: str, state: str, more: dict[str, object]) -> Any:
    """What stands in the hash of a task; one without a state is pending."""
    return {"msg": f"m-{task_id}", **more, **({"state": state} if state != "pending" else {})}


def snapshot_hash(client: Redis, key: str) -> dict[str, str]:
    """Return one hash as text."""
    return {name.decode(): value.decode() for name, value in cast("Any", client.hgetall(key)).items()}


def packed(*items: object) -> bytes:
    """Return details as the broker packs them."""
    return cast("bytes", msgpack.packb(items, use_bin_type=False))


class Ear:
    """Somebody who listens on channels."""

    def __init__(self, client: Redis, channels: Sequence[str]) -> None:
        self._pubsub: PubSub = client.pubsub()
        self._pubsub.subscribe(*channels)
        for _ in channels:
            assert cast("Any", self._pubsub.get_message(timeout=5.0))["type"] == "subscribe"

    def heard(self) -> list[tuple[str, str]]:
        """Return channel and text of all that was said so far."""
        # What was published before a command was answered arrives before the PONG.
        self._pubsub.ping("so far")
        found: list[tuple[str, str]] = []
        while True:
            message = cast("Any", self._pubsub.get_message(timeout=5.0))
            if message["type"] == "pong":
                return found
            found.append((message["channel"].decode(), message["data"].decode()))

    def close(self) -> None:
        """Stop listening."""
        self._pubsub.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _decoded(reply: Any) -> Any:
    if isinstance(reply, bytes):
        try:
            return reply.decode()
        except UnicodeDecodeError:
            return reply
    return [_decoded(item) for item in reply] if isinstance(reply, list) else reply
