"""Storing entries for a client: what the code of a running application declares is left to it."""

from __future__ import annotations

from collections.abc import Sequence

from asyncq._broker.broker import Broker
from asyncq._broker.entries import Definition, Put
from asyncq._clock import now
from asyncq._compose import new_id


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
