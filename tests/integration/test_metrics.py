"""Pages for Prometheus, of real servers and of the whole, read by Prometheus' own parsers."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Iterable

import pytest
from prometheus_client import CollectorRegistry, Counter, Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from asyncq import Client, Inspector, Mux, Scheduler, Server, Task
from asyncq.errors import NotStartedError
from asyncq.metrics import Exporter, ServerCollector, add_metrics
from tests.conftest import AnyRedis
from tests.support.listing import listed
from tests.support.proxy import Proxy
from tests.support.servers import RedisProcess
from tests.support.waiting import wait_until

_Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


async def _get(url: str, accept: str = "") -> tuple[str, str]:
    """A page as a scraper gets it, and its type."""

    def get() -> tuple[str, str]:
        request = urllib.request.Request(url, headers={"Accept": accept} if accept else {})  # noqa: S310 - http
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - http
            return answer.read().decode(), answer.headers["Content-Type"]

    return await asyncio.to_thread(get)


def _samples(families: Iterable[Metric]) -> _Samples:
    found: _Samples = {}
    for family in families:
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, key
            found[key] = sample.value
    return found


async def _scrape(url: str) -> _Samples:
    """Both formats parse, and say the same of what does not change by looking."""
    text, kind = await _get(url)
    assert kind.startswith("text/plain; version=0.0.4")
    found = _samples(text_string_to_metric_families(text))
    modern, kind = await _get(url, OPENMETRICS)
    assert kind.startswith("application/openmetrics-text")
    assert _samples(openmetrics.text_string_to_metric_families(modern)).keys() >= found.keys()
    return found


def _of(samples: _Samples, name: str, **labels: str) -> float:
    """The sum of those that have these labels."""
    matching = [
        value for (one, its), value in samples.items() if one == name and set(labels.items()) <= set(its)
    ]
    assert matching, (name, labels)
    return sum(matching)


def _mux() -> Mux:
    mux = Mux()

    @mux.handle("fine")
    async def fine(task: Task) -> None:
        """Succeed."""

    @mux.handle("fails")
    async def fails(task: Task) -> None:
        raise OSError("no")

    mux.handle("any:")(fine)
    return mux


async def test_a_server_shows_what_it_did(any_redis: AnyRedis) -> None:
    """And what the program has of its own, on one page."""
    own = CollectorRegistry()
    Counter("shop_sales", "Sales.", registry=own).inc(3)
    server = Server(any_redis.url, probes="127.0.0.1:0", concurrency=5, name="front")
    add_metrics(server, own)
    async with Client(any_redis.url) as client, server.running(_mux()):
        for kind in ("fine", "fine", "fails"):
            await client.enqueue(Task(kind))
        await wait_until(lambda: server.measures().processed == 3, "them to be done")
        found = await _scrape(f"{server.probes_url}/metrics")
    assert _of(found, "asyncq_task_outcomes_total", type="fine", outcome="done", server="front") == 2
    assert _of(found, "asyncq_task_outcomes_total", type="fails", outcome="retried", queue="default") == 1
    assert _of(found, "asyncq_task_outcomes_total") == 3
    assert _of(found, "asyncq_task_run_seconds_count") == 3
    assert _of(found, "asyncq_task_wait_seconds_bucket", le="+Inf") == 3
    assert _of(found, "asyncq_server_slots") == 5
    assert _of(found, "shop_sales_total") == 3
    assert list(ServerCollector(server).collect()) == []


async def test_hostile_types_are_bounded_and_text(redis_url: str) -> None:
    """Who enqueues decides what types there are: not how many lines a page has, nor what is in them."""
    server = Server(redis_url, probes="127.0.0.1:0", concurrency=50, measured_types=20, unknown_delay=600)
    add_metrics(server)
    odd = ['any:"} 1\n# EOF\n', "any:\\", "any:\x00", "any:" + "x" * 5000, "any:ü", "any:{}", "any:\r\n"]
    async with Client(redis_url) as client, server.running(_mux()):
        for kind in [*odd, *(f"any:{number}" for number in range(60))]:
            await client.enqueue(Task(kind))
        for number in range(60):
            await client.enqueue(Task(f"nobody:{number}"))

        def all_is_counted() -> bool:
            measures = server.measures()
            put_back = sum(one.count("put_back") for one in measures.types)
            return measures.processed == len(odd) + 60 and put_back == 60

        await wait_until(all_is_counted, "all to be counted")
        found = await _scrape(f"{server.probes_url}/metrics")
    types = {dict(labels)["type"] for name, labels in found if name == "asyncq_task_outcomes_total"}
    assert len(types) == 21
    assert max(map(len, types)) <= 120
    assert _of(found, "asyncq_task_outcomes_total", outcome="done") == len(odd) + 60
    assert _of(found, "asyncq_task_outcomes_total", outcome="put_back", type="other") == 60


async def test_the_exporter_shows_what_there_is(any_redis: AnyRedis) -> None:
    """As asynq's does, and who works on it."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        for _ in range(3):
            await client.enqueue(Task("fine"), queue="low")
        await client.enqueue(Task("fine"), queue="low", process_in=3600)
        await inspector.queues.pause("low")
        await client.enqueue(Task("fails"))
        await listed(client)
        server = Server(any_redis.url, queues={"default": 1, "low": 1}, concurrency=4)
        exporter = Exporter(any_redis.url, listen="127.0.0.1:0", interval=0, timeout=30)
        async with server.running(_mux()), Scheduler(any_redis.url).running(), exporter:
            await wait_until(lambda: server.measures().processed == 1, "it to fail")

            async def both_are_shown() -> bool:
                return bool(await inspector.servers.list() and await inspector.schedulers.list())

            await wait_until(both_are_shown, "server and scheduler to say that they are there")
            found = await _scrape(exporter.url)
            assert found["asyncq_up", ()] == 1
            low = {"queue": "low"}
            assert _of(found, "asyncq_queue_size", **low) == 4
            assert _of(found, "asyncq_tasks_enqueued_total", state="pending", **low) == 3
            assert _of(found, "asyncq_tasks_enqueued_total", state="scheduled", **low) == 1
            assert _of(found, "asyncq_queue_paused_total", **low) == 1
            assert 0 < _of(found, "asyncq_queue_latency_seconds", **low) < 600
            assert _of(found, "asyncq_queue_memory_usage_approx_bytes", **low) > 0
            assert _of(found, "asyncq_queue_slots", **low) == 4
            assert _of(found, "asyncq_queue_load", **low) == 0.75
            assert _of(found, "asyncq_tasks_processed_total", queue="default") == 1
            assert _of(found, "asyncq_tasks_failed_total", queue="default") == 1
            assert _of(found, "asyncq_servers") == 1
            assert _of(found, "asyncq_schedulers", health="ok") == 1
            assert _of(found, "asyncq_redis_memory_bytes") > 0
            assert _of(found, "asyncq_missing") == 0


async def test_many_who_scrape_cost_redis_one_look(redis_process: RedisProcess, redis_url: str) -> None:
    """And none within the interval. Nobody asks for the memory of what was weighed just now."""
    async with Client(redis_url) as client:
        await client.enqueue(Task("fine"))
    with Proxy(redis_process) as proxy:
        async with Exporter(proxy.url, listen="127.0.0.1:0", interval=60, timeout=30) as exporter:
            await asyncio.gather(*(exporter.render() for _ in range(20)))
            first = proxy.commands.total()
            await asyncio.gather(*(_get(exporter.url) for _ in range(5)))
            assert proxy.commands.total() == first
        async with Exporter(proxy.url, listen="127.0.0.1:0", interval=0, timeout=30) as exporter:
            await exporter.render()
            before = proxy.commands.copy()
            await exporter.render()
            assert (proxy.commands - before).total() <= 12


async def test_a_redis_that_does_not_answer_is_said_in_time(
    redis_process: RedisProcess, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing else is shown then: old numbers would look like true ones. Later it is there again."""
    with Proxy(redis_process) as proxy:
        async with (
            Client(redis_url) as client,
            Exporter(proxy.url, listen="127.0.0.1:0", interval=0, timeout=0.3) as exporter,
        ):
            await client.enqueue(Task("fine"))
            proxy.freeze()
            found = await _scrape(exporter.url)
            assert (found["asyncq_up", ()], found["asyncq_exporter_looks_failed_total", ()]) == (0, 1)
            assert not [name for name, _ in found if "queue" in name]
            assert any(getattr(record, "event", "") == "scrape_failed" for record in caplog.records)
            proxy.thaw()

            async def is_back() -> bool:
                return (await _scrape(exporter.url))["asyncq_up", ()] == 1

            await wait_until(is_back, "it to be seen again")


async def test_the_names_of_asynq(redis_url: str, redis_client: Redis) -> None:
    """Boards that people have for Go's exporter go on."""
    del redis_client
    async with Client(redis_url) as client, Inspector(redis_url) as inspector:
        await client.enqueue(Task("fine"))
        exporter = Exporter(inspector, listen="127.0.0.1:0", namespace="asynq", timeout=30)
        with pytest.raises(NotStartedError):
            assert exporter.url
        async with exporter:
            names = {name for name, _ in await _scrape(exporter.url)}
        assert (await inspector.queues.get("default")).size == 1
    assert names >= {
        "asynq_queue_size",
        "asynq_queue_latency_seconds",
        "asynq_queue_memory_usage_approx_bytes",
        "asynq_tasks_enqueued_total",
        "asynq_tasks_processed_total",
        "asynq_tasks_failed_total",
        "asynq_queue_paused_total",
    }
