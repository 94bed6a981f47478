"""What a dq consumer makes of the jobs it finds: Go's, and where ours does better on purpose."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pytest
from redis import Redis

from tests.support.gate import Gate
from tests.support.servers import RedisProcess
from tests.support.services.beanstalkd import BeanstalkdNode
from tests.support.services.parts import SIDES, Parts, Side
from tests.support.waiting import wait_until

from .dq import LOCK_MS, TUBE, beanstalks, consumer, emptied, handled, lock_key, stamped

both = pytest.mark.parametrize("side", SIDES)

SECOND = 10**9


@both
async def test_what_a_consumer_makes_of_a_body(
    parts: Parts, nodes: list[BeanstalkdNode], locks: RedisProcess, side: Side
) -> None:
    """A moment up to the first slash within 21 bytes, and then the payload; all else is dropped."""
    now = b"%d" % time.time_ns()
    dropped = [
        b"notime",
        b"",
        b"/x",
        b"abc/x",
        b" 1/x",
        b"1.5/x",
        now[:10] + b"_" + now[10:] + b"/x",
        b"123456789012345678901234/x",
        now,
        b"-5/x",
        b"9223372036854775808/x",  # one more than 64 bits have
        stamped(b"too late", 31 * 60),
    ]
    kept = {
        now + b"/": b"",
        now + b"/a/b/c": b"a/b/c",
        now + b"/\x00\xff\r\n": b"\x00\xff\r\n",
        b"+" + now + b"/plus": b"plus",
        b"0" + now + b"/zero": b"zero",
        stamped(b"late", 29 * 60): b"late",
        stamped(b"early", -3600): b"early",
    }
    for body in [*dropped, *kept]:
        await nodes[0].put(TUBE, body)
    program = await parts(side, "dq-consume", **consumer(nodes[:1], locks))
    await emptied(nodes[:1])
    await program.until(lambda: len(program.seen("end")) >= len(kept), "the good messages to be handled")
    assert handled(program) == dict.fromkeys(kept.values(), 1)


@both
async def test_the_lock_of_a_message(
    parts: Parts, nodes: list[BeanstalkdNode], locks: RedisProcess, lock_client: Redis, side: Side
) -> None:
    """MD5 of the whole job, without a prefix, for an hour and a half second; it stays when all is done."""
    body = stamped(b"x")
    await nodes[0].put(TUBE, body)
    program = await parts(side, "dq-consume", **consumer(nodes[:1], locks))
    await program.event("end", payload=b"x")
    await emptied(nodes[:1])
    await wait_until(lambda: lock_client.pttl(lock_key(body)) > LOCK_MS - 60_000, "the lock of an hour")
    assert lock_client.pttl(lock_key(body)) <= LOCK_MS
    assert lock_client.type(lock_key(body)) == b"string"
    assert lock_client.dbsize() == 1
    if side == "go":
        value = lock_client.get(lock_key(body))
        assert isinstance(value, bytes)
        assert re.fullmatch(rb"[0-9A-Za-z]{16}", value)


@both
async def test_a_held_lock_means_that_a_message_is_done(
    parts: Parts, nodes: list[BeanstalkdNode], locks: RedisProcess, lock_client: Redis, side: Side
) -> None:
    """So a consumer of the other language is believed."""
    body, other = stamped(b"x"), stamped(b"y")
    lock_client.set(lock_key(body), "0123456789abcdef", px=LOCK_MS)
    for one in (body, other):
        await nodes[0].put(TUBE, one)
    program = await parts(side, "dq-consume", **consumer(nodes[:1], locks))
    await program.event("end", payload=b"y")
    await emptied(nodes[:1])
    assert handled(program) == {b"y": 1}


@both
async def test_each_message_is_handled_once_over_its_replicas(
    parts: Parts, nodes: list[BeanstalkdNode], locks: RedisProcess, side: Side
) -> None:
    """The other two copies are thrown away."""
    producer = await parts(side, "dq-produce", beanstalks=beanstalks(nodes))
    program = await parts(side, "dq-consume", **consumer(nodes, locks))
    expected = {b"m%d" % number for number in range(60)}
    for payload in expected:
        await producer("delay", payload=payload, ns=0)
    await emptied(nodes)
    await program.until(lambda: len(program.seen("end")) >= 60, "all messages")
    assert handled(program) == dict.fromkeys(expected, 1)


@both
async def test_the_same_body_for_the_same_moment_is_one_message(
    parts: Parts, nodes: list[BeanstalkdNode], locks: RedisProcess, side: Side
) -> None:
    """Who sends twice what may run once names the moment himself."""
    producer = await parts(side, "dq-produce", beanstalks=beanstalks(nodes))
    due = (time.time_ns() // SECOND + 5) * SECOND
    for _ in range(2):
        await producer("at", payload=b"x", unix_ns=due)
    await producer("at", payload=b"x", unix_ns=due + 1000)
    program = await parts(side, "dq-consume", **consumer(nodes, locks))
    await emptied(nodes)
    await program.until(lambda: len(program.seen("end")) >= 2, "both messages")
    assert handled(program) == {b"x": 2}


@both
async def test_a_replica_takes_over_when_a_node_is_down(
    parts: Parts, nodes: list[BeanstalkdNode], locks: RedisProcess, side: Side
) -> None:
    """Nothing waits for a node that has lost what it had."""
    producer = await parts(side, "dq-produce", beanstalks=beanstalks(nodes))
    for number in range(20):
        await producer("delay", payload=b"m%d" % number, ns=2 * SECOND)
    await nodes[0].kill()
    program = await parts(side, "dq-consume", **consumer(nodes, locks))
    await emptied(nodes[1:])
    await program.until(lambda: len(program.seen("end")) >= 20, "all messages")
    assert handled(program) == {b"m%d" % number: 1 for number in range(20)}


@both
async def test_a_consumer_finds_a_restarted_node_again(
    parts: Parts, nodes: list[BeanstalkdNode], locks: RedisProcess, side: Side
) -> None:
    """Nobody restarts consumers because a node was."""
    program = await parts(side, "dq-consume", **consumer(nodes[:1], locks))
    await nodes[0].put(TUBE, stamped(b"before"))
    await program.event("end", payload=b"before")
    await nodes[0].restart()
    await nodes[0].put(TUBE, stamped(b"after"))
    await program.event("end", payload=b"after", timeout=30)


@both
async def test_delayed_messages_outlive_the_crash_of_every_node(
    parts: Parts, durable_nodes: list[BeanstalkdNode], locks: RedisProcess, side: Side
) -> None:
    """With a binlog, that is; nothing of a message is in Redis before it is due."""
    producer = await parts(side, "dq-produce", beanstalks=beanstalks(durable_nodes))
    await producer("delay", payload=b"x", ns=3 * SECOND)
    for node in durable_nodes:
        await node.kill()
    for node in durable_nodes:
        await node.start()
    program = await parts(side, "dq-consume", **consumer(durable_nodes, locks))
    await program.event("end", payload=b"x", timeout=30)
    await emptied(durable_nodes)
    assert handled(program) == {b"x": 1}


async def test_without_redis_go_throws_messages_away(
    parts: Parts, nodes: list[BeanstalkdNode], locks: RedisProcess
) -> None:
    """It deletes a job before it asks Redis whether it is the one to handle it."""
    locks.kill()
    program = await parts("go", "dq-consume", **consumer(nodes[:1], locks))
    await nodes[0].put(TUBE, stamped(b"lost"))
    await wait_until(lambda: "refused" in parts.log_of(program), "Go to give up on Redis")
    await emptied(nodes[:1])
    locks.start()
    await nodes[0].put(TUBE, stamped(b"x"))
    await program.event("end", payload=b"x", timeout=30)
    assert handled(program) == {b"x": 1}


async def test_a_panic_of_go_loses_the_message(
    parts: Parts, nodes: list[BeanstalkdNode], locks: RedisProcess
) -> None:
    """The job is deleted, the process ends, and the replica finds the lock of an hour."""
    for node in nodes[:2]:
        await node.put(TUBE, body := b"%d/x panic" % (2 * 10**18))
    program = await parts.begin("go", "dq-consume", **consumer(nodes[:1], locks))
    assert await program.wait() == 2
    other = await parts("go", "dq-consume", **consumer(nodes[:2], locks))
    await emptied(nodes[:2])
    await nodes[0].put(TUBE, stamped(b"next"))
    await other.event("end", payload=b"next")
    assert handled(other) == {b"next": 1}
    assert body


async def test_go_deletes_a_job_before_it_handles_it(
    parts: Parts, nodes: list[BeanstalkdNode], locks: RedisProcess, tmp_path: Path
) -> None:
    """Who is killed in a handler has lost its message."""
    gate = Gate(tmp_path / "gate")
    await nodes[0].put(TUBE, stamped(f"x until {gate.path}".encode()))
    program = await parts("go", "dq-consume", **consumer(nodes[:1], locks))
    await program.until(lambda: bool(program.seen("begin")), "the handler to begin")
    assert await nodes[0].tube(TUBE) == {"ready": 0, "delayed": 0, "reserved": 0, "buried": 0, "deleted": 1}
    gate.open()


@both
async def test_the_tube_default_is_eaten_by_go_alone(
    parts: Parts, nodes: list[BeanstalkdNode], locks: RedisProcess, side: Side
) -> None:
    """Everybody who connects watches it; Go forgets to stop that, and we do not."""
    await nodes[0].put("default", stamped(b"of others"))
    await nodes[0].put(TUBE, stamped(b"x"))
    program = await parts(side, "dq-consume", **consumer(nodes[:1], locks))
    await program.event("end", payload=b"x")
    if side == "go":
        await program.event("end", payload=b"of others")
    else:
        assert (await nodes[0].tube("default"))["ready"] == 1


@both
async def test_a_consumer_leaves_on_sigterm_when_its_message_is_done(
    parts: Parts, nodes: list[BeanstalkdNode], locks: RedisProcess, tmp_path: Path, side: Side
) -> None:
    """And takes no other one meanwhile."""
    gate = Gate(tmp_path / "gate")
    payload = f"x until {gate.path}".encode()
    await nodes[0].put(TUBE, stamped(payload))
    program = await parts(side, "dq-consume", **consumer(nodes[:1], locks))
    await program.event("begin", payload=payload)
    program.send_signal(signal.SIGTERM)
    await program.event("stopping")
    await nodes[0].put(TUBE, stamped(b"y"))
    gate.open()
    assert await program.wait() == 0
    assert [event["outcome"] for event in program.seen("end", payload=payload)] == ["ok"]
    assert handled(program) == {payload: 1}
    assert (await nodes[0].tube(TUBE))["ready"] == 1
