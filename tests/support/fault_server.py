"""A server to be killed, frozen and misled: a program, and the handlers for servers inside a test.

    python -m tests.support.fault_server --url redis://… --ledger FILE --queues high=3,low=1

With `--zygote SOCKET` it serves nothing itself: it has everything imported and forks a
server for each list of arguments that comes through the socket, which takes milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import json
import logging
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NoReturn

from asyncq import Context, Limit, Mux, Server, Task
from asyncq.config import GroupAggregator
from asyncq.mux import Call
from asyncq.retry import Fixed

from .ledger import Ledger

__all__ = ["make_aggregator", "make_mux", "recorded", "surround"]

_STEP = 0.01
_PR_SET_PDEATHSIG = 1


def make_mux(ledger: Ledger) -> Mux:
    """Make handlers that do what the payload says, and write it down.

    - `wait`: seconds to await;
    - `block`: seconds for which the event loop is held up;
    - `until`: the path of a file to wait for;
    - `fails`: how many attempts raise.

    `work` runs on the loop, `work:thread` in a thread, where nothing can stop it. `merged` is what
    the aggregator makes; it notes a `part` for each task that it stands for.
    `limited` is `work`, of which two may run at the same time over all servers. `report` says how far it is
    and returns its `number` and the header `trace`; `note` notes its `value`; `nested:junk` does nothing.
    """
    mux = Mux()

    @mux.handle("work")
    async def work(task: Task, ctx: Context) -> None:
        plan: dict[str, Any] = task.payload
        with _noted(ledger, ctx):
            if plan.get("block"):
                time.sleep(plan["block"])  # noqa: ASYNC251 - to hold up the loop is the point
            if plan.get("wait"):
                await asyncio.sleep(plan["wait"])
            while "until" in plan and not os.path.exists(plan["until"]):  # noqa: ASYNC110, ASYNC240, PTH110
                await asyncio.sleep(_STEP)
            if ctx.retried < plan.get("fails", 0):
                raise RuntimeError("as the payload wants it")

    mux.handle("limited", work, limit=Limit("bank", 2))

    @mux.handle("work:thread")
    def work_in_thread(task: Task, ctx: Context) -> None:
        plan: dict[str, Any] = task.payload
        with _noted(ledger, ctx):
            time.sleep(plan.get("wait", 0.0))
            while "until" in plan and not Path(plan["until"]).exists():
                time.sleep(_STEP)

    @mux.handle("merged")
    async def merged(task: Task, ctx: Context) -> None:
        with _noted(ledger, ctx):
            for part in task.payload["of"]:
                ledger.write("part", id=part, detail=ctx.id)

    _add_more(mux, ledger)
    return mux


def _add_more(mux: Mux, ledger: Ledger) -> None:
    @mux.handle("report")
    async def report(task: Task, ctx: Context) -> list[Any]:
        plan: dict[str, Any] = task.payload
        with _noted(ledger, ctx):
            for step in range(3):
                ctx.progress(step, 3, str(plan["number"]))
                await asyncio.sleep(plan.get("wait", 0.0))
            if ctx.retried < plan.get("fails", 0):
                raise RuntimeError("as the payload wants it")
        return [plan["number"], ctx.headers.get("trace")]

    @mux.handle("note")
    async def note(task: Task, ctx: Context) -> None:
        with _noted(ledger, ctx):
            ledger.write("note", id=ctx.id, detail=str(task.payload["value"]))

    nested = Mux()

    @nested.handle("nested:junk")
    async def junk(task: Task, ctx: Context) -> None:
        with _noted(ledger, ctx):
            pass

    mux.handle("nested:", nested)


def surround(mux: Mux, ledger: Ledger) -> dict[str, Any]:
    """Put everything around the handlers that can be around them; returns options of a server.

    What belongs to a delivery is noted with its token as the id.
    """

    @asynccontextmanager
    async def lifespan() -> AsyncGenerator[str]:
        ledger.write("up")
        yield "up"
        ledger.write("down")

    @asynccontextmanager
    async def task_lifespan(task: Task, ctx: Context) -> AsyncGenerator[str]:
        ledger.write("enter", id=ctx.token, detail=str(ctx.state))
        try:
            yield ctx.token
        finally:
            ledger.write("leave", id=ctx.token)

    async def around(task: Task, ctx: Context, call_next: Call) -> Any:
        ledger.write("around", id=ctx.token, detail=str(ctx.local))
        return await call_next(task, ctx)

    mux.use(around)
    return {
        "lifespan": lifespan,
        "task_lifespan": task_lifespan,
        "health_check": lambda error: ledger.write("health", detail="" if error is None else repr(error)),
        "health_check_interval": 0.25,
    }


def make_aggregator(ledger: Ledger) -> GroupAggregator:
    """Make an aggregator that notes when it begins, and takes as long as the longest `hold` of its tasks."""

    async def aggregate(group: str, tasks: list[Task]) -> Task:
        ledger.write("aggregating", id=group)
        await asyncio.sleep(max(task.payload.get("hold", 0.0) for task in tasks))
        return Task("merged", {"of": [task.id for task in tasks]})

    return aggregate


@contextmanager
def _noted(ledger: Ledger, ctx: Context) -> Iterator[None]:
    where = {"id": ctx.id, "token": ctx.token, "queue": ctx.queue}
    ledger.write("begin", **where)
    try:
        yield
    except asyncio.CancelledError:
        ledger.write("cancelled", **where)
        raise
    except BaseException as error:
        ledger.write("failed", **where, detail=repr(error))
        raise
    ledger.write("end", **where)


class _LogToLedger(logging.Handler):
    """Notes the events that servers log."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger

    def emit(self, record: logging.LogRecord) -> None:
        event = getattr(record, "event", "")
        if event:
            self._ledger.write("log", id=getattr(record, "task_id", ""), detail=event)


@contextmanager
def recorded(ledger: Ledger) -> Iterator[None]:
    """Note in the ledger what asyncq logs in this process."""
    logger, handler = logging.getLogger("asyncq"), _LogToLedger(ledger)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--queues", default="default=1")
    parser.add_argument("--skew", type=float, default=0.0, help="seconds by which the clock is wrong")
    parser.add_argument("--options", type=json.loads, default={}, help="of the server, as JSON")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    """Serve until told to leave by a signal."""
    given = _parse(arguments)
    if given.skew:
        real = time.time
        time.time = lambda: real() + given.skew
    pairs = (part.partition("=") for part in given.queues.split(","))
    queues = {name: int(weight) for name, _, weight in pairs}
    ledger = Ledger(given.ledger)
    options: dict[str, Any] = {"concurrency": 4, "max_lost": 1000, "retry": Fixed(0.2), **given.options}
    mux = make_mux(ledger)
    if options.pop("aggregate", False):
        options["group_aggregator"] = make_aggregator(ledger)
    if options.pop("surround", False):
        options |= surround(mux, ledger)
    with recorded(ledger):
        try:
            Server(given.url, queues=queues, **options).run(mux)
        except BaseException as error:
            ledger.write("exit", detail=repr(error))
            raise
        ledger.write("exit")


def _zygote(path: str) -> NoReturn:
    """Fork a server for each message, and answer with its process id."""
    # Nobody asks how a child ended, so none has to stay behind until somebody does.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(path)
        listener.listen(1)
        control, _ = listener.accept()
    while message := control.recv(65536):
        child = os.fork()
        if not child:
            control.close()
            _serve_and_exit(json.loads(message))
        control.send(str(child).encode())
    sys.exit()


def _serve_and_exit(arguments: list[str]) -> NoReturn:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    status = 0
    try:
        main(arguments)
    except BaseException:  # noqa: BLE001 - a child must never come back into the zygote's loop
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--zygote"]:
        _zygote(sys.argv[2])
    main(sys.argv[1:])
