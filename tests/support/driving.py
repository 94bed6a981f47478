"""Talking to a program by lines of JSON: calls, and what it tells of itself unasked."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

__all__ = ["CallError", "Driven", "unpacked"]

# A result may be thousands of tasks in one line.
_LONGEST_LINE = 64 * 2**20


class CallError(Exception):
    """The program refused a call. `kind` is one of the words of the program."""

    def __init__(self, text: str, kind: str) -> None:
        super().__init__(text)
        self.kind = kind


class Driven:
    """One process.

    A call is `await program("enqueue", type="a", payload=b"...")`: bytes go and come as base64, and the
    payloads and results inside an answer are already decoded. What it tells unasked is kept in `events`.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._news = asyncio.Condition()
        self._reader = asyncio.create_task(self._read(), name="reader of a driven program")
        self._is_over = False
        self.events: list[dict[str, Any]] = []

    @classmethod
    async def start(cls, *command: str | Path, log: Path | None = None, cwd: Path | None = None) -> Self:
        """Start the program; what it logs goes to a file, or to our standard error."""
        with contextlib.ExitStack() as stack:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None if log is None else stack.enter_context(log.open("ab")),
                limit=_LONGEST_LINE,
                cwd=cwd,
            )
        return cls(process)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    async def __call__(self, verb: str, /, **arguments: Any) -> Any:
        """Make a call and return its result.

        Raises:
            CallError: The program refused it.
        """
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        line = json.dumps({"id": number, "do": verb, "with": arguments}, default=_packed)
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        await self._process.stdin.drain()
        return await asyncio.wait_for(answer, 20)

    async def event(self, name: str, /, *, timeout: float = 15, **fields: Any) -> dict[str, Any]:
        """Return the first event of this name with these fields, as soon as there is one."""
        found: list[dict[str, Any]] = []

        def is_there() -> bool:
            found.extend(self.seen(name, **fields))
            return bool(found)

        await self.until(is_there, f"event {name} {fields}", timeout=timeout)
        return found[0]

    def seen(self, name: str, /, **fields: Any) -> list[dict[str, Any]]:
        """Return the events of this name with these fields so far."""
        wanted = {"event": name, **fields}.items()
        return [event for event in self.events if wanted <= _comparable(event)]

    async def until(self, condition: Callable[[], bool], what: str, *, timeout: float = 15) -> None:
        """Wait until a condition on the events is true."""
        try:
            async with self._news, asyncio.timeout(timeout):
                await self._news.wait_for(lambda: condition() or self._is_over)
        except TimeoutError:
            raise AssertionError(f"waited {timeout:g} s for {what}; seen: {self.events[-20:]}") from None
        assert condition(), f"the program ended without {what}; seen: {self.events[-20:]}"

    async def kill(self) -> None:
        """Kill the process as a crash would."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._end()

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, as whoever runs programs does."""
        self._process.send_signal(number)

    async def wait(self, timeout: float = 25) -> int:
        """Wait until the process has ended by itself, and return its code."""
        async with asyncio.timeout(timeout):
            await self._process.wait()
        await self._end()
        assert self._process.returncode is not None
        return self._process.returncode

    async def close(self) -> None:
        """Let the process end; what was started in it ends unasked."""
        if self._process.returncode is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
        await self._end()

    async def _end(self) -> None:
        await self._process.wait()
        await self._reader
        if self._process.stdin is not None:
            self._process.stdin.close()
            with contextlib.suppress(ConnectionError):
                await self._process.stdin.wait_closed()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if not line.endswith(b"\n"):
                break  # it was killed while it wrote
            message = json.loads(line)
            if "id" not in message:
                async with self._news:
                    self.events.append(unpacked(message))
                    self._news.notify_all()
                continue
            answer = self._waiting.pop(message["id"])
            if answer.done():
                continue
            if "error" in message:
                answer.set_exception(CallError(message["error"], message["kind"]))
            else:
                answer.set_result(unpacked(message["result"]))
        async with self._news:
            self._is_over = True
            self._news.notify_all()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ConnectionError("the program has ended"))


def _packed(value: object) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(type(value))


_BYTES = {"payload", "result", "TaskPayload"}


def unpacked(value: Any) -> Any:
    """Turn what Go writes as base64 back into bytes."""
    if isinstance(value, list):
        return [unpacked(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64decode(item or "") if key in _BYTES and not isinstance(item, dict) else unpacked(item)
        for key, item in value.items()
    } | ({"payloads": [base64.b64decode(item) for item in value["payloads"]]} if "payloads" in value else {})


def _comparable(event: dict[str, Any]) -> Any:
    return {key: value for key, value in event.items() if not isinstance(value, dict | list)}.items()
