"""What several screens show, read once for all who look and may see the same."""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

from asyncq.inspector import Found, QueueInfo, QueueSizes, RedisInfo, ServerInfo, WorkerInfo
from asyncq.web.samples import Glance
from asyncq.web.site import inspector_of, principal_of, site_of

SLOW: Final = 5.0
"""Seconds for which numbers are shown that change by the minute."""


FEW: Final = 2000
"""Queues that are counted while the visitor waits: well below a tenth of a second."""

WITHIN: Final = 0.1
"""Seconds to wait for more of them. The page is shown without, and its stream waits for all."""

MEANWHILE: Final = 10.0
"""Seconds that a stream waits: then it says what there is, and looks again."""


LEAST: Final = 0.03
"""Seconds that a page has for looking, however long the rest of it took."""


def left_of(seconds: float, began: float) -> float:
    """What is left of the seconds that a page has, which began at this time of the monotonic clock."""
    return max(LEAST, began + seconds - time.monotonic())


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


@dataclass(frozen=True, slots=True)
class Counted:
    """All queues, as far as they are known by now."""

    queues: Found[QueueInfo] | None  #: `None` while they are counted for the first time
    total: int  #: how many there are
    age: float  #: seconds


async def counted_queues(request: Request) -> Counted:
    """All queues that the visitor may see. Of very many the figures may be a moment old, or still to come."""
    inspector, names = inspector_of(request), await queue_names(request)
    key, samples = ("queues", inspector.rights), site_of(request).samples

    async def take() -> Found[QueueInfo]:
        return await inspector.queues.list(partial=True)

    if len(names) <= FEW:
        return Counted(await samples.get(key, take), len(names), 0.0)
    within = MEANWHILE if "live" in request.query_params else WITHIN
    glance: Glance[Found[QueueInfo]] = await samples.soon(key, take, within=within)
    return Counted(glance.value, len(names), glance.age)


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


async def sizes_now(request: Request) -> Found[QueueSizes]:
    """The tasks of all queues, by state alone. Not a second old: ten times what it took to read at most."""
    inspector = inspector_of(request)
    return await site_of(request).samples.get(
        ("sizes", inspector.rights), lambda: inspector.queues.sizes(partial=True), fresh=0.0
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
