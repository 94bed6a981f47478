"""The roles of app, played by asyncq."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any, Literal

from asyncq.app import ServiceConf, ServiceGroup, Setting, Shutdown, TimingWheel
from asyncq.app import load as load_file

from .python_lines import Verbs, in_background, tell

__all__ = ["group", "load", "run_group", "wheel"]


@dataclass(eq=False)
class _Part:
    """A service that tells what is done to it."""

    name: str
    returns: bool
    linger: float
    left: asyncio.Event = field(default_factory=asyncio.Event)
    is_stopped: bool = False

    async def start(self) -> None:
        tell("start", name=self.name)
        if not self.returns:
            await self.left.wait()
        tell("returned", name=self.name)

    async def stop(self) -> None:
        if self.is_stopped:
            return
        self.is_stopped = True
        tell("stop", name=self.name)
        await asyncio.sleep(self.linger)
        tell("stopped", name=self.name)
        self.left.set()


class _Remote:
    """A service of the group that stops it when another thread says so."""

    name = "remote"

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        self.loop = asyncio.get_running_loop()

    async def stop(self) -> None:
        pass


_groups: list[ServiceGroup] = []
_remote = _Remote()


async def group(config: dict[str, Any]) -> Verbs:
    """A group of services; `run_group` runs it."""
    shutdown = None
    if "force_quit_ms" in config:
        shutdown = Shutdown(wait_time=config["force_quit_ms"] / 1000)
    made = ServiceGroup(shutdown=shutdown)
    made.add(_remote)
    for one in config["services"]:
        linger = one.get("linger_ms", 0) / 1000
        part = _Part(one["name"], one.get("returns", False), linger)
        made.add(part, stop_timeout=max(5.0, linger + 1))
    _groups.append(made)

    async def stop() -> None:
        assert _remote.loop is not None
        asyncio.run_coroutine_threadsafe(made.stop(), _remote.loop)

    return {"stop": stop}


def run_group() -> None:
    """Run the group as a program does, until it has ended."""
    _groups[0].run()


async def wheel(config: dict[str, Any]) -> Verbs:
    """A timing wheel."""

    async def fire(key: str, value: str) -> None:
        tell("fired", key=key, value=value, unix_ns=time.time_ns())

    async def drained(key: str, value: str) -> None:
        tell("drained", key=key, value=value)

    made: TimingWheel[str, str] = TimingWheel(config["interval_ms"] / 1000, config["slots"], fire)
    in_background(made.start())

    async def set_(key: str, value: str, ms: int) -> None:
        made.set_timer(key, value, ms / 1000)

    async def move(key: str, ms: int) -> None:
        made.move_timer(key, ms / 1000)

    async def remove(key: str) -> None:
        made.remove_timer(key)

    async def drain() -> None:
        await made.drain(drained)

    return {"set": set_, "move": move, "remove": remove, "drain": drain, "stop": made.stop}


@dataclass(frozen=True, kw_only=True)
class _Settings(ServiceConf):
    owner: str
    note: str = ""
    port: int = 8080
    level: Literal["low", "high"] = "low"
    rate: Annotated[int, Setting(least=1, below=10)] = 5
    secret: Annotated[str, Setting(env="RIG_SECRET")] = ""
    wait: timedelta = timedelta(seconds=3)


async def load(config: dict[str, Any]) -> Verbs:
    """Reads configuration files."""

    async def load_(file: str, *, use_env: bool = False) -> dict[str, Any]:
        loaded = load_file(file, _Settings, use_env=use_env)
        names = ("name", "mode", "owner", "note", "port", "level", "rate", "secret")
        return {
            **{name: getattr(loaded, name) for name in names},
            "log_level": loaded.log.level,
            "prometheus_port": loaded.prometheus.port,
            "wait": loaded.wait.total_seconds(),
        }

    return {"load": load_}
