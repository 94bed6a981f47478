"""Somebody wrote into our keys by hand, or deleted some: one queue suffers, the rest goes on."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import pytest
from redis import Redis

from asyncq import Client, Task
from asyncq.errors import AsyncqError
from tests.support.fleet import Fleet
from tests.support.gate import Gate
from tests.support.ledger import Ledger
from tests.support.remains import assert_drained, assert_sound
from tests.support.servers import RedisProcess
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.slow]

LEASE = 1.0
BAD, GOOD = "asyncq:{bad}:", "asyncq:{good}:"


@pytest.mark.parametrize(
    "garbage", [b"", b"\xc1", b"hello", b"\x90", b"\x95\x63\xa1x\xc4\x00\xcb" + bytes(8)]
)
async def test_a_message_that_cannot_be_read_is_archived(
    own_redis: RedisProcess, ledger: Ledger, garbage: bytes
) -> None:
    """Running it is impossible, and dropping it would be a loss; one must be able to look at it."""
    with Fleet(own_redis.url, ledger, lease=LEASE) as fleet, own_redis.client() as raw:
        async with Client(own_redis.url) as client:
            first = await client.enqueue(Task("work", {}))
            spoilt = await client.enqueue(Task("work", {}))
            last = await client.enqueue(Task("work", {}))
        base = "asyncq:{default}:"
        raw.hset(f"{base}t:{spoilt.id}", "msg", garbage)
        fleet.start()
        await wait_until(lambda: ledger.ended() == {first.id, last.id}, "the others to be done")
        await wait_until(partial(raw.zcard, f"{base}archived"), "it to be archived")
        kept = raw.hgetall(f"{base}t:{spoilt.id}")
        assert kept[b"msg"] == garbage
        assert kept[b"reason"] == b"unreadable"
        await wait_until(lambda: raw.zcard(f"{base}lease") == 0, "the outcomes to be written")
        assert ledger.count("log", "unreadable") == 1
        await assert_sound(own_redis)


async def test_tasks_whose_hash_vanished_are_passed_over(
    own_redis: RedisProcess, ledger: Ledger, gate: Gate
) -> None:
    """There is nothing to run any more; what stands before and behind them is run."""
    base = "asyncq:{default}:"
    with Fleet(own_redis.url, ledger, lease=LEASE, concurrency=2) as fleet, own_redis.client() as raw:
        async with Client(own_redis.url) as client:
            gone, kept = [], []
            for number in range(60):
                delay = 0.5 if number % 3 == 0 else 0.0
                info = await client.enqueue(Task("work", {"wait": 0.01}), process_in=delay)
                (kept if number % 4 == 0 else gone).append(info.id)
            retried = await client.enqueue(Task("work", {"fails": 1}), queue="default")
            raw.delete(*(f"{base}t:{task_id}" for task_id in gone))
            server = fleet.start()
            await wait_until(lambda: ledger.ended() >= {*kept, retried.id}, "the others to be done")
            # And one that vanishes while it runs.
            running = await client.enqueue(Task("work", {"until": gate.path}))
            await wait_until(lambda: ledger.running(server.pid) == 1, "it to run")
            raw.delete(f"{base}t:{running.id}")
            await wait_until(lambda: fleet.has_logged(server, "lease_lost"), "the handler to be stopped")
            gate.open()
            last = await client.enqueue(Task("work", {}))
            await wait_until(lambda: last.id in ledger.ended(), "work to go on")
        await assert_drained(own_redis, "default")
        assert int(raw.hget(f"{base}flow", "vanished") or 0) == len(gone) + 1  # type: ignore[arg-type]
    ledger.account({*kept, retried.id, last.id}).assert_complete()
    assert not ledger.ended() & set(gone)


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        # Those that are looked at first spoil what comes behind them, and the others what came before.
        *((name, "bad=5,good=1") for name in ("pending", "lease", "scheduled", "waiting", "flow")),
        *(
            (name, "good=5,bad=1")
            for name in ("pending", "lease", "retry", "archived", "processed", "t:spoilt")
        ),
    ],
)
async def test_a_key_of_the_wrong_type_harms_no_other_queue(
    own_redis: RedisProcess, ledger: Ledger, name: str, weights: str
) -> None:
    """Queues share calls for speed; they must not share misfortune."""
    with Fleet(own_redis.url, ledger, weights, lease=LEASE) as fleet, own_redis.client() as raw:
        async with Client(own_redis.url, patience=1.0) as client:
            # Somebody died with tasks of both queues.
            dead = fleet.start(concurrency=4)
            lost = [(await client.enqueue(Task("work", {"wait": 1.0}), queue="good")).id for _ in range(2)]
            before = [(await client.enqueue(Task("work", {"wait": 1.0}), queue="bad")).id for _ in range(2)]
            await wait_until(lambda: ledger.running(dead.pid) == 4, "the tasks to run")
            fleet.kill(dead)
            before += [(await client.enqueue(Task("work", {}), queue="bad", task_id="spoilt")).id]
            before += [(await client.enqueue(Task("work", {}), queue="bad")).id for _ in range(5)]
            before += [(await client.enqueue(Task("work", {}), queue="bad", process_in=0.5)).id]
            saved = _spoil(raw, BAD + name)
            server = fleet.start()
            good = [*lost]
            for number in range(20):
                task = Task("work", {"fails": int(number == 3)})
                delay = 0.3 if number % 2 else 0.0
                good.append((await client.enqueue(task, queue="good", process_in=delay)).id)
                if number < 4:
                    # Refused is as good as taken, as long as it is one or the other.
                    with suppress(AsyncqError):
                        task = Task("work", {"fails": number % 2})
                        before.append((await client.enqueue(task, queue="bad")).id)
            await wait_until(lambda: ledger.ended() >= set(good), "all of the good queue to be done")
            assert server.is_alive
            _restore(raw, BAD + name, saved)
            raw.publish("asyncq:news", "due")  # else delayed tasks there wait for the next look, up to 15 s
            if name == "t:spoilt":
                before.remove("spoilt")  # its list entry was used up in the meantime
            await wait_until(lambda: ledger.ended() >= set(before), "the spoilt queue to be done", 20.0)
        if name not in {"flow", "processed", "t:spoilt"}:
            await assert_drained(own_redis, "good", "bad")
        account = ledger.account([*good, *before], killed=fleet.killed, excused=lambda run: run.id in before)
        account.assert_complete()
        assert set(account.runs) <= {*good, *before}


def _spoil(raw: Redis, key: str) -> bytes | None:
    """Put something else in place of a key, and return what was there."""
    saved: bytes | None = raw.dump(key)  # type: ignore[assignment]
    raw.delete(key)
    if key.endswith(("processed", "t:spoilt")):
        raw.rpush(key, "garbage")
    else:
        raw.set(key, "garbage")
    return saved


def _restore(raw: Redis, key: str, saved: bytes | None) -> None:
    raw.delete(key)
    if saved is not None:
        raw.restore(key, 0, saved, replace=True)
