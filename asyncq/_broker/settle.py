"""Writing what became of deliveries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgpack

from asyncq._broker.basis import Basis, script
from asyncq._broker.tally import Tally
from asyncq._redis.router import FOREVER, Call
from asyncq._wire.keys import QueueKeys
from asyncq.errors import AsyncqError

SCRIPT: Final = script("settle")

MAX_TASKS: Final = 500

# The msgpack of Redis knows no binary type: to it, results are strings like all others.
_pack: Final = msgpack.Packer(use_bin_type=False).pack


@dataclass(slots=True)
class Settlement:
    """One outcome, as the script takes it. Made by the functions below."""

    queue: str
    id: str
    token: str
    outcome: str
    detail: bytes = b""
    unique_key: str = ""  #: suffix of the lock to release, if the outcome releases it
    tally: Tally | None = None  #: raised when it is written


def done(queue: str, task_id: str, token: str, unique_key: str = "") -> Settlement:
    """It succeeded and nothing is kept."""
    if not unique_key:
        return Settlement(queue, task_id, token, "done")
    return Settlement(queue, task_id, token, "done", _pack((None, True)), unique_key)


def completed(
    queue: str, task_id: str, token: str, *, result: bytes | None, retention: float, unique_key: str = ""
) -> Settlement:
    """It succeeded and is kept for `retention` seconds."""
    detail = _pack((result if result is not None else False, bool(unique_key), retention))
    return Settlement(queue, task_id, token, "complete", detail, unique_key)


@dataclass(frozen=True, slots=True)
class Record:
    """What is kept of a delivery that failed, beside its error."""

    keep: int = 0  #: of how many deliveries the task keeps a record
    trace: str = ""  #: traceback of this one


NO_RECORD: Final = Record()


def retry(  # noqa: PLR0913 - what the script is to know of it
    queue: str,
    task_id: str,
    token: str,
    *,
    error: str,
    delay: float,
    counts: bool,
    record: Record = NO_RECORD,
) -> Settlement:
    """It failed and runs again after `delay` seconds."""
    detail = _pack((error, delay, counts, record.keep, record.trace))
    return Settlement(queue, task_id, token, "retry", detail)


def archived(  # noqa: PLR0913 - what the script is to know of it
    queue: str,
    task_id: str,
    token: str,
    *,
    error: str,
    reason: str,
    unlock: bool = False,
    record: Record = NO_RECORD,
) -> Settlement:
    """It failed for good. With `unlock` it gives up its lock, if it is unique."""
    detail = _pack((error, reason, True, unlock, record.keep, record.trace))
    return Settlement(queue, task_id, token, "archive", detail)


def requeued(queue: str, task_id: str, token: str) -> Settlement:
    """It was not run to its end; it goes back to the front, and nothing is counted."""
    return Settlement(queue, task_id, token, "requeue")


def deferred(queue: str, task_id: str, token: str, *, delay: float) -> Settlement:
    """It was not run; another server may, after `delay` seconds."""
    return Settlement(queue, task_id, token, "defer", _pack((delay,)))


def dropped(queue: str, task_id: str, token: str, *, kind: str, unique_key: str = "") -> Settlement:
    """It is forgotten without having succeeded: `revoked` or `expired`."""
    return Settlement(queue, task_id, token, "drop", _pack((kind, bool(unique_key))), unique_key)


class Settle:
    """The settle area."""

    def __init__(self, basis: Basis) -> None:
        self._basis = basis
        self.slot: Final = basis.slot  #: settlements of queues with the same number may be in one call

    def write(
        self,
        settlements: Sequence[Settlement],
        *,
        now: float,
        on_written: Callable[[dict[int, str]], None],
        on_failure: Callable[[AsyncqError], None],
        patience: float = FOREVER,
    ) -> None:
        """Write outcomes of queues that share a slot, in one call.

        `on_written` gets the positions of those whose outcome was dropped, with the reason: `not_owner`
        of those that are no longer ours, `unusable` where a key holds something else than it should.
        `now` only names the day of the statistics.
        """
        basis = self._basis
        seen: dict[str, tuple[int, str]] = {}
        keys: list[str] = []
        plain_keys: list[str] = []
        plain: list[Any] = []
        plain_at: list[int] = []
        other_keys: list[str] = []
        other: list[Any] = []
        other_at: list[int] = []
        for position, s in enumerate(settlements):
            known = seen.get(s.queue)
            if known is None:
                queue = basis.queue(s.queue)
                known = seen[s.queue] = (len(seen) + 1, queue.task_prefix)
                keys += self._queue_keys(queue, now)
            number, prefix = known
            task_key = prefix + s.id
            if s.outcome == "done" and not s.detail:
                plain_keys.append(task_key)
                plain += (number, s.id, s.token)
                plain_at.append(position)
                continue
            other_keys.append(task_key)
            if s.unique_key:
                other_keys.append(basis.queue(s.queue).unique(s.unique_key))
            other += (number, s.id, s.token, s.outcome, s.detail)
            other_at.append(position)
        keys += plain_keys
        keys += other_keys
        head = (len(seen), basis.channel_prefix, basis.wire.keys.news, basis.in_cluster, len(plain_at))
        positions = plain_at + other_at

        def on_value(reply: Any) -> None:
            words = zip(reply[::2], reply[1::2], strict=True)
            on_written({positions[index - 1]: word.decode() for index, word in words})

        basis.router.submit(
            Call(
                basis.router,
                SCRIPT,
                (len(keys), *keys, *head, *plain, *other),
                slot=basis.slot(settlements[0].queue),
                patience=patience,
                on_value=on_value,
                on_failure=on_failure,
                urgent=True,
            )
        )

    @staticmethod
    def _queue_keys(queue: QueueKeys, now: float) -> tuple[str, ...]:
        return (
            queue.lease,
            queue.pending,
            queue.retry,
            queue.scheduled,
            queue.archived,
            queue.completed,
            queue.processed,
            queue.failed,
            queue.day("processed", now),
            queue.day("failed", now),
            queue.flow,
            queue.waiting,
            queue.awaited,
        )
