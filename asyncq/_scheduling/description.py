"""What tools are told of a scheduler."""

from __future__ import annotations

import os
import socket
from datetime import datetime
from typing import Any

from asyncq._scheduling.pulse import SchedulerHealth
from asyncq._scheduling.roster import Roster
from asyncq._scheduling.settings import SchedulerConfig


def describe_scheduler(
    config: SchedulerConfig, roster: Roster, health: SchedulerHealth, *, status: str, started_at: float
) -> dict[str, Any]:
    """Return a scheduler as plain values. Its entries are stored, and not repeated with each heartbeat."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "name": config.name,
        "status": status if status == "stopped" else "running",
        "started_at": started_at,
        "timezone": str(config.zone),
        "entries": roster.count,
        "application": config.application,
        # Two that declare the same can tell what nobody declares any more.
        "declares": roster.declares,
        "health": health.state,
        "last_tick_at": unix(health.last_tick_at),
        "overdue_since": unix(health.overdue_since),
    }


def unix(moment: datetime | None) -> float:
    """Return a moment in Unix seconds; 0 for none."""
    return 0.0 if moment is None else moment.timestamp()
