"""What schedulers say to Redis of one time of an entry: pure."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Final

from asyncq._missed import REMEMBERED, is_older_than_memory
from asyncq._timetable import Tick
from asyncq._wire.messages import Claim
from asyncq.entries import Entry

LEAST_REMEMBERED: Final = int(REMEMBERED.total_seconds())
"""Seconds for which a claim is remembered at least. Whoever comes back later begins anew; it is also how
long the claims of entries that are gone stay in Redis."""

_DAY: Final = 86400
_A_MILLISECOND: Final = timedelta(milliseconds=1)
_ID_BYTES: Final = 6


def claim_on(tick: Tick, *, is_release: bool = False) -> Claim:
    """Return what one of several schedulers gets and the others do not."""
    entry, rules = tick.entry, tick.entry.rules
    # Nothing that came before the entry was made, or resumed, is missed.
    is_counted = tick.since is not None and (entry.since is None or tick.since > entry.since)
    return Claim(
        entry.id,
        tick.nominal.timestamp(),
        entry.schedule.gap,
        remembered(tick),
        task_id_for(tick),
        since=tick.since.timestamp() if tick.since is not None and is_counted else 0.0,
        is_strict=rules.catch_up == "all",
        version=entry.version,
        overlap="" if rules.overlap == "allow" else rules.overlap,
        is_release=is_release,
        begun=_begun(entry, tick),
    )


def is_before(entry: Entry, nominal: datetime) -> bool:
    """Whether a time came before an entry was made, was resumed, or got its rhythm. Intervals begin anew."""
    first = timedelta(seconds=entry.schedule.gap) - _A_MILLISECOND
    return entry.since is not None and nominal < entry.since + first


def _begun(entry: Entry, tick: Tick) -> float:
    """Return since when times count while Redis knows of none; 0 where it may have forgotten them."""
    if entry.since is None or is_older_than_memory(entry, tick.nominal):
        return 0.0
    return entry.since.timestamp()


def remembered(tick: Tick) -> int:
    """Return the seconds for which Redis remembers a time: longer than anybody makes up for it."""
    following = 0.0 if tick.next_at is None else 2 * (tick.next_at - tick.nominal).total_seconds()
    return int(max(LEAST_REMEMBERED, following, (tick.entry.rules.max_age or 0.0) + _DAY))


def task_id_for(tick: Tick) -> str:
    """Return an id that each scheduler gives to the same time of the same entry.

    The claim alone would do; two tasks of one id cannot be either, whatever became of the claim.
    """
    digest = hashlib.blake2s(tick.entry.id.encode(), digest_size=_ID_BYTES).hexdigest()
    return f"{digest}-{tick.nominal.timestamp():.3f}"
