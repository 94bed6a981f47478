"""Brings what code declares and what is stored together, beside others that do the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from asyncq._broker.entries import Definition, Entries, Put, Stored
from asyncq._broker.schedules import Schedules
from asyncq._clock import now
from asyncq._compose import new_id
from asyncq._logs import Log
from asyncq._scheduling.catalogue import definition_of
from asyncq._scheduling.roster import Roster
from asyncq.codecs import Codecs
from asyncq.entries import Entry
from asyncq.errors import WireError

AT_A_TIME: Final = 50
"""Orphans that are marked or removed together."""

MOST_JUDGED: Final = 1000
"""Orphans that are judged before somebody looks what else has changed."""

TURN: Final = 50
"""Entries that are written down between two turns of the event loop: what is due must not wait for them."""

SHOWN: Final = 10
"""Ids that are named in a line of the log."""


class Reconciler:
    """Stores what is declared here, and finds what no code declares any more.

    Several releases of one application may run side by side, while one takes the place of the other.
    So that they do not fight (docs/adr/0014-entries-in-redis.md):

    - Who starts stores its definitions, and everybody runs what is stored. Nobody puts back what
      somebody who started later has changed, as long as schedulers of the application differ.
    - When all that are left declare the same, what is stored becomes that.
    - What none of these declares is an orphan: it is marked, or removed.
    """

    def __init__(  # noqa: PLR0913 - what it acts on, and for whom
        self,
        entries: Entries,
        schedules: Schedules,
        roster: Roster,
        *,
        scheduler_id: str,
        application: str,
        removes_orphans: bool,
        remove: Callable[[Stored], Awaitable[str]],
        announce: Callable[[], Awaitable[object]],
        codecs: Codecs,
        log: Log,
    ) -> None:
        self._entries: Final = entries
        self._schedules: Final = schedules
        self._roster: Final = roster
        self._scheduler_id: Final = scheduler_id
        self._application: Final = application
        self._removes_orphans: Final = removes_orphans
        self._remove: Final = remove
        self._announce: Final = announce
        self._announced = ""
        self._codecs: Final = codecs
        self._log: Final = log
        self.conflicts: Final[dict[str, tuple[str, int]]] = {}
        """Declared here, and something else to a client (`exists`) or to an application that runs
        (`declared`): why it was refused, and the version that there was."""
        self._told: Final[set[str]] = set()

    async def settle(self) -> bool:
        """Do what is to be done by now; says whether something was, so that it is worth another look."""
        roster = self._roster
        for name in [*self.conflicts]:
            known = roster.known.get(name)
            if name not in roster.unsettled or known is None or known.version > self.conflicts[name][1]:
                del self.conflicts[name]
        waiting = [name for name in roster.unsettled if name not in self.conflicts or name in roster.fresh]
        strangers = self._strangers()
        urgent = [name for name in waiting if self._is_urgent(name)]
        stored = await self._store(urgent) if urgent else False
        if len(urgent) == len(waiting) and not strangers:
            return stored
        records = await self._schedules.schedulers(now=now())
        live = {record.get("application", "") for record in records}
        whose = {name: roster.known[name].application for name in waiting if name in roster.known}
        left = {name: application for name, application in whose.items() if name not in urgent}
        lost = [name for name, of in left.items() if of not in live and of != self._application]
        stored = await self._inherit(lost) or stored
        if is_agreed(records, self._scheduler_id, self._application, roster.declares):
            ours = [name for name, of in left.items() if of == self._application and name in roster.unsettled]
            stored = (await self._store(ours) if ours else False) or stored
            await self._judge(strangers)
            return stored or len(strangers) > MOST_JUDGED
        return stored

    async def _inherit(self, names: Sequence[str]) -> bool:
        """Take over what is declared here, and was by an application of which nothing runs any more."""
        return any(put.word == "changed" for put in (await self._put(names, force=True)).values())

    def _is_urgent(self, entry_id: str) -> bool:
        """Whether an entry is stored without a look at the others: nothing of theirs is changed by it."""
        known = self._roster.known.get(entry_id)
        is_free = known is None or known.is_orphan or known.origin == "client"
        return is_free or entry_id in self._roster.fresh

    async def _store(self, names: Sequence[str]) -> bool:
        roster = self._roster
        if roster.declares != self._announced:
            # Before it is stored: what nobody says that he declares is an orphan to others.
            declares = roster.declares
            await self._announce()
            self._announced = declares
        words: dict[str, int] = {}
        for replace in (False, True):
            some = [name for name in names if roster.fresh.get(name, False) is replace]
            for name, put in (await self._put(some, replace=replace)).items():
                words[put.word] = words.get(put.word, 0) + 1
                if put.word in ("exists", "declared"):
                    self._refused(name, put)
        added, changed = words.get("added", 0), words.get("changed", 0)
        if added or changed:
            self._log.info(
                "entries of the code were stored: %d new, %d changed",
                added,
                changed,
                extra={"event": "entries_declared", "added": added, "changed": changed},
            )
        return bool(added or changed)

    async def _put(
        self, names: Sequence[str], *, replace: bool = False, force: bool = False
    ) -> dict[str, Put]:
        if not names:
            return {}
        declared: list[Entry] = []
        definitions: list[Definition] = []
        for number, name in enumerate(names):
            if number % TURN == TURN - 1:
                await asyncio.sleep(0)
            if name in self._roster.declared:
                declared.append(self._roster.declared[name])
                definitions.append(definition_of(declared[-1], self._codecs))
        done = await self._entries.put(
            definitions,
            call=new_id(),
            origin="code",
            application=self._application,
            replace=replace,
            force=force,
        )
        found = {entry.id: put for entry, put in zip(declared, done, strict=True)}
        for entry in declared:
            # It may have been registered anew meanwhile.
            if self._roster.declared.get(entry.id) is entry:
                self._roster.fresh.pop(entry.id, None)
        for name, put in found.items():
            if put.word == "kept":
                self._roster.close(name, put.version)
        foreign = [name for name, put in found.items() if put.word == "declared"]
        if foreign and not force:
            found |= await self._put(await self._abandoned(foreign), replace=replace, force=True)
        return found

    async def _abandoned(self, names: Sequence[str]) -> list[str]:
        """Return those that an application declared of which nothing runs any more."""
        live = {record.get("application", "") for record in await self._schedules.schedulers(now=now())}
        found: list[str] = []
        for name in names:
            try:
                stored = await self._entries.get(name)
            except WireError:
                continue
            if stored is None or stored.application not in live:
                found.append(name)
        return found

    def _refused(self, entry_id: str, put: Put) -> None:
        is_known = entry_id in self.conflicts
        self.conflicts[entry_id] = (put.word, put.version)
        if is_known:
            return
        whose = "a client has put" if put.word == "exists" else "the code of another application declares"
        self._log.error(
            "entry %r is not stored: %s another definition of this id",
            entry_id,
            whose,
            extra={"event": "entry_conflict", "entry": entry_id},
        )

    def _strangers(self) -> list[str]:
        """Return what is stored for our application, is not declared here, and not marked yet."""
        roster = self._roster
        return [
            name
            for name in roster.strangers
            if not roster.known[name].is_orphan or self._removes_orphans or name in roster.dropped
        ]

    async def _judge(self, names: Sequence[str]) -> None:
        """Mark or remove what nobody declares, some at a time. What has changed meanwhile is left alone."""
        orphans: list[str] = []
        removed: list[str] = []
        for first in range(0, min(len(names), MOST_JUDGED), AT_A_TIME):
            some = names[first : first + AT_A_TIME]
            done = await asyncio.gather(*[self._end(name) for name in some])
            for name, word in zip(some, done, strict=True):
                if word == "removed":
                    removed.append(name)
                elif word == "done":
                    orphans.append(name)
        if removed:
            self._log.info(
                "%d entries that no code declares were removed: %s",
                len(removed),
                _named(removed),
                extra={"event": "entries_removed", "entries": removed},
            )
        fresh = [name for name in orphans if name not in self._told]
        if fresh:
            self._told.update(fresh)
            self._log.warning(
                "%d stored entries are declared by no code that runs, and are not enqueued: %s",
                len(fresh),
                _named(fresh),
                extra={"event": "entries_orphaned", "entries": fresh},
            )

    async def _end(self, entry_id: str) -> str:
        known = self._roster.known.get(entry_id)
        if known is None:
            return "missing"
        if self._removes_orphans or entry_id in self._roster.dropped:
            stored: Stored | None = await self._entries.get(entry_id)
            if stored is None or stored.version != known.version:
                return "stale"
            return await self._remove(stored)
        return (await self._entries.mark(entry_id, "orphan", expected=known.version)).word


def is_agreed(
    records: Sequence[Mapping[str, Any]], scheduler_id: str, application: str, declares: str
) -> bool:
    """Whether all other schedulers of an application declare the same as we do."""
    return all(
        record.get("declares", "") == declares
        for record in records
        if record["id"] != scheduler_id and record.get("application", "") == application
    )


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(repr, names[:SHOWN])) + more
