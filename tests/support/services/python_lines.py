"""What the roles that asyncq plays have in common: events, scripts of messages, and how a service runs."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Protocol

from tests.support.waiting import wait_until

__all__ = ["RunsAndStops", "Verbs", "in_background", "run_until_told", "script", "tell", "write"]

Verb = Callable[..., Awaitable[Any]]
Verbs = Mapping[str, Verb]

_FOR_EVER = 1e9
_running: set[asyncio.Task[None]] = set()


class RunsAndStops(Protocol):
    """A service, as `asyncq.app` has them."""

    async def start(self) -> None:
        """Run until it is stopped."""
        ...

    async def stop(self) -> None:
        """Ask it to end, and wait for that."""
        ...


def tell(event: str, **fields: Any) -> None:
    """Put out an event, whole and at once."""
    write({"event": event, **fields})


async def script(message: bytes) -> None:
    """Do what a message says behind its name, as `script.go` does."""
    match message.decode(errors="replace").split()[1:]:
        case ["sleep", pause]:
            await asyncio.sleep(float(pause.removesuffix("ms")) / 1000)
        case ["until", file]:
            await wait_until(Path(file).exists, file, _FOR_EVER)
        case ["fail"]:
            raise RuntimeError("as told")
        case ["panic"]:
            os._exit(2)
        case _:
            pass


def run_until_told(service: RunsAndStops) -> None:
    """Run a service until it ends or SIGTERM comes, and leave then as a program does whose main returns."""

    async def run() -> None:
        await service.start()
        tell("ended")
        os._exit(0)

    async def stop() -> None:
        tell("stopping")
        await service.stop()

    in_background(run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: in_background(stop()))


def in_background(work: Coroutine[Any, Any, None]) -> None:
    """Run something, and end the process when it breaks."""

    def look(task: asyncio.Task[None]) -> None:
        _running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler({"message": "broken", "exception": error})
            os._exit(3)

    task = asyncio.create_task(work)
    _running.add(task)
    task.add_done_callback(look)


def write(line: dict[str, Any]) -> None:
    """Put out a line."""
    text = json.dumps(line, default=lambda value: base64.b64encode(value).decode())
    # One write, so that lines stay whole; a pipe to a test that reads is never full for long.
    os.write(sys.__stdout__.fileno() if sys.__stdout__ else 1, text.encode() + b"\n")
