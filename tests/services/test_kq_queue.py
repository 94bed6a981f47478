"""What a kq queue does with the messages of its group: Go's, and where ours does better on purpose."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.gate import Gate
from tests.support.services.kafka_broker import KafkaBroker
from tests.support.services.parts import SIDES, Parts, Side
from tests.support.waiting import wait_until

from .kq import handled, names, queue, write

both = pytest.mark.parametrize("side", SIDES)


async def committed_is(kafka: KafkaBroker, group: str, topic: str, offset: int) -> None:
    """Wait until a group has committed so much of partition 0."""

    async def is_it() -> bool:
        return (await kafka.committed(group, topic)).get(0) == offset

    await wait_until(is_it, f"{group} to commit {offset}", 30)


@both
@pytest.mark.parametrize("offset", ["first", "last"])
async def test_where_a_new_group_begins(parts: Parts, kafka: KafkaBroker, side: Side, offset: str) -> None:
    """`last` is the default: what was there before is not for it."""
    topic, group = names("offset")
    await kafka.topic(topic, partitions=1)
    await write(kafka, topic, b"before")
    program = await parts(side, "kq-consume", **queue(kafka, topic, group, Offset=offset))
    await kafka.joined(group)
    number = 0

    async def hears_news() -> bool:
        nonlocal number
        number += 1
        await write(kafka, topic, b"after %d" % number)
        return any(payload.startswith(b"after") for payload in handled(program))

    await wait_until(hears_news, "the queue to read", 30)
    assert (b"before" in handled(program)) == (offset == "first")


@both
async def test_a_queue_goes_on_where_its_group_was(parts: Parts, kafka: KafkaBroker, side: Side) -> None:
    """Whatever `Offset` says."""
    topic, group = names("resume")
    await kafka.topic(topic, partitions=1)
    await write(kafka, topic, b"1", b"2")
    first = await parts(side, "kq-consume", **queue(kafka, topic, group))
    await first.event("end", payload=b"2", timeout=40)
    await committed_is(kafka, group, topic, 2)
    first.send_signal(signal.SIGTERM)
    await first.wait()
    await write(kafka, topic, b"3")
    second = await parts(side, "kq-consume", **queue(kafka, topic, group))
    await second.event("end", payload=b"3", timeout=40)
    assert handled(second) == {b"3": 1}


@both
async def test_each_connection_is_a_member(parts: Parts, kafka: KafkaBroker, side: Side) -> None:
    """Three of them share three partitions, by an assignment that both languages offer."""
    topic, group = names("conns")
    await kafka.topic(topic)
    await parts(side, "kq-consume", **queue(kafka, topic, group, Conns=3))
    await kafka.joined(group, members=3)
    assert (await kafka.group(group)).protocol == "range"


@both
async def test_processors_are_how_many_handlers_run(
    parts: Parts, kafka: KafkaBroker, tmp_path: Path, side: Side
) -> None:
    """Five of nine messages run, and the others wait."""
    topic, group = names("processors")
    await kafka.topic(topic)
    gate = Gate(tmp_path / "gate")
    await write(kafka, topic, *[f"m{number} until {gate.path}".encode() for number in range(9)])
    program = await parts(side, "kq-consume", **queue(kafka, topic, group, Processors=5))
    await program.until(lambda: len(program.seen("begin")) >= 5, "five to begin", timeout=40)
    gate.open()
    await program.until(lambda: len(program.seen("end")) >= 9, "all to end")
    names_ = [event["event"] for event in program.events if event["event"] in {"begin", "end"}]
    running = [names_[: at + 1].count("begin") - names_[: at + 1].count("end") for at in range(len(names_))]
    assert max(running) == 5


@both
@pytest.mark.parametrize(("force", "committed"), [(True, 2), (False, 1)])
async def test_a_failed_message_is_committed_unless_that_is_not_forced(
    parts: Parts, kafka: KafkaBroker, side: Side, *, force: bool, committed: int
) -> None:
    """ForceCommit is the default; without it, the next member finds the message again."""
    topic, group = names("force")
    await kafka.topic(topic, partitions=1)
    await write(kafka, topic, b"good", b"bad fail")
    options = queue(kafka, topic, group, Processors=1, ForceCommit=force)
    program = await parts(side, "kq-consume", **options)
    assert (await program.event("end", payload=b"bad fail", timeout=40))["outcome"] == "as told"
    await committed_is(kafka, group, topic, committed)


@both
async def test_what_follows_a_failed_message(parts: Parts, kafka: KafkaBroker, side: Side) -> None:
    """Go commits past it, and so it is lost after all; ours does not until it is done."""
    topic, group = names("past")
    await kafka.topic(topic, partitions=1)
    await write(kafka, topic, b"good", b"bad fail", b"good too")
    options = queue(kafka, topic, group, Processors=1, ForceCommit=False)
    program = await parts(side, "kq-consume", **options)
    await program.event("end", payload=b"bad fail", timeout=40)
    if side == "go":
        await committed_is(kafka, group, topic, 3)
        return
    await committed_is(kafka, group, topic, 1)
    await program.kill()
    again = await parts(side, "kq-consume", **options)
    await again.event("begin", payload=b"bad fail", timeout=60)


@both
async def test_a_killed_consumer_and_the_slow_message(
    parts: Parts, kafka: KafkaBroker, tmp_path: Path, side: Side
) -> None:
    """The second message is done before the first. Go commits both; ours redelivers the first."""
    topic, group = names("killed")
    await kafka.topic(topic, partitions=1)
    gate = Gate(tmp_path / "gate")
    slow = f"slow until {gate.path}".encode()
    await write(kafka, topic, slow, b"quick")
    program = await parts(side, "kq-consume", **queue(kafka, topic, group, Processors=2))
    await program.event("begin", payload=slow, timeout=40)
    await program.event("end", payload=b"quick", timeout=40)
    if side == "go":
        await committed_is(kafka, group, topic, 2)
        return
    await program.kill()
    assert (await kafka.committed(group, topic)).get(0, 0) in {0, -1}
    gate.open()
    again = await parts(side, "kq-consume", **queue(kafka, topic, group, Processors=2))
    await again.event("end", payload=slow, timeout=60)


@both
async def test_in_order_means_in_order(parts: Parts, kafka: KafkaBroker, tmp_path: Path, side: Side) -> None:
    """CommitInOrder: later messages are done while the first one runs, and nothing is committed."""
    topic, group = names("order")
    await kafka.topic(topic, partitions=1)
    gate = Gate(tmp_path / "gate")
    slow = f"slow until {gate.path}".encode()
    await write(kafka, topic, slow, b"quick", b"bad fail")
    program = await parts(side, "kq-consume", **queue(kafka, topic, group, CommitInOrder=True))
    await program.event("end", payload=b"quick", timeout=40)
    assert (await kafka.committed(group, topic)).get(0, 0) in {0, -1}
    gate.open()
    await committed_is(kafka, group, topic, 3)


@both
async def test_commits_gather_for_an_interval(parts: Parts, kafka: KafkaBroker, side: Side) -> None:
    """With an interval of an hour nothing is committed until somebody stops the queue."""
    topic, group = names("interval")
    await kafka.topic(topic, partitions=1)
    await write(kafka, topic, b"1", b"2")
    options = {**queue(kafka, topic, group), "commit_interval_ms": 3_600_000}
    program = await parts(side, "kq-consume", **options)
    await program.event("end", payload=b"2", timeout=40)
    assert (await kafka.committed(group, topic)).get(0, 0) in {0, -1}
    program.send_signal(signal.SIGTERM)
    await program.wait()
    assert (await kafka.committed(group, topic))[0] == 2


@both
async def test_a_graceful_stop_and_the_message_in_hand(
    parts: Parts, kafka: KafkaBroker, tmp_path: Path, side: Side
) -> None:
    """Both let it finish. Go has closed its connection by then and cannot commit it; ours does."""
    topic, group = names("graceful")
    await kafka.topic(topic, partitions=1)
    gate = Gate(tmp_path / "gate")
    payload = f"x until {gate.path}".encode()
    await write(kafka, topic, payload)
    program = await parts(side, "kq-consume", **queue(kafka, topic, group))
    await program.event("begin", payload=payload, timeout=40)
    program.send_signal(signal.SIGTERM)
    await program.event("stopping")
    gate.open()
    assert await program.wait() == 0
    assert [event["outcome"] for event in program.seen("end")] == ["ok"]
    if side == "python":
        assert (await kafka.committed(group, topic))[0] == 1


@both
async def test_a_password(parts: Parts, kafka: KafkaBroker, side: Side) -> None:
    """Username and Password mean SASL PLAIN."""
    topic, group = names("sasl")
    await kafka.topic(topic, partitions=1)
    await write(kafka, topic, b"x")
    login = {"Username": kafka.username, "Password": kafka.password, "Brokers": [kafka.sasl_bootstrap]}
    program = await parts(side, "kq-consume", **queue(kafka, topic, group, **login))
    await program.event("end", payload=b"x", timeout=40)


@both
async def test_a_trace_reaches_the_handler(parts: Parts, kafka: KafkaBroker, side: Side) -> None:
    """From the header that a pusher of either language wrote."""
    topic, group = names("context")
    await kafka.topic(topic)
    trace = "0af7651916cd43dd8448eb211c80319c"
    for pusher in SIDES:
        program = await parts(pusher, "kq-push", brokers=[kafka.bootstrap], topic=topic, sync=True)
        await program("push", payload=pusher.encode(), trace=f"00-{trace}-b7ad6b7169203331-01")
    consumer = await parts(side, "kq-consume", **queue(kafka, topic, group))
    for pusher in SIDES:
        assert (await consumer.event("begin", payload=pusher.encode(), timeout=40))["trace"] == trace
