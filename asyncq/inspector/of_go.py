"""What Go's schedulers have written down, in our words."""

from __future__ import annotations

from datetime import datetime
from typing import Final, cast

from asyncq._clock import from_unix
from asyncq._wire.asynq_records import EnqueueEvent as GoEvent
from asyncq._wire.asynq_records import SchedulerEntry, Timestamp
from asyncq._wire.go_text import read_options
from asyncq.codecs import Codecs
from asyncq.entry_info import EnqueueEvent, GoEntryInfo
from asyncq.options import CheckedOptions, public_options

_END_OF_TIME: Final = 253_402_300_799.0
"""The last second of the year 9999."""


def moment(when: Timestamp) -> datetime | None:
    """Return an instant; `None` for Go's never, and for what no date of ours can show."""
    return from_unix(when.unix) if 0 <= when.unix < _END_OF_TIME else None


def go_entry(process: str, entry: SchedulerEntry, codec: str, codecs: Codecs) -> GoEntryInfo:
    """Return an entry of the scheduler that Go calls `<host>:<pid>:<id>`."""
    place, _, scheduler_id = process.rpartition(":")
    host, _, pid = place.rpartition(":")
    options, unread = read_options(entry.options)
    return GoEntryInfo(
        id=entry.entry_id,
        spec=entry.spec,
        type=entry.task_type,
        options=public_options(cast("CheckedOptions", options)),
        unread=unread,
        next_at=moment(entry.next),
        previous_at=moment(entry.prev),
        scheduler_id=scheduler_id,
        host=host,
        pid=int(pid) if pid.isdecimal() else 0,
        raw=entry.payload,
        _codec=codec,
        _codecs=codecs,
    )


def go_event(entry_id: str, event: GoEvent) -> EnqueueEvent:
    """Return one time of an entry. When it was due Go does not say."""
    at = moment(event.enqueued_at) or from_unix(0.0)
    return EnqueueEvent(
        entry_id=entry_id,
        task_id=event.task_id,
        queue="",
        enqueued_at=at,
        nominal_at=at,
        error="",
        scheduler_id="",
    )
