"""How a scheduler is, for the probes of an orchestrator."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from asyncq._probes import Condition
from asyncq._scheduling.pulse import SchedulerHealth
from asyncq.errors import AsyncqError, PartlyUnavailableError

_OBSTACLES: Final = {
    "starting": "it is starting",
    "stopped": "it was told to enqueue nothing",
    "leaving": "it is leaving: it enqueues nothing",
    "left": "it has left",
}


def judge(status: str, health: SchedulerHealth, trouble: AsyncqError | None) -> Condition:
    """What follows from its status, its health, and what is wrong with Redis.

    One that is stalled though Redis is there needs a restart; one that cannot reach Redis does not.
    """
    obstacles: list[str] = []
    faults: list[str] = []
    is_partly = isinstance(trouble, PartlyUnavailableError)
    if trouble is not None and not is_partly:
        obstacles.append(f"Redis does not answer: {trouble}")
    if status in _OBSTACLES:
        obstacles.append(_OBSTACLES[status])
    elif health.state == "stalled":
        text = f"nothing was enqueued since {_text(health.overdue_since)}, though it was due"
        (faults if trouble is None else obstacles).append(text)
    return Condition(
        status,
        tuple(obstacles),
        tuple(faults),
        (f"a part of Redis is away: {trouble}",) if is_partly else (),
        {
            "last_tick_at": _text(health.last_tick_at),
            "overdue_since": _text(health.overdue_since),
            "redis": "ok" if trouble is None else "partly away" if is_partly else "away",
        },
    )


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
