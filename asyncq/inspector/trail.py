"""The inspector's room for the trail: who changed what, and to whom what was refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from asyncq._checks import near_misses, whole_problem
from asyncq._clock import INSTANT, instant_of
from asyncq.errors import ConfigError, Problem
from asyncq.inspector.reach import Reach
from asyncq.inspector.records import OUTCOMES, Outcome, TrailRecord, record_of
from asyncq.inspector.rights import RIGHTS
from asyncq.options import is_text
from asyncq.redaction import HIDDEN

PAGE_SIZE: Final = 50
SCAN: Final = 2000
LARGEST_PAGE: Final = 1000

_CHUNK: Final = 200
_PLACE: Final = re.compile(r"\d{1,19}-\d{1,19}")


@dataclass(frozen=True, slots=True)
class TrailPage:
    """A part of the trail, the newest first."""

    records: list[TrailRecord]
    total: int  #: how many records there are altogether, whether they pass the filters or not
    scanned: int  #: how many were looked at for this page
    cursor: str | None  #: for the next page; None if there is none

    def __iter__(self) -> Iterator[TrailRecord]:
        """Go over the records."""
        return iter(self.records)

    def __len__(self) -> int:
        """Return the number of records on this page."""
        return len(self.records)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """Filters that were checked."""

    exact: dict[str, str]
    target: str
    newest: str
    oldest: str

    def takes(self, record: TrailRecord) -> bool:
        return self.target in record.target and all(
            getattr(record, name) == value for name, value in self.exact.items()
        )


class Trail:
    """What was changed through inspectors whose actor is known, and what was refused to them."""

    def __init__(self, reach: Reach) -> None:
        self._reach: Final = reach

    async def list(  # noqa: PLR0913 - each is a thing a caller wants to say
        self,
        *,
        actor: str | None = None,
        action: str | None = None,
        queue: str | None = None,
        outcome: Outcome | None = None,
        via: str | None = None,
        operation: str | None = None,
        target: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        size: int = PAGE_SIZE,
        cursor: str | None = None,
        scan: int = SCAN,
    ) -> TrailPage:
        """A page of the trail, the newest records first; the last 10,000 are kept, about.

        A filter looks at `scan` records for one page and no more, so a page may have few or none and a cursor
        for the next. Whose rights are limited to queues sees the records of these.

        Args:
            actor: Who did it.
            action: Name of the right that it needs, such as `task.run`.
            queue: In which queue.
            outcome: begun, done, failed, refused or interrupted.
            via: By which tool.
            operation: Of one change.
            target: Text that the target contains, such as the id of a task.
            since: Not before this instant.
            until: Not after this instant.
            size: Records on a page, up to 1,000.
            cursor: Of the page before, to go on after it.
            scan: Records that are looked at for one page at the most.

        Raises:
            ConfigError: Something is wrong with what was asked for.
            NotAllowedError: The right `trail` is missing, or not for this queue.
        """
        self._reach.who.require("trail", queue)
        exact = {"actor": actor, "action": action, "queue": queue, "outcome": outcome, "via": via}
        wanted = _read({**exact, "operation": operation, "target": target}, since, until)
        _check_page(size, cursor, scan)
        return await self._page(wanted, size, cursor, scan)

    async def _page(self, wanted: _Wanted, size: int, cursor: str | None, scan: int) -> TrailPage:
        area = self._reach.broker().trail
        total = await area.count()
        records: list[TrailRecord] = []
        scanned, last, is_over = 0, f"({cursor}" if cursor else wanted.newest, False
        while not is_over and len(records) < size and scanned < scan:
            count = min(_CHUNK, scan - scanned)
            rows = await area.read(last, wanted.oldest, count)
            is_over = len(rows) < count
            for number, (identity, fields) in enumerate(rows, 1):
                scanned, last = scanned + 1, f"({identity}"
                record = record_of(identity, fields)
                if record is not None and self._may_see(record) and wanted.takes(record):
                    records.append(self._shown(record))
                    if len(records) == size:
                        is_over = is_over and number == len(rows)
                        break
        return TrailPage(records, total, scanned, None if is_over else last.removeprefix("("))

    def _may_see(self, record: TrailRecord) -> bool:
        rights = self._reach.who.rights
        return rights.sees(record.queue) if record.queue else not rights.is_limited

    def _shown(self, record: TrailRecord) -> TrailRecord:
        """A record as it may be shown: its texts are as somebody saw them to whom perhaps less was hidden."""
        if self._reach.who.redact is None:
            return record
        hidden = {
            name: (HIDDEN, HIDDEN) if name in _DELICATE else texts for name, texts in record.changes.items()
        }
        return replace(record, changes=hidden)


_DELICATE: Final = ("payload", "headers")


def _read(given: dict[str, str | None], since: datetime | None, until: datetime | None) -> _Wanted:
    said = {name: value for name, value in given.items() if value is not None}
    problems = [
        Problem(name, value, "text that is not blank") for name, value in said.items() if not is_text(value)
    ]
    if "action" in said and said["action"] not in RIGHTS:
        near = near_misses(said["action"], RIGHTS)[:1]
        hint = f"; did you mean {near[0]!r}?" if near else f": {', '.join(RIGHTS)}"
        problems.append(Problem("action", said["action"], f"the name of a right{hint}"))
    if "outcome" in said and said["outcome"] not in OUTCOMES:
        problems.append(Problem("outcome", said["outcome"], f"one of {', '.join(OUTCOMES)}"))
    instants: dict[str, float | None] = {}
    for name, value in (("since", since), ("until", until)):
        instants[name] = None if value is None else instant_of(value)
        if value is not None and instants[name] is None:
            problems.append(Problem(name, value, INSTANT))
    if problems:
        raise ConfigError.of(problems)
    first, last = instants["since"], instants["until"]
    return _Wanted(
        exact={name: value for name, value in said.items() if name != "target"},
        target=said.get("target", ""),
        newest="+" if last is None else str(int(max(last, 0.0) * 1000)),
        oldest="-" if first is None else str(int(max(first, 0.0) * 1000)),
    )


def _check_page(size: object, cursor: object, scan: object) -> None:
    problems = [
        problem
        for problem in (whole_problem("size", size, least=1), whole_problem("scan", scan, least=1))
        if problem is not None
    ]
    if isinstance(size, int) and size > LARGEST_PAGE:
        problems.append(Problem("size", size, f"at most {LARGEST_PAGE}"))
    if cursor is not None and not (isinstance(cursor, str) and _PLACE.fullmatch(cursor)):
        problems.append(Problem("cursor", cursor, "the cursor of another page of the trail"))
    if problems:
        raise ConfigError.of(problems)
