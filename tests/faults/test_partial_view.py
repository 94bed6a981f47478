"""What an operator sees while a node of a cluster is away: what the others hold, and what is missing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from time import monotonic
from typing import Any

import pytest
from click.testing import CliRunner

from asyncq import AsyncqError, Client, ConnectionOptions, Inspector, Mux, Scheduler, Server, Task
from asyncq._broker.findings import Kind
from asyncq._wire.keys import Keys
from asyncq.cli import main
from asyncq.errors import (
    BrokerUnavailableError,
    PartlyUnavailableError,
    QueueNotFoundError,
    ServerNotFoundError,
    TaskNotFoundError,
)
from asyncq.inspector import Found, Progress
from tests.support.cluster import ClusterProcesses, queue_on
from tests.support.listing import listed, put_in_each
from tests.support.servers import RedisProcess
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.cluster]

HOW = pytest.mark.parametrize("how", ["killed", "frozen"])

SOON = 0.5  # seconds: the patience of the inspector, and for one attempt to connect

LONGEST = 8.0  # for a call that waits for the node once; once for each queue there would take more

MANY = 12


@pytest.fixture
def nodes(lasting_cluster: ClusterProcesses) -> ClusterProcesses:
    """One cluster for all of these tests, each of which mends what it broke."""
    lasting_cluster.flush()
    return lasting_cluster


@contextmanager
def _away(cluster: ClusterProcesses, node: RedisProcess, how: str) -> Iterator[None]:
    (node.kill if how == "killed" else node.pause)()
    try:
        yield
    finally:
        (node.start if how == "killed" else node.resume)()
        cluster.wait_ok()


def _options(cluster: ClusterProcesses) -> ConnectionOptions:
    return replace(ConnectionOptions.from_url(cluster.url), connect_timeout=SOON)


@asynccontextmanager
async def _looking(cluster: ClusterProcesses) -> AsyncIterator[tuple[Client, Inspector]]:
    """A client, and an inspector that has seen all nodes before."""
    options = _options(cluster)
    async with Client(options) as client, Inspector(options, patience=SOON) as inspector:
        assert not (await inspector.ping()).missing
        yield client, inspector


def _named(found: Found[Any]) -> dict[str, set[str]]:
    """What is missing, by kind."""
    kinds = {missing.what for missing in found.missing}
    return {kind: {one.name for one in found.missing if one.what == kind} for kind in kinds}


async def _in_time(call: Awaitable[Any]) -> Any:
    async with asyncio.timeout(LONGEST):
        return await call


async def _refused(call: Callable[[], Awaitable[Any]], away: RedisProcess) -> PartlyUnavailableError:
    """Call without `partial`, and return the error."""
    with pytest.raises(PartlyUnavailableError) as raised:
        await _in_time(call())
    assert {missing.node for missing in raised.value.missing} == {f"127.0.0.1:{away.port}"}
    assert f"127.0.0.1:{away.port}" in str(raised.value)
    assert "partial=True" in str(raised.value)
    return raised.value


@HOW
async def test_queues_and_what_runs_in_them(nodes: ClusterProcesses, how: str) -> None:
    """A list is whole or an error, unless part of it is asked for; and then it says what it lacks."""
    away, there = nodes.nodes[2], nodes.nodes[1]  # the names of all queues are on the second one
    bad = [queue_on(nodes, away, f"bad{number}") for number in range(MANY)]
    good = queue_on(nodes, there, "good")
    begun, end = asyncio.Event(), asyncio.Event()
    mux = Mux()

    @mux.handle("t")
    async def work(task: Task) -> None:
        begun.set()
        await end.wait()

    server = Server(_options(nodes), queues={good: 1})
    async with _looking(nodes) as (client, inspector), server.running(mux):
        await put_in_each(client, (*bad, good))
        await begun.wait()
        whole = await inspector.queues.list(partial=True)
        assert [queue.name for queue in whole] == sorted([*bad, good])
        assert whole.is_whole
        with _away(nodes, away, how):
            error = await _refused(inspector.queues.list, away)
            assert {missing.name for missing in error.missing} == set(bad)
            found = await _in_time(inspector.queues.list(partial=True))
            assert [queue.name for queue in found] == [good]
            assert not found.is_whole
            assert _named(found) == {"queue": set(bad)}
            assert list(await inspector.queues.names()) == sorted([*bad, good])

            await _refused(inspector.servers.workers, away)
            began = monotonic()
            workers = await inspector.servers.workers(partial=True)
            assert monotonic() - began < LONGEST / 2  # it is known to be away
            assert [worker.queue for worker in workers] == [good]
            assert _named(workers) == {"queue": set(bad)}

            await _refused(lambda: inspector.measures.pulses([bad[0], good]), away)
            pulses = await _in_time(inspector.measures.pulses([*bad, good], partial=True))
            assert [pulse.queue for pulse in pulses] == [good]
            assert _named(pulses) == {"queue": set(bad)}

            # What lies on another node is worked on as ever, and what lies there is an error.
            assert await inspector.queues.pause(good)
            assert await inspector.queues.unpause(good)
            assert (await inspector.queues.get(good)).active == 1
            assert await inspector.groups.list(good) == []
            with pytest.raises(TaskNotFoundError):
                await _in_time(inspector.tasks.get(good, "nobody"))
            with pytest.raises(QueueNotFoundError):
                await _in_time(inspector.tasks.get(good.replace("good", "hood"), "nobody"))
            with pytest.raises(BrokerUnavailableError, match=str(away.port)):
                await _in_time(inspector.queues.get(bad[0]))
        end.set()
        again = await _in_time(inspector.queues.list())
        assert [queue.name for queue in again] == sorted([*bad, good])
        assert (await inspector.queues.list(partial=True)).is_whole


@HOW
async def test_tasks_groups_and_sizes(nodes: ClusterProcesses, how: str) -> None:
    """Also where it was said a moment ago what is there, and the node has gone since."""
    away, there = nodes.nodes[2], nodes.nodes[1]
    bad = [queue_on(nodes, away, f"bad{number}") for number in range(MANY)]
    good = queue_on(nodes, there, "good")
    async with _looking(nodes) as (client, inspector):
        for queue in (*bad, good):
            await client.enqueue(Task("t"), queue=queue)
            await client.enqueue(Task("t"), queue=queue, group="g")
            info = await client.enqueue(Task("failed"), queue=queue)
            await inspector.tasks.archive(queue, info.id)
        await listed(client)
        before = await inspector.queues.sizes()
        assert {(queue.pending, queue.archived, queue.aggregating) for queue in before} == {(1, 1, 1)}
        with _away(nodes, away, how):
            counted = await _in_time(inspector.queues.sizes(partial=True))
            assert [(queue.name, queue.pending) for queue in counted] == [(good, 1)]
            assert _named(counted) == {"queue": set(bad)}
            await _refused(inspector.queues.sizes, away)
            groups = await _in_time(inspector.groups.list(bad[0], partial=True))
            assert (list(groups), _named(groups)) == ([], {"queue": {bad[0]}})
            assert [group.name for group in await inspector.groups.list(good, partial=True)] == ["g"]
            with pytest.raises(BrokerUnavailableError, match=str(away.port)):
                await _in_time(inspector.groups.list(bad[0]))

            for among in (None, before):
                page = await _in_time(inspector.search.find(partial=True, among=among))
                assert [(task.queue, task.state) for task in page] == [
                    (good, "pending"), (good, "archived"), (good, "aggregating")
                ]  # fmt: skip
                assert {missing.name for missing in page.missing} == set(bad)
                report = await _in_time(inspector.failures.list(partial=True, among=among))
                assert [(cause.type, cause.count) for cause in report.causes] == [("failed", 1)]
                assert {missing.name for missing in report.missing} == set(bad)
                assert not report.is_complete
            for look in (inspector.search.find, inspector.failures.list):
                with pytest.raises(BrokerUnavailableError, match=str(away.port)):
                    await _in_time(look(among=before))


async def test_nodes_and_health(nodes: ClusterProcesses) -> None:
    """Which node is away, and how the others are."""
    away, there = nodes.nodes[0], nodes.nodes[1]
    bad, address = queue_on(nodes, away), f"127.0.0.1:{away.port}"
    told: list[AsyncqError | None] = []
    server = Server(
        _options(nodes),
        queues={queue_on(nodes, there): 1},
        health_check=told.append,
        health_check_interval=0.05,
    )
    async with _looking(nodes) as (_, inspector), server.running(Mux()):
        await wait_until(lambda: told and told[-1] is None, "all to be well")
        with _away(nodes, away, "frozen"):
            await wait_until(lambda: told[-1] is not None, "the trouble to be told")
            error = told[-1]
            assert isinstance(error, PartlyUnavailableError)
            assert [(one.what, one.name, one.node) for one in error.missing] == [("node", address, address)]
            pong = await _in_time(inspector.ping())
            assert [missing.node for missing in pong.missing] == [address]
            assert pong.latency < LONGEST
            await _refused(inspector.cluster.redis, away)
            found = await _in_time(inspector.cluster.redis(partial=True))
            assert {one.address for one in found} == {f"127.0.0.1:{node.port}" for node in nodes.nodes[1:]}
            assert _named(found) == {"node": {address}}
            # Where a queue lives is known also while nobody is there.
            assert [node.address for node in await _in_time(inspector.cluster.nodes(bad))] == [address]
        await wait_until(lambda: told[-1] is None, "the end to be told")


@pytest.mark.parametrize("what", ["queues", "servers", "schedulers"])
async def test_the_node_that_knows_all_names(nodes: ClusterProcesses, what: str) -> None:
    """What lies on the other nodes is found by its keys."""
    keys = Keys()
    away = nodes.owner_of(getattr(keys, what))
    there = next(node for node in nodes.nodes if node is not away)
    good, bad = queue_on(nodes, there, "good"), queue_on(nodes, away, "bad")
    nobody = next(name for name in map(str, range(99)) if nodes.owner_of(keys.server(name)) is there)
    scheduler = Scheduler(_options(nodes))
    scheduler.register("@every 1h", Task("t"), queue=good, entry_id="entry")
    async with (
        _looking(nodes) as (client, inspector),
        Server(_options(nodes), queues={good: 1}).running(Mux()),
        scheduler.running(),
    ):
        for queue in (good, bad):
            await client.enqueue(Task("t"), queue=queue, process_in=3600)

        async def are_announced() -> bool:
            return bool(await inspector.servers.list() and await inspector.schedulers.list())

        await wait_until(are_announced, "both to say that they are there")
        # They have a key of their own, which may be on any node.
        server_key = keys.server((await inspector.servers.list())[0].id)
        scheduler_key = keys.scheduler((await inspector.schedulers.list())[0].id)
        seen = {
            "queues": 1,
            "servers": int(nodes.owner_of(server_key) is not away),
            "schedulers": int(nodes.owner_of(scheduler_key) is not away),
        }
        room = {"queues": inspector.queues, "servers": inspector.servers, "schedulers": inspector.schedulers}
        look: Callable[..., Awaitable[Found[Any]]] = room[what].list
        with _away(nodes, away, "frozen"):
            with pytest.raises(BrokerUnavailableError, match=str(away.port)):
                await _in_time(look())
            found = await _in_time(look(partial=True))
            assert len(found) == seen[what]
            assert _named(found) == {"index": {what}}
            if what == "queues":
                assert found[0].name == good
                assert await _in_time(inspector.queues.pause(good))
            if what == "servers":
                # That there is no such server is known where its record would be.
                with pytest.raises(ServerNotFoundError):
                    await _in_time(inspector.servers.get(nobody))
        assert len(await look()) == (2 if what == "queues" else 1)


async def test_entries_are_listed_without_what_became_of_them(nodes: ClusterProcesses) -> None:
    """They lie on one node, what became of them on others; what is not known is not made up."""
    keys = Keys()
    there = nodes.owner_of(keys.entries.entries)
    away = next(node for node in nodes.nodes if node is not there)
    good, bad = queue_on(nodes, there, "good"), queue_on(nodes, away, "bad")
    name = next(name for name in map(str, range(99)) if nodes.owner_of(keys.history(name)) is there)
    other = next(other for other in map(str, range(99)) if nodes.owner_of(keys.history(other)) is away)
    async with _looking(nodes) as (client, inspector):
        await client.schedules.add("@every 1h", Task("t"), entry_id=name, queue=good)
        await client.schedules.add("@daily", Task("t"), entry_id=other, queue=bad)
        with _away(nodes, away, "frozen"):
            await _refused(inspector.schedulers.entries, away)
            found = await _in_time(inspector.schedulers.entries(partial=True))
            infos = {info.id: info for info in found}
            assert infos.keys() == {name, other}
            assert infos[name].next_at is not None
            assert (infos[other].spec, infos[other].queue) == ("@daily", bad)
            assert _named(found) == {"entry": {other}}
            assert await _in_time(inspector.schedulers.orphans(partial=True)) == []
        assert (await inspector.schedulers.entries()).is_whole
        with _away(nodes, there, "frozen"), pytest.raises(BrokerUnavailableError, match=str(there.port)):
            await _in_time(inspector.schedulers.entries(partial=True))


async def test_an_audit_judges_whole_queues_only(nodes: ClusterProcesses) -> None:
    """Damage there is found and repaired, and of what was not seen nothing is said but that."""
    away, there = nodes.nodes[2], nodes.nodes[1]
    good, bad = queue_on(nodes, there, "good"), queue_on(nodes, away, "bad")
    async with _looking(nodes) as (client, inspector):
        await put_in_each(client, (good, bad))
        with nodes.client() as redis:
            for queue in (good, bad):
                assert redis.lrem(Keys().queue(queue).pending, 0, "a") == 1
        with _away(nodes, away, "frozen"):
            error = await _refused(inspector.audit, away)
            assert "queue" in {missing.what for missing in error.missing}
            report = await _in_time(inspector.audit(partial=True))
            assert [(finding.kind, finding.queue) for finding in report.findings] == [(Kind.ORPHAN, good)]
            assert set(report.counts) == {good}
            assert {(missing.what, missing.name) for missing in report.missing} == {
                ("queue", bad),
                ("node", f"127.0.0.1:{away.port}"),
            }
            alone = await _in_time(inspector.audit(queues=[bad, good], partial=True))
            assert alone.examined == 1
            assert [(missing.what, missing.name) for missing in alone.missing] == [("queue", bad)]
            result = await asyncio.to_thread(_doctor, nodes)
            assert result.exit_code == 1
            assert f"damage: orphan in queue {good}" in result.output
            assert f"queue '{bad}' on 127.0.0.1:{away.port}" in result.output

            report = await _in_time(inspector.repair(report, partial=True))
            assert not report.findings
            assert report.missing
            assert not report.is_clean
            result = await asyncio.to_thread(_doctor, nodes, "--json")
            assert result.exit_code == 6
            told = json.loads(result.stdout)
            assert told["is_clean"] is False
            assert bad in {one["name"] for one in told["missing"]}
            assert list(told["queues"]) == [good]
        report = await inspector.audit()
        assert [(finding.kind, finding.queue) for finding in report.findings] == [(Kind.ORPHAN, bad)]


async def test_commands_show_what_the_others_hold(nodes: ClusterProcesses) -> None:
    """In a shell, too: a table without the rest, what is missing beside it, and exit code 6."""
    away, there = nodes.nodes[2], nodes.nodes[1]
    good, bad = queue_on(nodes, there, "good"), queue_on(nodes, away, "bad")
    async with _looking(nodes) as (client, _):
        for name in (bad, good):
            await client.enqueue(Task("x", task_id=f"in-{name}"), queue=name)

    def look() -> None:
        for command in (["queue", "ls"], ["stats"], ["server", "ls", "-w"], ["cron", "ls"]):
            result = _command(nodes, *command)
            assert result.exit_code in (0, 6), result.output
            if command[0] in ("queue", "stats"):
                assert result.exit_code == 6
                assert good in result.stdout
                assert f"127.0.0.1:{away.port}" in result.stderr
        items = json.loads(_command(nodes, "queue", "ls", "--json").stdout)
        assert [item["name"] for item in items["items"]] == [good]
        assert items["missing"]
        assert _command(nodes, "task", "show", f"in-{good}").exit_code == 0
        assert _command(nodes, "task", "show", "nobody").exit_code == 5
        assert _command(nodes, "queue", "show", bad).exit_code == 5

    with _away(nodes, away, "killed"):
        await asyncio.to_thread(look)


def _command(cluster: ClusterProcesses, *arguments: str) -> Any:
    url = f"{cluster.url}?connect_timeout={SOON}"
    return CliRunner().invoke(main, [*arguments, "--url", url, "--patience", str(SOON)])


def _doctor(cluster: ClusterProcesses, *more: str) -> Any:
    return CliRunner().invoke(main, ["doctor", "--url", f"{cluster.url}?connect_timeout={SOON}", *more])


async def test_a_node_that_goes_away_in_the_middle_of_an_audit(nodes: ClusterProcesses) -> None:
    """What was seen of its queues until then proves nothing."""
    away, there = nodes.nodes[2], nodes.nodes[1]
    good, bad = queue_on(nodes, there, "good"), queue_on(nodes, away, "bad")
    async with _looking(nodes) as (client, inspector):
        await put_in_each(client, (good, bad))
        with nodes.client() as redis:
            redis.delete(Keys().queue(bad).task("a"))  # a ghost is left in the pending list

        steps: list[str] = []

        def freeze(progress: Progress) -> None:
            if progress.step.startswith(bad):
                steps.append(progress.step)
                away.pause()

        try:
            report = await _in_time(inspector.audit(partial=True, on_progress=freeze))
        finally:
            away.resume()
        assert len(steps) == 1
        assert report.findings == []
        assert set(report.counts) == {good}
        assert {missing.name for missing in report.missing} == {bad}
