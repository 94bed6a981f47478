"""Does what the settings of a service say: logs, metrics, traces and health, and undoes it at the end."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterable
from contextlib import AsyncExitStack
from logging.handlers import RotatingFileHandler, TimedRotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from asyncq._http import HttpDoor, Listen, Page, PageMaker, Request
from asyncq.app.exporting import begin_traces
from asyncq.app.leaving import LOG
from asyncq.app.service_conf import LogConf, ServiceConf
from asyncq.errors import AlreadyRunningError, ClosedError, ConfigError
from asyncq.logs import JsonFormatter, TaskFilter, TextFormatter, handler
from asyncq.server import Server

if TYPE_CHECKING:
    from prometheus_client.registry import Collector  # an extra

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "error": logging.ERROR,
    "severe": logging.CRITICAL,
}
_MEGABYTE: Final = 1 << 20


def set_up(
    conf: ServiceConf, *, servers: Iterable[Server] = (), collectors: Iterable[Collector] = ()
) -> SetUp:
    """Set up what the settings say: logs and traces at once, pages when what it returns is started.

        group.add(set_up(settings, servers=[server]))  # the first, so it is stopped last

    Args:
        conf: The settings.
        servers: Whose metrics the pages show, beside what is in the registry of prometheus-client.
        collectors: What the pages show besides: a `dq.metrics.ConsumerCollector`, say.

    Raises:
        ConfigError: Something of it cannot be done.
        AlreadyRunningError: It was set up before, and not stopped.
        ModuleNotFoundError: A package is missing; the text says which.
    """
    if not isinstance(conf, ServiceConf):
        raise ConfigError("conf", conf, "a ServiceConf")
    made = SetUp(conf, tuple(servers), tuple(collectors))
    made._begin()
    return made


class SetUp:
    """What was set up. It is a service for a `ServiceGroup`, and an async context manager."""

    name = "set up"

    def __init__(
        self, conf: ServiceConf, servers: tuple[Server, ...], collectors: tuple[Collector, ...]
    ) -> None:
        self.conf: Final = conf
        self._servers: Final = servers
        self._collectors: Final = collectors
        self._doors: Final[dict[str, HttpDoor]] = {}
        self._undo: Final = AsyncExitStack()
        self._ended: Final = asyncio.Event()
        self._status = "new"

    def _begin(self) -> None:
        self._make_doors()  # first, since it says what is missing
        log = begin_logs(self.conf)
        try:
            provider = begin_traces(self.conf)
        except BaseException:
            log.end()
            raise
        self._undo.callback(log.end)
        if provider is not None:
            log.show_traces()
            # Hands over what it has, and that may take a while.
            self._undo.push_async_callback(asyncio.to_thread, provider.shutdown)
        for setting, why in _unsupported(self.conf):
            LOG.warning(
                "%s is not supported: %s",
                setting,
                why,
                extra={"event": "setting_unsupported", "setting": setting},
            )

    def _make_doors(self) -> None:
        prometheus, dev = self.conf.prometheus, self.conf.dev_server
        pages: dict[str, PageMaker]
        if prometheus.host:
            pages = {prometheus.path: metrics_page(self._servers, self._collectors)}
            self._add_door("metrics", prometheus.host, prometheus.port, pages)
        if dev is not None and dev.enabled:
            health = Page(dev.health_response + "\n")
            pages = {dev.health_path: lambda _: health}
            if dev.enable_metrics:
                page = _metrics_page_if_there(self._servers, self._collectors)
                pages |= {} if page is None else {dev.metrics_path: page}
            self._add_door("dev_server", dev.host, dev.port, pages)

    def _add_door(self, name: str, host: str, port: int, pages: dict[str, PageMaker]) -> None:
        for path in pages:
            if not path.startswith("/"):
                raise ConfigError("path", path, "a path that begins with a slash")
        self._doors[name] = HttpDoor(Listen(host, port), pages, log=LOG, option=name)

    @property
    def metrics_url(self) -> str | None:
        """Where the page of metrics is, with the port that it got; `None` while there is none."""
        for name, path in (
            ("metrics", self.conf.prometheus.path),
            ("dev_server", self._dev_path("metrics_path")),
        ):
            url = self._url(name)
            if url is not None:
                return url + path
        return None

    @property
    def health_url(self) -> str | None:
        """Where health is asked for; `None` while it is not."""
        url = self._url("dev_server")
        return None if url is None else url + self._dev_path("health_path")

    def _url(self, name: str) -> str | None:
        door = self._doors.get(name)
        return None if door is None else door.url

    def _dev_path(self, name: str) -> str:
        return str(getattr(self.conf.dev_server, name, ""))

    async def start(self) -> None:
        """Answer for its pages until it is stopped.

        Raises:
            ConfigError: It cannot listen where the settings say; says why.
        """
        if self._status == "closed":
            return
        await self._open()
        await self._ended.wait()

    async def stop(self) -> None:
        """Close the pages, hand over the last spans, and put logging back. May be called twice."""
        if self._status != "closed":
            self._status = "closed"
            await self._undo.aclose()
        self._ended.set()

    async def _open(self) -> None:
        if self._status != "new":
            raise AlreadyRunningError("the set-up") if self._status == "open" else ClosedError("the set-up")
        self._status = "open"
        for door in self._doors.values():
            await self._undo.enter_async_context(door.open())

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


# --- logs ----------------------------------------------------------------------------------------


class _Marked(logging.Filter):
    """Says which program a record comes from; and marks the handler as ours."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service: Final = service

    def filter(self, record: logging.LogRecord) -> bool:
        record.__dict__.setdefault("service", self._service)
        return True


class _Logging:
    """A handler at the root of all loggers, for as long as it is wanted."""

    def __init__(self, made: logging.Handler, level: int) -> None:
        self._root: Final = logging.getLogger()
        self._made: Final = made
        self._before: Final = self._root.level
        self._root.addHandler(made)
        self._root.setLevel(level)

    def show_traces(self) -> None:
        """Say in records to which trace they belong."""
        from asyncq.tracing import TraceFilter  # noqa: PLC0415 - an extra

        self._made.addFilter(TraceFilter())

    def end(self) -> None:
        """Put back how it was."""
        self._root.removeHandler(self._made)
        self._root.setLevel(self._before)
        self._made.close()


def begin_logs(conf: ServiceConf) -> _Logging:
    """Log as the settings say.

    Raises:
        ConfigError: The file cannot be written.
        AlreadyRunningError: Logging was set up before, and not put back.
    """
    if any(isinstance(one, _Marked) for known in logging.getLogger().handlers for one in known.filters):
        raise AlreadyRunningError("the set-up")
    log = conf.log
    name = log.service_name or conf.name
    made = _handler(log, name)
    made.addFilter(_Marked(name))
    return _Logging(made, _LEVELS[log.level])


def _handler(log: LogConf, name: str) -> logging.Handler:
    if log.mode == "console":
        return handler("json" if log.encoding == "json" else "text")
    folder = log.path if log.mode == "file" else log.path / name / socket.gethostname()
    made = _file(log, folder, folder / f"{name}.log")
    made.setFormatter(JsonFormatter() if log.encoding == "json" else TextFormatter())
    made.addFilter(TaskFilter())
    return made


def _file(log: LogConf, folder: Path, file: Path) -> logging.Handler:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if log.rotation == "daily":
            return TimedRotatingFileHandler(
                file, when="midnight", backupCount=log.keep_days, encoding="utf-8"
            )
        size, backups = log.max_size * _MEGABYTE, log.max_backups
        return RotatingFileHandler(file, maxBytes=size, backupCount=backups, encoding="utf-8")
    except OSError as error:
        raise ConfigError("log.path", str(file), f"a file that can be written: {error.strerror}") from error


def _unsupported(conf: ServiceConf) -> list[tuple[str, str]]:
    """What the settings ask for and nobody does, and why."""
    log, said = conf.log, list[tuple[str, str]]()
    if log.time_format:
        said.append(("Log.TimeFormat", "times are ISO 8601 in UTC"))
    if log.max_content_length:
        said.append(("Log.MaxContentLength", "records are written whole"))
    if log.compress:
        said.append(("Log.Compress", "log files are kept as they are"))
    if log.stack_cooldown_millis != LogConf().stack_cooldown_millis:
        said.append(("Log.StackCooldownMillis", "each error has its traceback"))
    if conf.metrics_url:
        said.append(("MetricsUrl", "numbers are fetched and not sent: see Prometheus"))
    if conf.dev_server is not None and conf.dev_server.enable_pprof:
        said.append(("DevServer.EnablePprof", "a profile is taken from outside, with py-spy for example"))
    return said


# --- metrics -------------------------------------------------------------------------------------


def metrics_page(servers: tuple[Server, ...], others: tuple[Collector, ...]) -> PageMaker:
    """A page of everything that the registry of prometheus-client has, of these servers, and of the others.

    Raises:
        ModuleNotFoundError: The extra `metrics` is missing.
    """
    from prometheus_client import REGISTRY  # noqa: PLC0415 - as above

    from asyncq.metrics import ServerCollector, families  # noqa: PLC0415 - an extra

    collectors: list[Collector] = [REGISTRY, ServerCollector(*servers), *others]

    async def page(request: Request) -> Page:
        body, content_type = await families.encoded(collectors, request.headers.get("accept", ""))
        return Page(body, content_type=content_type)

    return page


def _metrics_page_if_there(servers: tuple[Server, ...], others: tuple[Collector, ...]) -> PageMaker | None:
    try:
        return metrics_page(servers, others)
    except ModuleNotFoundError as error:
        if error.name != "prometheus_client":
            raise
        return None
