"""Keeps what is declared in step with a provider."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from asyncq._logs import Log
from asyncq._scheduling import hooks
from asyncq._scheduling.roster import Roster
from asyncq._scheduling.settings import ManagerConfig
from asyncq._scheduling.source import Source
from asyncq._service import Service
from asyncq.entries import Changes, Entry, PeriodicTask, define
from asyncq.errors import ConfigError, ProviderError

_SHOWN_PROBLEMS: Final = 10
_AT_A_TIME: Final = 50
"""Entries that are checked between two turns of the event loop: each takes a tenth of a millisecond."""


class Syncer(Service):
    """Asks the provider in intervals and on demand, and takes over all that it gives, or nothing.

    Whatever goes wrong, the last good set stays, and this is said: in the log, to `on_sync_error`,
    in `last_error`, and in what tools are told about the scheduler.
    """

    def __init__(
        self,
        source: Source,
        roster: Roster,
        config: ManagerConfig,
        *,
        clock: Callable[[], datetime],
        log: Log,
        on_change: Callable[[], None],
    ) -> None:
        super().__init__("syncer")
        self._source: Final = source
        self._roster: Final = roster
        self._config: Final = config
        self._clock: Final = clock
        self.log = log
        self._on_change: Final = on_change
        self._lock: Final = asyncio.Lock()
        self._provided: list[str] = []
        self._next_at = 0.0
        self.last_error: ProviderError | None = None
        self.synced_at: datetime | None = None

    async def tick(self) -> float:
        remaining = self._next_at - asyncio.get_running_loop().time()
        if remaining <= 0:
            with suppress(ProviderError):  # said already; it is tried again
                await self.sync()
            remaining = self._config.sync_interval
        return remaining

    def forget(self, entry_id: str) -> None:
        """Somebody has removed an entry by hand; it is no longer the provider's, until it gives it again."""
        if entry_id in self._provided:
            self._provided.remove(entry_id)

    async def sync(self) -> Changes:
        """Ask the provider, and take over what it gives. Calls at the same time come one after another.

        Raises:
            ProviderError: Nothing was taken over.
        """
        async with self._lock:
            try:
                entries = await self._read(await self._source.ask())
                changes = self._take_over(entries)
            except ProviderError as error:
                await self._failed(error)
                raise
            finally:
                self._next_at = asyncio.get_running_loop().time() + self._config.sync_interval
            self._succeeded(changes)
            return changes

    async def _read(self, items: list[object]) -> dict[str, Entry]:
        """Check all that was given, in small portions: entries have to be enqueued meanwhile."""
        given = _Given()
        for number, item in enumerate(items):
            if number % _AT_A_TIME == _AT_A_TIME - 1:
                await asyncio.sleep(0)
            try:
                given.take(item, self._config, self.log)
            except ConfigError as error:
                given.cause = given.cause or error
                given.problems.append(f"entry {number}: {error}")
        if given.problems:
            raise _refusal(given.problems, len(items)) from given.cause
        return given.entries

    def _take_over(self, entries: dict[str, Entry]) -> Changes:
        """Put the new set in the place of the old one, in one step."""
        foreign = [name for name in entries if name in self._roster.declared and name not in self._provided]
        if foreign:
            raise _refusal([f"entry {name!r} was registered by hand" for name in foreign], len(entries))
        changes = self._roster.replace(self._provided, entries)
        self._provided = [*entries]
        return changes

    def _succeeded(self, changes: Changes) -> None:
        if self.last_error is not None:
            self.log.warning("the provider works again", extra={"event": "sync_recovered"})
        self.last_error, self.synced_at = None, self._clock()
        if changes:
            self.log.info(
                "entries changed: %d added, %d removed, %d changed, %d as before",
                len(changes.added),
                len(changes.removed),
                len(changes.changed),
                len(changes.kept),
                extra={
                    "event": "entries_synced",
                    "added": changes.added,
                    "removed": changes.removed,
                    "changed": changes.changed,
                },
            )
        self._on_change()

    async def _failed(self, error: ProviderError) -> None:
        self.last_error = error
        self.log.error(
            "%s; the %d entries it gave before stay",
            error,
            len(self._provided),
            exc_info=error.__cause__ if self.log.isEnabledFor(logging.DEBUG) else None,
            extra={"event": "sync_failed", "kept": len(self._provided)},
        )
        self._on_change()
        await hooks.call(self.log, self._config.on_sync_error, error, name="on_sync_error")

    async def aclose(self) -> None:
        """Let go of a provider that hangs."""
        await self._source.aclose()


@dataclass(slots=True)
class _Given:
    """What a provider gave, as far as it was read."""

    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    named: set[str] = field(default_factory=set[str])  #: ids that were chosen and not made
    problems: list[str] = field(default_factory=list[str])
    cause: ConfigError | None = None

    def take(self, item: object, config: ManagerConfig, log: Log) -> None:
        """Check one entry, and keep it. Two equal ones without ids of their own are one."""
        if not isinstance(item, PeriodicTask):
            raise ConfigError("entry", item, "a PeriodicTask")
        entry = define(item, timezone=config.zone, codecs=config.codecs)
        known = self.entries.get(entry.id)
        if known is not None:
            if item.id or entry.id in self.named or known.definition != entry.definition:
                raise ConfigError("id", entry.id, "an id that no other entry has")
            log.warning(
                "the provider gave two equal entries %r; they are one",
                entry.id,
                extra={"event": "entries_equal", "entry": entry.id},
            )
        self.entries[entry.id] = entry
        if item.id:
            self.named.add(entry.id)


def _refusal(problems: list[str], count: int) -> ProviderError:
    more = len(problems) - _SHOWN_PROBLEMS
    lines = problems[:_SHOWN_PROBLEMS] + ([f"and {more} more"] if more > 0 else [])
    return ProviderError("\n- ".join([f"{len(problems)} of its {count} entries are wrong:", *lines]))
