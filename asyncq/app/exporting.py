"""Hands spans to whoever collects them. What that needs is installed by those who want it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from asyncq.app.service_conf import ServiceConf, TelemetryConf
from asyncq.errors import ConfigError


def begin_traces(conf: ServiceConf) -> Any:
    """Set up the tracer provider of the program, and return it; `None` when there are to be no traces.

    Raises:
        ConfigError: It cannot be done.
        ModuleNotFoundError: A package is missing; the text says which.
    """
    telemetry = conf.telemetry
    if telemetry.disabled or not telemetry.endpoint:
        return None
    trace = _needed("opentelemetry.trace", "opentelemetry-api")
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        expected = "no tracer provider beside it, and this program has one; or Disabled: true"
        raise ConfigError("telemetry", telemetry.endpoint, expected)
    exporter = _EXPORTERS[telemetry.batcher](telemetry)
    sdk = _needed("opentelemetry.sdk.trace", "opentelemetry-sdk")
    export = import_module("opentelemetry.sdk.trace.export")
    sampling = import_module("opentelemetry.sdk.trace.sampling")
    resources = import_module("opentelemetry.sdk.resources")
    said = {"service.name": telemetry.name or conf.name, "deployment.environment.name": conf.mode}
    provider = sdk.TracerProvider(
        resource=resources.Resource.create(said),
        sampler=sampling.ParentBased(sampling.TraceIdRatioBased(telemetry.sampler)),
    )
    provider.add_span_processor(export.BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return provider


def _needed(module: str, package: str) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        text = f"Telemetry needs {package}: pip install {package}"
        raise ModuleNotFoundError(text, name=error.name) from None


def _otlp_grpc(telemetry: TelemetryConf) -> Any:
    package = "opentelemetry-exporter-otlp-proto-grpc"
    module = _needed("opentelemetry.exporter.otlp.proto.grpc.trace_exporter", package)
    headers = tuple(telemetry.otlp_headers.items()) or None
    is_secure = telemetry.endpoint.startswith("https://")
    return module.OTLPSpanExporter(endpoint=telemetry.endpoint, insecure=not is_secure, headers=headers)


def _otlp_http(telemetry: TelemetryConf) -> Any:
    package = "opentelemetry-exporter-otlp-proto-http"
    module = _needed("opentelemetry.exporter.otlp.proto.http.trace_exporter", package)
    url = telemetry.endpoint
    if "://" not in url:
        path = telemetry.otlp_http_path or "/v1/traces"
        scheme = "https" if telemetry.otlp_http_secure else "http"
        url = f"{scheme}://{url}/{path.lstrip('/')}"
    return module.OTLPSpanExporter(endpoint=url, headers=dict(telemetry.otlp_headers) or None)


def _zipkin(telemetry: TelemetryConf) -> Any:
    module = _needed("opentelemetry.exporter.zipkin.json", "opentelemetry-exporter-zipkin-json")
    return module.ZipkinExporter(endpoint=telemetry.endpoint)


def _file(telemetry: TelemetryConf) -> Any:
    export = _needed("opentelemetry.sdk.trace.export", "opentelemetry-sdk")
    try:
        out = Path(telemetry.endpoint).open("a", encoding="utf-8")  # noqa: SIM115 - closed with the exporter
    except OSError as error:
        expected = f"a file that can be written: {error.strerror}"
        raise ConfigError("telemetry.endpoint", telemetry.endpoint, expected) from error

    class ToFile(export.ConsoleSpanExporter):  # type: ignore[misc, name-defined]  # it is imported when needed
        """Closes its file at the end."""

        def shutdown(self) -> None:
            """Close it."""
            out.close()

    return ToFile(out=out, formatter=_line)


def _line(span: Any) -> str:
    return f"{span.to_json(indent=None)}\n"


def _jaeger(telemetry: TelemetryConf) -> Any:
    expected = "'otlpgrpc' with port 4317, or 'otlphttp' with 4318: Jaeger's own protocol has gone out of use"
    raise ConfigError("telemetry.batcher", telemetry.batcher, expected)


_EXPORTERS: Final[Mapping[str, Callable[[TelemetryConf], Any]]] = {
    "otlpgrpc": _otlp_grpc,
    "otlphttp": _otlp_http,
    "zipkin": _zipkin,
    "file": _file,
    "jaeger": _jaeger,
}
