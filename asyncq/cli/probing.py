"""Probes of a parent process: how its children are, in one answer."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from asyncq._http import LISTEN, HttpDoor, Page, Request, read_listen
from asyncq.cli.logs import RUN_LOG
from asyncq.cli.offspring import Offspring
from asyncq.cli.parent import Parent
from asyncq.errors import ConfigError

PATIENCE: Final = 3.0
"""Seconds for a child's answer. One whose event loop is stuck gives none."""

_log: Final = logging.getLogger(RUN_LOG)


@asynccontextmanager
async def probing(parent: Parent, where: str | None, processes: int) -> AsyncGenerator[None]:
    """Answer for the children of a parent for the length of a block, if there is an address.

    `/healthz`: every process that has started answers that it is alive. `/readyz`: all are there, and ready.

    Raises:
        ConfigError: It cannot listen there.
    """
    if where is None:
        yield
        return
    listen = read_listen(where)
    if listen is None:
        raise ConfigError("probes", where, LISTEN)

    async def alive(_: Request) -> Page:
        return await _page(parent, "/healthz", wanted=0)

    async def ready(_: Request) -> Page:
        return await _page(parent, "/readyz", wanted=processes)

    door = HttpDoor(listen, {"/healthz": alive, "/readyz": ready}, log=_log)
    async with door.open():
        _log.info("probes of all processes: %s", door.url, extra={"event": "probes", "url": door.url})
        yield


async def _page(parent: Parent, path: str, *, wanted: int) -> Page:
    children = sorted(parent.ready, key=lambda child: child.number)
    answers = await asyncio.gather(*(_asked(child, path) for child in children))
    is_well = len(children) >= wanted and all(answer["status"] == 200 for answer in answers)
    body: dict[str, Any] = {"ok": is_well, "processes": answers}
    if len(children) < wanted:
        body["missing"] = wanted - len(children)
    return Page(json.dumps(body, indent=2) + "\n", 200 if is_well else 503, "application/json")


async def _asked(child: Offspring, path: str) -> dict[str, Any]:
    """What one process answers: its status, and what it says when that is not 200."""
    about = {"number": child.number, "pid": child.pid, "probes": child.report.get("probes")}
    try:
        async with asyncio.timeout(PATIENCE):
            status, body = await _fetched(str(about["probes"]), path)
    except (OSError, TimeoutError, ValueError) as error:
        return {**about, "status": 0, "says": f"no answer: {type(error).__name__}"}
    return {**about, "status": status, **({"says": body} if status != 200 else {})}


async def _fetched(url: str, path: str) -> tuple[int, str]:
    parts = urlsplit(url)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(parts.hostname or "", parts.hostname)  # noqa: S104 - asked, not bound
    reader, writer = await asyncio.open_connection(host, parts.port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
    words = head.split(maxsplit=2)
    if len(words) < 2:
        raise ConnectionResetError("it went away before it had an answer")
    return int(words[1]), body.decode(errors="replace").strip()
