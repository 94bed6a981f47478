"""What several screens show, read once for all who look and may see the same."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final

from starlette.requests import Request

from asyncq.inspector import Found, QueueInfo, RedisInfo, ServerInfo, WorkerInfo
from asyncq.web.site import inspector_of, principal_of, site_of

SLOW: Final = 5.0
"""Seconds for which numbers are shown that change by the minute."""


class _Same:
    """Stands for a function in the name of a sample: that very one, whatever it says of being equal."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other._value is self._value

    def __hash__(self) -> int:
        return id(self._value)


def eyes_of(request: Request) -> Hashable:
    """Who sees the same, also of payloads and texts: what a sample of these has in its name."""
    principal = principal_of(request)
    redact = None if principal is None else principal.redact
    return inspector_of(request).rights, None if redact is None else _Same(redact)


async def queues_of(request: Request) -> Found[QueueInfo]:
    """All queues that the visitor may see."""
    inspector = inspector_of(request)
    return await site_of(request).samples.get(
        ("queues", inspector.rights), lambda: inspector.queues.list(partial=True)
    )


async def queue_names(request: Request) -> Found[str]:
    """The names of all queues that the visitor may see, sorted."""
    inspector = inspector_of(request)
    return await site_of(request).samples.get(
        ("names", inspector.rights), lambda: inspector.queues.names(partial=True)
    )


async def these_queues(request: Request, names: Sequence[str]) -> Found[QueueInfo]:
    """Some queues, such as one page of thousands, of which the others need not be looked at."""
    if not names:
        return Found()
    inspector = inspector_of(request)
    return await site_of(request).samples.get(
        ("these", inspector.rights, *names), lambda: inspector.queues.list(only=names, partial=True)
    )


async def queues_now(request: Request) -> Found[QueueInfo]:
    """The same, for pages that must not be a second behind: ten times as old as it took to read at most."""
    inspector = inspector_of(request)
    return await site_of(request).samples.get(
        ("queues", inspector.rights), lambda: inspector.queues.list(partial=True), fresh=0.0
    )


async def servers_of(request: Request) -> Found[ServerInfo]:
    """All servers that the visitor may see."""
    inspector = inspector_of(request)
    return await site_of(request).samples.get(
        ("servers", inspector.rights), lambda: inspector.servers.list(partial=True)
    )


async def served_queues(request: Request) -> frozenset[str]:
    """The queues that some server takes tasks from."""
    return frozenset(name for info in await servers_of(request) for name in info.queues)


async def workers_of(request: Request) -> Found[WorkerInfo]:
    """What is being worked on."""
    inspector = inspector_of(request)
    return await site_of(request).samples.get(
        ("workers", inspector.rights), lambda: inspector.servers.workers(partial=True)
    )


async def redis_of(request: Request) -> Found[RedisInfo]:
    """What the servers of Redis say of themselves."""
    inspector = inspector_of(request)
    return await site_of(request).samples.get(
        ("redis", inspector.rights), lambda: inspector.cluster.redis(partial=True), fresh=SLOW
    )
