"""Tells queues that an entry has changed, so that it holds also for schedulers that have not heard of it."""

from __future__ import annotations

from typing import Any, Final

from asyncq._broker.basis import Basis, script
from asyncq._broker.ticks import ATTENDED, Recalled, read_tick

FENCE: Final = script("fence")
INHERIT: Final = script("inherit")

FENCE_SECONDS: Final = 86400
"""Seconds for which a change is fenced: longer than any scheduler goes on with what it knew."""


class Fences:
    """What stands in queues against older versions of entries."""

    def __init__(self, basis: Basis) -> None:
        self._basis = basis

    async def raise_to(
        self, queue: str, entry_id: str, version: int, *, lasts: bool = False, reason: str = ""
    ) -> Recalled:
        """Let nobody enqueue an entry who knows an older version.

        Args:
            queue: Where.
            entry_id: Which entry.
            version: The least that may enqueue it.
            lasts: For as long as nobody says otherwise; else for a day.
            reason: Why no time of it may wait for the end of a run any more; '' if it may.

        Returns:
            What is known of its times there, of which none is had by an older version any more.
        """
        return read_tick((await self._raise(queue, entry_id, version, lasts=lasts, reason=reason))[2:])

    async def _raise(self, queue: str, entry_id: str, version: int, *, lasts: bool, reason: str) -> list[Any]:
        keys = self._basis.queue(queue)
        reply: Any = await self._basis.run(
            FENCE,
            [keys.fence(entry_id), keys.tick(entry_id)],
            [version, 0 if lasts else FENCE_SECONDS, reason],
            slot=self._basis.slot(queue),
        )
        return list(reply)

    async def move(self, entry_id: str, version: int, *, source: str, target: str) -> None:
        """Let one queue enqueue an entry no more, and another one go on where it was.

        What is left to be done for times that were over goes along, and nothing waits for the end of a run.
        """
        basis = self._basis
        _, ttl, *fields = await self._raise(source, entry_id, version, lasts=False, reason="changed")
        pairs = dict(zip(fields[::2], fields[1::2], strict=True))
        if not pairs:
            return
        todo = {name: value for name, value in pairs.items() if name.startswith((b"note:", b"cancel:"))}
        args: list[Any] = [max(FENCE_SECONDS, int(ttl) // 1000), pairs.get(b"at", b"")]
        for name, value in todo.items():
            # The task is where it was.
            args += (name, value or source if name.startswith(b"cancel:") else value)
        slot = basis.slot(target)
        await basis.run(INHERIT, [basis.queue(target).tick(entry_id)], args, slot=slot)
        read: list[Any] = [part for pair in todo.items() for part in pair]
        if read:
            tick = basis.queue(source).tick(entry_id)
            await basis.run(ATTENDED, [tick], read, slot=basis.slot(source))
