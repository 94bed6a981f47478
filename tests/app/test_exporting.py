"""Spans go to collectors, by each protocol that the settings know."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from tests.support.servers import free_port
from tests.support.trace_sink import TraceSink, over_grpc, over_http

# The provider of a program is set once, so each has a program of its own.
_PROGRAM = """
import asyncio, json, sys
from opentelemetry import trace
from asyncq.app import from_mapping, set_up, ServiceConf

said = {"Name": "shop", "Mode": "pre", "Log": {"Encoding": "json"}, "Telemetry": json.loads(sys.argv[1])}


async def main():
    async with set_up(from_mapping(said, ServiceConf)):
        for name in ("one", "two"):
            with trace.get_tracer("test").start_as_current_span(name):
                pass


asyncio.run(main())
"""


def _export(**telemetry: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _PROGRAM, json.dumps(telemetry)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("batcher", "collector", "endpoint", "more", "path"),
    [
        ("otlpgrpc", over_grpc, "{}", {"OtlpHeaders": {"x-tenant": "orders"}}, ""),
        ("otlpgrpc", over_grpc, "http://{}", {}, ""),
        ("otlphttp", over_http, "{}", {"OtlpHeaders": {"x-tenant": "orders"}}, "/v1/traces"),
        ("otlphttp", over_http, "{}", {"OtlpHttpPath": "in/traces"}, "/in/traces"),
        ("otlphttp", over_http, "http://{}/v1/traces", {}, "/v1/traces"),
        ("zipkin", over_http, "http://{}/api/v2/spans", {}, "/api/v2/spans"),
    ],
)
def test_spans_arrive(
    batcher: str,
    collector: Callable[[], AbstractContextManager[TraceSink]],
    endpoint: str,
    more: dict[str, Any],
    path: str,
) -> None:
    """All of them, with the name of the program and the headers, before the program has left."""
    with collector() as sink:
        done = _export(Endpoint=endpoint.format(sink.address), Batcher=batcher, **more)
        assert done.returncode == 0, done.stderr
        assert [span for batch in sink.batches for span in batch.spans] == ["one", "two"]
        for batch in sink.batches:
            assert batch.path == path
            assert batch.resource["service.name"] == "shop"
            if batcher != "zipkin":
                assert batch.resource["deployment.environment.name"] == "pre"
            if "OtlpHeaders" in more:
                assert batch.headers["x-tenant"] == "orders"


def test_what_is_sampled_out_is_not_sent() -> None:
    """`Sampler: 0` sends nothing."""
    with over_http() as sink:
        done = _export(Endpoint=sink.address, Batcher="otlphttp", Sampler=0.0)
        assert done.returncode == 0, done.stderr
    assert sink.batches == []


def test_a_collector_that_is_away_harms_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program does its work, and the log says what was not sent; how long that is tried is a setting."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    done = _export(Endpoint=f"127.0.0.1:{free_port()}", Batcher="otlphttp")
    assert done.returncode == 0, done.stderr
    assert "v1/traces" in done.stderr or "export" in done.stderr.lower()
