"""Looking at what is there, without changing it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from asyncq._broker.basis import Basis, script
from asyncq._broker.together import together
from asyncq._wire.messages import Envelope
from asyncq._wire.states import State

LOOK: Final = script("look")

MOST_HOLDERS: Final = 100
"""Queues that are searched for a task that is not where it was looked for."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One task at one moment, as it is in Redis."""

    envelope: Envelope
    state: State
    fields: dict[str, bytes]  #: of the hash, without the message
    due: float  #: Unix seconds, 0 when it is not delayed
    now: float  #: Redis' clock
    lease_ends: float  #: Unix seconds, 0 when nobody holds it

    def number(self, field: str) -> float:
        """A field that holds a number; 0 when it is not there."""
        return float(self.fields.get(field, b"0"))

    def text(self, field: str) -> str:
        """A field that holds text; empty when it is not there."""
        return self.fields.get(field, b"").decode("utf-8", "replace")


class Browse:
    """The browse area."""

    def __init__(self, basis: Basis) -> None:
        self._basis = basis

    async def look(self, queue: str, task_id: str) -> Seen | None:
        """Everything about one task; `None` when there is none with this id.

        Raises:
            WireError: Its message cannot be read.
        """
        keys = self._basis.queue(queue)
        reply: Any = await self._basis.run(
            LOOK,
            [keys.task(task_id), keys.scheduled, keys.retry, keys.lease],
            [task_id],
            slot=self._basis.slot(queue),
        )
        if not reply:
            return None
        pairs: dict[str, bytes] = {
            reply[at].decode("utf-8", "replace"): reply[at + 1] for at in range(3, len(reply), 2)
        }
        envelope = self._basis.wire.decode(pairs.pop("msg", b""))
        return Seen(
            envelope,
            State(pairs.get("state", b"pending").decode()),
            pairs,
            float(reply[1] or 0),
            float(reply[0]),
            float(reply[2] or 0),
        )

    async def queues(self) -> set[str]:
        """Names of the queues that tasks were ever put into."""
        router, key = self._basis.router, self._basis.wire.keys.queues
        names: Any = await router.command(
            "SMEMBERS", key, slot=router.slot_of(key), patience=self._basis.patience
        )
        return {name.decode("utf-8", "replace") for name in names}

    async def has_tasks(self, queue: str) -> bool:
        """Whether a task was ever put into this queue since it was last removed."""
        router, basis = self._basis.router, self._basis
        found: Any = await router.command(
            "EXISTS", basis.queue(queue).flow, slot=basis.slot(queue), patience=basis.patience
        )
        return bool(found)

    async def holders(self, task_id: str, queues: Sequence[str]) -> list[str]:
        """Those of the queues that have a task with this id. For a hint: looks at a bounded number."""
        basis, found = self._basis, list[str]()

        async def look(queue: str) -> None:
            key = basis.queue(queue).task(task_id)
            if await basis.router.command("EXISTS", key, slot=basis.slot(queue), patience=basis.patience):
                found.append(queue)

        await together([look(queue) for queue in queues[:MOST_HOLDERS]])
        return sorted(found)
