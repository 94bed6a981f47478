"""The same action upon many tasks: chunk by chunk, so that nobody waits for it, and with an end."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Literal, cast

from asyncq._broker.actions import CHUNK, Action, Sender, Terms
from asyncq._broker.browse import ANCHORS, START, Leaf, Spot, Window
from asyncq._wire.states import State
from asyncq.errors import ConfigError, Problem
from asyncq.inspector.listing import Place, TaskFilters, info_of
from asyncq.inspector.reach import Reach

_MARKERS: Final = 16
_LEAST: Final = 20
_PLEASANT: Final = 0.002
"""Seconds for a chunk: one call that looks and one that acts."""

_CALLS_A_SECOND: Final = 10
"""With a rate: so that it is kept in every part of a second, and not only over many."""

_SPARE: Final = 1000
"""Tasks that may come in before the last of those that are meant, beside as many as there were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkReport:
    """How far bulk work is, or how it ended."""

    action: Action | Literal["cancel"]
    queue: str
    state: State
    total: int  #: how many tasks were in this state when it began
    scanned: int = 0  #: how many were looked at
    matched: int = 0  #: how many of those were meant
    done: int = 0  #: how many were run, archived or deleted
    skipped: int = 0  #: how many were meant, and could not be acted upon any more
    reasons: Mapping[str, int] = field(default_factory=dict[str, int])
    """Why: the state in which they were meanwhile, `missing`, `newer`, `gathered` or `displaced`."""
    dry_run: bool = False  #: nothing was changed
    is_complete: bool = False  #: nothing is left of what was there when it began


OnBulkProgress = Callable[[BulkReport], None]


class BulkOptions(TaskFilters, total=False):
    """Which tasks bulk work is about, and how it is done."""

    rate: float
    """Tasks a second at the most."""

    limit: int
    """Stop after so many."""

    dry_run: bool
    """Only count what it would act upon."""

    on_progress: OnBulkProgress
    """Called after each chunk, with how far it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How bulk work is done: options that were checked."""

    rate: float = math.inf
    limit: float = math.inf
    dry_run: bool = False
    on_progress: OnBulkProgress | None = None


_MANNER: Final = {one.name for one in fields(Manner)}


def read_options(options: BulkOptions) -> tuple[Manner, TaskFilters]:
    """Tell how it is done from what is meant, and check the first.

    Raises:
        ConfigError: With all that is wrong.
    """
    given: dict[str, Any] = {
        name: value for name, value in options.items() if name in _MANNER and value is not None
    }
    filters = {name: value for name, value in options.items() if name not in _MANNER}
    rules: dict[str, tuple[Callable[[Any], bool], str]] = {
        "rate": (lambda it: isinstance(it, (int, float)) and it > 0, "a number above 0: tasks a second"),
        "limit": (lambda it: isinstance(it, int) and it > 0, "a whole number, 1 or more"),
        "dry_run": (lambda it: isinstance(it, bool), "True or False"),
        "on_progress": (callable, "a function"),
    }
    problems: list[Problem] = []
    for name, value in given.items():
        is_right, expected = rules[name]
        if not is_right(value) or (name != "dry_run" and isinstance(value, bool)):
            problems.append(Problem(name, value, expected))
    if problems:
        raise ConfigError.of(problems)
    return Manner(**given), cast("TaskFilters", filters)


class Bulk:
    """One run of bulk work.

    What it acts upon is what was there when it began. Where the score is a time that only grows, that is
    the cut. Tasks that failed or succeeded since are passed over by what their hash says. In the pending
    list the newest of then are the mark, and what stands behind them came later. Scheduled tasks come in
    anywhere and nothing says when: it goes on to the last of then, and takes what came before that for one of
    them. Where so many come that it would not end, it stops, and is not complete.
    """

    def __init__(
        self, reach: Reach, place: Place, action: Action, manner: Manner, *, fresh: bool = False
    ) -> None:
        self._reach = reach
        self._place = place
        self._browse = reach.broker().browse
        self._sender: Sender = reach.broker().actions.sender(place.queue)
        self._terms = Terms(action=action, state=place.state.value, fresh=fresh)
        self._rate = manner.rate
        self._limit = manner.limit
        self._on_progress = manner.on_progress
        self._window = Window(CHUNK, least=place.bounds[0], most=place.bounds[1], only_ids=place.takes_all)
        self._report = BulkReport(
            action=action, queue=place.queue, state=place.state, total=0, dry_run=manner.dry_run
        )
        self._reasons: Counter[str] = Counter()
        self._markers: frozenset[str] = frozenset()
        self._saw_marker = False
        self._size = CHUNK // 2
        self._anchors: tuple[str, ...] = ()

    async def run(self) -> BulkReport:
        """Do it.

        Cancelled, it leaves what was done done and the rest as it was.
        """
        if not await self._begin():
            return self._tell(is_complete=True)
        if self._report.dry_run and self._place.takes_all:
            return await self._only_count()
        loop = asyncio.get_running_loop()
        started, spot = loop.time(), START
        while True:
            began = loop.time()
            leaf = await self._leaf(spot)
            ids, is_last = self._of_then(leaf)
            chosen = self._chosen(leaf, len(ids))
            at_most = int(min(self._limit - self._spent, len(chosen)))
            is_limited = at_most < len(chosen)
            words = await self._act(chosen[:at_most], leaf, len(ids))
            self._count(len(ids), words)
            spot = self._next_spot(leaf, ids, words)
            is_over = is_last or not leaf.follow
            is_limited = is_limited or (self._is_enough and not is_over)
            if is_over or is_limited:
                return self._tell(is_complete=not is_limited)
            self._tell()
            now = loop.time()
            self._adapt(now - began)
            # As long as it took: half of the time is for others, whatever they and it are slowed down by.
            await asyncio.sleep(max(now - began, started + self._report.done / self._rate - now))

    def _adapt(self, took: float) -> None:
        """Make chunks that take about as long as nobody minds to wait."""
        if self._place.state is State.PENDING and not self._place.takes_all:
            # Each call walks through the list to where it stands: fewer of them cost less in all.
            self._size = CHUNK
        elif took > 2 * _PLEASANT:
            self._size = max(_LEAST, self._size // 2)
        elif took < _PLEASANT:
            self._size = min(CHUNK, self._size + _LEAST)

    @property
    def _is_enough(self) -> bool:
        """Whether to stop before the end."""
        return self._spent >= self._limit or self._report.scanned >= 2 * self._report.total + _SPARE

    @property
    def _spent(self) -> int:
        """How much of the limit is used."""
        return self._report.matched if self._report.dry_run else self._report.done

    async def _begin(self) -> bool:
        """See what is there now."""
        place = self._place
        newest = Window(_MARKERS, backwards=True, only_ids=True)
        leaf = await self._browse.leaf(place.queue, place.state, newest, group=place.group)
        if leaf.total == 0:
            await self._reach.refuse_unknown(place.queue, place.group)
            return False
        self._report = replace(self._report, total=leaf.total)
        if place.state is State.PENDING:
            self._markers = frozenset(leaf.ids)
            self._window = replace(self._window, asked=tuple(leaf.ids))
            return True
        highest = float(leaf.spots[0].score)
        if place.state in (State.ARCHIVED, State.AGGREGATING):
            # Where scores of groups are whole seconds, they are those after the moment.
            highest = max(highest, leaf.now) if place.state is State.AGGREGATING else leaf.now
        most = self._window.most
        self._window = replace(self._window, most=highest if most is None else min(most, highest))
        if place.state in (State.RETRY, State.ARCHIVED, State.COMPLETED):
            self._terms = replace(self._terms, before=leaf.now)
        return True

    async def _only_count(self) -> BulkReport:
        window = replace(self._window, size=1)
        leaf = await self._browse.leaf(self._place.queue, self._place.state, window, group=self._place.group)
        count = len(leaf.ids) + leaf.follow
        self._report = replace(self._report, scanned=count, matched=count)
        return self._tell(is_complete=True)

    async def _leaf(self, after: Spot) -> Leaf:
        place, window = self._place, self._window
        left = self._limit - self._spent
        size = min(self._size, max(1.0, self._rate / _CALLS_A_SECOND), left if place.takes_all else CHUNK)
        window = replace(window, size=math.ceil(size))
        return await self._browse.leaf(place.queue, place.state, window, group=place.group, after=after)

    def _of_then(self, leaf: Leaf) -> tuple[list[str], bool]:
        """Those that were there when it began, and whether there are no others."""
        ids = leaf.ids if self._place.takes_all else leaf.ids[: len(leaf.tasks)]
        if self._place.state is not State.PENDING:
            return ids, False
        still = self._report.total - self._report.scanned
        if leaf.asked == 0:
            # The mark was taken, and so was all that stood before it.
            return [], True
        for at, task_id in enumerate(ids):
            is_marker = task_id in self._markers
            if self._saw_marker and not is_marker:
                return ids[:at], True
            self._saw_marker |= is_marker
        return ids[:still], len(ids) >= still

    def _chosen(self, leaf: Leaf, count: int) -> list[str]:
        if self._place.takes_all:
            return leaf.ids[:count]
        reach, queue = self._reach, self._place.queue
        return [
            seen.id for seen in leaf.tasks[:count] if self._place.takes(info_of(queue, seen, reach), seen)
        ]

    async def _act(self, ids: list[str], leaf: Leaf, span: int) -> dict[str, str]:
        """A word for each."""
        if self._report.dry_run:
            return dict.fromkeys(ids, "matched")
        words: dict[str, str] = {}
        passed = leaf.passed if self._place.state is State.PENDING else None
        while ids:
            answer = await self._sender.act(ids, self._terms, passed=passed, span=span)
            words.update(zip(ids, answer, strict=True))
            ids = [task_id for task_id in ids if words[task_id] == "later"]
        return words

    def _count(self, scanned: int, words: dict[str, str]) -> None:
        report, found = self._report, Counter(words.values())
        self._reasons.update({word: n for word, n in found.items() if word not in ("done", "matched")})
        self._report = replace(
            report,
            scanned=report.scanned + scanned,
            matched=report.matched + len(words),
            done=report.done + found["done"],
            skipped=self._reasons.total(),
            reasons=dict(self._reasons),
        )

    def _next_spot(self, leaf: Leaf, ids: list[str], words: dict[str, str]) -> Spot:
        if self._place.state is not State.PENDING or self._report.dry_run:
            return leaf.spots[len(ids) - 1] if ids else START
        # What was taken out of the list is not passed any more, but gone.
        kept = [task_id for task_id in ids if words.get(task_id, "missing") == "missing"]
        self._anchors = (*reversed(kept[-ANCHORS:]), *self._anchors)[:ANCHORS]
        return Spot(b"", leaf.passed + len(kept), self._anchors)

    def _tell(self, *, is_complete: bool = False) -> BulkReport:
        self._report = replace(self._report, is_complete=is_complete)
        if self._on_progress is not None:
            self._on_progress(self._report)
        return self._report
