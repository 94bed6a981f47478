"""Probes: what an orchestrator asks a server or a scheduler, and what it is told.

Two questions, because two things follow from the answers:

- `/healthz`, is it alive? If not, whoever asks starts it again. So it says no only where that helps: not
  when Redis is away, which it survives by itself, keeping the outcomes that it could not write yet.
- `/readyz`, does it work? If not, a roll-out waits and somebody is told.

The answer is made in the event loop of the handlers, of what is known already: no question to Redis while
somebody waits. A loop that is blocked does not answer at all.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from asyncq._broker.trouble import trouble
from asyncq._http import JSON, HttpDoor, Page, PageMaker, Request, read_listen
from asyncq._logs import Log
from asyncq._redis.router import Router
from asyncq._service import OnBroken, Service, running
from asyncq.errors import AsyncqError, ConfigError

ASK_EVERY: Final = 5.0
"""Seconds between two questions to Redis whether it is there."""

ASK_AGAIN: Final = 1.0
"""The same while it is not."""

ALIVE: Final = "/healthz"
READY: Final = "/readyz"


@dataclass(frozen=True, slots=True)
class Condition:
    """How it is, and why."""

    status: str
    obstacles: tuple[str, ...] = ()  #: why it does not work now; it is ready when there are none
    faults: tuple[str, ...] = ()  #: what only a restart mends; it is alive when there are none
    remarks: tuple[str, ...] = ()  #: what is not as it should be, and keeps nobody from working
    facts: Mapping[str, object] = field(default_factory=dict[str, object])


class Probes:
    """The door of one server or scheduler.

    Args:
        where: Where to listen, as given by the option; `None` opens no door.
        log: Where to say that a page failed.
    """

    def __init__(self, where: str | None, log: Log) -> None:
        self._pages: Final[dict[str, PageMaker]] = {}
        self._log: Final = log
        self.move(where)

    def move(self, where: str | None) -> None:
        """Listen elsewhere, with the same pages. Before it is opened only."""
        listen = read_listen(where)
        self._where = where
        self._door = None if listen is None else HttpDoor(listen, self._pages, log=self._log)

    @property
    def url(self) -> str | None:
        """Where the door is; `None` while it is not open."""
        return None if self._door is None else self._door.url

    def add_page(self, path: str, page: PageMaker) -> None:
        """Answer for one path more.

        Raises:
            ConfigError: There is no door, the path is no path or taken, or the page is no function.
        """
        if self._door is None:
            raise ConfigError("probes", self._where, "an address: without it there is no door for pages")
        text: object = path
        if not isinstance(text, str) or not text.startswith("/") or "?" in text or "#" in text:
            raise ConfigError("path", path, "text that begins with a slash")
        if path in (ALIVE, READY) or path in self._pages:
            raise ConfigError("path", path, "a path that has no page yet")
        if not callable(page):
            raise ConfigError("page", page, "a function of a request that returns a Page")
        self._pages[path] = page

    @asynccontextmanager
    async def open(
        self,
        router: Callable[[], Router],
        condition: Callable[[AsyncqError | None], Condition],
        on_broken: OnBroken,
    ) -> AsyncGenerator[None]:
        """Answer for the length of a block.

        Args:
            router: Makes the way to Redis.
            condition: How it is, given what is wrong with Redis. Also called every few seconds, so that it
                may note what it sees.
            on_broken: Called when looking after Redis fails for good.

        Raises:
            ConfigError: It cannot listen there; says why.
        """
        if self._door is None:
            yield
            return
        redis = router()
        vigil = Vigil(lambda: trouble(redis), condition)
        self._pages[ALIVE] = lambda request: alive_page(condition(vigil.trouble), request)
        self._pages[READY] = lambda request: ready_page(condition(vigil.trouble), request)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._door.open())
            await stack.enter_async_context(running(vigil, on_broken, self._log))
            yield


class Probed:
    """What has probes: base of the doors that run."""

    _probes: Probes

    @property
    def probes_url(self) -> str | None:
        """Where `probes` listens, with the port that it got; `None` while it does not."""
        return self._probes.url

    def add_page(self, path: str, page: PageMaker) -> None:
        """Answer for one path more where `probes` listens. Also while it runs.

        Args:
            path: Such as `/metrics`.
            page: Called with a `Request`; returns a `Page`, and may be async. It has ten seconds.

        Raises:
            ConfigError: There is no `probes`, or the path has a page already.
        """
        self._probes.add_page(path, page)


class Vigil(Service):
    """Asks every now and then whether Redis is there, so that nobody who probes waits for the answer."""

    def __init__(
        self,
        ask: Callable[[], Awaitable[AsyncqError | None]],
        look: Callable[[AsyncqError | None], object],
    ) -> None:
        super().__init__("probes")
        self._ask: Final = ask
        self._look: Final = look
        self.trouble: AsyncqError | None = None  #: what was wrong with Redis when it was asked last

    async def tick(self) -> float:
        """Look, and ask."""
        self._look(self.trouble)
        self.trouble = await self._ask()
        return ASK_EVERY if self.trouble is None else ASK_AGAIN


def alive_page(condition: Condition, request: Request) -> Page:
    """What `/healthz` says."""
    return _page(request, condition, condition.faults, good="alive", bad="needs a restart")


def ready_page(condition: Condition, request: Request) -> Page:
    """What `/readyz` says."""
    return _page(request, condition, (*condition.faults, *condition.obstacles), good="ready", bad="not ready")


def _page(request: Request, condition: Condition, reasons: tuple[str, ...], *, good: str, bad: str) -> Page:
    status = 503 if reasons else 200
    if request.wants_json():
        answer = {
            "ok": not reasons,
            "status": condition.status,
            "reasons": reasons,
            "remarks": condition.remarks,
            **condition.facts,
        }
        return Page(json.dumps(answer, ensure_ascii=False) + "\n", status, JSON)
    text = f"{bad}: {'; '.join(reasons)}" if reasons else f"{good} ({condition.status})"
    return Page("\n".join([text, *condition.remarks, ""]), status)
