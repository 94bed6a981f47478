"""A queue as plain Python: what the areas of the broker are compared with.

Written from the documents and not from the scripts, with lists and dictionaries. Instants are kept as
numbers; comparing them allows for the time that a test takes.
"""

# ruff: noqa: D102 - methods are named as the scripts they follow

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from asyncq._wire.native import decode_result

__all__ = ["LEASE", "Model", "Stored", "agree", "without_what_asynq_adds"]

LEASE = 500.0
CANCELLED = "TaskCancelledError: cancelled: on request"
_RESULT = "\x92"
_APPROXIMATE = ("failed_at", "completed_at", "delivered_at", "ready_at")


@dataclass
class Stored:
    """The hash of one task; without `fields` it vanished."""

    message: bytes
    fields: dict[str, str] = field(default_factory=dict)
    is_there: bool = True

    @property
    def token(self) -> str | None:
        return self.fields.get("delivery") if self.is_there else None

    def leave_active(self, state: str | None = None, **fields: str) -> None:
        for name in ("state", "delivery", "cancel"):
            self.fields.pop(name, None)
        if state is not None:
            self.fields["state"] = state
        self.fields.update(fields)


class Model:
    """One queue."""

    def __init__(self) -> None:
        self.tasks: dict[str, Stored] = {}
        self.pending: list[str] = []  # the last is taken next, as in the Redis list
        self.zsets: dict[str, dict[str, float]] = {
            name: {} for name in ("lease", "scheduled", "retry", "archived", "completed")
        }
        self.groups: dict[str, dict[str, float]] = {}
        self.locks: dict[str, str] = {}
        self.flow: Counter[str] = Counter()
        self.processed = self.failed = 0
        self.is_paused = False

    # -- looking ----------------------------------------------------------------------------------

    def exists(self, task_id: str) -> bool:
        return task_id in self.tasks and self.tasks[task_id].is_there

    def keyspace(self) -> dict[str, Any]:
        """What `snapshot` should show of the queue, messages left out."""
        found: dict[str, Any] = {
            f"t:{task_id}": dict(task.fields) for task_id, task in self.tasks.items() if task.is_there
        }
        found |= {name: dict(members) for name, members in self.zsets.items() if members}
        found |= {f"g:{name}": dict(members) for name, members in self.groups.items() if members}
        found |= {f"unique:{suffix}": owner for suffix, owner in self.locks.items()}
        if self.pending:
            found["pending"] = list(self.pending)
        if self.groups:
            found["groups"] = set(self.groups)
        if self.flow:
            found["flow"] = {kind: str(count) for kind, count in self.flow.items()}
        if self.processed:
            found["processed"] = str(self.processed)
        if self.failed:
            found["failed"] = str(self.failed)
        if self.is_paused:
            found["paused"] = "1"
        return found

    # -- enqueue ----------------------------------------------------------------------------------

    def enqueue(
        self,
        task_id: str,
        message: bytes,
        *,
        delay: float = 0.0,
        at: float = 0.0,
        lock: str = "",
        group: str = "",
    ) -> str:
        if self.exists(task_id):
            return "already" if self.tasks[task_id].message == message else "conflict"
        owner = self.locks.get(lock, "")
        if lock and self.exists(owner) and self.tasks[owner].fields.get("unique") == lock:
            return "duplicate"
        now = time.time()
        due = now + delay if delay else at
        stored = self.tasks[task_id] = Stored(message)
        self.flow["created"] += 1
        if lock:
            self.locks[lock] = task_id
            stored.fields["unique"] = lock
        if group:
            stored.fields["group"] = group
        if due > now:
            stored.fields["state"] = "scheduled"
            self.zsets["scheduled"][task_id] = due
        elif group:
            self._aggregate(task_id)
        else:
            self.pending.insert(0, task_id)
        return stored.fields.get("state", "pending")

    def _aggregate(self, task_id: str) -> None:
        stored = self.tasks[task_id]
        stored.fields["state"] = "aggregating"
        self.groups.setdefault(stored.fields["group"], {})[task_id] = time.time()

    # -- deliver ----------------------------------------------------------------------------------

    def deliver(self, server: str, number: int, want: int) -> list[tuple[str, str, int, int, int]]:
        """Id, token, retried, deliveries before, and leases lost, of each."""
        given: list[tuple[str, str, int, int, int]] = []
        while not self.is_paused and len(given) < want and self.pending:
            task_id = self.pending.pop()
            if not self.exists(task_id):
                self._vanish(task_id)
                continue
            fields = self.tasks[task_id].fields
            token = f"{server}:{number + len(given)}"
            before = int(fields.get("deliveries", 0))
            given.append((task_id, token, int(fields.get("retried", 0)), before, int(fields.get("lost", 0))))
            fields |= {"state": "active", "delivery": token, "deliveries": str(before + 1)}
            fields["delivered_at"] = str(time.time())
            self.zsets["lease"][task_id] = time.time() + LEASE
        return given

    def _vanish(self, task_id: str) -> None:
        self.tasks.pop(task_id, None)
        self.flow["vanished"] += 1

    # -- settle -----------------------------------------------------------------------------------

    def settle(self, task_id: str, token: str, outcome: str) -> bool:
        """Whether it was ours to settle."""
        stored = self.tasks.get(task_id)
        if stored is None or stored.token != token:
            return False
        del self.zsets["lease"][task_id]
        now = time.time()
        if outcome in ("done", "revoked", "expired"):
            self.release(task_id)
            del self.tasks[task_id]
            self.flow[outcome] += 1
            self.processed += outcome != "expired"
        elif outcome == "completed":
            self.release(task_id)
            stored.leave_active("completed", completed_at=str(now), result="r")
            self.zsets["completed"][task_id] = now + 600
            self.processed += 1
        elif outcome != "archived" and stored.fields.get("cancel") == token:
            counts = outcome == "retry"
            self._unwanted(task_id, error="e" if counts or outcome == "uncounted" else CANCELLED)
            self.processed += counts
            self.failed += counts
        elif outcome in ("retry", "uncounted"):
            stored.leave_active("retry", error="e", failed_at=str(now))
            self.zsets["retry"][task_id] = now + 600
            if outcome == "retry":
                stored.fields["retried"] = str(int(stored.fields.get("retried", 0)) + 1)
                self.processed += 1
                self.failed += 1
        elif outcome == "archived":
            stored.leave_active("archived", error="e", failed_at=str(now), reason="exhausted")
            self.zsets["archived"][task_id] = now
            self.processed += 1
            self.failed += 1
        elif outcome == "requeued":
            stored.leave_active()
            self.pending.append(task_id)
        elif outcome == "deferred":
            stored.leave_active("scheduled")
            self.zsets["scheduled"][task_id] = now + 600
        return True

    def _unwanted(self, task_id: str, error: str) -> None:
        """What was to be cancelled is archived, and gives up its lock."""
        self.release(task_id)
        now = time.time()
        self.tasks[task_id].leave_active("archived", failed_at=str(now), reason="cancelled", error=error)
        self.zsets["archived"][task_id] = now

    def release(self, task_id: str) -> None:
        lock = self.tasks[task_id].fields.get("unique")
        if lock and self.locks.get(lock) == task_id:
            del self.locks[lock]

    # -- leases -----------------------------------------------------------------------------------

    def extend(self, held: Sequence[tuple[str, str]]) -> tuple[list[str], list[str]]:
        """Tokens that are lost, and those that are to be cancelled."""
        lost: list[str] = []
        cancelled: list[str] = []
        for task_id, token in held:
            stored = self.tasks.get(task_id)
            if stored is None or stored.token != token:
                lost.append(token)
                continue
            self.zsets["lease"][task_id] = time.time() + LEASE
            if stored.fields.get("cancel") == token:
                cancelled.append(token)
        return lost, cancelled

    def recover(self, max_lost: int) -> list[tuple[str, str, int]]:
        """Id, what became of it, and leases lost, of each."""
        found: list[tuple[str, str, int]] = []
        for task_id in self._due("lease"):
            if not self.exists(task_id):
                self._vanish(task_id)
                found.append((task_id, "vanished", 0))
                continue
            stored = self.tasks[task_id]
            lost = int(stored.fields.get("lost", 0)) + 1
            stored.fields["lost"] = str(lost)
            error = f"the server that ran it went away, {'once' if lost == 1 else f'{lost} times'}"
            is_unwanted = stored.fields.get("cancel") == stored.token
            if is_unwanted:
                self._unwanted(task_id, error)
            elif lost >= max_lost:
                now = time.time()
                stored.leave_active("archived", failed_at=str(now), reason="lost", error=error)
                self.zsets["archived"][task_id] = now
            else:
                stored.leave_active()
                self.pending.append(task_id)
            found.append((task_id, stored.fields.get("state", "pending"), lost))
        return found

    def _due(self, name: str) -> list[str]:
        """Take what is due out of a sorted set, earliest first."""
        members, now = self.zsets[name], time.time()
        due = sorted((score, task_id) for task_id, score in members.items() if score <= now)
        for _, task_id in due:
            del members[task_id]
        return [task_id for _, task_id in due]

    # -- the rest ---------------------------------------------------------------------------------

    def forward(self) -> int:
        moved = 0
        for name in ("scheduled", "retry"):
            scores = dict(self.zsets[name])
            for task_id in self._due(name):
                moved += 1
                if not self.exists(task_id):
                    self._vanish(task_id)
                elif "group" in self.tasks[task_id].fields:
                    self._aggregate(task_id)
                else:
                    self.tasks[task_id].fields.pop("state")
                    self.tasks[task_id].fields["ready_at"] = str(scores[task_id])
                    self.pending.insert(0, task_id)
        return moved

    def sweep(self, max_age: float, max_count: int) -> tuple[int, list[str]]:
        over = self._due("completed")
        archived = self.zsets["archived"]
        oldest = sorted(archived, key=lambda task_id: (archived[task_id], task_id))
        dropped = [task_id for task_id in oldest if archived[task_id] <= time.time() - max_age]
        if not dropped:
            dropped = oldest[: max(0, len(archived) - max_count)]
        for task_id in dropped:
            del archived[task_id]
        for kind, ids in (("reaped", over), ("trimmed", dropped)):
            for task_id in ids:
                if self.exists(task_id):
                    self.release(task_id)
                self.tasks.pop(task_id, None)
            if ids:
                self.flow[kind] += len(ids)
        return len(over), dropped

    def annotate(self, task_id: str, token: str, name: str, value: str) -> bool:
        stored = self.tasks.get(task_id)
        if stored is None or stored.token != token:
            return False
        stored.fields[name] = value
        return True

    def cancel(self, task_id: str, *, again: bool = False) -> str:
        """With `again`, the first answer was lost, and the second one counts."""
        if not self.exists(task_id):
            return "missing"
        stored = self.tasks[task_id]
        fields = stored.fields
        state = fields.get("state", "pending")
        if state == "archived" and again and fields.get("reason") == "cancelled":
            return "cancelled"
        if state in ("archived", "completed"):
            return state
        if state == "active":
            fields["cancel"] = fields["delivery"]
            return "requested"
        self.take_out(task_id)
        self._unwanted(task_id, fields.get("error", CANCELLED))
        return "cancelled"

    def take_out(self, task_id: str) -> None:
        """Remove a task that waits, or is over, from its place."""
        fields = self.tasks[task_id].fields
        state = fields.get("state", "pending")
        if state == "pending":
            self.pending.remove(task_id)
        elif state == "aggregating":
            group = self.groups[fields["group"]]
            del group[task_id]
            if not group:
                del self.groups[fields["group"]]
        else:
            del self.zsets[state][task_id]


def agree(expected: dict[str, Any], found: dict[str, Any]) -> str:
    """Compare two keyspaces; return the first difference in words, or nothing."""
    if set(expected) != set(found):
        missing, unexpected = set(expected) - set(found), set(found) - set(expected)
        return f"keys: only in the model {missing}, only in Redis {unexpected}"
    for key, value in expected.items():
        if not _same(value, found[key]):
            return f"{key}: the model has {value}, Redis {found[key]}"
    return ""


def without_what_asynq_adds(space: dict[str, Any]) -> dict[str, Any]:
    """Every pending task has a `ready_at` there, and the group of one not yet in it is in the message alone.

    Results are shown with the name of their codec, as the native wire has them.
    """
    for name, value in space.items():
        if name.startswith("t:"):
            value.pop("ready_at", None)
            if value.get("state") != "aggregating":
                value.pop("group", None)
            if value.get("result", "").startswith(_RESULT):
                value["result"] = decode_result(value["result"].encode("latin-1"))[1].decode()
    return space


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float):
        return isinstance(other, float) and abs(one - other) < 60
    if isinstance(one, dict):
        if not isinstance(other, dict) or set(one) != set(other):
            return False
        return all(
            _same(float(one[name]), float(other[name]))
            if name in _APPROXIMATE
            else _same(one[name], other[name])
            for name in one
        )
    return bool(one == other)
