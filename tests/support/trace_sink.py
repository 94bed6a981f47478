"""Collects traces as a real collector does, by OTLP over gRPC and HTTP, and by Zipkin's JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from threading import Thread
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

__all__ = ["Batch", "TraceSink", "over_grpc", "over_http"]


@dataclass(frozen=True, slots=True)
class Batch:
    """What came with one request."""

    path: str
    headers: Mapping[str, str]
    resource: Mapping[str, str]
    spans: tuple[str, ...]


@dataclass
class TraceSink:
    """Where it is, and what it got."""

    address: str = ""
    batches: list[Batch] = field(default_factory=list)

    def take_otlp(self, path: str, headers: Mapping[str, str], request: ExportTraceServiceRequest) -> None:
        """Note what a request has."""
        for one in request.resource_spans:
            resource = {said.key: said.value.string_value for said in one.resource.attributes}
            names = tuple(span.name for scope in one.scope_spans for span in scope.spans)
            self.batches.append(Batch(path, headers, resource, names))

    def take_zipkin(self, path: str, headers: Mapping[str, str], body: bytes) -> None:
        """Note what a list of spans has."""
        spans = json.loads(body)
        resource = {"service.name": spans[0]["localEndpoint"]["serviceName"]}
        self.batches.append(Batch(path, headers, resource, tuple(span["name"] for span in spans)))


@contextmanager
def over_http() -> Iterator[TraceSink]:
    """A collector that is spoken to over HTTP; Zipkin's path is `/api/v2/spans`."""
    sink = TraceSink()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Take what was sent."""
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            if self.path == "/api/v2/spans":
                sink.take_zipkin(self.path, headers, body)
                answer = b""
            else:
                sink.take_otlp(self.path, headers, ExportTraceServiceRequest.FromString(body))
                answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sink.address = f"127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield sink
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def over_grpc() -> Iterator[TraceSink]:
    """A collector that is spoken to over gRPC."""
    grpc: Any = import_module("grpc")  # has no types
    service: Any = import_module("opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc")
    sink = TraceSink()

    class Servicer(service.TraceServiceServicer):  # type: ignore[misc]  # the same
        def Export(self, request: ExportTraceServiceRequest, context: Any) -> ExportTraceServiceResponse:  # noqa: N802 - its name there
            """Take what was sent."""
            sink.take_otlp("", dict(context.invocation_metadata()), request)
            return ExportTraceServiceResponse()

    with ThreadPoolExecutor(2) as threads:
        server = grpc.server(threads)
        service.add_TraceServiceServicer_to_server(Servicer(), server)
        sink.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        try:
            yield sink
        finally:
            server.stop(None).wait()
