"""What an operator does to tasks: run, archive, delete and change them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from asyncq._broker.basis import Basis, script
from asyncq._broker.enqueue import RECEIPT_SECONDS
from asyncq._wire.messages import Envelope
from asyncq.errors import BrokerReplyError

ACT: Final = script("act")
EDIT: Final = script("edit")

Action = Literal["run", "archive", "delete"]

CHUNK: Final = 200
"""Tasks in one call. While it runs nothing is delivered."""

ALLOWED: Final[dict[Action, tuple[str, ...]]] = {
    "run": ("scheduled", "retry", "archived", "completed", "aggregating"),
    "archive": ("pending", "scheduled", "retry", "aggregating"),
    "delete": ("pending", "scheduled", "retry", "archived", "completed", "aggregating"),
}
"""The states in which an action is allowed, as act.lua has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On what terms tasks are acted upon."""

    action: Action
    state: str = ""  #: the state from which; empty for any that allows it
    before: float | None = None  #: what failed or succeeded after this instant is left alone
    fresh: bool = False  #: tasks that are run have all their retries again


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to become of a task, if its version is still `version`."""

    version: str
    message: bytes = b""  #: empty to leave it as it is
    at: float | None = None  #: due at this instant
    delay: float | None = None  #: due so many seconds after Redis reads this
    lock: str = ""  #: suffix of the lock that it was made with, if it is unique
    new_lock: str = ""  #: suffix of the lock that belongs to the message


class Actions:
    """The area of actions upon tasks.

    Each `Sender` has a receipt of its own, so that several may be at work at the same time.
    """

    def __init__(self, basis: Basis) -> None:
        self._basis = basis
        self._numbers = itertools.count(1)

    def sender(self, queue: str) -> Sender:
        """Whoever makes one call after the other."""
        # A letter, since the lanes of a server are numbers after a dot, too.
        return Sender(self._basis, queue, f"{self._basis.owner}.a{next(self._numbers)}")


class Sender:
    """One call at a time to one queue."""

    def __init__(self, basis: Basis, queue: str, name: str) -> None:
        self._basis = basis
        self._queue = queue
        self._keys = basis.queue(queue)
        self._receipt = self._keys.receipt(name)
        self._number = 0

    async def act(
        self, ids: Sequence[str], terms: Terms, *, passed: int | None = None, span: int = 0
    ) -> list[str]:
        """Act upon at most `CHUNK` tasks.

        Args:
            ids: Of the tasks.
            terms: What to do, and when not to.
            passed: Of pending tasks, how many stand before the first of them.
            span: Of pending tasks, how many stand there from the first to the last of them.

        Returns:
            A word for each (act.lua).
        """
        keys, basis = self._keys, self._basis
        self._number += 1
        args: list[Any] = [self._number, RECEIPT_SECONDS, terms.action, terms.state]
        args += ["" if terms.before is None else repr(terms.before), "1" if terms.fresh else ""]
        args += ["" if passed is None else passed, span, keys.group_prefix, keys.unique_prefix]
        args += [basis.channel_prefix, basis.in_cluster, *ids]
        head = [keys.pending, keys.scheduled, keys.retry, keys.archived, keys.completed]
        head += [keys.groups, keys.flow, keys.waiting, self._receipt]
        reply: Any = await basis.run(ACT, [*head, *map(keys.task, ids)], args, slot=basis.slot(self._queue))
        text = reply.decode()
        words = text.split(",") if "," in text else [text] * len(ids)
        if len(words) != len(ids) or "late" in words:
            raise BrokerReplyError(ACT.name, reply)
        return words

    async def edit(self, task_id: str, change: Change) -> str:
        """Change one task. A sender does this once.

        Returns:
            A word (edit.lua).
        """
        keys, basis = self._keys, self._basis
        all_keys = [keys.pending, keys.scheduled, keys.retry, keys.archived, self._receipt]
        all_keys.append(keys.task(task_id))
        if change.lock:
            all_keys += [keys.unique(change.lock), keys.unique(change.new_lock)]
        args: list[Any] = [RECEIPT_SECONDS, task_id, change.version, change.message]
        args += ["" if moment is None else repr(moment) for moment in (change.at, change.delay)]
        args += [change.new_lock, keys.task_prefix, keys.group_prefix, basis.wire.keys.news]
        reply: Any = await basis.run(EDIT, all_keys, args, slot=basis.slot(self._queue))
        return str(reply.decode())

    def encode(self, task_id: str, envelope: Envelope) -> bytes:
        """The message of a changed task."""
        return self._basis.wire.encode(self._queue, task_id, envelope)
