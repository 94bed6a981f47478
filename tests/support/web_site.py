"""A whole web UI over a real Redis, with a client to fill it and a visitor to look at it."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import httpx2

from asyncq import Client, Inspector
from asyncq.web import NoAuth, WebApp, app
from tests.support.waiting import wait_until
from tests.support.web import visitor

__all__ = ["Site", "at_site", "field", "text"]


@dataclass(frozen=True)
class Site:
    """What a test of pages works with."""

    app: WebApp
    client: Client
    inspector: Inspector
    visitor: httpx2.AsyncClient

    async def get(self, path: str, status: int = 200) -> str:
        """The text of a page."""
        self.app.site.samples.forget()
        answer = await self.visitor.get(path)
        assert answer.status_code == status, (answer.status_code, text(answer.text))
        return answer.text

    async def post(self, path: str, status: int = 303, **fields: Any) -> httpx2.Response:
        """Send a form, as a browser would."""
        answer = await self.visitor.post(path, data=fields)
        assert answer.status_code == status, (answer.status_code, text(answer.text))
        return answer

    async def follow(self, answer: httpx2.Response) -> str:
        """The page that a form leads to."""
        assert answer.status_code == 303
        return await self.get(answer.headers["location"])

    async def job(self, answer: httpx2.Response) -> tuple[str, str]:
        """The path and the page of a job that a form has begun, when it is over."""
        path = urlsplit(answer.headers["location"]).path
        job = self.app.site.jobs.get(path.rpartition("/")[2])
        assert job is not None
        await wait_until(lambda: job.is_over, "the job to be over")
        return path, await self.get(path)


@asynccontextmanager
async def at_site(
    url: str, *, wire: str | None = None, auth: Any = None, **options: Any
) -> AsyncGenerator[Site]:
    """An app, and who looks at it."""
    made = {name: options.pop(name) for name in ("redact", "rights") if name in options}
    async with (
        Client(url, wire=wire) as client,
        Inspector(url, wire=wire, actor="test", via="web", **made) as inspector,
        Inspector(url, wire=wire) as free,
    ):
        site = app(inspector, auth=auth or NoAuth(), **options)
        try:
            async with visitor(site) as browser:
                yield Site(site, client, free, browser)
        finally:
            await site.aclose()


def text(html: str) -> str:
    """What a page says, without its tags."""
    html = re.sub(r"<(script|style|head)\b.*?</\1>", " ", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html))).strip()


def field(html: str, name: str) -> str:
    """The value of a field of a form on a page."""
    area = re.search(rf'<textarea[^>]*name="{name}"[^>]*>\n?(.*?)</textarea>', html, re.DOTALL)
    if area is not None:
        return unescape(area[1])
    found = re.search(rf'<input[^>]*name="{name}"[^>]*value="([^"]*)"', html)
    assert found is not None, f"no field {name}"
    return unescape(found[1])
