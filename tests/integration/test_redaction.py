"""A redactor stands before everything that tools show, and behind everything that they write back."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from asyncq import Client, Context, Inspector, Mux, Server, Task
from asyncq.errors import NotAllowedError
from asyncq.inspector import HIDDEN, Subject, hide_everything, hide_fields
from tests.conftest import AnyRedis
from tests.support.waiting import wait_until

SECRET = "4111-1111"
HOUR = timedelta(hours=1)


async def test_nothing_that_is_hidden_comes_out_of_any_room(any_redis: AnyRedis) -> None:
    """Payload, headers, result, error and progress: of tasks in pages and alone, and of entries."""
    mux = Mux()

    @mux.handle("card:")
    async def pay(task: Task, ctx: Context) -> str:
        ctx.progress(1, 2, SECRET)
        if task.type == "card:fails":
            raise ValueError(SECRET)
        return SECRET

    async with Client(any_redis.url) as client, Inspector(any_redis.url, redact=hide_everything) as inspector:
        options: Any = {"queue": "q", "headers": {"auth": SECRET}, "retention": 600}
        failed = await client.enqueue(Task("card:fails", {"card": SECRET}), max_retry=0, **options)
        paid = await client.enqueue(Task("card:pays", {"card": SECRET}), unique=600, **options)
        await client.schedules.upsert(
            "@hourly", Task("x", {"card": SECRET}), entry_id="e", headers={"a": SECRET}
        )
        async with Server(any_redis.url, queues=["q"]).running(mux):

            async def is_over() -> bool:
                sizes = (await inspector.queues.get("q")).sizes
                return sizes["archived"] == sizes["completed"] == 1

            await wait_until(is_over, "the tasks are over")
        seen: list[Any] = [await inspector.tasks.get("q", info.id) for info in (failed, paid)]
        seen += await inspector.tasks.list("q", "archived")
        seen += await inspector.schedulers.entries()
        seen += [await inspector.schedules.run_now("e")]
        seen += [await inspector.tasks.enqueue(Task("x", SECRET), queue="other", headers={"a": SECRET})]
        seen += [await inspector.schedules.get("e")]
        for info in seen:
            told = {name: getattr(info, name) for name in dir(info) if not name.startswith("_")}
            assert info.is_redacted
            assert SECRET not in repr(told), info
        assert seen[0].last_error == HIDDEN
        assert seen[1].result == HIDDEN
        assert seen[-1].payload == HIDDEN


async def test_what_is_hidden_cannot_be_searched_for(any_redis: AnyRedis) -> None:
    """A filter looks at what is shown, so that its answers tell no more than that."""
    mux = Mux()

    @mux.handle("x")
    async def fail(_: Task) -> None:
        raise ValueError(SECRET)

    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        await client.enqueue(Task("x", SECRET), queue="q", max_retry=0)
        async with Server(any_redis.url, queues=["q"]).running(mux):

            async def is_over() -> bool:
                return (await inspector.queues.get("q")).archived == 1

            await wait_until(is_over, "the tasks are over")
        blind = inspector.acting_as("val", redact=hide_everything)
        assert len(await inspector.tasks.list("q", "archived", error=SECRET)) == 1
        assert not await blind.tasks.list("q", "archived", error=SECRET)
        assert not await blind.tasks.list("q", "archived", where=lambda info: info.payload == SECRET)
        assert (await blind.tasks.delete_all("q", "archived", error=SECRET)).matched == 0


async def test_an_edit_leaves_what_is_hidden_as_it_is(any_redis: AnyRedis) -> None:
    """Whoever sends back what the form has shown does not overwrite what it has not."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        payload = {
            "user": 7,
            "card": SECRET,
            "to": [{"card": SECRET, "n": 1}],
            "deep": {"card": SECRET, "n": 1},
        }
        info = await client.enqueue(
            Task("x", payload), queue="q", process_in=HOUR, headers={"card": SECRET, "lang": "en"}
        )
        clerk = inspector.acting_as("clerk", redact=hide_fields("card"))
        form = (await clerk.tasks.get("q", info.id)).payload
        form["user"] = 8
        form["deep"]["n"] = 2
        form["new"] = True
        edited = await clerk.tasks.edit("q", info.id, payload=form, headers={"card": HIDDEN, "lang": "de"})
        assert SECRET not in repr((edited.payload, edited.headers))
        now = await inspector.tasks.get("q", info.id)
        assert now.payload == {
            **payload,
            "user": 8,
            "new": True,
            "deep": {"card": SECRET, "n": 2},
        }
        assert now.headers == {"card": SECRET, "lang": "de"}


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param({"user": 7, "card": "other", "to": [{"card": HIDDEN}]}, id="the hidden field itself"),
        pytest.param({"user": 7, "card": HIDDEN, "to": []}, id="a list that holds one"),
        pytest.param({"user": 7, "card": {"a": 1}, "to": [{"card": HIDDEN}]}, id="of another kind"),
        pytest.param("all of it", id="all of it"),
    ],
)
async def test_what_is_hidden_is_not_overwritten(redis_url: str, payload: Any) -> None:
    """Nobody knows what was there. The task stays as it is."""
    async with Client(redis_url) as client, Inspector(redis_url) as inspector:
        was = {"user": 7, "card": SECRET, "to": [{"card": SECRET}]}
        info = await client.enqueue(Task("x", was), queue="q", process_in=HOUR)
        clerk = inspector.acting_as("clerk", redact=hide_fields("card"))
        with pytest.raises(NotAllowedError, match="hidden"):
            await clerk.tasks.edit("q", info.id, payload=payload)
        assert (await inspector.tasks.get("q", info.id)).payload == was
        assert (await inspector.trail.list()).records[0].outcome == "refused"
        await clerk.tasks.edit("q", info.id, max_retry=3)  # what is not hidden may be changed


async def test_redactors_come_on_top_of_one_another(redis_url: str) -> None:
    """A view shows no more than the inspector it is made from."""

    def no_user(value: Any, subject: Subject) -> Any:
        return {**value, "user": HIDDEN} if subject.part == "payload" else value

    async with Client(redis_url) as client, Inspector(redis_url, redact=hide_fields("card")) as inspector:
        info = await client.enqueue(Task("x", {"user": 7, "card": SECRET, "n": 1}), queue="q")
        clerk = inspector.acting_as("clerk", redact=no_user)
        assert (await clerk.tasks.get("q", info.id)).payload == {"user": HIDDEN, "card": HIDDEN, "n": 1}
        same = inspector.acting_as("other")
        assert (await same.tasks.get("q", info.id)).payload == {"user": 7, "card": HIDDEN, "n": 1}


async def test_many_may_look_at_the_same_time(redis_url: str) -> None:
    """Each with a redactor of their own, on one connection."""
    async with Client(redis_url) as client, Inspector(redis_url) as inspector:
        info = await client.enqueue(Task("x", {"a": 1, "b": 2}), queue="q")
        views = [inspector.acting_as(name, redact=hide_fields(name)) for name in ("a", "b")] * 10
        found = await asyncio.gather(*(view.tasks.get("q", info.id) for view in views))
        assert [one.payload for one in found] == [{"a": HIDDEN, "b": 2}, {"a": 1, "b": HIDDEN}] * 10
