"""What a server says of itself, to tools and in messages."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Any

from asyncq._engine.run import Run
from asyncq.config import ServerConfig
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


def describe_work(runs: Sequence[Run]) -> str:
    """What runs now, for a message; the first few of it."""
    return ", ".join(f"{run.envelope.type} ({run.delivery.id})" for run in runs[:5]) or "no handler"
