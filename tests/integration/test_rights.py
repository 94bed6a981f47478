"""Every method that changes something, for somebody who may, may not, and may elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from asyncq import Client, Inspector, Mux, Server, Task
from asyncq.entries import PeriodicTask
from asyncq.errors import (
    ConfigError,
    EntryNotFoundError,
    NotAllowedError,
    QueueNotFoundError,
    ServerNotFoundError,
    TaskNotFoundError,
)
from asyncq.inspector import RIGHTS, Report, Rights
from asyncq.inspector.rights import CHANGES
from tests.conftest import AnyRedis
from tests.support.keyspace import snapshot
from tests.support.listing import listed
from tests.support.waiting import wait_until

Call = Callable[[Inspector], Awaitable[object]]

HOUR = timedelta(hours=1)


def _calls(done: str = "", waits: str = "", report: Report | None = None) -> dict[str, Call]:
    """A call of each method, upon the queue `q` with an archived and a scheduled task, and the entry `e`."""
    put = Task("put")
    return {
        "tasks.run": lambda it: it.tasks.run("q", waits),
        "tasks.run_all": lambda it: it.tasks.run_all("q", "scheduled"),
        "tasks.archive": lambda it: it.tasks.archive("q", waits),
        "tasks.archive_all": lambda it: it.tasks.archive_all("q", "scheduled"),
        "tasks.delete": lambda it: it.tasks.delete("q", done),
        "tasks.cancel_all": lambda it: it.tasks.cancel_all("q", "scheduled"),
        "tasks.delete_all": lambda it: it.tasks.delete_all("q", "archived", type="d*"),
        "tasks.apply": lambda it: it.tasks.apply("delete", "q", [done, waits]),
        "tasks.cancel": lambda it: it.tasks.cancel("q", waits),
        "tasks.edit": lambda it: it.tasks.edit("q", waits, max_retry=1),
        "tasks.reschedule": lambda it: it.tasks.reschedule("q", waits, delay=7200),
        "tasks.enqueue": lambda it: it.tasks.enqueue(put, queue="q"),
        "tasks.enqueue_many": lambda it: it.tasks.enqueue_many([Task("put", queue="q")] * 2),
        "queues.pause": lambda it: it.queues.pause("q"),
        "queues.unpause": lambda it: it.queues.unpause("q"),
        "queues.remove": lambda it: it.queues.remove("q", force=True),
        "schedules.add": lambda it: it.schedules.add("@daily", put, entry_id="new", queue="q"),
        "schedules.upsert": lambda it: it.schedules.upsert("@daily", put, entry_id="e", queue="q"),
        "schedules.upsert_many": lambda it: it.schedules.upsert_many(
            [PeriodicTask("@daily", put, id=name, queue="q") for name in ("e", "f")]
        ),
        "schedules.pause": lambda it: it.schedules.pause("e", "night"),
        "schedules.resume": lambda it: it.schedules.resume("e"),
        "schedules.run_now": lambda it: it.schedules.run_now("e"),
        "schedules.remove": lambda it: it.schedules.remove("e"),
        "inspector.repair": lambda it: it.repair(report or Report(), queues=["q"]),
    }


def _needed(method: str) -> str:
    return "task.delete" if method == "tasks.apply" else CHANGES[method][0]


@asynccontextmanager
async def _scene(
    any_redis: AnyRedis, *, paused: bool = True
) -> AsyncIterator[tuple[Inspector, dict[str, Call]]]:
    """The queue `q` with a task of each kind, damaged and paused, and an entry."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        done = await client.enqueue(Task("done"), queue="q", process_in=HOUR)
        await inspector.tasks.archive("q", done.id)
        waits = await client.enqueue(Task("waits", {"n": 1}), queue="q", process_in=HOUR)
        await client.schedules.upsert("@hourly", Task("entry"), entry_id="e", queue="q")
        if paused:
            await inspector.queues.pause("q")
        any_redis.client.sadd("asyncq:{q}:groups", "nothing in it")
        report = await inspector.audit(queues=["q"])
        assert report.findings
        yield inspector, _calls(done.id, waits.id, report)


async def _refused(look: Call, inspector: Inspector) -> str:
    """The right that is said to be missing; empty when none was."""
    try:
        await look(inspector)
    except NotAllowedError as error:
        return error.right
    return ""


def test_each_method_of_the_table_is_called() -> None:
    """One that is not in here is not proven."""
    assert set(_calls()) == set(CHANGES)


@pytest.mark.parametrize("method", CHANGES)
async def test_a_change_needs_its_right_and_no_other(any_redis: AnyRedis, method: str) -> None:
    """Without it nothing is changed, and nothing is told but in the trail; with it alone, it is done."""
    right = _needed(method)
    lacking = Rights.of(*(name for name in RIGHTS if name != right))
    elsewhere = Rights.of(right, queues=["other", "qq*"])
    async with _scene(any_redis, paused=method != "queues.pause") as (inspector, calls):
        before = snapshot(any_redis.client)
        for rights in (lacking, elsewhere, Rights.viewer()):
            with pytest.raises(NotAllowedError, match=right) as caught:
                await calls[method](inspector.acting_as("eve", rights=rights))
            assert (caught.value.actor, caught.value.right) == ("eve", right)
        after = snapshot(any_redis.client)
        refused = after.pop("asyncq:trail")
        assert after == before
        assert [(one["actor"], one["outcome"], one["action"]) for one in refused] == [
            ("eve", "refused", right)
        ] * 3

        await calls[method](inspector.acting_as("ann", rights=Rights.of(right, queues=["q"])))
        after = snapshot(any_redis.client)
        trail = after.pop("asyncq:trail")[3:]
        assert after != before
        assert {one["actor"] for one in trail} == {"ann"}
        assert trail[-1]["outcome"] == "done"


async def test_a_right_can_be_asked_for_before(any_redis: AnyRedis) -> None:
    """Whoever has it passes without a trace; what is refused is noted as if it had been tried."""
    async with Inspector(any_redis.url) as inspector:
        for right in RIGHTS:
            may = inspector.acting_as("ann", rights=Rights.of(right, queues=["q"]))
            await may.require(right)
            await may.require(right, "q", target="t")
            eve = f"eve without {right}"
            lacking = Rights.of(*(name for name in RIGHTS if name != right))
            for it in (inspector.acting_as(eve, rights=lacking), may.acting_as(eve)):
                with pytest.raises(NotAllowedError, match=right) as caught:
                    await it.require(right, "other", target="t")
                assert (caught.value.actor, caught.value.right) == (eve, right)
            noted = [
                (one.action, one.queue, one.target, one.outcome)
                for one in await inspector.trail.list(actor=eve)
            ]
            # Who may not look is told so, and no more: looking is not noted.
            times = 0 if right in ("view", "trail") else 2
            assert noted == [(right, "other", "t", "refused")] * times
        assert not await inspector.trail.list(actor="ann")


async def test_a_right_that_is_none_is_said(any_redis: AnyRedis) -> None:
    """With the one that was meant."""
    async with Inspector(any_redis.url) as inspector:
        with pytest.raises(ConfigError, match=r"task\.run"):
            await inspector.require("task.rum")


async def test_looking_needs_the_right_to_look(any_redis: AnyRedis) -> None:
    """Every room says no to somebody with all rights but this one."""
    async with _scene(any_redis) as (inspector, _):
        blind = inspector.acting_as("eve", rights=Rights.of(*(name for name in RIGHTS if name != "view")))
        looks: list[Call] = [
            lambda it: it.tasks.list("q", "archived"),
            lambda it: it.tasks.get("q", "id"),
            lambda it: anext(it.tasks.iterate("q", "archived")),
            lambda it: it.tasks.run_all("q", "archived", dry_run=True),
            lambda it: it.queues.names(),
            lambda it: it.queues.list(),
            lambda it: it.queues.get("q"),
            lambda it: it.queues.history("q"),
            lambda it: it.queues.memory("q"),
            lambda it: it.groups.list("q"),
            lambda it: it.groups.get("q", "g"),
            lambda it: it.servers.list(),
            lambda it: it.servers.get("id"),
            lambda it: it.servers.workers(),
            lambda it: it.schedulers.list(),
            lambda it: it.schedulers.entries(),
            lambda it: it.schedulers.orphans(),
            lambda it: it.schedulers.go_entries(),
            lambda it: it.schedulers.entry("e"),
            lambda it: it.schedulers.events("e"),
            lambda it: it.schedules.list(),
            lambda it: anext(it.schedules.iterate()),
            lambda it: it.schedules.history("e"),
            lambda it: it.cluster.nodes("q"),
            lambda it: it.cluster.redis(),
            lambda it: it.audit(),
        ]
        assert [await _refused(look, blind) for look in looks] == ["view"] * len(looks)
        with pytest.raises(NotAllowedError, match="trail"):
            await inspector.acting_as("eve", rights=Rights.of("view")).trail.list()


async def test_a_count_of_what_would_be_done_is_a_look(any_redis: AnyRedis) -> None:
    """It changes nothing, so it needs no more, and leaves no trace."""
    async with _scene(any_redis) as (inspector, _):
        viewer = inspector.acting_as("val", rights=Rights.viewer())
        assert (await viewer.tasks.delete_all("q", "archived", dry_run=True)).matched == 1
        assert not await viewer.trail.list()


async def test_other_queues_are_refused_and_left_out(any_redis: AnyRedis) -> None:
    """Nobody learns by a hint what a list leaves out."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        ours = await client.enqueue(Task("x"), queue="mail-eu")
        theirs = await client.enqueue(Task("x"), queue="mail-us")
        await listed(client)
        for name in ("mail-eu", "mail-us"):
            await client.schedules.upsert("@hourly", Task("x"), entry_id=f"of {name}", queue=name)
        it = inspector.acting_as("ann", rights=Rights.all(queues=["*-eu"]))
        assert await it.queues.names() == ["mail-eu"]
        assert [info.name for info in await it.queues.list()] == ["mail-eu"]
        assert [info.id for info in await it.schedulers.entries()] == ["of mail-eu"]
        assert [info.id for info in await it.schedules.list()] == ["of mail-eu"]
        assert {*(await it.audit()).counts} == {"mail-eu"}
        looks: list[Call] = [
            lambda it: it.queues.get("mail-us"),
            lambda it: it.tasks.get("mail-us", theirs.id),
            lambda it: it.tasks.list("mail-us", "pending"),
            lambda it: it.servers.workers(queue="mail-us"),
            lambda it: it.schedules.get("of mail-us"),
            lambda it: it.schedulers.entries(queue="mail-us"),
            lambda it: it.audit(queues=["mail-eu", "mail-us"]),
            lambda it: it.queues.get("not there at all"),
        ]
        assert [await _refused(look, it) for look in looks] == ["view"] * len(looks)
        with pytest.raises(QueueNotFoundError) as no_queue:
            await it.tasks.get("mail-e-eu", "id")
        assert no_queue.value.near == ("mail-eu",)
        with pytest.raises(TaskNotFoundError) as no_task:
            await it.tasks.get("mail-eu", theirs.id)
        assert no_task.value.elsewhere == ()
        with pytest.raises(EntryNotFoundError) as no_entry:
            await it.schedules.get("of mail")
        assert no_entry.value.near == ()
        assert (await it.tasks.get("mail-eu", ours.id)).id == ours.id


async def test_an_entry_is_not_moved_out_of_or_into_other_queues(any_redis: AnyRedis) -> None:
    """Both the queue that it leaves and the one where it goes are asked for."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        await client.schedules.upsert("@hourly", Task("x"), entry_id="theirs", queue="b")
        await client.schedules.upsert("@hourly", Task("x"), entry_id="ours", queue="a")
        it = inspector.acting_as("ann", rights=Rights.all(queues=["a"]))
        for entry_id, queue in (("theirs", "a"), ("ours", "b"), ("new", "b")):
            with pytest.raises(NotAllowedError, match="'b'"):
                await it.schedules.upsert("@daily", Task("x"), entry_id=entry_id, queue=queue)
            with pytest.raises(NotAllowedError, match="'b'"):
                await it.schedules.upsert_many([PeriodicTask("@daily", Task("x"), id=entry_id, queue=queue)])
        assert {info.spec for info in await inspector.schedules.list()} == {"@hourly"}
        await it.schedules.upsert("@daily", Task("x"), entry_id="ours", queue="a")
        with pytest.raises(NotAllowedError):
            await it.schedules.history("theirs")


async def test_servers_are_shown_by_the_queues_that_may_be_seen(any_redis: AnyRedis) -> None:
    """A server that serves none of them is not there; of another one the other queues are not."""
    async with Inspector(any_redis.url) as inspector:
        both = Server(any_redis.url, queues=["a", "b"], name="both")
        other = Server(any_redis.url, queues=["b"], name="other")
        it = inspector.acting_as("ann", rights=Rights.viewer(queues=["a"]))
        async with both.running(Mux()), other.running(Mux()):

            async def are_there() -> bool:
                return len(await inspector.servers.list()) == 2

            await wait_until(are_there, "both servers said that they are there")
            (seen,) = await it.servers.list()
            assert (seen.name, {*seen.queues}) == ("both", {"a"})
            (hidden,) = [info for info in await inspector.servers.list() if info.name == "other"]
            with pytest.raises(ServerNotFoundError) as caught:
                await it.servers.get(hidden.id)
            assert caught.value.near == ()


async def test_a_view_is_never_more_than_what_it_is_made_from(redis_url: str) -> None:
    """Whoever holds one can ask it for another one."""
    async with Inspector(redis_url, rights=Rights.operator(queues=["a*"]), actor="tool") as inspector:
        view = inspector.acting_as("ann", rights=Rights.all(queues=["*b"]))
        assert view.rights.names == Rights.operator().names
        assert [queue for queue in ("ab", "a", "b") if view.rights.sees(queue)] == ["ab"]
        assert (view.actor, view.via, inspector.actor) == ("ann", "python", "tool")


async def test_closing_a_view_closes_nothing(redis_url: str) -> None:
    """One is made for each request, and the connection is everybody's."""
    async with Inspector(redis_url) as inspector:
        async with inspector.acting_as("ann") as view:
            assert await view.queues.names() == []
        assert await view.queues.names() == []
        assert await inspector.queues.names() == []


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        ({"actor": ""}, "actor"),
        ({"actor": "two\nlines"}, "actor"),
        ({"actor": "x" * 201}, "actor"),
        ({"actor": "ann", "rights": "all"}, "rights"),
        ({"actor": "ann", "via": "\x1b[31m"}, "via"),
        ({"actor": "ann", "redact": "all"}, "redact"),
    ],
)
def test_who_acts_is_checked(arguments: dict[str, Any], option: str) -> None:
    """Names go into logs and onto terminals."""
    inspector = Inspector("redis://localhost:1")
    with pytest.raises(ConfigError) as caught:
        inspector.acting_as(**arguments)
    assert caught.value.option == option
