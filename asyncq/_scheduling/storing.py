"""Storing entries for a client: what the code of a running application declares is left to it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import tzinfo
from typing import Final, cast

from asyncq._broker.broker import Broker
from asyncq._broker.entries import Definition, Put
from asyncq._clock import now
from asyncq._compose import new_id
from asyncq.codecs import Codecs
from asyncq.entries import Entry, PeriodicTask, define
from asyncq.errors import ConfigError, Problem
from asyncq.options import is_text

LONGEST_REASON: Final = 1000

_AT_A_TIME: Final = 50
"""Entries that are checked between two turns of the event loop."""

_MOST_PROBLEMS: Final = 10


def require_reason(reason: object) -> None:
    """Refuse what cannot be shown as the reason of a pause.

    Raises:
        ConfigError: It is no text, or very long.
    """
    if reason != "" and not (is_text(reason) and len(str(reason)) <= LONGEST_REASON):
        raise ConfigError("reason", reason, f"text of at most {LONGEST_REASON} characters")


async def define_all(
    entries: Iterable[PeriodicTask], timezone: str | tzinfo, codecs: Codecs
) -> dict[str, Entry]:
    """Check all of them, in small portions.

    Raises:
        ConfigError: Some are wrong; with their places.
    """
    if not isinstance(cast("object", entries), Iterable):
        raise ConfigError("entries", entries, "an iterable of PeriodicTask")
    defined: dict[str, Entry] = {}
    problems: list[Problem] = []
    for number, one in enumerate(entries):
        try:
            entry = _defined(one, timezone, codecs, beside=defined)
            defined[entry.id] = entry
        except ConfigError as error:
            problems += [found._replace(option=f"entry {number}: {found.option}") for found in error.problems]
        if len(problems) >= _MOST_PROBLEMS:
            break
        if number % _AT_A_TIME == _AT_A_TIME - 1:
            await asyncio.sleep(0)
    if problems:
        raise ConfigError.of(problems)
    return defined


def _defined(one: object, timezone: str | tzinfo, codecs: Codecs, *, beside: Mapping[str, Entry]) -> Entry:
    if not isinstance(one, PeriodicTask):
        raise ConfigError("entry", one, "a PeriodicTask")
    entry = define(one, timezone=timezone, codecs=codecs)
    if entry.id in beside and beside[entry.id].definition != entry.definition:
        raise ConfigError("id", entry.id, "an id that no other entry has")
    return entry


async def live_applications(broker: Broker) -> set[str]:
    """Return the applications of which a scheduler is there."""
    records = await broker.schedules.schedulers(now=now())
    return {record.get("application", "") for record in records}


async def store(broker: Broker, definitions: Sequence[Definition], *, replace: bool) -> list[Put]:
    """Store definitions, each on its own. What was declared by code that is gone may be changed."""
    area = broker.entries
    done = await area.put(definitions, call=new_id(), origin="client", replace=replace)
    declared = [index for index, put in enumerate(done) if put.word == "declared"]
    free: list[int] = []
    if declared:
        live = await live_applications(broker)
        for index in declared:
            stored = await area.get(definitions[index].id)
            if stored is None or stored.application not in live:
                free.append(index)
    if free:
        freed = [definitions[index] for index in free]
        again = await area.put(freed, call=new_id(), origin="client", replace=replace, force=True)
        for index, put in zip(free, again, strict=True):
            done[index] = put
    return done
