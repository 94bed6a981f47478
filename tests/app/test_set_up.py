"""What is set up from settings: logs, pages, traces; and everything is put back."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from asyncq.app import ServiceConf, ServiceGroup, from_mapping, set_up
from asyncq.errors import AlreadyRunningError, ClosedError, ConfigError
from asyncq.mux import Mux
from asyncq.server import Server
from tests.support.http import ask


def conf(**said: Any) -> ServiceConf:
    """Settings as a file gives them."""
    return from_mapping({"Name": "shop", **said}, ServiceConf, environ={})


async def test_logs_go_where_the_settings_say(capsys: pytest.CaptureFixture[str]) -> None:
    """As JSON with the name of the service, from a level on; afterwards everything is as it was."""
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    async with set_up(conf(Log={"Level": "error", "ServiceName": "orders"})):
        logging.getLogger("shop").info("not this")
        logging.getLogger("shop").error("this %s", "one", extra={"event": "odd"})
        with pytest.raises(AlreadyRunningError):
            set_up(conf())
    assert (root.level, root.handlers) == before
    (line,) = capsys.readouterr().err.splitlines()
    said = json.loads(line)
    assert (said["message"], said["service"], said["event"]) == ("this one", "orders", "odd")


@pytest.mark.parametrize("mode", ["file", "volume"])
async def test_logs_go_to_files(tmp_path: Path, mode: str) -> None:
    """A folder of the machine's own where several share one."""
    log = {
        "Mode": mode,
        "Path": str(tmp_path / "logs"),
        "Encoding": "plain",
        "Rotation": "size",
        "MaxSize": 1,
    }
    with pytest.raises(ConfigError, match="nothing is ever kept"):
        conf(Log=log)
    async with set_up(conf(Log={**log, "MaxBackups": 2})):
        logging.getLogger("shop").warning("written")
    (file,) = (tmp_path / "logs").rglob("shop.log")
    assert file.parent == tmp_path / "logs" or mode == "volume"
    assert "warning  shop: written" in file.read_text()


async def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    """Said before anything runs."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="a file that can be written"):
        set_up(conf(Log={"Mode": "file", "Path": str(tmp_path / "file" / "logs")}))


async def test_pages_of_metrics_and_health(redis_url: str) -> None:
    """Two doors, on ports that were free; both show what a server did."""
    server = Server(redis_url, name="orders")
    settings = conf(
        Prometheus={"Host": "127.0.0.1", "Port": 0, "Path": "/numbers"},
        DevServer={"Host": "127.0.0.1", "Port": 0, "HealthPath": "/ping", "HealthResponse": "fine"},
    )
    made = set_up(settings, servers=[server])
    assert (made.metrics_url, made.health_url) == (None, None)
    async with ServiceGroup().add(made).add(server, Mux()):
        assert made.metrics_url is not None
        assert made.health_url is not None
        assert made.metrics_url.endswith("/numbers")
        numbers = await ask(made.metrics_url, "/numbers")
        assert 'server="orders"' in numbers.body
        assert "python_info" in numbers.body
        health = await ask(made.health_url, "/ping")
        assert (health.status, health.body) == (200, "fine\n")
        assert (await ask(made.health_url, "/metrics")).status == 200
    assert made.metrics_url is None


async def test_wrong_moments() -> None:
    """It is opened once; stopping it twice does nothing, and a stopped one does not begin."""
    made = set_up(conf())
    async with made:
        with pytest.raises(AlreadyRunningError):
            async with made:
                pass
    await made.stop()
    await made.start()
    with pytest.raises(ClosedError):
        async with made:
            pass
    with pytest.raises(ConfigError, match="a ServiceConf"):
        set_up({"Name": "shop"})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="begins with a slash"):
        set_up(conf(Prometheus={"Host": "127.0.0.1", "Path": "metrics"}))


async def test_an_address_that_is_taken(redis_url: str) -> None:
    """The program does not start, and logging is put back."""
    first = set_up(conf(DevServer={"Host": "127.0.0.1", "Port": 0}))
    root = logging.getLogger()
    before = list(root.handlers)
    async with first:
        assert first.health_url is not None
        port = int(first.health_url.rpartition(":")[2].partition("/")[0])
        logging.getLogger().removeHandler(root.handlers[-1])  # of the first: this is about the address
        second = set_up(conf(DevServer={"Host": "127.0.0.1", "Port": port}))
        with pytest.raises(ConfigError, match="dev_server="):
            async with second:
                pass
    assert len(root.handlers) == len(before) - 1


async def test_what_is_not_supported_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is ignored in silence."""
    settings = conf(
        MetricsUrl="http://sink",
        Log={"TimeFormat": "x", "Compress": True, "MaxContentLength": 1, "StackCooldownMillis": 1},
        DevServer={"Host": "127.0.0.1", "Port": 0, "EnablePprof": True},
    )
    async with set_up(settings):
        pass
    said = {
        vars(one)["setting"] for one in caplog.records if getattr(one, "event", "") == "setting_unsupported"
    }
    assert said == {
        "MetricsUrl",
        "Log.TimeFormat",
        "Log.Compress",
        "Log.MaxContentLength",
        "Log.StackCooldownMillis",
        "DevServer.EnablePprof",
    }


@pytest.mark.parametrize(
    ("telemetry", "error", "expected"),
    [
        ({"Endpoint": "x", "Batcher": "jaeger"}, "ConfigError", "otlpgrpc' with port 4317"),
        ({"Endpoint": "x:4317"}, "ModuleNotFoundError", "pip install opentelemetry-exporter-otlp-proto-grpc"),
        ({"Endpoint": "x", "Batcher": "zipkin"}, "ModuleNotFoundError", "opentelemetry-exporter-zipkin-json"),
        ({"Endpoint": "/no/such/file", "Batcher": "file"}, "ConfigError", "a file that can be written"),
        ({"Endpoint": "x", "Batcher": "jaeger", "Disabled": True}, "", ""),
        ({"Batcher": "jaeger"}, "", ""),
    ],
    ids=["jaeger", "grpc", "zipkin", "file", "disabled", "no endpoint"],
)
async def test_traces_that_cannot_be(
    telemetry: dict[str, Any], error: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text says what to install, or what to write instead; logging is as it was."""
    for missing in ("otlp.proto.grpc.trace_exporter", "zipkin.json"):
        monkeypatch.setitem(sys.modules, f"opentelemetry.exporter.{missing}", None)
    before = list(logging.getLogger().handlers)
    settings = conf(Telemetry=telemetry)
    if not error:
        await set_up(settings).stop()
        return
    with pytest.raises((ConfigError, ModuleNotFoundError), match=expected) as caught:
        set_up(settings)
    assert type(caught.value).__name__ == error
    assert logging.getLogger().handlers == before


_TRACING = """
import asyncio, json, logging, sys
from opentelemetry import trace
from asyncq.app import from_mapping, set_up, ServiceConf

said = {"Endpoint": sys.argv[1], "Batcher": "file", "Name": "orders"}
conf = from_mapping({"Name": "shop", "Mode": "dev", "Telemetry": said}, ServiceConf)


async def main():
    async with set_up(conf):
        with trace.get_tracer("test").start_as_current_span("one"):
            logging.getLogger("shop").error("inside")
    try:
        set_up(conf)
    except ValueError as error:
        print(error)


asyncio.run(main())
"""


def test_traces_are_written(tmp_path: Path) -> None:
    """The last ones, too, which are handed over when the program leaves; and records say their trace."""
    file = tmp_path / "spans"
    done = subprocess.run(
        [sys.executable, "-c", _TRACING, file], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    (span,) = [json.loads(line) for line in file.read_text().splitlines()]
    attributes = span["resource"]["attributes"]
    assert (span["name"], attributes["service.name"]) == ("one", "orders")
    assert attributes["deployment.environment.name"] == "dev"
    assert json.loads(done.stderr.splitlines()[0])["trace_id"] == span["context"]["trace_id"][2:]
    assert "no tracer provider beside it" in done.stdout
