"""The entries of schedulers as Go's tools see them: ours are put there, too, and Go's are read there."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from math import ceil
from typing import Any, Final

from asyncq._broker.basis import Basis, script
from asyncq._broker.go_directory import others
from asyncq._broker.rounds import Question, Round
from asyncq._broker.together import together
from asyncq._wire.asynq_records import EnqueueEvent, SchedulerEntry
from asyncq._wire.keys import GoKeys
from asyncq.errors import BrokerReplyError, WireError

GO_ENTRIES: Final = script("go_entries")


class GoSchedulers:
    """The area of schedulers in the records of Go."""

    def __init__(self, basis: Basis) -> None:
        self._basis = basis
        self._keys: Final = GoKeys()

    async def announce(self, process: str, entries: Sequence[bytes], *, now: float, ttl: float) -> None:
        """Say which entries a scheduler of ours has, each encoded as a `SchedulerEntry`, for so many seconds.

        The index has a slot of its own.
        """
        key = self._keys.scheduler(process)
        args = [ceil(ttl), *entries]

        async def say() -> None:
            basis = self._basis
            await basis.run(GO_ENTRIES, [key], args, slot=basis.router.slot_of(key))

        await together([say(), self._do("ZADD", self._keys.schedulers, int(now + ttl), key)])

    async def leave(self, process: str) -> None:
        """Say that a scheduler of ours is gone."""
        key = self._keys.scheduler(process)
        await together([self._do("DEL", key), self._do("ZREM", self._keys.schedulers, key)])

    async def entries(self, round_: Round, *, now: float) -> list[tuple[str, SchedulerEntry]]:
        """Every entry of schedulers that are not ours, with what its scheduler is called.

        What cannot be read is left out.
        """
        keys, basis = self._keys, self._basis
        processes = await others(
            basis, round_, "schedulers", keys.schedulers, key=keys.scheduler(""), now=now
        )
        found = await round_.each(
            Question(
                "scheduler",
                [one.rpartition(":")[2]],
                basis.router.slot_of(keys.scheduler(one)),
                partial(self._entries, one),
            )
            for one in processes
        )
        return [entry for entries in found for entry in entries]

    async def _entries(self, process: str) -> list[tuple[str, SchedulerEntry]]:
        try:
            raw: list[bytes] = await self._do("LRANGE", self._keys.scheduler(process), 0, -1)
        except BrokerReplyError:  # something else altogether
            return []
        found: list[tuple[str, SchedulerEntry]] = []
        for one in raw:
            with suppress(WireError):
                found.append((process, SchedulerEntry.decode(one)))
        return found

    async def events(self, entry_id: str, *, limit: int) -> list[EnqueueEvent]:
        """What an entry has enqueued, the newest first. What cannot be read is left out."""
        try:
            raw: list[bytes] = await self._do("ZRANGE", self._keys.history(entry_id), 0, limit - 1, "REV")
        except BrokerReplyError:  # something else altogether
            return []
        found: list[EnqueueEvent] = []
        for one in raw:
            with suppress(WireError):
                found.append(EnqueueEvent.decode(one))
        return found

    async def _do(self, name: str, key: str, *args: Any) -> Any:
        router = self._basis.router
        return await router.command(name, key, *args, slot=router.slot_of(key), patience=self._basis.patience)
