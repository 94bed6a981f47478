"""What the scripts of Go's asynq do to the keys of one queue, step by step, without Go.

Each method is one of its operations, with the effects that `rdb.go` of version 0.26 has, none left out and
none added: what a test arranges with it is what a Go program would leave.
"""

from __future__ import annotations

import time
from typing import Any

from redis import Redis
from redis.cluster import RedisCluster

from asyncq._wire import asynq
from asyncq._wire.keys import ASYNQ_PREFIX, Keys, QueueKeys
from asyncq._wire.messages import Envelope, Past

__all__ = ["GoSteps"]

_STATISTICS = 90 * 86400


class GoSteps:
    """A client, a server and an inspector of Go's, as far as Redis sees them."""

    def __init__(self, client: Redis | RedisCluster, queue: str = "q") -> None:
        self.client: Any = client
        self.queue = queue
        self.keys: QueueKeys = Keys(ASYNQ_PREFIX).queue(queue)

    def message(self, task_id: str, **envelope: Any) -> bytes:
        """Encode a message as Go does: without anything of ours beside it."""
        given: dict[str, Any] = {
            "type": "work",
            "payload": b'{"id":"%s"}' % task_id.encode(),
            "codec": "json",
        }
        return asynq.encode(ASYNQ_PREFIX, self.queue, task_id, Envelope(**given | envelope))[0]

    def envelope(self, task_id: str) -> Envelope:
        """Decode what the hash of a task holds."""
        return asynq.decode(self.client.hget(self.keys.task(task_id), "msg"))

    # --- the client -------------------------------------------------------------

    def publish(self) -> None:
        """Say that there is this queue: once in the life of a client, before its first task."""
        self.client.sadd("asynq:queues", self.queue)

    def lock(self, task_id: str, suffix: str, ttl: int = 60) -> bool:
        """Take a unique lock, as every unique enqueueing begins."""
        return bool(self.client.set(self.keys.unique(suffix), task_id, nx=True, ex=ttl))

    def enqueue(self, task_id: str, *, unique: str = "", **envelope: Any) -> None:
        """Put a task into `pending`."""
        self._store(task_id, "pending", unique, envelope, pending_since=time.time_ns())
        self.client.lpush(self.keys.pending, task_id)

    def schedule(self, task_id: str, at: float, *, unique: str = "", **envelope: Any) -> None:
        """Put a task into `scheduled`. Its group, if it has one, stands in its message alone."""
        self._store(task_id, "scheduled", unique, envelope)
        self.client.zadd(self.keys.scheduled, {task_id: int(at)})

    def add_to_group(self, task_id: str, group: str, *, unique: str = "", **envelope: Any) -> None:
        """Put a task into a group. Its lock, if it has one, stands in its message alone."""
        if unique:
            assert self.lock(task_id, unique)
            envelope["unique_key"] = unique
        self._store(task_id, "aggregating", "", {**envelope, "group": group}, group=group)
        self.client.zadd(self.keys.group(group), {task_id: int(time.time())})
        self.client.sadd(self.keys.groups, group)

    def _store(self, task_id: str, state: str, unique: str, envelope: dict[str, Any], **fields: Any) -> None:
        self.publish()
        if unique:
            assert self.lock(task_id, unique)
            envelope["unique_key"] = unique
            fields["unique_key"] = self.keys.unique(unique)
        message = self.message(task_id, **envelope)
        self.client.hset(self.keys.task(task_id), mapping={"msg": message, "state": state, **fields})

    # --- the server -------------------------------------------------------------

    def dequeue(self, *, lease: float = 30.0) -> bytes | None:
        """Take the next task; the message, or nothing for a ghost, which stays active all the same."""
        moved: bytes | None = self.client.rpoplpush(self.keys.pending, self.keys.active)
        if moved is None:
            return None
        task_id = moved.decode()
        self.client.hset(self.keys.task(task_id), "state", "active")
        self.client.hdel(self.keys.task(task_id), "pending_since")
        self.client.zadd(self.keys.lease, {task_id: int(time.time() + lease)})
        message: bytes | None = self.client.hget(self.keys.task(task_id), "msg")
        return message

    def done(self, task_id: str, *, unique: str = "") -> None:
        """Forget a task that succeeded."""
        self._let_go(task_id)
        assert self.client.delete(self.keys.task(task_id)) == 1
        self._count("processed")
        if unique and self.client.get(self.keys.unique(unique)) == task_id.encode():
            self.client.delete(self.keys.unique(unique))

    def complete(self, task_id: str, *, keep: float = 60.0) -> None:
        """Keep a task that succeeded."""
        self._let_go(task_id)
        now = int(time.time())
        self.client.zadd(self.keys.completed, {task_id: int(now + keep)})
        self._write(task_id, "completed", Past(completed_at=now))
        self._count("processed")

    def requeue(self, task_id: str) -> None:
        """Give a task back to the front of `pending`, without a time."""
        self._let_go(task_id)
        self.client.rpush(self.keys.pending, task_id)
        self.client.hset(self.keys.task(task_id), "state", "pending")

    def retry(self, task_id: str, *, delay: float = 0.0, error: str = "no") -> None:
        """Put a task that failed into `retry`."""
        self._let_go(task_id)
        now = time.time()
        self.client.zadd(self.keys.retry, {task_id: int(now + delay)})
        past = self.envelope(task_id).past or Past()
        self._write(task_id, "retry", Past(past.retried + 1, error, int(now)))
        self._count("processed", "failed")

    def archive(self, task_id: str, *, error: str = "no") -> None:
        """Put a task that failed for good into `archived`."""
        self._let_go(task_id)
        now = int(time.time())
        self.client.zadd(self.keys.archived, {task_id: now})
        past = self.envelope(task_id).past or Past()
        self._write(task_id, "archived", Past(past.retried, error, now))
        self._count("processed", "failed")

    def forward(self, place: str) -> None:
        """Make pending what is due in a set, or put it into its group and forget to say so."""
        key = self.keys.base + place
        for raw in self.client.zrangebyscore(key, "-inf", int(time.time()), start=0, num=100):
            task_id = raw.decode()
            group = self.client.hget(self.keys.task(task_id), "group")
            if group:
                self.client.zadd(self.keys.group(group.decode()), {task_id: int(time.time())})
                self.client.zrem(key, task_id)
                self.client.hset(self.keys.task(task_id), "state", "aggregating")
            else:
                self.client.lpush(self.keys.pending, task_id)
                self.client.zrem(key, task_id)
                fields = {"state": "pending", "pending_since": time.time_ns()}
                self.client.hset(self.keys.task(task_id), mapping=fields)

    def recover(self, *, delay: float = 0.0) -> list[str]:
        """Put what lost its lease half a minute ago into `retry`; the ids."""
        cutoff = int(time.time() - 30)
        ids = [raw.decode() for raw in self.client.zrangebyscore(self.keys.lease, "-inf", cutoff)]
        for task_id in ids:
            self.retry(task_id, delay=delay, error="asynq: task lease expired")
        return ids

    def _let_go(self, task_id: str) -> None:
        assert self.client.lrem(self.keys.active, 0, task_id)
        assert self.client.zrem(self.keys.lease, task_id)

    def _write(self, task_id: str, state: str, past: Past) -> None:
        envelope = self.envelope(task_id)
        envelope.past = past
        message = asynq.encode(ASYNQ_PREFIX, self.queue, task_id, envelope)[0]
        self.client.hset(self.keys.task(task_id), mapping={"msg": message, "state": state})

    def _count(self, *counters: str) -> None:
        now = time.time()
        for counter in counters:
            self.client.incr(self.keys.base + counter)
            if self.client.incr(self.keys.day(counter, now)) == 1:
                self.client.expireat(self.keys.day(counter, now), int(now + _STATISTICS))

    # --- groups -----------------------------------------------------------------

    def aggregate(self, group: str, set_id: str = "7c2b", *, ends_in: float = 120.0) -> str:
        """Take all of a group into a set; its key."""
        key, target = self.keys.group(group), f"{self.keys.group(group)}:{set_id}"
        members = {raw.decode(): score for raw, score in self.client.zrange(key, 0, -1, withscores=True)}
        self.client.zadd(target, members)
        self.client.zremrangebyrank(key, 0, len(members) - 1)
        self.client.zadd(self.keys.aggregation_sets, {target: int(time.time() + ends_in)})
        self.client.srem(self.keys.groups, group)
        return target

    def delete_set(self, target: str) -> None:
        """Forget the tasks of a set, and not their locks."""
        for raw in self.client.zrange(target, 0, -1):
            self.client.delete(self.keys.task(raw.decode()))
        self.client.delete(target)
        self.client.zrem(self.keys.aggregation_sets, target)

    def reclaim(self) -> None:
        """Make groups again of sets whose time is over, and forget to say that there are these groups."""
        for raw in self.client.zrangebyscore(self.keys.aggregation_sets, "-inf", int(time.time())):
            target = raw.decode()
            members = dict(self.client.zrange(target, 0, -1, withscores=True))
            self.client.zadd(target.rpartition(":")[0], members)
            self.client.delete(target)
            self.client.zrem(self.keys.aggregation_sets, target)

    # --- the inspector ----------------------------------------------------------

    def run(self, task_id: str) -> None:
        """Let a task run now, without a time."""
        task = self.keys.task(task_id)
        state, group = (raw.decode() if raw else "" for raw in self.client.hmget(task, "state", "group"))
        if state == "aggregating":
            self.client.zrem(self.keys.group(group), task_id)
            if not self.client.zcard(self.keys.group(group)):
                self.client.srem(self.keys.groups, group)
        else:
            assert self.client.zrem(self.keys.base + state, task_id)
        self.client.lpush(self.keys.pending, task_id)
        self.client.hset(task, "state", "pending")

    def pause(self) -> None:
        """Let nothing be taken."""
        self.client.set(self.keys.paused, int(time.time()), nx=True)

    def remove_queue(self) -> None:
        """Remove a queue by force: what nobody thought of stays."""
        places = [self.keys.pending, self.keys.scheduled, self.keys.retry, self.keys.archived]
        ids = self.client.lrange(places[0], 0, -1)
        for place in places[1:]:
            ids += self.client.zrange(place, 0, -1)
        for raw in ids:
            self.client.delete(self.keys.task(raw.decode()))
        self.client.delete(*places, self.keys.active, self.keys.lease)
        self.client.srem("asynq:queues", self.queue)
