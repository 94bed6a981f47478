"""What tools are told of an entry."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from asyncq.codecs import Codecs
from asyncq.entries import Entry

SHOWN_PAYLOAD: Final = 4096
"""Bytes of a payload that are shown with an entry. What is larger is not repeated with every heartbeat."""


def describe_entry(entry: Entry, codecs: Codecs) -> dict[str, Any]:
    """Return an entry as plain values."""
    codec, raw = entry.task.encoded(codecs)
    return {
        "id": entry.id,
        "spec": entry.spec,
        "timezone": str(entry.schedule.zone),
        "type": entry.task.type,
        "queue": entry.queue,
        "options": dict(entry.checked),
        "rules": entry.rules.plain(),
        "codec": codec,
        "payload": raw if len(raw) <= SHOWN_PAYLOAD else None,
        "next": unix(entry.next_at),
        "previous": unix(entry.last_at),
        "error": entry.last_error,
    }


def unix(moment: datetime | None) -> float:
    """Return a moment in Unix seconds; 0 for none."""
    return 0.0 if moment is None else moment.timestamp()
