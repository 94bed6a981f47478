"""Traces across the queue, by OpenTelemetry: who sent a task, who ran it, and how often.

    client = Client(url, middleware=[tracing.producer()])
    mux.use(tracing.consumer())

With `meter_provider=` both count as well.

Needs the extra `otel`, which is the API alone; what is done with spans is set up by the program, with an
SDK of its choice. Without one nothing is recorded, and next to nothing paid.
"""

from __future__ import annotations

from importlib.util import find_spec

if find_spec("opentelemetry") is None:  # pragma: no cover - the tests have it
    advice = 'asyncq.tracing needs OpenTelemetry: pip install "asyncq[otel]"'
    raise ImportError(advice)

from asyncq.tracing.carrying import carried, carrier
from asyncq.tracing.consuming import consumer
from asyncq.tracing.gathering import aggregator
from asyncq.tracing.logs import TraceFilter
from asyncq.tracing.producing import batch, producer

__all__ = ["TraceFilter", "aggregator", "batch", "carried", "carrier", "consumer", "producer"]
