"""asynqmon, the web interface of asynq: what its API answers."""

from __future__ import annotations

import asyncio
import json
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

__all__ = ["Asynqmon"]


class Asynqmon:
    """One process of asynqmon, on a free port of this machine."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self._process = process
        self._url = url

    @classmethod
    async def start(cls, program: Path, redis: str) -> Self:
        """Start it with the address of a Redis, and return when it answers."""
        process = await asyncio.create_subprocess_exec(
            program, redis, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().strip()
        assert url, "asynqmon did not start"
        return cls(process, url)

    async def get(self, path: str) -> Any:
        """Ask the API, as in `get("/queues")`."""
        status, answer = await self.call("GET", path)
        assert status == 200, (status, answer)
        return answer

    async def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Return the status and the answer, decoded if it is JSON."""
        return await asyncio.to_thread(self._call, method, f"{self._url}/api{path}", body)

    async def page(self) -> str:
        """The page that a browser is given."""
        _, raw = await asyncio.to_thread(_read, "GET", self._url, None)
        return raw.decode()

    @staticmethod
    def _call(method: str, url: str, body: object) -> tuple[int, Any]:
        status, raw = _read(method, url, None if body is None else json.dumps(body).encode())
        try:
            return status, json.loads(raw)
        except ValueError:
            return status, raw.decode()

    async def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


def _read(method: str, url: str, body: bytes | None) -> tuple[int, bytes]:
    request = urllib.request.Request(url, body, method=method)  # noqa: S310 - http, at our own port
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - the same
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
