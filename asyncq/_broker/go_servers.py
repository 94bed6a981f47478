"""The servers of the asynq wire as Go's tools see them: ours say it there, too, and Go's are read there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

from asyncq._broker.basis import Basis, script
from asyncq._broker.go_directory import others
from asyncq._broker.presence import TTL
from asyncq._broker.rounds import Question, Round
from asyncq._broker.together import together
from asyncq._wire.asynq_records import ServerInfo, WorkerInfo
from asyncq._wire.keys import GoKeys
from asyncq.errors import BrokerReplyError, WireError

GO_SERVER: Final = script("go_server")

_T = TypeVar("_T")


class GoServers:
    """The area of servers in the records of Go."""

    def __init__(self, basis: Basis) -> None:
        self._basis = basis
        self._keys: Final = GoKeys()

    async def announce(
        self, process: str, info: ServerInfo, running: Sequence[WorkerInfo], *, now: float
    ) -> None:
        """Say what a server of ours is, and what it runs. The indexes live in slots of their own."""
        keys = self._keys
        server, workers = keys.server(process), keys.running(process)
        until = int(now) + TTL
        calls = [
            self._do("ZADD", keys.servers, until, server),
            self._do("ZADD", keys.workers, until, workers),
        ]
        if running:
            calls.append(self._say(server, workers, info, running))
        else:
            # Nothing that has to be written together.
            calls += [self._do("SET", server, info.encode(), "EX", TTL), self._do("DEL", workers)]
        await together(calls)

    async def _say(self, server: str, workers: str, info: ServerInfo, running: Sequence[WorkerInfo]) -> None:
        args: list[Any] = [TTL, info.encode()]
        for one in running:
            args += (one.task_id, one.encode())
        basis = self._basis
        await basis.run(GO_SERVER, [server, workers], args, slot=basis.router.slot_of(server))

    async def leave(self, process: str) -> None:
        """Say that a server of ours is gone."""
        keys = self._keys
        server, workers = keys.server(process), keys.running(process)
        await together(
            [
                self._do("DEL", server, workers),
                self._do("ZREM", keys.servers, server),
                self._do("ZREM", keys.workers, workers),
            ]
        )

    async def servers(self, round_: Round, *, now: float, walk: bool = True) -> list[ServerInfo]:
        """Every server that is there and is not ours. What cannot be read is left out.

        Args:
            round_: The look that this is part of.
            now: Unix seconds.
            walk: Whether to look for them key by key when their index cannot be read.
        """
        found = await self._each(round_, self._record, now=now, walk=walk)
        return [info for info in found if info is not None]

    async def running(self, round_: Round, *, now: float) -> list[WorkerInfo]:
        """What servers that are not ours said of the tasks that they run. What cannot be read is left out."""
        return [info for infos in await self._each(round_, self._running, now=now) for info in infos]

    async def _each(
        self, round_: Round, ask: Callable[[str], Awaitable[_T]], *, now: float, walk: bool = True
    ) -> list[_T]:
        keys, basis = self._keys, self._basis
        processes = await others(
            basis, round_, "servers", keys.servers, key=keys.server(""), now=now, walk=walk
        )
        return await round_.each(
            Question(
                "server",
                [one.rpartition(":")[2]],
                basis.router.slot_of(keys.server(one)),
                partial(ask, one),
            )
            for one in processes
        )

    async def _record(self, process: str) -> ServerInfo | None:
        try:
            raw = await self._do("GET", self._keys.server(process))
            return None if raw is None else ServerInfo.decode(raw)
        except (WireError, BrokerReplyError):  # or it is something else altogether
            return None

    async def _running(self, process: str) -> list[WorkerInfo]:
        try:
            raw: list[bytes] = await self._do("HGETALL", self._keys.running(process))
        except BrokerReplyError:  # something else altogether
            return []
        found: list[WorkerInfo] = []
        for one in raw[1::2]:
            with suppress(WireError):
                found.append(WorkerInfo.decode(one))
        return found

    async def _do(self, name: str, key: str, *args: Any) -> Any:
        router = self._basis.router
        return await router.command(name, key, *args, slot=router.slot_of(key), patience=self._basis.patience)
