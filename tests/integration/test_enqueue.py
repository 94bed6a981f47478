"""Enqueueing: what lands in Redis for each option, who is refused, and how few calls it takes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from redis import Redis

from asyncq._wire import native
from asyncq._wire.keys import Keys
from asyncq._wire.messages import Claim, NewTask
from asyncq.client import Client
from asyncq.codecs import Codecs, JsonCodec
from asyncq.errors import (
    ClosedError,
    ConfigError,
    DuplicateTaskError,
    PayloadError,
    TaskIdConflictError,
)
from asyncq.options import TaskOptions
from asyncq.task import Task
from tests.conftest import AnyRedis
from tests.support.census import take_census
from tests.support.keyspace import snapshot
from tests.support.proxy import Proxy
from tests.support.servers import RedisProcess

_SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
_MD5 = hashlib.md5(b"\x81\xa1n\x01", usedforsecurity=False).hexdigest()


def _about(moment: datetime) -> Any:
    return pytest.approx(moment.timestamp(), abs=10)


def _now() -> datetime:
    return datetime.now(UTC)


def _envelope(client: Any, task_id: str, queue: str = "default") -> dict[str, Any]:
    """Return what of the stored envelope differs from the default, beside type and payload."""
    raw = client.hget(f"asyncq:{{{queue}}}:t:{task_id}", "msg")
    envelope = native.decode(raw)
    plain = type(envelope)(envelope.type, envelope.payload, enqueued_at=envelope.enqueued_at)
    names = envelope.__slots__
    return {
        name: getattr(envelope, name) for name in names if getattr(envelope, name) != getattr(plain, name)
    }


async def test_a_plain_task_on_every_kind_of_redis(any_redis: AnyRedis) -> None:
    """Word by word, and nothing else but the receipt."""
    async with Client(any_redis.url) as client:
        info = await client.enqueue(Task("email:welcome", {"n": 1}))
    assert (info.queue, info.type, info.state, info.payload) == (
        "default",
        "email:welcome",
        "pending",
        {"n": 1},
    )
    assert len(info.id) == 22
    found = snapshot(any_redis.client, without=(":receipt:",))
    task = found.pop(f"asyncq:{{default}}:t:{info.id}")
    assert set(task) == {"msg"}
    assert found == {
        "asyncq:queues": {"default"},
        "asyncq:{default}:pending": [info.id],
        "asyncq:{default}:flow": {"created": "1"},
    }
    assert _envelope(any_redis.client, info.id) == {"codec": "msgpack"}


@pytest.mark.parametrize(
    ("options", "stored"),
    [
        ({"max_retry": 0}, {"max_retry": 0}),
        ({"max_retry": 7}, {"max_retry": 7}),
        ({"timeout": 0.5}, {"timeout": 0.5}),
        ({"timeout": timedelta(minutes=1)}, {"timeout": 60.0}),
        ({"timeout": float("inf")}, {"timeout": 0.0}),
        ({"deadline": _SOON}, {"deadline": _SOON.timestamp(), "timeout": 0.0}),
        ({"deadline": _SOON, "timeout": 5}, {"deadline": _SOON.timestamp(), "timeout": 5.0}),
        ({"retention": 60}, {"retention": 60.0}),
        ({"headers": {"trace": "ü", "empty": ""}}, {"headers": {"trace": "ü", "empty": ""}}),
        ({"expires_at": _SOON}, {"expires_at": _SOON.timestamp()}),
        ({"retry": "patient"}, {"retry_policy": "patient"}),
    ],
)
async def test_options_that_travel_with_the_task(
    redis_url: str, redis_client: Redis, options: dict[str, Any], stored: dict[str, Any]
) -> None:
    """Given with the call, with the task, or as the client's defaults: the same is stored."""
    async with (
        Client(redis_url, defaults=cast("Any", options)) as by_default,
        Client(redis_url) as client,
    ):
        infos = [
            await client.enqueue(Task("t", b"raw"), **cast("Any", options)),
            await client.enqueue(Task("t", b"raw", **cast("Any", options))),
            await by_default.enqueue(Task("t", b"raw")),
        ]
    for info in infos:
        assert _envelope(redis_client, info.id) == stored
    assert take_census(redis_client).counts == {"pending": 3}


async def test_options_said_later_win(redis_url: str, redis_client: Redis) -> None:
    """Defaults of the client, then those of the task, then those of the call; headers are merged."""
    async with Client(redis_url, defaults={"max_retry": 1, "timeout": 1, "headers": {"a": "1"}}) as client:
        task = Task("t", b"", max_retry=2, headers={"b": "2"})
        info = await client.enqueue(task, timeout=3, headers={"c": "3"})
    assert _envelope(redis_client, info.id) == {
        "max_retry": 2,
        "timeout": 3.0,
        "headers": {"a": "1", "b": "2", "c": "3"},
    }


@pytest.mark.parametrize("payload", [None, b"", b"\x00\xff", {"n": 1}, [1, "x"], "text", 0])
async def test_payloads_arrive_as_they_were_given(
    redis_url: str, redis_client: Redis, payload: object
) -> None:
    """Bytes as they are; no payload at all is no bytes."""
    async with Client(redis_url) as client:
        info = await client.enqueue(Task("t", payload))
        assert info.payload == (payload if payload != b"" else info.payload)
    raw = redis_client.hget(f"asyncq:{{default}}:t:{info.id}", "msg")
    assert isinstance(raw, bytes)
    if isinstance(payload, bytes):
        assert native.decode(raw).payload == payload


async def test_the_clients_codec_writes_and_is_named(redis_url: str, redis_client: Redis) -> None:
    """So that servers read each task by the codec it was written with."""
    async with Client(redis_url, codecs=Codecs(JsonCodec())) as client:
        info = await client.enqueue(Task("t", {"n": 1}))
    assert _envelope(redis_client, info.id) == {"codec": "json"}


@pytest.mark.parametrize(
    ("option", "due"),
    [
        ({"process_in": 3600}, lambda: _now() + timedelta(hours=1)),
        ({"process_in": timedelta(hours=1)}, lambda: _now() + timedelta(hours=1)),
        ({"process_at": _SOON}, lambda: _SOON),
        ({"process_at": _SOON.astimezone()}, lambda: _SOON),
    ],
)
async def test_delayed_tasks_are_scheduled(
    any_redis: AnyRedis, option: dict[str, Any], due: Callable[[], datetime]
) -> None:
    """For an instant or after a while."""
    async with Client(any_redis.url) as client:
        info = await client.enqueue(Task("t"), queue="other", **option)
    assert info.state == "scheduled"
    assert info.next_process_at is not None
    assert info.next_process_at.timestamp() == _about(due())
    census = take_census(any_redis.client, "other")
    assert census.counts == {"scheduled": 1}
    assert snapshot(any_redis.client)["asyncq:{other}:scheduled"] == {info.id: _about(due())}


@pytest.mark.parametrize("option", [{"process_in": 0}, {"process_at": datetime(2001, 1, 1, tzinfo=UTC)}])
async def test_what_is_due_already_is_pending(
    redis_url: str, redis_client: Redis, option: dict[str, Any]
) -> None:
    """It need not wait for a forwarder."""
    async with Client(redis_url) as client:
        info = await client.enqueue(Task("t"), **option)
    assert info.state == "pending"
    assert take_census(redis_client).counts == {"pending": 1}


async def test_a_group_gathers(redis_url: str, redis_client: Redis) -> None:
    """To be aggregated later."""
    async with Client(redis_url) as client:
        info = await client.enqueue(Task("t"), group="g")
    assert info.state == "aggregating"
    found = snapshot(redis_client)
    assert found["asyncq:{default}:g:g"] == {info.id: _about(_now())}
    assert found["asyncq:{default}:groups"] == {"g"}


# -- uniqueness and ids -----------------------------------------------------------------------------


async def test_a_unique_task_is_alone(any_redis: AnyRedis) -> None:
    """By queue, type and payload."""
    async with Client(any_redis.url) as client:
        first = await client.enqueue(Task("t", {"n": 1}), unique=60)
        with pytest.raises(DuplicateTaskError) as caught:
            await client.enqueue(Task("t", {"n": 1}), unique=60)
        assert (caught.value.queue, caught.value.type) == ("default", "t")
        for other in (Task("t", {"n": 2}), Task("u", {"n": 1}), Task("t", {"n": 1}, queue="q"), Task("t")):
            await client.enqueue(other, unique=60)
        await client.enqueue(Task("t", {"n": 1}))  # does not ask to be alone
    lock = f"asyncq:{{default}}:unique:t:{_MD5}"
    found = snapshot(any_redis.client)
    assert found[lock] == first.id
    assert 0 < cast("Any", any_redis.client).pttl(lock) <= 60_000
    assert take_census(any_redis.client).counts == {"pending": 5}


async def test_a_unique_task_that_was_deleted_holds_nobody_up(redis_url: str, redis_client: Redis) -> None:
    """A day's lock without a task behind it would be a day without the task."""
    async with Client(redis_url) as client:
        first = await client.enqueue(Task("t"), unique=86400)
        redis_client.delete(f"asyncq:{{default}}:t:{first.id}")
        second = await client.enqueue(Task("t"), unique=86400)
    assert redis_client.get("asyncq:{default}:unique:t:") == second.id.encode()


async def test_an_id_is_taken_once(any_redis: AnyRedis) -> None:
    """Whatever the payload; and in each queue anew."""
    async with Client(any_redis.url) as client:
        # In a cluster the name of the queue is elsewhere and written later; closing waits for it.
        await client.enqueue(Task("t", 1), task_id="mine")
    before = snapshot(any_redis.client, without=(":receipt:",))
    async with Client(any_redis.url) as client:
        for task in (Task("t", 1), Task("t", 2), Task("u", 1, process_in=60), Task("u", 1, unique=60)):
            with pytest.raises(TaskIdConflictError) as caught:
                await client.enqueue(task, task_id="mine")
            assert (caught.value.queue, caught.value.task_id) == ("default", "mine")
        assert snapshot(any_redis.client, without=(":receipt:",)) == before
        await client.enqueue(Task("t", 1), task_id="mine", queue="other")


# -- what is wrong is said before anything is sent -----------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"queue": ""}, ["queue"]),
        ({"queue": "a{b}"}, ["queue", "braces"]),
        ({"task_id": "  "}, ["task_id"]),
        ({"process_at": datetime(2030, 1, 1)}, ["process_at", "naive"]),  # noqa: DTZ001 - what is tested
        ({"process_in": -1}, ["process_in"]),
        ({"process_in": 1, "process_at": _SOON}, ["not both"]),
        ({"unique": 0}, ["unique"]),
        ({"max_retry": -1, "timeout": -1}, ["max_retry", "timeout", "2 values"]),
        ({"que": "x"}, ["que", "'queue'"]),
        ({"process_at": _SOON, "deadline": _SOON}, ["deadline", "after the task is due"]),
    ],
)
async def test_wrong_options_are_refused_before_anything_is_sent(
    redis_url: str, redis_client: Redis, options: dict[str, Any], words: list[str]
) -> None:
    """All of them, in one error; nothing is half-written, and nobody is connected to."""
    async with Client(redis_url) as client:
        with pytest.raises(ConfigError) as caught:
            await client.enqueue(Task("t"), **options)
    for word in words:
        assert word in str(caught.value)
    assert snapshot(redis_client) == {}


@pytest.mark.parametrize("task", ["t", None, {"type": "t"}, object()])
async def test_what_is_no_task_is_refused(redis_url: str, task: Any) -> None:
    """With a sentence and not with a missing attribute."""
    async with Client(redis_url) as client:
        with pytest.raises(ConfigError, match="a Task"):
            await client.enqueue(task)


@pytest.mark.parametrize(("size", "fits"), [(99, True), (100, True), (101, False)])
async def test_payloads_have_a_limit(redis_url: str, redis_client: Redis, *, size: int, fits: bool) -> None:
    """Redis blocks everybody while it copies a large value."""
    async with Client(redis_url, max_payload=100) as client:
        if fits:
            await client.enqueue(Task("t", b"x" * size))
        else:
            with pytest.raises(PayloadError, match="101"):
                await client.enqueue(Task("t", b"x" * size))
        with pytest.raises(PayloadError):
            await client.enqueue(Task("t", object()))
    assert take_census(redis_client).created == int(fits)


async def test_a_closed_client_stays_closed(redis_url: str) -> None:
    """And may be closed again."""
    client = Client(redis_url)
    await client.enqueue(Task("t"))
    await client.aclose()
    await client.aclose()
    with pytest.raises(ClosedError):
        await client.enqueue(Task("t"))


# -- many -----------------------------------------------------------------------------------------


async def test_what_was_prepared_goes_with_what_was_not(any_redis: AnyRedis) -> None:
    """Also to a Redis that does not know the script yet, and more than one call holds."""
    any_redis.client.script_flush()
    async with Client(any_redis.url) as client:
        await client.ping()
        area = client._connected().enqueue  # noqa: SLF001 - as a scheduler does
        tasks = [(Task("x", n), TaskOptions(task_id=f"ahead {n}")) for n in range(620)]
        composed = [client._compose(*task) for task in tasks]  # noqa: SLF001 - as above
        first, *others = [area.prepare(new) for new in composed]
        assert (await first()).word == "pending"
        waiting = [send() for send in others]
        await client.enqueue(Task("x"), task_id="between")
        assert {(await future).word for future in waiting} == {"pending"}
        await client.enqueue(Task("x"), task_id="behind")
    queue = Keys().queue("default")
    ids: Any = any_redis.client.lrange(queue.pending, 0, -1)
    # They have two lanes of their own, so what is enqueued meanwhile stands somewhere between them.
    assert sorted(ids) == sorted(
        f"{name}".encode() for name in (*[f"ahead {n}" for n in range(620)], "between", "behind")
    )
    assert ids[0] == b"behind"
    assert ids[-1] == b"ahead 0"


async def test_what_was_prepared_is_sent_once_though_answers_are_lost(
    redis_process: RedisProcess, redis_client: Redis
) -> None:
    """Each of the two lanes has a receipt: the one's call does not count as sent with the other's."""
    with Proxy(redis_process) as proxy:
        async with Client(proxy.url) as client:
            await client.ping()
            area = client._connected().enqueue  # noqa: SLF001 - as a scheduler does
            composed = [client._compose(Task("x", n), {}) for n in range(900)]  # noqa: SLF001 - as above
            sends = [area.prepare(new) for new in composed]
            assert (await sends[0]()).word == "pending"
            proxy.lose_reply("EVALSHA", times=2)
            waiting = [send() for send in sends[1:]]
            assert {(await future).word for future in waiting} == {"pending"}
            assert not area.is_busy
    queue = Keys().queue("default")
    assert redis_client.llen(queue.pending) == 900
    assert redis_client.hget(queue.flow, "created") == b"900"


async def test_a_time_that_nobody_waits_for_any_more_is_not_claimed(
    redis_url: str, redis_client: Any
) -> None:
    """When Redis is back after an hour, it must not get each time that schedulers gave up meanwhile."""
    async with Client(redis_url) as client:
        await client.ping()
        area = client._connected().enqueue  # noqa: SLF001 - as a scheduler does
        tasks: list[NewTask] = []
        for name in ("first", "given up", "ahead and given up", "last"):
            new = client._compose(Task("x"), TaskOptions(task_id=name))  # noqa: SLF001 - as above
            new.claim = Claim(name, nominal=1.0, gap=0.0, keep=60, task_id=name)
            tasks.append(new)
        first, second = area.submit(tasks[0]), area.submit(tasks[1])
        third = area.prepare(tasks[2])()
        second.cancel()
        third.set_exception(TimeoutError())
        assert (await first).word == "pending"
        assert isinstance(third.exception(), TimeoutError)
        await area.drain()
        assert (await area.submit(tasks[3])).word == "pending"
    queue = Keys().queue("default")
    assert redis_client.lrange(queue.pending, 0, -1) == [b"last", b"first"]
    assert redis_client.exists(queue.tick("given up"), queue.tick("ahead and given up")) == 0
