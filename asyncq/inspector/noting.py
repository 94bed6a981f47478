"""Noting what was done: in the log, in the trail, and to whoever asked to be told."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from asyncq._broker.broker import Broker
from asyncq._clock import from_unix
from asyncq._service import Errands
from asyncq.errors import BrokerError
from asyncq.inspector.records import TrailRecord

OnChange = Callable[[TrailRecord], None]
"""Called with each record. What it raises is logged, and undoes nothing."""

log = logging.getLogger("asyncq.audit")

_WARNED: Final = ("failed", "refused", "interrupted")


REFUSALS: Final = 20
"""Records of what was refused to one actor, in a minute. The others are in the log alone: who may do nothing
shall not be able to push what others did out of a trail that has an end."""

_MINUTE: Final = 60.0
_MOST_ACTORS: Final = 1000


class Refusals:
    """How much was refused to whom, lately."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, int]] = {}

    def count(self, actor: str, *, at: float) -> int:
        """Count one more, and return how many there are in the minute that began with the first of them."""
        began, number = self._seen.get(actor, (at, 0))
        if at - began >= _MINUTE:
            began, number = at, 0
        if len(self._seen) >= _MOST_ACTORS:
            self._seen = {who: seen for who, seen in self._seen.items() if at - seen[0] < _MINUTE}
        self._seen[actor] = began, number + 1
        return number + 1


class Noter:
    """Where the records of one inspector go, and those of all views of it."""

    def __init__(self, broker: Callable[[], Broker], on_change: OnChange | None) -> None:
        self._broker = broker
        self._on_change = on_change
        self._refusals = Refusals()
        self._errands = Errands()

    async def note(self, record: TrailRecord) -> None:
        """Note it, as well as that can be done.

        The log is first: it stands also where Redis cannot be reached, or whoever waits gives up. Nothing
        that goes wrong in here changes what was done, or what is told of it.
        """
        log.log(
            logging.WARNING if record.outcome in _WARNED else logging.INFO,
            "%r %s %s%s%s",
            record.actor or record.via,
            record.action,
            record.outcome,
            f" in {record.queue!r}" if record.queue else "",
            f": {record.reason!r}" if record.reason else "",
            extra={"event": "change", **_said(record)},
        )
        if record.actor:
            record = await self._kept(record)
        if self._on_change is not None:
            try:
                self._on_change(record)
            except Exception:  # a user's callback: logged
                log.exception("on_change failed", extra={"event": "on_change_failed"})

    async def _kept(self, record: TrailRecord) -> TrailRecord:
        if record.outcome == "refused":
            number = self._refusals.count(record.actor, at=time.monotonic())
            if number > REFUSALS:
                return record
            if number == REFUSALS:
                record = replace(record, reason=f"{record.reason}; more of this minute is in the log alone")
        return await self._unbroken(record)

    async def _unbroken(self, record: TrailRecord) -> TrailRecord:
        """Write it, also for somebody who gives up meanwhile: what is noted was done already."""
        writing = self._errands.start(self._written(record), name="trail")
        try:
            return await asyncio.shield(writing)
        except asyncio.CancelledError:
            # Not for long: it has a patience of its own. Whoever is cancelled again does not wait any more.
            await asyncio.wait((writing,))
            raise

    async def aclose(self) -> None:
        """Wait for what is still being written."""
        await self._errands.finish()

    async def _written(self, record: TrailRecord) -> TrailRecord:
        try:
            identity = await self._broker().trail.add(record.operation, record.outcome, record.fields())
        except BrokerError as error:
            log.error(  # noqa: TRY400 - the error is in the text, and its traceback says no more
                "what %r did (%s) could not be written into the trail: %s",
                record.actor,
                record.action,
                error,
                extra={"event": "trail_unwritten", **_said(record)},
            )
            return record
        return replace(record, id=identity, at=from_unix(int(identity.partition("-")[0]) / 1000))


def _said(record: TrailRecord) -> dict[str, object]:
    said: dict[str, object] = {**record.fields()}
    # What was changed is for the trail alone: logs go to places that payloads should not go to.
    return {name: said.get(name, "") for name in ("actor", "via", "action", "queue", "target", "outcome")} | {
        "reason": record.reason,
        "count": record.count,
        "operation": record.operation,
    }
