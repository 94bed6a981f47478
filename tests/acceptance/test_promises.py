"""The promises of docs/concepts/delivery.md that only client, Redis and server can keep together."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, Final

import pytest
from redis import Redis

from asyncq import Client, Context, Mux, Server, Task
from asyncq.errors import TaskIdConflictError
from asyncq.retry import Fixed
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.acceptance]

NEVER: Final = 3600.0


def _field(redis: Redis, task_id: str, field: str, queue: str = "default") -> str:
    value: Any = redis.hget(f"asyncq:{{{queue}}}:t:{task_id}", field)
    return "" if value is None else value.decode(errors="replace")


def _quiet_mux(*types: str) -> Mux:
    mux = Mux()

    async def do_nothing(_: Task) -> None:
        """Succeed."""

    for type_ in types or ("work",):
        mux.handle(type_, do_nothing)
    return mux


async def test_a_task_is_there_when_enqueue_returns(redis_url: str, redis_client: Redis) -> None:
    """What a web request answers with "accepted" must not depend on anything that comes later."""
    async with Client(redis_url) as client:
        info = await client.enqueue(Task("work", {"n": 1}))
        assert redis_client.lrange("asyncq:{default}:pending", 0, -1) == [info.id.encode()]
        with pytest.raises(TaskIdConflictError):
            await client.enqueue(Task("work", {"n": 2}), task_id=info.id)


async def test_a_server_takes_no_more_than_it_can_run(redis_url: str, redis_client: Redis) -> None:
    """What a busy server holds back, an idle one cannot run."""
    gate, mux = asyncio.Event(), Mux()
    running = Counter[str]()

    @mux.handle("work")
    async def work(_: Task) -> None:
        running["now"] += 1
        running["most"] = max(running["most"], running["now"])
        await gate.wait()
        running["now"] -= 1

    async with Client(redis_url) as client, Server(redis_url, concurrency=3).running(mux):
        for _ in range(10):
            await client.enqueue(Task("work"))
        await wait_until(lambda: running["now"] == 3, "three tasks at work")
        assert redis_client.zcard("asyncq:{default}:lease") == 3
        assert redis_client.llen("asyncq:{default}:pending") == 7
        gate.set()
        await wait_until(lambda: redis_client.get("asyncq:{default}:processed") == b"10", "all to be done")
    assert running["most"] == 3


async def test_a_task_may_run_for_longer_than_its_lease(redis_url: str, redis_client: Redis) -> None:
    """The lease proves that the server lives; it is no limit of time."""
    began, mux = Counter[str](), Mux()
    leases: set[float] = set()
    gate = asyncio.Event()

    @mux.handle("work")
    async def work(task: Task) -> None:
        began[task.id] += 1
        await gate.wait()

    def ends_seen() -> int:
        found: Any = redis_client.zrange("asyncq:{default}:lease", 0, -1, withscores=True)
        leases.update(score for _, score in found)
        return len(leases)

    async with (
        Client(redis_url) as client,
        Server(redis_url, lease=1.0).running(mux),
        Server(redis_url, lease=1.0).running(mux),
    ):
        info = await client.enqueue(Task("work"))
        # Renewed every third of it: with seven ends at least two leases have passed.
        await wait_until(lambda: ends_seen() >= 7, "the lease to be renewed again and again")
        gate.set()
        await wait_until(
            lambda: redis_client.get("asyncq:{default}:processed") == b"1", "the task to be done"
        )
    assert began == {info.id: 1}


async def test_an_expired_task_is_dropped_and_told(redis_url: str, redis_client: Redis) -> None:
    """A one-time code that is mailed an hour late helps nobody."""
    expired: list[str] = []
    async with Client(redis_url) as client:
        info = await client.enqueue(Task("work"), expires_in=0.05)
        await wait_until(lambda: not _is_before(redis_client, info.expires_at), "the task to expire")
        server = Server(redis_url, on_expired=lambda task: expired.append(task.id))
        async with server.running(_quiet_mux()):
            await wait_until(lambda: expired == [info.id], "on_expired to be told")
            await wait_until(
                lambda: not redis_client.exists(f"asyncq:{{default}}:t:{info.id}"), "the task to be dropped"
            )
    assert redis_client.get("asyncq:{default}:processed") is None
    assert redis_client.hget("asyncq:{default}:flow", "expired") == b"1"


def _is_before(redis: Redis, instant: Any) -> bool:
    seconds, micros = redis.time()  # type: ignore[misc]
    return bool(seconds + micros / 1e6 < instant.timestamp())


async def test_a_task_is_retried_and_then_archived_with_its_error(
    redis_url: str, redis_client: Redis
) -> None:
    """The attempts are counted, and the last error stays for whoever looks."""
    attempts: list[int] = []
    mux = Mux()

    @mux.handle("work")
    async def work(_: Task, ctx: Context) -> None:
        attempts.append(ctx.attempt)
        raise OSError(f"attempt {ctx.attempt}")

    async with Client(redis_url) as client, Server(redis_url, retry=Fixed(0.01)).running(mux):
        info = await client.enqueue(Task("work"), max_retry=2)
        await wait_until(lambda: _field(redis_client, info.id, "state") == "archived", "the archive")
    assert attempts == [1, 2, 3]
    assert _field(redis_client, info.id, "error") == "OSError: attempt 3"
    assert _field(redis_client, info.id, "reason") == "exhausted"
    assert redis_client.get("asyncq:{default}:failed") == b"3"


class _Unprintable(Exception):  # noqa: N818 - it is what a handler raises
    def __str__(self) -> str:
        raise ValueError("no text for you")


@pytest.mark.parametrize(
    "raised",
    [
        SystemExit(3),
        KeyboardInterrupt(),
        GeneratorExit(),
        asyncio.CancelledError(),
        ExceptionGroup("several", [OSError("one"), ValueError("two")]),
        BaseExceptionGroup("several", [SystemExit(1)]),
        _Unprintable(),
        StopIteration(),
        RecursionError(),
    ],
    ids=lambda raised: type(raised).__name__,
)
async def test_whatever_a_handler_raises_stays_with_its_task(
    redis_url: str, redis_client: Redis, raised: BaseException
) -> None:
    """One bad handler must not be the end of a server and of the others in it."""
    mux, gate = Mux(), asyncio.Event()

    @mux.handle("bad")
    async def bad(_: Task) -> None:
        raise raised

    @mux.handle("good")
    async def good(_: Task) -> None:
        await gate.wait()

    async with Client(redis_url) as client, Server(redis_url, concurrency=2).running(mux):
        await client.enqueue(Task("good"))
        info = await client.enqueue(Task("bad"), max_retry=0)
        await wait_until(lambda: _field(redis_client, info.id, "state") == "archived", "the archive")
        assert redis_client.zcard("asyncq:{default}:lease") == 1, "the other one still runs"
        gate.set()
        await wait_until(lambda: redis_client.hget("asyncq:{default}:flow", "done") == b"1", "the other one")


async def test_the_archive_says_what_it_drops(
    redis_url: str, redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """A dead letter that vanishes in silence is a loss that nobody notices."""
    dropped: list[tuple[str, list[str]]] = []
    mux = Mux()

    @mux.handle("work")
    async def work(_: Task) -> None:
        raise OSError("no")

    async with Client(redis_url) as client:
        async with Server(redis_url).running(mux):
            infos = [await client.enqueue(Task("work"), max_retry=0) for _ in range(3)]
            await wait_until(lambda: redis_client.zcard("asyncq:{default}:archived") == 3, "the archive")
        server = Server(
            redis_url, archive_max_count=1, on_dropped=lambda queue, ids: dropped.append((queue, ids))
        )
        async with server.running(mux):
            await wait_until(lambda: dropped, "on_dropped to be told")
    (queue, ids), *more = dropped
    assert (queue, more) == ("default", [])
    assert len(ids) == 2
    assert set(ids) < {info.id for info in infos}
    assert redis_client.hget("asyncq:{default}:flow", "trimmed") == b"2"
    assert "archive_trimmed" in {getattr(record, "event", "") for record in caplog.records}


async def test_a_leaving_server_hands_its_task_back_at_once(redis_url: str, redis_client: Redis) -> None:
    """A deploy costs no retry, and nobody waits for a lease of an hour."""
    mux, seen = Mux(), asyncio.Queue[tuple[int, int]]()

    @mux.handle("work")
    async def work(task: Task, ctx: Context) -> None:
        if task.payload == "long":
            seen.put_nowait((ctx.deliveries, ctx.retried))
            if not ctx.deliveries:
                await asyncio.sleep(NEVER)

    async with Client(redis_url) as client:
        first = Server(redis_url, lease=NEVER, shutdown_timeout=0.0)
        await first.start(mux)
        info = await client.enqueue(Task("work", "long"))
        assert await seen.get() == (0, 0)
        await first.stop()
        other = await client.enqueue(Task("work"))
        await first.shutdown()
        # The right end is the front.
        pending = redis_client.lrange("asyncq:{default}:pending", 0, -1)
        assert pending == [other.id.encode(), info.id.encode()]
        async with Server(redis_url, concurrency=1).running(mux):
            assert await seen.get() == (1, 0)


async def test_a_task_of_an_unknown_type_waits_for_a_server_that_knows_it(
    redis_url: str, redis_client: Redis
) -> None:
    """In the middle of a rolling deploy the old servers meet tasks of the new ones."""
    ran: list[tuple[int, int]] = []
    old, new = _quiet_mux("old"), Mux()

    @new.handle("new")
    async def handle(_: Task, ctx: Context) -> None:
        ran.append((ctx.retried, ctx.attempt))

    async with Client(redis_url) as client:
        async with Server(redis_url, unknown_delay=0.05).running(old):
            info = await client.enqueue(Task("new"), max_retry=0)
            await wait_until(
                lambda: int(_field(redis_client, info.id, "deliveries") or 0) >= 2, "it to be offered again"
            )
        async with Server(redis_url).running(new):
            await wait_until(lambda: ran, "the new server to run it")
    assert ran == [(0, 1)]
    assert redis_client.get("asyncq:{default}:failed") is None


async def test_a_message_that_cannot_be_read_is_archived(redis_url: str, redis_client: Redis) -> None:
    """One damaged message must not stop a queue, nor be thrown away."""
    redis_client.hset("asyncq:{default}:t:damaged", mapping={"msg": b"\xc1 what is this"})
    redis_client.lpush("asyncq:{default}:pending", "damaged")
    async with Client(redis_url) as client:
        await client.enqueue(Task("work"))
    async with Server(redis_url, concurrency=1).running(_quiet_mux()):
        await wait_until(lambda: redis_client.hget("asyncq:{default}:flow", "done") == b"1", "the next one")
        await wait_until(lambda: _field(redis_client, "damaged", "state") == "archived", "the archive")
    assert _field(redis_client, "damaged", "reason") == "unreadable"
    assert "cannot be read" in _field(redis_client, "damaged", "error")


async def _taken(redis_url: str, tasks: dict[str, int], **options: Any) -> list[tuple[str, int]]:
    """Fill queues, then serve them all, and return queue and number in the order of being taken."""
    taken: list[tuple[str, int]] = []
    mux = Mux()

    @mux.handle("work")
    async def work(task: Task) -> None:
        taken.append((task.queue, task.payload))

    async with Client(redis_url) as client:
        for queue, count in tasks.items():
            async for outcome in client.enqueue_many((Task("work", n) for n in range(count)), queue=queue):
                assert outcome.is_enqueued
    async with Server(redis_url, **options).running(mux):
        await wait_until(lambda: len(taken) == sum(tasks.values()), "all to be taken")
    return taken


async def test_a_queue_is_taken_in_its_order(redis_url: str) -> None:
    """First in, first out."""
    taken = await _taken(redis_url, {"default": 200}, concurrency=1)
    assert [number for _, number in taken] == list(range(200))


async def test_weights_are_shares(redis_url: str) -> None:
    """Also when one of the queues has nothing to do: its share goes to the others."""
    queues = {"critical": 6, "default": 3, "low": 1, "empty": 10}
    taken = await _taken(
        redis_url, {"critical": 200, "default": 200, "low": 200}, concurrency=10, queues=queues
    )
    first = Counter(queue for queue, _ in taken[:100])
    assert first["critical"] >= 50, first
    assert first["default"] >= 20, first
    assert first["low"] >= 5, first


async def test_strict_priority_empties_the_first_queue_first(redis_url: str) -> None:
    """Not even one of the second while there is one of the first."""
    queues = {"second": 1, "first": 2}
    taken = await _taken(
        redis_url, {"first": 50, "second": 50}, concurrency=5, queues=queues, strict_priority=True
    )
    assert [queue for queue, _ in taken] == ["first"] * 50 + ["second"] * 50
