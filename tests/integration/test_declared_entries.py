"""What code declares and what is stored: reconciled, and nobody fights."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from asyncq import Client, PeriodicTask, PeriodicTaskManager, Scheduler, Task
from asyncq.errors import (
    ConfigError,
    EntryDeclaredError,
    EntryExistsError,
    EntryNotFoundError,
)
from tests.integration.following import ids, look, release, shown
from tests.support.waiting import wait_until


async def test_two_releases_side_by_side_do_not_fight(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A rolling deploy: the later start wins, nothing is an orphan before the old release is gone."""
    caplog.set_level(logging.INFO)
    async with Client(redis_url) as client:
        old = release(redis_url, a="@hourly", b="@hourly")
        async with old.running():
            new = release(redis_url, a="@daily", c="@daily")
            async with new.running():
                await wait_until(
                    lambda: next(e.spec for e in old.entries if e.id == "a") == "@daily",
                    "the old one to follow",
                )
                for _ in range(2):
                    await look(old, new)
                both = {name: (spec, "code", False) for name, spec in (("a", "@daily"), ("b", "@hourly"))}
                assert await shown(client, **both, c=("@daily", "code", False))()
                assert (ids(old), ids(new)) == (["a", "b"], ["a", "c"])
                await old.shutdown()
                await look(new)
                stored = await client.schedules.get("b")
                assert (stored.is_orphan, stored.next_at, ids(new)) == (True, None, ["a", "c"])
                assert "declared by no code that runs" in caplog.text
        # A roll-back: the old code is there again, and what it declares with it.
        async with release(redis_url, a="@hourly", b="@hourly").running() as back:
            await look(back)
            assert await shown(
                client,
                a=("@hourly", "code", False),
                b=("@hourly", "code", False),
                c=("@daily", "code", True),
            )()


async def test_what_is_left_alone_declares_what_it_says(redis_url: str) -> None:
    """The old release crashed and came back last; when it has gone, the new one puts its own back."""
    async with Client(redis_url) as client, release(redis_url, a="@daily").running() as new:
        async with release(redis_url, a="@hourly").running() as old:
            await look(new, old)
            assert (await client.schedules.get("a")).spec == "@hourly"
        await look(new)
        assert (await client.schedules.get("a")).spec == "@daily"
        assert new.entries[0].spec == "@daily"


async def test_orphans_are_removed_where_it_is_wanted(redis_url: str) -> None:
    """Those of this application, and those alone; what a client has put stays."""
    async with Client(redis_url) as client:
        await client.schedules.add("@daily", Task("by hand"), entry_id="mine")
        async with Scheduler(redis_url, application="other").running() as other:
            other.register("@daily", Task("other"), entry_id="other")
            await look(other)
        async with release(redis_url, a="@daily", b="@daily").running():
            pass
        scheduler = Scheduler(redis_url, application="shop", orphans="remove")
        scheduler.register("@daily", Task("a"), entry_id="a")
        async with scheduler.running():
            await look(scheduler)
            assert sorted(info.id for info in await client.schedules.list()) == ["a", "mine", "other"]
        with pytest.raises(ConfigError, match="an application"):
            Scheduler(redis_url, orphans="remove")


async def test_an_unregistered_entry_is_removed_when_nobody_else_has_it(redis_url: str) -> None:
    """Also where orphans are only reported: somebody has said so."""
    async with Client(redis_url) as client, release(redis_url, a="@daily").running() as one:
        one.register("@daily", Task("b"), entry_id="b")
        await wait_until(
            shown(client, a=("@daily", "code", False), b=("@daily", "code", False)), "it to be stored"
        )
        async with release(redis_url, a="@daily", b="@daily").running() as two:
            one.unregister("b")
            await look(one, two)
            assert (ids(one), ids(two)) == (["a"], ["a", "b"])
            two.unregister("b")
            await look(two, one)
            await wait_until(shown(client, a=("@daily", "code", False)), "it to be removed")
        with pytest.raises(EntryNotFoundError, match="did you mean 'a'"):
            one.unregister("aa")


async def test_an_id_that_a_client_has_used_is_refused_at_the_start(redis_url: str) -> None:
    """Two definitions under one id are a mistake that somebody has to look at."""
    async with Client(redis_url) as client:
        await client.schedules.add("@hourly", Task("by hand"), entry_id="a")
        with pytest.raises(EntryExistsError, match="'a'"):
            await release(redis_url, a="@daily").start()
        assert (await client.schedules.get("a")).origin == "client"
        scheduler = Scheduler(redis_url, application="shop")
        scheduler.register("@daily", Task("a"), entry_id="a", replace=True)
        async with scheduler.running():
            assert await shown(client, a=("@daily", "code", False))()
            with pytest.raises(EntryDeclaredError, match="'shop'"):
                await client.schedules.upsert("@hourly", Task("by hand"), entry_id="a")
            with pytest.raises(EntryDeclaredError):
                await client.schedules.upsert_many([PeriodicTask("@hourly", Task("by hand"), id="a")])
            with pytest.raises(EntryDeclaredError):
                await client.schedules.remove("a")
            other = Scheduler(redis_url, application="other")
            other.register("@hourly", Task("a"), entry_id="a")
            with pytest.raises(EntryDeclaredError, match="'shop'"):
                await other.start()
            # While it runs, too: known here before anything is sent, unless it is to be replaced.
            scheduler.register("@hourly", Task("a"), entry_id="a", replace=True)
            await wait_until(shown(client, a=("@hourly", "code", False)), "the new definition")
        # When nothing of that application runs, its entries are anybody's.
        assert (await client.schedules.upsert("@daily", Task("b"), entry_id="a")).origin == "client"
        await client.schedules.remove("a")


async def test_a_conflict_that_comes_later_is_said_and_ends(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A provider cannot be refused in the middle of the night."""
    async with Client(redis_url) as client:
        rows = [PeriodicTask("@daily", Task("a"), id="a")]
        manager = PeriodicTaskManager(redis_url, lambda: rows, sync_interval=3600)
        async with manager.running():
            await client.schedules.add("@hourly", Task("by hand"), entry_id="b")
            await wait_until(lambda: ids(manager) == ["a", "b"], "what the client has put")
            rows.append(PeriodicTask("@daily", Task("b"), id="b"))
            await manager.sync()
            await wait_until(lambda: "a client has put" in caplog.text, "the conflict")
            await look(manager)
            assert caplog.text.count("a client has put") == 1
            assert (await client.schedules.get("b")).origin == "client"
            await client.schedules.remove("b")
            await wait_until(
                shown(client, a=("@daily", "code", False), b=("@daily", "code", False)), "the provider's"
            )


async def test_two_applications_may_declare_the_same(redis_url: str) -> None:
    """It is stored once, nobody takes it from the other, and who is left has it."""
    async with Client(redis_url) as client, release(redis_url, a="@daily").running() as shop:
        renamed = Scheduler(redis_url, application="store")
        renamed.register("@daily", Task("a"), entry_id="a")
        async with renamed.running():
            before = await client.schedules.get("a")
            await look(shop, renamed, shop, renamed)
            assert await client.schedules.get("a") == before
            assert (before.application, ids(shop), ids(renamed)) == ("shop", ["a"], ["a"])
            await shop.shutdown()
            await look(renamed)
            assert (await client.schedules.get("a")).application == "store"


async def test_what_is_registered_while_others_run_is_no_orphan_to_them(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """That there is somebody who declares it is said before it is stored, however late a heartbeat is."""
    caplog.set_level(logging.INFO)
    one, two = release(redis_url, a="@daily"), release(redis_url, a="@daily")
    async with Client(redis_url) as client, one.running(), two.running():
        actors: Any = one._acting  # noqa: SLF001 - its heartbeat is late
        await actors.herald.stop()
        one.register("@daily", Task("b"), entry_id="b")
        await actors.follower.tick()
        await look(two)
        assert not (await client.schedules.get("b")).is_orphan
        assert "declared by no code" not in caplog.text
