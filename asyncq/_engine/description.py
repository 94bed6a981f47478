"""What a server says of itself, to tools and in messages."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Any

from asyncq._clock import from_unix, now
from asyncq._engine.measures import Recorder
from asyncq._engine.run import Run
from asyncq.config import ServerConfig
from asyncq.measures import ServerMeasures
from asyncq.mux import Mux


def describe(
    config: ServerConfig, mux: Mux, *, status: str, started_at: float, active: int
) -> dict[str, Any]:
    """What the heartbeat announces."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "name": config.name,
        "concurrency": config.concurrency,
        "queues": dict(config.queues),
        "strict": config.strict_priority,
        "status": status,
        "started_at": started_at,
        "active": active,
        "lease": config.lease,
        "types": list(mux.patterns),
    }


def measured(  # noqa: PLR0913 - one record, built in one place
    measures: Recorder,
    config: ServerConfig,
    *,
    server_id: str,
    status: str,
    started_at: float,
    busy: int,
    held: int,
    outstanding: int,
) -> ServerMeasures:
    """What a server did so far, and does now."""
    return ServerMeasures(
        server_id=server_id,
        started_at=from_unix(started_at),
        at=from_unix(now()),
        status=status,
        concurrency=config.concurrency,
        busy=busy,
        held=held,
        settle_backlog=outstanding,
        stalls=measures.stalls,
        stalled_seconds=measures.stalled_seconds,
        loop_lag=measures.loop_lag,
        types=tuple(series.measures() for series in measures.series()),
        queues=tuple(counts.measures() for counts in measures.queues.values()),
    )


def describe_work(runs: Sequence[Run]) -> str:
    """What runs now, for a message; the first few of it."""
    return ", ".join(f"{run.envelope.type} ({run.delivery.id})" for run in runs[:5]) or "no handler"
