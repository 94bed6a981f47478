"""How an entry is written down, so that every process can read it and enqueue by it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, cast

import msgpack

from asyncq._cron import Schedule, parse
from asyncq._entry_rules import USUAL, Rules
from asyncq._wire.messages import Envelope
from asyncq.codecs import Codecs
from asyncq.entries import Entry
from asyncq.errors import ConfigError, WireError
from asyncq.options import CheckedOptions, public_options
from asyncq.task import Task

FORMAT: Final = 1

# Of a hundred thousand entries most have their spec in common with others.
_schedule = lru_cache(maxsize=4096)(parse)


def rhythm(schedule: Schedule) -> str:
    """Return what says when an entry is due: equal for equal schedules."""
    return f"{schedule.zone} {schedule.spec.strip()}"


def packed(entry: Entry, codecs: Codecs) -> bytes:
    """Return the definition of an entry in bytes."""
    codec, payload = entry.task.encoded(codecs)
    form = {
        "format": FORMAT,
        "spec": entry.schedule.spec,
        "timezone": str(entry.schedule.zone),
        "type": entry.task.type,
        "codec": codec,
        "payload": payload,
        "options": dict(entry.checked),
        "rules": {} if entry.rules == USUAL else entry.rules.plain(),
    }
    return msgpack.packb(form, use_bin_type=True)


def unpacked(entry_id: str, raw: bytes, *, digest: str, codecs: Codecs) -> Entry:
    """Return the entry whose definition was written down.

    Raises:
        WireError: It was not, or by something newer that means more by it.
    """
    try:
        form: dict[str, Any] = msgpack.unpackb(raw, strict_map_key=False)
        if form["format"] > FORMAT:
            raise WireError(f"entry {entry_id!r}", "it was written by a newer version of asyncq")
        schedule = _schedule(form["spec"], form["timezone"])
        checked = cast("CheckedOptions", form["options"])
        rules = Rules.of(form["rules"])
        task = _task(entry_id, form, checked, codecs)
    except (ValueError, TypeError, LookupError, ConfigError) as error:
        if isinstance(error, WireError):
            raise
        raise WireError(f"entry {entry_id!r}", str(error)) from error
    return Entry(entry_id, schedule, task, public_options(checked), checked, digest, rules)


def _task(entry_id: str, form: dict[str, Any], checked: CheckedOptions, codecs: Codecs) -> Task:
    codec, payload = form["codec"], form["payload"]
    if not codec and not payload:
        return Task.prepared(form["type"], None, checked)
    envelope = Envelope(form["type"], payload, codec, headers=checked.get("headers", {}))
    # With an id it is passed on byte for byte, also by who cannot read its payload.
    return Task.received(checked.get("queue", ""), entry_id, envelope, codecs)
