"""One process that runs an app: the only one, or one of those that `asyncq run` minds.

A child hears what it is to do through a pipe and not by signals. A service manager may send SIGTERM
to each process of a service, and so may the parent, and two would mean: at once. So a signal from
outside asks a child to leave in order, however often it comes; to hurry is up to the parent. When
the pipe ends the parent is gone, and the child leaves in order, too.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import click

from asyncq.cli.connecting import FINDINGS, UNREACHABLE, USAGE
from asyncq.cli.loading import LoadingError, load, modules_of
from asyncq.cli.logs import RUN_LOG, insist, set_up
from asyncq.cli.plan import Plan
from asyncq.errors import BrokerError, ConfigError

if TYPE_CHECKING:
    from asyncq.app import App
    from asyncq.shared import Connection

LAST_PATIENCE: Final = 30.0
"""Seconds beyond what its servers allow themselves, after which a child without a parent ends the hard
way: its event loop is stuck, and nobody else would ever end it."""

_log: Final = logging.getLogger(RUN_LOG)

_INNER: Final = ("_client", "_semaphore", "_reach")
"""Where those keep their connection that do not hold it themselves."""


class ParentLine:
    """The two pipes between a child and its parent.

    Down one come the plan, and then words: `leave`, `now`, `stop`, `resume`. Objects of JSON, one a line, go
    up the other.
    """

    def __init__(self, orders: int, reports: int) -> None:
        for pipe in (orders, reports):
            os.set_inheritable(pipe, False)  # noqa: FBT003 - a process that a handler starts must not hold them open
        self._words: Final = open(orders, "rb", buffering=0, closefd=False)  # noqa: SIM115 - for all its life
        self.plan: Final = Plan.loads(self._words.readline().decode())
        self._reports: Final = reports
        self._hear: Callable[[str], None] | None = None
        self._was_heard = False
        self._lock: Final = threading.Lock()
        self._thread: Final = threading.Thread(target=self._listen, name="asyncq parent", daemon=True)
        self.was_ready = False
        self.patience = 0.0
        """Seconds that leaving may take."""
        self._thread.start()

    def report(self, **fields: Any) -> None:
        """Tell the parent something. It may be gone, and will not miss it."""
        self.was_ready = self.was_ready or fields["state"] == "ready"
        try:
            os.write(self._reports, json.dumps(fields).encode() + b"\n")
        except OSError:
            _log.debug("the parent process is gone")

    def hear(self, hear: Callable[[str], None] | None) -> None:
        """Say who is told the words, in the thread that reads them. Before that, to leave is to end."""
        with self._lock:
            self._hear = hear
            self._was_heard = True

    def _listen(self) -> None:
        for word in self._words:
            self._hand_on(word.decode().strip())
        self._hand_on("leave")
        time.sleep(self.patience + LAST_PATIENCE)
        os._exit(FINDINGS)

    def _hand_on(self, word: str) -> None:
        with self._lock:
            if self._hear is not None:
                self._hear(word)
            elif word in ("leave", "now") and not self._was_heard:
                os._exit(0)  # still importing: nothing runs yet, and an import cannot be interrupted


def run_here(plan: Plan, line: ParentLine | None = None) -> int:
    """Load the app of a plan, run it in this process until it leaves, and return the exit code.

    Raises:
        LoadingError: There is no such app.
    """
    set_up(plan)
    try:
        app = prepared(plan)
        with asyncio.Runner(loop_factory=_loop_factory(plan)) as runner:
            runner.run(_live(app, line))
    except ConfigError as error:
        raise LoadingError(str(error), code=USAGE) from error
    except BrokerError as error:
        raise LoadingError(str(error), code=UNREACHABLE) from error
    return 0


def prepared(plan: Plan) -> App:
    """The app of a plan, changed as the plan says.

    Raises:
        LoadingError: There is no such app, or it is not of the wire that was asked for.
        ConfigError: Something that was asked for is wrong.
    """
    # What the program makes by itself, clients above all, can go the same way by reading these.
    for name, value in (("ASYNCQ_URL", plan.url), ("ASYNCQ_WIRE", plan.wire)):
        if value is not None:
            os.environ[name] = value
    app: App = load(plan.apps, folder=plan.app_dir, factory=plan.factory)
    insist(plan)
    for connection in app.connections:
        if plan.wire is not None and connection.wire.name != plan.wire:
            text = (
                f"{' and '.join(plan.apps)} was made for the {connection.wire.name} wire, not for {plan.wire}"
            )
            raise LoadingError(f'{text}: pass wire=os.environ.get("ASYNCQ_WIRE") where it is made')
    app.override(plan.url, prefix=plan.prefix, **_options_for(app, plan))
    if plan.probes is not None:
        app.probe(plan.probes)
        _add_metrics(app)
    for problem in _others(app, plan):
        _log.warning("%s", problem, extra={"event": "leads_elsewhere"})
    return app


def _add_metrics(app: App) -> None:
    """Show metrics beside the probes, where the extra is installed and the program does not do so itself."""
    if not app.servers or find_spec("prometheus_client") is None:
        return
    room: Any = import_module("asyncq.metrics")
    try:
        room.add_metrics(app.servers[0])
    except ConfigError:
        _log.debug("the program has a page of metrics of its own", extra={"event": "own_metrics"})


def _options_for(app: App, plan: Plan) -> dict[str, Any]:
    if plan.options and not app.servers:
        given = ", ".join("--" + name.removesuffix("_priority").replace("_", "-") for name in plan.options)
        raise LoadingError(
            f"{' and '.join(plan.apps)} has no server, so there is nothing for {given} to change"
        )
    return plan.options


def _others(app: App, plan: Plan) -> list[str]:
    """Clients and the like in the program's modules that lead elsewhere than its servers were sent."""
    if plan.url is None and plan.prefix is None:
        return []
    places = {(connection.options, connection.wire.keys.prefix) for connection in app.connections}
    found: list[str] = []
    for module in modules_of(plan.apps):
        for name, value in vars(module).items():
            connection = _connection_of(value)
            if connection is None:
                continue
            if (connection.options, connection.wire.keys.prefix) not in places:
                where = connection.options.describe()
                found.append(
                    f"{module.__name__}.{name} still leads to {where}: it was made before --url was known; "
                    f'make it with os.environ["ASYNCQ_URL"], or on the Connection of the server'
                )
    return found


def _connection_of(value: object) -> Connection | None:
    """The way to Redis of a client, an inspector, a semaphore, or one of them for blocking code."""
    if not type(value).__module__.startswith("asyncq."):
        return None
    inner = next((vars(value)[name] for name in _INNER if name in getattr(value, "__dict__", ())), value)
    return getattr(inner, "_connection", None)


def _loop_factory(plan: Plan) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if plan.uvloop is False or (plan.uvloop is None and find_spec("uvloop") is None):
        return None
    try:
        import uvloop  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise LoadingError('--uvloop needs uvloop: pip install "asyncq[fast]"') from error
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _live(app: App, line: ParentLine | None) -> None:
    from asyncq.app.application import Orders  # noqa: PLC0415 - as above

    orders = Orders(app)
    if line is None:
        await app._run(orders.by_signal, lambda: _tell_probes(app))
        return
    line.patience = _longest_leaving(app)
    words = {
        "leave": orders.leave_in_order,
        "now": orders.hurry,
        "stop": orders.stop,
        "resume": orders.resume,
    }
    loop = asyncio.get_running_loop()
    line.hear(lambda word: _call_in(loop, words[word]))
    by_signal = {
        **orders.by_signal,
        signal.SIGTERM: orders.leave_in_order,
        signal.SIGINT: orders.leave_in_order,
    }
    line.report(state="starting")
    try:
        await app._run(by_signal, lambda: line.report(state="ready", probes=app.probes_url))
    except BaseException:
        if not line.was_ready:
            line.report(state="failed")
        raise
    finally:
        line.hear(None)


def _tell_probes(app: App) -> None:
    if app.probes_url is not None:
        _log.info("probes at %s", app.probes_url, extra={"event": "probes", "url": app.probes_url})


def _call_in(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(what)


def _longest_leaving(app: App) -> float:
    longest = max((s.config.shutdown_timeout + s.config.cancel_grace for s in app.servers), default=0.0)
    return min(longest, threading.TIMEOUT_MAX / 2) if longest < math.inf else threading.TIMEOUT_MAX / 2


def main(arguments: list[str]) -> int:
    """Be a child: the arguments are the numbers of the two pipes."""
    orders, reports = arguments
    line = ParentLine(int(orders), int(reports))
    try:
        return run_here(line.plan, line)
    except click.ClickException as error:
        error.show()
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
