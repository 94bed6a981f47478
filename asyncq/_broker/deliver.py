"""Handing tasks to a server, under its lease."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from asyncq._broker.basis import Basis, script
from asyncq._redis.router import Call
from asyncq._wire.messages import Envelope
from asyncq.errors import AsyncqError, WireError

DELIVER: Final = script("deliver")
STEP_ASIDE: Final = script("step_aside")

MAX_TASKS: Final = 500
"""Tasks in one call; what is measured in docs/adr/0002-batching.md."""


@dataclass(slots=True)
class Delivery:
    """One handing-over of one task."""

    queue: str
    id: str
    token: str  #: the fence: whoever writes with another token is no longer the owner
    retried: int
    deliveries: int  #: how often it had been handed over before this time
    lost: int  #: how many leases of it ran out
    now: float  #: Redis' clock at the delivery
    envelope: Envelope | None = None
    unreadable: str = ""  #: why there is no envelope
    ready_at: float = 0.0  #: since when it could be taken, by Redis' clock; 0 for since it was enqueued
    is_delayed: bool = False  #: whether it was due then, and not enqueued
    is_repeated: bool = False  #: whether it was handed over already since it could be taken


class Deliver:
    """The deliver area."""

    def __init__(self, basis: Basis, *, lease: float, stand: float) -> None:
        self._basis = basis
        self._lease = lease
        self._stand = stand
        self._next = 1

    def request(
        self,
        asks: Sequence[tuple[str, int]],
        want: int,
        *,
        lane: int,
        on_delivered: Callable[[list[Delivery]], None],
        on_failure: Callable[[AsyncqError], None],
        patience: float = math.inf,
    ) -> None:
        """Ask for up to `want` tasks; each queue gives up to its quota, then whatever is ready.

        All queues must share a slot. `lane` tells calls apart that are on their way at the same time;
        there may be one in each. Answers by callback and not by future: a cancelled waiter must
        not lose tasks that are on their way.
        """
        basis, first = self._basis, self._next
        names = [name for name, _ in asks]
        queues = [basis.queue(name) for name in names]
        want = min(want, MAX_TASKS)
        self._next += want
        keys = [queues[0].receipt(f"{basis.owner}.{lane}")]
        args: list[Any] = [
            basis.owner,
            first,
            want,
            self._lease,
            self._stand,
            basis.channel_prefix,
            basis.in_cluster,
        ]
        for queue, (_, quota) in zip(queues, asks, strict=True):
            keys += (queue.pending, queue.lease, queue.paused, queue.waiting, queue.flow)
            args += (quota, queue.task_prefix)

        def on_value(reply: Any) -> None:
            on_delivered(self._read(names, first, reply))

        basis.router.submit(
            Call(
                basis.router,
                DELIVER,
                (len(keys), *keys, *args),
                slot=basis.slot(names[0]),
                patience=patience,
                on_value=on_value,
                on_failure=on_failure,
                urgent=True,
            )
        )

    def step_aside(self, names: Sequence[str], *, on_done: Callable[[], None]) -> None:
        """Say that no tasks can be taken: messages about work go to other servers instead.

        All queues must share a slot. `on_done` is called whether it could be said or not; what was
        not said costs another server one safety interval.
        """
        basis = self._basis
        keys: list[str] = []
        for name in names:
            queue = basis.queue(name)
            keys += (queue.pending, queue.waiting)
        basis.router.submit(
            Call(
                basis.router,
                STEP_ASIDE,
                (len(keys), *keys, basis.owner, basis.channel_prefix, basis.in_cluster),
                slot=basis.slot(names[0]),
                patience=basis.patience,
                on_value=lambda _: on_done(),
                on_failure=lambda _: on_done(),
            )
        )

    def _read(self, names: list[str], first: int, reply: Any) -> list[Delivery]:
        now = float(reply[0])
        prefix = self._basis.owner + ":"
        decode, shared = self._basis.wire.decode, self._basis.wire.is_shared
        deliveries: list[Delivery] = []
        for at in range(1, len(reply), 4):
            number: int = reply[at]
            task_id, raw, history = reply[at + 1 : at + 4]
            if not task_id:
                continue
            retried = delivered = lost = 0
            since = b""
            try:
                name = task_id.decode()
                if history:
                    counts = history.split()
                    retried, delivered, lost = map(int, counts[:3])
                    since = counts[3] if len(counts) > 3 else b""
            except ValueError:
                # Not of ours, but written by hand: there is no name to settle it by. It loses its lease until
                # that is enough to archive it.
                continue
            delivery = Delivery(
                names[number - 1],
                name,
                f"{prefix}{first + at // 4}",
                retried,
                delivered,
                lost,
                now,
            )
            if since == b"-":
                delivery.is_repeated = True
            elif since:
                delivery.ready_at = float(since)
            try:
                envelope = delivery.envelope = decode(raw)
                if envelope.past is not None:
                    delivery.retried = envelope.past.retried
                if delivery.ready_at:
                    delivery.is_delayed = not shared or _seems_delayed(delivery, envelope)
            except WireError as error:
                delivery.unreadable = error.reason
            deliveries.append(delivery)
        return deliveries


def _seems_delayed(delivery: Delivery, envelope: Envelope) -> bool:
    """Where every task says since when it is ready: whether that is because it was due."""
    if delivery.deliveries:
        return delivery.retried > 0
    return 0 < envelope.enqueued_at < delivery.ready_at - 1
