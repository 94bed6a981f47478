"""Numbers as families of metrics: bounded labels, and values that mean what they say."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import pytest

from asyncq import Server
from asyncq.errors import ConfigError
from asyncq.inspector import QueueInfo, SchedulerInfo, ServerInfo
from asyncq.measures import BOUNDS, Spread
from asyncq.metrics import Exporter, ServerCollector, add_metrics
from asyncq.metrics.families import BUCKETS, Families
from asyncq.metrics.whole import OTHER, Labels, Look, families_of

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
_STATES = ("pending", "active", "scheduled", "retry", "archived", "completed", "aggregating")


def _queue(name: str, *, latency: float = 0.0, paused: bool = False, **sizes: int) -> QueueInfo:
    return QueueInfo(
        name=name,
        sizes=MappingProxyType({state: sizes.get(state, 0) for state in _STATES}),
        groups=0,
        orphaned=0,
        latency=latency,
        processed_total=10,
        failed_total=2,
        processed=1,
        failed=0,
        is_paused=paused,
        paused_at=None,
        is_being_removed=False,
        at=NOW,
    )


def _server(concurrency: int, *queues: str, status: str = "active") -> ServerInfo:
    return ServerInfo(
        id="s",
        host="h",
        pid=1,
        name="",
        status=status,
        concurrency=concurrency,
        active=1,
        queues=dict.fromkeys(queues, 1),
        strict_priority=False,
        lease=30.0,
        types=(),
        started_at=NOW,
    )


def _values(look: Look, labels: Labels | None = None) -> dict[tuple[str, tuple[str, ...]], float]:
    families = families_of(look, (labels or Labels(100)).of(look.queues), namespace="asyncq")
    return {
        (sample.name.removeprefix("asyncq_"), tuple(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


def test_the_figure_to_scale_by() -> None:
    """Work for each slot: of a queue by the servers that serve it, and of all by all."""
    queues = [_queue("mail", pending=30, active=10, scheduled=99, completed=99), _queue("slow", pending=7)]
    values = _values(Look(NOW, queues, [_server(5, "mail", "low"), _server(15, "mail", status="stopped")]))
    assert values["queue_slots", ("mail",)] == 20
    assert values["queue_load", ("mail",)] == 2.0
    assert values["load", ()] == 47 / 20
    assert (values["queue_slots", ("slow",)], values["queue_load", ("slow",)]) == (0, 7)
    assert (values["servers", ("active",)], values["servers", ("stopped",)]) == (1, 1)
    assert (values["slots", ()], values["slots_busy", ()]) == (20, 2)
    assert values["queue_size", ("mail",)] == 238
    assert values["tasks_enqueued_total", ("mail", "scheduled")] == 99


def test_there_is_an_end_to_queues() -> None:
    """The largest have labels; of the others the sums are shown, and the longest wait."""
    labels = Labels(1)
    queues = [
        _queue("a", pending=1, latency=3),
        _queue("b", pending=9),
        _queue("c", pending=2, latency=5, paused=True),
    ]
    values = _values(Look(NOW, queues), labels)
    assert {key[1] for key in values if key[0] == "queue_size"} == {("b",), (OTHER,)}
    assert values["queue_size", (OTHER,)] == 3
    assert values["queue_latency_seconds", (OTHER,)] == 5
    assert values["tasks_processed_total", (OTHER,)] == 20
    assert values["queue_paused_total", (OTHER,)] == 1


def test_a_queue_stays_where_it_was_put() -> None:
    """Counters that go down are a restart to Prometheus."""
    labels = Labels(2)
    assert labels.of([_queue("a", pending=5), _queue("b", pending=4), _queue("c")]) == {
        "a": "a",
        "b": "b",
        "c": OTHER,
    }
    grown = [_queue("a"), _queue("b"), _queue("c", pending=100), _queue("d", pending=7)]
    assert labels.of(grown) == {"a": "a", "b": "b", "c": OTHER, "d": OTHER}
    assert labels.of([_queue("b"), _queue("c"), _queue("e")]) == {"b": "b", "c": OTHER, "e": "e"}


def test_schedulers_by_health_and_the_worst_lateness() -> None:
    """There is no leader: every scheduler does the same, and one of them enqueues each time."""

    def scheduler(health: str, late: float | None) -> SchedulerInfo:
        return SchedulerInfo(
            id="s",
            host="h",
            pid=1,
            name="",
            status="running",
            started_at=NOW,
            timezone="UTC",
            entries=3,
            synced_at=None,
            sync_error="no" if health == "stalled" else "",
            health=health,
            overdue_since=None if late is None else NOW - timedelta(seconds=late),
        )

    values = _values(
        Look(NOW, schedulers=[scheduler("ok", None), scheduler("stalled", 90), scheduler("ok", 5)])
    )
    assert (values["schedulers", ("ok",)], values["schedulers", ("stalled",)]) == (2, 1)
    assert values["scheduler_lateness_seconds", ()] == 90
    assert values["scheduler_sync_failing", ()] == 1
    assert _values(Look(NOW))["scheduler_lateness_seconds", ()] == 0


def test_buckets_are_cumulative_and_end_with_all() -> None:
    """As Prometheus wants them; the sum is that of the times."""
    counts = [0] * (len(BOUNDS) + 1)
    counts[BOUNDS.index(0.002)] = 3
    counts[BOUNDS.index(0.1)] = 1
    counts[-1] = 2
    families = Families("x")
    families.spread("wait_seconds", "How long.", Spread(tuple(counts), 12.5), queue="q")
    families.spread("wait_seconds", "How long.", Spread(), queue="r")
    (family,) = families.all()
    buckets = {
        float(one.labels["le"]): one.value
        for one in family.samples
        if one.name == "x_wait_seconds_bucket" and one.labels["queue"] == "q"
    }
    assert list(buckets) == [*BUCKETS, math.inf]
    assert list(buckets.values()) == sorted(buckets.values())
    assert (buckets[0.001], buckets[0.0025], buckets[0.1], buckets[10_000.0], buckets[math.inf]) == (
        0,
        3,
        4,
        4,
        6,
    )
    sums = {one.labels["queue"]: one.value for one in family.samples if one.name == "x_wait_seconds_sum"}
    assert sums == {"q": 12.5, "r": 0.0}


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"listen": "nowhere"}, "listen"),
        ({"namespace": "a-b"}, "namespace"),
        ({"namespace": ""}, "namespace"),
        ({"max_queues": -1}, "max_queues"),
        ({"timeout": 0}, "timeout"),
        ({"interval": "5"}, "interval"),
        ({"memory_interval": -1}, "memory_interval"),
        ({"wire": "morse"}, "wire"),
    ],
)
def test_options_are_checked(options: dict[str, Any], wrong: str) -> None:
    """Before anything is opened."""
    with pytest.raises(ConfigError, match=rf"^{wrong}\b"):
        Exporter("redis://localhost:1", **options)


def test_servers_of_one_process_have_different_names() -> None:
    """Else nobody could tell their numbers apart. One without a door has no page."""
    one, other = Server("redis://localhost:1"), Server("redis://localhost:1", name="other")
    assert list(ServerCollector(one, other).collect()) == []
    with pytest.raises(ConfigError, match=r"^name\b"):
        ServerCollector(one, one)
    with pytest.raises(ConfigError, match="probes"):
        add_metrics(one)
