"""Says to Go's tools that this server is there, and what it runs: for the asynq wire."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from asyncq._broker.go_servers import GoServers
from asyncq._clock import now
from asyncq._engine.heartbeat import INTERVAL
from asyncq._engine.run import Run
from asyncq._service import Service
from asyncq._wire.asynq_records import NEVER, ServerInfo, Timestamp, WorkerInfo, excerpt
from asyncq._wire.keys import process_name

MOST_SHOWN: Final = 1000
"""Running tasks that are said, those first that have run the longest."""

LONGEST_PAYLOAD: Final = 4096
"""Bytes that are said of a payload. Go says all of it, every five seconds."""

PAYLOADS: Final = 2**20
"""Bytes of payloads in all; of many tasks less is said of each."""

FIRST_INTERVAL: Final = 0.2
"""Seconds between the first two times, and twice as long each time: people look at what has just started."""

_STATUS: Final = {"starting": "new", "leaving": "closed"}
"""Go's words, where they are not ours."""


class GoHeartbeat(Service):
    """Announces the server where Go's tools look, as Go's servers do. Nothing depends on it."""

    def __init__(
        self,
        area: GoServers,
        server_id: str,
        describe: Callable[[], Mapping[str, Any]],
        active: Callable[[], Sequence[Run]],
    ) -> None:
        super().__init__("heartbeat for Go")
        self._area: Final = area
        self._server_id: Final = server_id
        self._describe: Final = describe
        self._active: Final = active
        self._process = ""
        self._interval = FIRST_INTERVAL / 2

    async def tick(self) -> float:
        info, running = records(self._server_id, self._describe(), self._active())
        self._process = process_name(info.host, info.pid, self._server_id)
        await self._area.announce(self._process, info, running, now=now())
        self._interval = min(2 * self._interval, INTERVAL)
        return self._interval

    async def leave(self) -> None:
        """Say that the server is gone."""
        if self._process:
            await self._area.leave(self._process)


def records(
    server_id: str, said: Mapping[str, Any], active: Sequence[Run]
) -> tuple[ServerInfo, list[WorkerInfo]]:
    """Return what a server says of itself and of the tasks that it runs, as Go says it."""
    shown = active[:MOST_SHOWN]
    most = min(LONGEST_PAYLOAD, PAYLOADS // max(1, len(shown)))
    status: str = said["status"]
    info = ServerInfo(
        host=said["host"],
        pid=said["pid"],
        server_id=server_id,
        concurrency=said["concurrency"],
        queues=said["queues"],
        is_strict=said["strict"],
        status=_STATUS.get(status, status),
        started=Timestamp.of(said["started_at"]),
        active=len(active),
    )
    return info, [_worker(info, run, most) for run in shown]


def _worker(info: ServerInfo, run: Run, most: int) -> WorkerInfo:
    deadline = run.context.deadline
    return WorkerInfo(
        host=info.host,
        pid=info.pid,
        server_id=info.server_id,
        task_id=run.delivery.id,
        task_type=run.envelope.type,
        payload=excerpt(run.envelope.payload, most),
        queue=run.delivery.queue,
        started=Timestamp.of(run.delivery.now),
        deadline=NEVER if deadline is None else Timestamp.of(deadline.timestamp()),
    )
