"""Which entries a scheduler runs: what its code declares, and what was stored for all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from asyncq._broker.entries import MODULUS, Change, Stored
from asyncq._checks import near_misses
from asyncq._clock import from_unix
from asyncq._entry_form import unpacked
from asyncq._logs import Log
from asyncq._timetable import Timetable
from asyncq.codecs import Codecs
from asyncq.entries import Changes, Entry
from asyncq.errors import ConfigError, EntryNotFoundError, WireError

HEARD_WITHIN: Final = timedelta(hours=1)
"""Who hears of a change later than this was cut off, and begins with what comes."""


class Known(NamedTuple):
    """What is remembered of a stored entry, whether it is run here or not."""

    version: int
    origin: str
    application: str
    digest: str
    is_orphan: bool
    is_open: bool = False  #: queues may not know of its last change


class Roster:
    """What is declared here, what is known of Redis, and what follows for the timetable.

    - What is stored is run as it is stored, also where another release of the same code has
      changed it; so all schedulers enqueue the same thing.
    - What a client has put is run by every scheduler; what code declares by those whose code does.
    - What is paused is not in the timetable.
    """

    def __init__(
        self,
        timetable: Timetable,
        *,
        application: str,
        codecs: Codecs,
        clock: Callable[[], datetime],
        log: Log,
    ) -> None:
        self._timetable: Final = timetable
        self._application: Final = application
        self._codecs: Final = codecs
        self._clock: Final = clock
        self._log: Final = log
        self.declared: Final[dict[str, Entry]] = {}
        self.known: Final[dict[str, Known]] = {}
        self.paused: Final[dict[str, Entry]] = {}
        self.sum = 0
        self._versions: Final[dict[str, int]] = {}
        self.fresh: Final[dict[str, bool]] = {}
        """Declared here since it was stored the last time; whether it may replace a client's."""
        self.unsettled: Final[dict[str, None]] = {}
        """Declared here, and not stored like that."""
        self.strangers: Final[dict[str, None]] = {}
        """Stored as declared by our application, and not declared here."""
        self.dropped: Final[set[str]] = set()
        """Declared here no more, because somebody said so."""
        self.is_followed = False
        """Whether it was loaded, and only changes come from now on."""
        self._digest = 0

    @property
    def declares(self) -> str:
        """Digest of what is declared: two schedulers with the same declare the same."""
        return f"{self._digest:016x}"

    @property
    def count(self) -> int:
        """How many entries there are for this scheduler, those that are paused among them."""
        return len(self._timetable) + len(self.paused)

    def refuse_second(self, entry: Entry, *, is_named: bool) -> None:
        """Refuse an entry whose id is taken.

        Args:
            entry: The one that is to be declared.
            is_named: Whether somebody chose its id.

        Raises:
            ConfigError: There is one of this id that is defined otherwise, or it is declared already.
        """
        known = self.find(entry.id)
        if known is None or (entry.id not in self.declared and known.definition == entry.definition):
            return
        if is_named or known.definition != entry.definition:
            raise ConfigError("entry_id", entry.id, "an id that no other entry has, or replace=True")
        expected = f"a name for the second of two equal entries; the first is {entry.id!r}"
        raise ConfigError("entry_id", None, expected)

    def find(self, entry_id: str) -> Entry | None:
        """The entry of this id, paused or not; `None` if there is none here."""
        return self.declared.get(entry_id) or self.paused.get(entry_id) or self.current(entry_id)

    def current(self, entry_id: str) -> Entry | None:
        """The entry as it is run here; `None` if it is not, or paused."""
        return self._timetable.get(entry_id) if entry_id in self._timetable else None

    def running(self, entry_id: str) -> Entry | None:
        """The entry as it is run here, or would be if it were not paused."""
        return self.current(entry_id) or self.paused.get(entry_id)

    # -- what is declared here ----------------------------------------------------------------------

    def declare(self, entry: Entry, *, replace: bool = False) -> None:
        """Take in what code or a provider says, in place of what it said before under this id."""
        before = self.declared.get(entry.id)
        if before is not None:
            self._digest ^= _mark_of(before)
        self._digest ^= _mark_of(entry)
        self.declared[entry.id] = entry
        self.fresh[entry.id] = replace
        self.unsettled[entry.id] = None
        self.strangers.pop(entry.id, None)
        self.dropped.discard(entry.id)
        if entry.id in self.paused:
            self.paused[entry.id] = entry
        elif not self._is_elsewhere(entry):
            self._timetable.add(entry, self._clock())

    def _is_elsewhere(self, entry: Entry) -> bool:
        """Whether an entry of this id is enqueued into another queue, until this one is stored."""
        running = self.current(entry.id)
        if running is None:
            return self.is_followed and entry.id in self.known
        return bool(running.version) and running.queue != entry.queue

    def replace(self, before: Iterable[str], after: Mapping[str, Entry]) -> Changes:
        """Declare some entries in the place of others; what is defined as before keeps its times."""
        old = dict.fromkeys(entry_id for entry_id in before if entry_id in self.declared)
        kept = {
            entry_id
            for entry_id in old
            if entry_id in after and self.declared[entry_id].definition == after[entry_id].definition
        }
        for entry_id in old:
            if entry_id not in after:
                self.drop(entry_id)
        for entry_id, entry in after.items():
            if entry_id not in kept:
                self.declare(entry)
        return Changes(
            added=tuple(entry_id for entry_id in after if entry_id not in old),
            removed=tuple(entry_id for entry_id in old if entry_id not in after),
            changed=tuple(entry_id for entry_id in after if entry_id in old and entry_id not in kept),
            kept=tuple(entry_id for entry_id in after if entry_id in kept),
        )

    def drop(self, entry_id: str) -> None:
        """Declare an entry no more.

        Raises:
            EntryNotFoundError: It is not declared here.
        """
        if entry_id not in self.declared:
            raise EntryNotFoundError(entry_id, near_misses(entry_id, self.declared))
        self._digest ^= _mark_of(self.declared.pop(entry_id))
        self.fresh.pop(entry_id, None)
        self.unsettled.pop(entry_id, None)
        self._leave(entry_id)
        self.dropped.add(entry_id)
        self._classify(entry_id)

    # -- what is stored -----------------------------------------------------------------------------

    def runs(self, stored: Stored) -> bool:
        """Whether a stored entry is run here."""
        return stored.origin != "code" or stored.id in self.declared

    def take(self, change: Change, *, is_held: bool = False) -> Entry | None:
        """Take over what was changed in Redis; returns an entry whose times have begun anew.

        Args:
            change: What was changed.
            is_held: It must not be run yet.
        """
        self._count(change.id, change.version if change.is_there else 0)
        if change.stored is None:
            if change.is_there:
                self._log.warning(
                    "entry %r cannot be read",
                    change.id,
                    extra={"event": "entry_unreadable", "entry": change.id},
                )
            else:
                self.dropped.discard(change.id)
            self.known.pop(change.id, None)
            # What is declared here goes on, and is stored again.
            if change.id not in self.declared:
                self._leave(change.id)
            self._classify(change.id)
            return None
        stored = change.stored
        self.known[change.id] = Known(
            stored.version,
            stored.origin,
            stored.application,
            stored.digest,
            bool(stored.orphaned_at),
            bool(stored.left),
        )
        self._classify(change.id)
        if is_held or not self.runs(stored):
            self._leave(change.id)
            return None
        return self._run(stored)

    def _run(self, stored: Stored) -> Entry | None:
        before = self.running(stored.id)
        entry = self.declared.get(stored.id)
        if before is not None and before.definition == stored.digest and (entry is None or before is entry):
            entry = before
        if entry is None or entry.definition != stored.digest:
            try:
                entry = unpacked(stored.id, stored.packed, digest=stored.digest, codecs=self._codecs)
            except WireError as error:
                self._log.warning(
                    "entry %r is not run here: %s",
                    stored.id,
                    error,
                    extra={"event": "entry_unreadable", "entry": stored.id},
                )
                if entry is None:
                    self._leave(stored.id)
                return None
        since = from_unix(stored.since)
        is_as_before = before is entry and entry.since == since and stored.id not in self.paused
        if before is not None and before is not entry:
            entry.last_at, entry.last_error = before.last_at, before.last_error
        if before is not None and before.since not in (None, since):
            self._leave(stored.id)  # its rhythm begins anew: it must not keep the times that it had
        entry.version, entry.since = stored.version, since
        if stored.paused_at:
            self._leave(stored.id)
            self.paused[stored.id] = entry
            entry.next_at = None
            return None
        self.paused.pop(stored.id, None)
        if is_as_before:
            return None
        self._timetable.add(entry, self._begin_of(since))
        return entry

    def _begin_of(self, since: datetime) -> datetime:
        """Return from when on the times of an entry count that is new here: some came before we heard."""
        now = self._clock()
        return since if self.is_followed and abs(now - since) < HEARD_WITHIN else now

    def close(self, entry_id: str, version: int) -> None:
        """All queues know of the last change of an entry."""
        known = self.known.get(entry_id)
        if known is not None and known.is_open and known.version == version:
            self.known[entry_id] = known._replace(is_open=False)
            self._classify(entry_id)

    def gone(self, seen: Iterable[str]) -> list[str]:
        """Return what is known and was not seen when everything was read."""
        return [*(self._versions.keys() - seen)]

    def _leave(self, entry_id: str) -> None:
        if entry_id in self._timetable:
            self._timetable.remove(entry_id)
        self.paused.pop(entry_id, None)

    def _count(self, entry_id: str, version: int) -> None:
        old = self._versions.pop(entry_id, 0)
        if version:
            self._versions[entry_id] = version
        self.sum = (self.sum - old + version) % MODULUS

    def _classify(self, entry_id: str) -> None:
        """Note whether something has to be done about an entry."""
        known, declared = self.known.get(entry_id), self.declared.get(entry_id)
        self.unsettled.pop(entry_id, None)
        self.strangers.pop(entry_id, None)
        if declared is not None:
            if known is None or known != self._wanted(known, declared):
                self.unsettled[entry_id] = None
        elif known is not None and known.origin == "code" and known.application == self._application:
            self.strangers[entry_id] = None
        elif known is not None:
            self.dropped.discard(entry_id)

    def _wanted(self, known: Known, declared: Entry) -> Known:
        return Known(known.version, "code", self._application, declared.definition, is_orphan=False)


def _mark_of(entry: Entry) -> int:
    """Return a number for a definition. The exclusive or of many does not depend on their order."""
    text = f"{entry.id}\0{entry.definition}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2s(text, digest_size=8).digest(), "big")
