"""What schedulers say of themselves, and what became of the times of their entries."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import msgpack

from asyncq._broker.basis import Basis, script
from asyncq._broker.directory import listed
from asyncq._broker.rounds import Question, Round
from asyncq._broker.together import together
from asyncq._wire.asynq_records import EnqueueEvent as GoEvent
from asyncq._wire.asynq_records import Timestamp
from asyncq._wire.keys import GoKeys, go_entry_id

RECORD: Final = script("record")

FORGOTTEN_AFTER: Final = 60.0
"""Seconds for which the index keeps the id of a scheduler whose record has gone: clocks may differ."""

MOST_EVENTS: Final = 1000
"""Events kept for each entry, as in asynq. A megabyte holds the histories of ten entries."""

LEAST_KEPT: Final = 30 * 86400
"""Seconds that a history is kept after the last event of its entry; longer where the next one comes later."""


class Schedules:
    """The area of schedulers."""

    def __init__(self, basis: Basis) -> None:
        self._basis = basis

    async def announce(self, scheduler_id: str, record: Mapping[str, Any], *, now: float, ttl: float) -> None:
        """Say what a scheduler is and has, for so many seconds.

        Two commands: the index lives in a slot of its own.
        """
        keys = self._basis.wire.keys
        value = msgpack.packb(dict(record), use_bin_type=True)
        await self._command("SET", keys.scheduler(scheduler_id), value, "PX", int(ttl * 1000))
        await self._command("ZADD", keys.schedulers, now + ttl, scheduler_id)

    async def leave(self, scheduler_id: str) -> None:
        """Say that a scheduler is gone."""
        keys = self._basis.wire.keys
        await self._command("DEL", keys.scheduler(scheduler_id))
        await self._command("ZREM", keys.schedulers, scheduler_id)

    async def schedulers(self, round_: Round | None = None, *, now: float) -> list[dict[str, Any]]:
        """Every scheduler that is there, and forget those that are not. What cannot be read is left out."""
        basis, keys = self._basis, self._basis.wire.keys
        round_ = round_ or Round(basis, partial=False)

        async def read() -> list[bytes]:
            await self._command("ZREMRANGEBYSCORE", keys.schedulers, "-inf", now - FORGOTTEN_AFTER)
            ids: list[bytes] = await self._command("ZRANGE", keys.schedulers, 0, -1)
            return ids

        ids = await listed(
            basis, round_, "schedulers", keys.schedulers, read, key=keys.scheduler(""), walk=True
        )
        questions = [
            Question(
                "scheduler", [one], basis.router.slot_of(keys.scheduler(one)), partial(self._record, one)
            )
            for one in ids
        ]
        return [record for record in await round_.each(questions) if record is not None]

    async def _record(self, scheduler_id: str) -> dict[str, Any] | None:
        raw = await self._command("GET", self._basis.wire.keys.scheduler(scheduler_id))
        record = None if raw is None else unpacked(raw)
        return {**record, "id": scheduler_id} if isinstance(record, dict) else None

    async def last_tick(self, queue: str, entry_id: str) -> float:
        """When the last task of an entry was due that was enqueued into a queue; 0 when nobody knows."""
        raw = await self._command("HGET", self._basis.queue(queue).tick(entry_id), "at")
        try:
            return float(raw or 0)
        except ValueError:
            return 0.0

    async def record(self, entry_id: str, event: Mapping[str, Any], *, at: float, next_at: float) -> None:
        """Note what became of one time of an entry.

        Args:
            entry_id: Whose.
            event: What became of it.
            at: When it was due, in Unix seconds.
            next_at: When the entry is due again, in Unix seconds; 0 for never.
        """
        seconds = max(LEAST_KEPT, int(2 * (next_at - at)))
        key, raw = self._basis.wire.keys.history(entry_id), msgpack.packb(dict(event), use_bin_type=True)
        notes = [self._note(key, raw, at, seconds)]
        if self._basis.wire.is_shared and event["task_id"]:
            # Go's tools are told what was enqueued, and when; of what was not they have no notion.
            when = event["enqueued_at"]
            said = GoEvent(task_id=event["task_id"], enqueued_at=Timestamp.of(when)).encode()
            notes.append(self._note(GoKeys().history(go_entry_id(entry_id)), said, int(when), seconds))
        await together(notes)

    async def _note(self, key: str, event: bytes, at: float, seconds: int) -> None:
        slot = self._basis.router.slot_of(key)
        await self._basis.run(RECORD, [key], [event, at, MOST_EVENTS, seconds], slot=slot)

    async def events(self, entry_id: str, *, limit: int) -> list[dict[str, Any]]:
        """The last events of an entry, the newest first. What cannot be read is left out."""
        raw = await self._command("ZRANGE", self._basis.wire.keys.history(entry_id), 0, limit - 1, "REV")
        events = [unpacked(one) for one in raw]
        return [event for event in events if isinstance(event, dict)]

    async def _command(self, name: str, key: str, *args: Any) -> Any:
        router = self._basis.router
        return await router.command(name, key, *args, slot=router.slot_of(key), patience=self._basis.patience)


def unpacked(raw: bytes) -> Any:
    """What was packed; `None` when it cannot be read."""
    try:
        return msgpack.unpackb(raw, strict_map_key=False)
    except ValueError:
        return None
