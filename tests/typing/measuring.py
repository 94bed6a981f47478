"""Numbers, as a program reads them. Checked by the type checkers, and never run."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import assert_type

from prometheus_client import REGISTRY

from asyncq import Inspector, Server
from asyncq.inspector import Found
from asyncq.measures import MeasuredPoint, Outcome, ServerMeasures, Spread, TypeMeasures, TypeSummary
from asyncq.metrics import Exporter, ServerCollector, add_metrics


def of_a_server(server: Server) -> None:
    """What one server did."""
    measures = server.measures()
    assert_type(measures, ServerMeasures)
    assert_type(measures.types, tuple[TypeMeasures, ...])
    one = measures.types[0]
    assert_type(one.wait, Spread)
    assert_type(one.run.percentile(95), float)
    outcome: Outcome = "done"
    assert_type(one.count(outcome), int)
    assert_type(measures.started_at, datetime)
    REGISTRY.register(ServerCollector(server))
    add_metrics(server, REGISTRY)


async def of_all(inspector: Inspector) -> None:
    """What all servers did."""
    points = await inspector.measures.history("mail", since=timedelta(hours=1), step=300)
    assert_type(points, Found[MeasuredPoint])
    assert_type(points[0].throughput, float)
    assert_type(await inspector.measures.types(since=3600), Found[TypeSummary])


async def of_the_whole(inspector: Inspector) -> None:
    """A page of one's own."""
    exporter = Exporter(inspector, interval=10)
    assert_type(await exporter.render("text/plain"), tuple[bytes, str])
