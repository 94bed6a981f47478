"""Pages that follow what happens: one stream of server-sent events for each that is open.

A page and its stream have one address: `?live=1` asks for the stream. It sends the page's part again whenever
it looks different; the browser changes what differs and leaves the rest (morphing), so that focus and
scrolling stay. Hidden windows close their stream, and no stream lives long: it begins anew, and so whoever is
logged out loses it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from asyncq.errors import AsyncqError, BrokerError
from asyncq.web.pages import page, part, preferences_of
from asyncq.web.site import address_of, principal_of, site_of
from asyncq.web.trouble import trouble_of

LONGEST: Final = 30.0
"""Seconds that a stream lives. A server that leaves waits so long at most."""

PATIENCE: Final = 20.0
"""Seconds for which a browser may take nothing."""

Content = Callable[[Request], Awaitable[Mapping[str, Any]]]
"""What a page shows. Called for the page, and again and again for its stream."""


async def live_page(request: Request, template: str, live_part: str, content: Content) -> Response:
    """A page with a part that follows what happens; or the stream of that part.

    Args:
        request: For the page, or with `?live=1` for the stream.
        template: The page. It holds `{% call ui.live() %}{% include part %}{% endcall %}`.
        live_part: The template of the part.
        content: What both show. Puts `title` and `nav` in, too, and `is_final` where a stream need not look
            again.
    """
    if "live" in request.query_params and request.method == "GET":
        return Stream(request, live_part, content)
    return page(request, template, part=live_part, **await content(request))


class Stream(Response):
    """Server-sent events of one page."""

    media_type = "text/event-stream"

    def __init__(self, request: Request, template: str, content: Content) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"}, media_type=self.media_type)
        del self.headers["content-length"]
        self._request = request
        self._template = template
        self._content = content
        self._sent = ""
        self._is_away = False
        self._is_over = False
        self._is_final = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the protocol's
        """Send events until the browser or the time is over."""
        request = self._request
        principal = principal_of(request)
        client = f"{address_of(request)} {principal.name if principal else ''}"
        with site_of(request).streams.seat(client):
            html = await self._look()  # what cannot be shown at all is answered like any other request
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            pace = float(preferences_of(request).refresh) or LONGEST
            loop = asyncio.get_running_loop()
            ends = loop.time() + LONGEST
            while True:
                if html is not None:
                    async with asyncio.timeout(PATIENCE):
                        await send({"type": "http.response.body", "body": _event(html), "more_body": True})
                if not await _is_there(receive, LONGEST if self._is_final else min(pace, ends - loop.time())):
                    return
                if loop.time() >= ends or self._is_over or self._is_final:
                    break
                html = await self._look_again()
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _look_again(self) -> str | None:
        """The same, where only the stream is left to say that it is gone, or not allowed any more."""
        try:
            return await self._look()
        except AsyncqError as error:
            self._is_over = True
            return part(self._request, "_away.html", trouble=trouble_of(error))

    async def _look(self) -> str | None:
        """What is to be changed on the page; `None` when it is as it was."""
        request = self._request
        try:
            context = await self._content(request)
            self._is_final = bool(context.get("is_final"))
            html = part(request, self._template, **context)
        except BrokerError as error:
            if self._is_away:
                return None
            self._is_away = True
            return part(request, "_away.html", trouble=trouble_of(error))
        if html == self._sent:
            return None
        self._sent = html
        if self._is_away:
            self._is_away = False
            return html + part(request, "_away.html", trouble=None)
        return html


async def _is_there(receive: Receive, seconds: float) -> bool:
    """Wait, and notice when the browser goes."""
    try:
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                continue
    except TimeoutError:
        return True
    return False


def _event(html: str) -> bytes:
    return b"".join(b"data: %s\n" % line.encode() for line in html.splitlines()) + b"\n"
