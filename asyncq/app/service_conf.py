"""What every service has in its settings: name, logs, metrics, traces, health, and the times of leaving.

The keys and defaults are those of go-zero, so its files can be read. What is not supported is said by
`set_up`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from asyncq.app.fields import Setting
from asyncq.app.leaving import Shutdown
from asyncq.connection import Address, ConnectionOptions, Tls, Topology
from asyncq.errors import ConfigError

Port = Annotated[int, Setting(least=0, most=65_535)]


@dataclass(frozen=True, kw_only=True)
class LogConf:
    """How a program logs."""

    service_name: str = ""
    """What records say as `service`; the name of the program when empty."""

    mode: Literal["console", "file", "volume"] = "console"
    """To standard error; to a file in `path`; or to one in `path`, the name, and that of the machine."""

    encoding: Literal["json", "plain"] = "json"
    """For programs, or for people."""

    level: Literal["debug", "info", "error", "severe"] = "info"
    """Say nothing below this. `severe` is `CRITICAL`."""

    path: Path = Path("logs")
    """The folder of log files."""

    rotation: Literal["daily", "size"] = "daily"
    """When a new log file begins: at midnight, or when one has `max_size`."""

    keep_days: Annotated[int, Setting(least=0)] = 0
    """Log files that are kept of `daily`; 0 keeps all."""

    max_size: Annotated[int, Setting(least=0)] = 0
    """Megabytes of a log file of `size`; 0 for no limit."""

    max_backups: Annotated[int, Setting(least=0)] = 0
    """Log files that are kept of `size`, 1 or more when there is a `max_size`."""

    stat: bool = True
    """Read for go-zero's files. There are no lines of statistics: numbers are metrics."""

    time_format: str = ""
    """Not supported: times are ISO 8601 in UTC."""

    max_content_length: int = 0
    """Not supported."""

    compress: bool = False
    """Not supported."""

    stack_cooldown_millis: int = 100
    """Not supported: each error has its traceback."""

    def validate(self) -> None:
        """Refuse what does not go together."""
        if self.max_size and self.rotation == "size" and not self.max_backups:
            raise ConfigError(
                "max_backups", 0, "1 or more: with `max_size` and no backup, nothing is ever kept"
            )


@dataclass(frozen=True, kw_only=True)
class PrometheusConf:
    """A page of metrics. There is none without a host."""

    host: str = ""
    """Where to listen, such as `0.0.0.0`."""

    port: Port = 9101
    """Of which port; 0 takes a free one."""

    path: Annotated[str, Setting()] = "/metrics"
    """Where the page is."""


@dataclass(frozen=True, kw_only=True)
class TelemetryConf:
    """Where traces go. They go nowhere without an endpoint."""

    name: str = ""
    """The `service.name` of spans; the name of the program when empty."""

    endpoint: str = ""
    """Host and port of a collector, a URL of one, or the path of a file."""

    sampler: Annotated[float, Setting(least=0, most=1)] = 1.0
    """The share of traces that are recorded."""

    batcher: Literal["otlpgrpc", "otlphttp", "zipkin", "file", "jaeger"] = "otlpgrpc"
    """How. Jaeger takes `otlpgrpc` and `otlphttp`; its own protocol has gone out of use."""

    otlp_headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """Headers for OTLP, such as a key."""

    otlp_http_path: str = ""
    """The path of OTLP over HTTP; `/v1/traces` when empty."""

    otlp_http_secure: bool = False
    """Whether OTLP over HTTP goes over TLS."""

    disabled: bool = False
    """Whether there are no traces all the same."""


@dataclass(frozen=True, kw_only=True)
class DevServerConf:
    """Pages for operators: health, and metrics. There are none when this section is missing."""

    enabled: bool = True
    """Whether there are any."""

    host: str = "0.0.0.0"  # noqa: S104 - for the probes of an orchestrator, as in go-zero
    """Where to listen."""

    port: Port = 6060
    """Of which port; 0 takes a free one."""

    health_path: str = "/healthz"
    """Where the program says that its event loop turns."""

    health_response: str = "OK"
    """What it says then."""

    enable_metrics: bool = True
    """Whether there is a page of metrics, where the extra `metrics` is installed."""

    metrics_path: str = "/metrics"
    """Where that is."""

    enable_pprof: bool = False
    """Not supported."""


@dataclass(frozen=True, kw_only=True)
class ServiceConf:
    """What every service has in its settings. Make a class of your own of it.

    @dataclass(frozen=True)
    class Settings(ServiceConf):
        redis: RedisConf
    """

    name: str
    """What the program is called, in logs and traces."""

    log: LogConf = LogConf()
    """How it logs."""

    mode: Literal["dev", "test", "rt", "pre", "pro"] = "pro"
    """What it runs as. Traces say it, as `deployment.environment.name`; nothing else depends on it."""

    metrics_url: str = field(default="", repr=False)
    """Not supported: use `prometheus`."""

    prometheus: PrometheusConf = PrometheusConf()
    """A page of metrics."""

    telemetry: TelemetryConf = TelemetryConf()
    """Where traces go."""

    dev_server: DevServerConf | None = None
    """Pages for operators."""

    shutdown: Shutdown = field(default_factory=Shutdown)
    """The times of leaving, for `ServiceGroup(shutdown=settings.shutdown)`."""


@dataclass(frozen=True, kw_only=True)
class RedisConf:
    """Where Redis is, in go-zero's words; `options()` gives it to `Client`, `Server` and so on."""

    host: str
    """Host and port, `127.0.0.1:6379`; of a cluster several, with commas."""

    type: Literal["node", "cluster"] = "node"
    """One server, or a cluster."""

    user: str = ""
    """ACL user."""

    pass_: str = field(default="", repr=False)
    """Password."""

    tls: bool = False
    """Whether to encrypt."""

    db: Annotated[int, Setting(least=0)] = 0
    """Number of the database; a cluster has only 0."""

    non_block: bool = True
    """Read for go-zero's files. Servers wait for Redis when they start, for their `start_patience`."""

    ping_timeout: timedelta = timedelta(seconds=5)
    """How long an attempt to connect may take."""

    def __post_init__(self) -> None:
        self.options()

    def options(self) -> ConnectionOptions:
        """The same for the library.

        Raises:
            ConfigError: The host is no address, or something does not go together.
        """
        return ConnectionOptions(
            addresses=tuple(_address(one.strip()) for one in self.host.split(",")),
            topology=Topology.CLUSTER if self.type == "cluster" else Topology.SINGLE,
            db=self.db,
            username=self.user or None,
            password=self.pass_ or None,
            tls=Tls() if self.tls else None,
            connect_timeout=self.ping_timeout.total_seconds(),
        )


def _address(text: str) -> Address:
    if text.startswith("/"):
        return Address(path=text)
    host, colon, port = text.rpartition(":")
    if not colon:
        host, port = text, "6379"
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise ConfigError("host", text, 'host and port, such as "127.0.0.1:6379"')
    return Address(host=host.removeprefix("[").removesuffix("]"), port=int(port))
