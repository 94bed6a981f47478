"""Metrics for Prometheus: of one server, and of the whole.

A server shows what it did itself, and every server does; what stands in the queues is shown once, by an
exporter, or it would be counted once for each server.

    from asyncq.metrics import add_metrics

    server = Server("redis://localhost:6379/0", probes="0.0.0.0:8081")
    add_metrics(server)  # http://...:8081/metrics
"""

from __future__ import annotations

try:
    import prometheus_client as _needed
except ModuleNotFoundError as _error:
    if _error.name != "prometheus_client":
        raise
    _text = 'asyncq.metrics needs prometheus-client: pip install "asyncq[metrics]"'
    raise ModuleNotFoundError(_text, name="prometheus_client") from None

from asyncq.metrics.exporter import Exporter
from asyncq.metrics.server import ServerCollector, add_metrics

__all__ = ["Exporter", "ServerCollector", "add_metrics"]

del _needed
