"""Shows the whole to Prometheus: looks at Redis when it is asked, and not more often than it has to."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Final, Self

from prometheus_client.core import Metric

from asyncq._checks import require_whole
from asyncq._clock import seconds
from asyncq._http import LISTEN, HttpDoor, read_listen
from asyncq.connection import ConnectionOptions
from asyncq.errors import AsyncqError, ConfigError, NotFoundError, NotStartedError
from asyncq.inspector import Inspector
from asyncq.metrics.families import Families, Ready, encoded
from asyncq.metrics.naming import require_namespace
from asyncq.metrics.whole import Labels, Look, families_of
from asyncq.server import Page, Request
from asyncq.shared import Connection

log = logging.getLogger("asyncq.metrics")

RECENT: Final = 360
"""Seconds of the numbers that are shown as recent: five minutes, and the present one, which is left out."""

WEIGHED_AT_ONCE: Final = 3
"""Queues whose memory is estimated in one look."""

SAMPLES: Final = 10
"""Tasks of each state that are looked at for that."""


class Exporter:
    """Shows queues, servers and schedulers as a page for Prometheus: one for all of them.

        async with Exporter("redis://localhost:6379/0", listen="0.0.0.0:9876") as exporter:
            print(exporter.url)
            await exporter.serve()

    A scrape costs Redis five calls, one more for each two hundred queues, and none within `interval` of the
    last one, however many scrape. What memory queues take is estimated of a few of them at a time.

    Args:
        inspector: Who looks, which stays open; or where Redis is, as for `Inspector`.
        listen: Host and port of the page `/metrics`; port 0 takes a free one.
        namespace: What every name begins with; `asynq` gives the names of asynq's own exporter.
        interval: Seconds for which a look is shown again instead of a new one.
        timeout: Seconds that a look may take. Beyond, `asyncq_up` is 0 and nothing else is shown.
        max_queues: Queues with labels of their own; the others share `other`.
        memory_interval: Seconds after which the memory of a queue is estimated anew; 0 for never.
        prefix: As for `Inspector`.
        wire: As for `Inspector`.

    Raises:
        ConfigError: An option is wrong.
    """

    def __init__(  # noqa: PLR0913 - its options, one by one
        self,
        inspector: Inspector | str | ConnectionOptions | Connection,
        *,
        listen: str = "127.0.0.1:9876",
        namespace: str = "asyncq",
        interval: float = 5.0,
        timeout: float = 5.0,
        max_queues: int = 1000,
        memory_interval: float = 300.0,
        prefix: str | None = None,
        wire: str | None = None,
    ) -> None:
        where = read_listen(listen)
        if where is None:
            raise ConfigError("listen", listen, LISTEN)
        require_whole("max_queues", max_queues, least=0)
        self._namespace: Final = require_namespace(namespace)
        self._interval: Final = seconds(interval, name="interval")
        self._timeout: Final = seconds(timeout, name="timeout")
        if not self._timeout:
            raise ConfigError("timeout", timeout, "more than 0 seconds")
        self._labels: Final = Labels(max_queues)
        self._memory: Final = _Memory(seconds(memory_interval, name="memory_interval"))
        self._owns_inspector: Final = not isinstance(inspector, Inspector)
        if not isinstance(inspector, Inspector):
            # A node of a cluster that is away must not use up all the time that there is.
            inspector = Inspector(inspector, patience=self._timeout / 3, prefix=prefix, wire=wire)
        self._inspector: Final = inspector
        self._door: Final = HttpDoor(where, {"/metrics": self.page}, log=log, option="listen")
        self._stack: AsyncExitStack | None = None
        self._looking: Final = asyncio.Lock()
        self._shown: list[Metric] = []
        self._looked_at = -float("inf")
        self._failures = 0

    @property
    def url(self) -> str:
        """Where the page is, with the port that it got.

        Raises:
            NotStartedError: It is not open.
        """
        if self._door.url is None:
            raise NotStartedError("the exporter")
        return f"{self._door.url}/metrics"

    async def serve(self) -> None:
        """Serve until cancelled; opens the page if it is not open."""
        if self._stack is None:
            async with self:
                await asyncio.Event().wait()
        await asyncio.Event().wait()

    async def render(self, accept: str = "") -> tuple[bytes, str]:
        """Make the page, for those who have a door of their own: its bytes, and of which type they are.

        Args:
            accept: The header of this name, which tells formats apart.
        """
        return await encoded([Ready(await self.metrics())], accept)

    async def page(self, request: Request) -> Page:
        """The page, for the door of a server: `server.add_page("/metrics/all", exporter.page)`."""
        body, content_type = await self.render(request.headers.get("accept", ""))
        return Page(body, content_type=content_type)

    async def metrics(self) -> list[Metric]:
        """What was seen in a look that is not older than `interval`. Several who ask share one look."""
        async with self._looking:
            if time.monotonic() - self._looked_at >= self._interval:
                await self._look()
            return [*self._shown, *self._of_exporter()]

    async def _look(self) -> None:
        begun = time.monotonic()
        seen = Families(self._namespace)
        shown: list[Metric] = []
        try:
            async with asyncio.timeout(self._timeout):
                look = await look_at(self._inspector, self._memory)
            shown = families_of(look, self._labels.of(look.queues), namespace=self._namespace)
        except (AsyncqError, TimeoutError) as error:
            self._failures += 1
            why = str(error) or f"no answer within {self._timeout:g} s"
            log.warning("cannot look at Redis: %s", why, extra={"event": "scrape_failed"})
        self._looked_at = time.monotonic()
        seen.gauge("up", "Whether Redis could be looked at.", bool(shown))
        seen.gauge("exporter_look_seconds", "How long the last look took.", self._looked_at - begun)
        self._shown = [*shown, *seen.all()]

    def _of_exporter(self) -> list[Metric]:
        mine = Families(self._namespace)
        mine.count("exporter_looks_failed", "Looks at Redis that failed.", self._failures)
        age = time.monotonic() - self._looked_at
        mine.gauge("exporter_look_age_seconds", "How old the look is that is shown.", age)
        return mine.all()

    async def aclose(self) -> None:
        """Close the page, and the inspector if it is the exporter's own. May be called twice."""
        stack, self._stack = self._stack, None
        if stack is not None:
            await stack.aclose()
        if self._owns_inspector:
            await self._inspector.aclose()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._door.open())
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class _Memory:
    """What memory queues take, looked at seldom: Redis has to look at tasks one by one for it."""

    def __init__(self, interval: float) -> None:
        self._interval: Final = interval
        self._weights: dict[str, tuple[float, int]] = {}

    async def of(self, inspector: Inspector, queues: Iterable[str]) -> Mapping[str, int]:
        """What is known; a few of those of which it is not, or was long ago, are looked at."""
        now = time.monotonic()
        names = list(queues)
        self._weights = {name: self._weights[name] for name in names if name in self._weights}
        if self._interval:
            ages = {
                name: now - self._weights[name][0] if name in self._weights else float("inf")
                for name in names
            }
            due = sorted(
                (name for name in names if ages[name] >= self._interval), key=lambda name: -ages[name]
            )
            for name in due[:WEIGHED_AT_ONCE]:
                try:
                    weight = await inspector.queues.memory(name, samples=SAMPLES)
                except NotFoundError:
                    continue
                self._weights[name] = (now, weight.total)
        return {name: weight for name, (_, weight) in self._weights.items()}


async def look_at(inspector: Inspector, memory: _Memory) -> Look:
    """Look at the whole, as far as it can be seen.

    Raises:
        BrokerError: Nothing can be seen.
    """
    found = await asyncio.gather(
        inspector.queues.list(partial=True),
        inspector.servers.list(partial=True),
        inspector.schedulers.list(partial=True),
        inspector.cluster.redis(partial=True),
        inspector.measures.history(since=RECENT, partial=True),
    )
    queues, servers, schedulers, redis, recent = found
    missing = {(one.what, one.name) for part in found for one in part.missing}
    weights: Mapping[str, int] = {}
    if not missing:
        weights = await memory.of(inspector, [info.name for info in queues])
    return Look(
        at=datetime.now(UTC),
        queues=queues,
        servers=servers,
        schedulers=schedulers,
        redis=redis,
        recent=recent[:-1],
        memory=weights,
        missing=len(missing),
    )
