"""What the other tests of this folder lean on does what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.support.driving import CallError
from tests.support.services.beanstalkd import BeanstalkdNode
from tests.support.services.kafka_broker import KafkaBroker
from tests.support.services.parts import Parts

from .kq import codecs, names, records, write

Start = Callable[..., Awaitable[BeanstalkdNode]]


@pytest.mark.parametrize("is_durable", [True, False])
async def test_a_killed_node_has_its_jobs_again_with_a_binlog_alone(
    start_node: Start, tmp_path: Path, *, is_durable: bool
) -> None:
    """On the same port, ready and delayed ones."""
    node = await start_node(binlog=tmp_path / "log" if is_durable else None)
    await node.put("t", b"now")
    delayed = await node.put("t", b"later", delay=100)
    endpoint = node.endpoint
    await node.restart()
    assert node.endpoint == endpoint
    numbers = await node.tube("t")
    assert (numbers["ready"], numbers["delayed"]) == ((1, 1) if is_durable else (0, 0))
    if is_durable:
        assert (await node.job(delayed))[1] == b"later"
    else:
        with pytest.raises(LookupError):
            await node.job(delayed)


async def test_a_node_refuses_what_it_was_told_to(start_node: Start) -> None:
    """Jobs that are too big, and any while it is drained."""
    node = await start_node(max_job_size=10)
    assert (await node.ask("put 2 0 5 11", data=b"x" * 11))[0] == "JOB_TOO_BIG"
    assert (await node.ask("put 2 0 5 10", data=b"x" * 10))[0].startswith("INSERTED")
    node.drain()
    await node.tube("t")  # a round trip after the signal
    assert (await node.ask("put 2 0 5 1", data=b"x"))[0] == "DRAINING"


async def test_a_killed_broker_has_its_records_again(own_kafka: KafkaBroker) -> None:
    """On the same ports."""
    await own_kafka.topic("t", partitions=2)
    await write(own_kafka, "t", b"1", b"2")
    endpoint = own_kafka.bootstrap
    await asyncio.to_thread(own_kafka.restart)
    assert own_kafka.bootstrap == endpoint
    assert [record.value for record in await records(own_kafka, "t", 2)] == [b"1", b"2"]
    assert codecs(own_kafka, "t") == {"none"}


async def test_a_topic_has_the_partitions_that_were_asked_for(kafka: KafkaBroker) -> None:
    """And nothing is committed for a group that nobody joined."""
    topic, group = names("rig")
    await kafka.topic(topic, partitions=4)
    assert await kafka.committed(group, topic) == {}


async def test_a_program_of_go_answers_and_refuses(parts: Parts) -> None:
    """One line for a call; an unknown verb is a mistake of the caller."""
    program = await parts("go", "group", services=[{"name": "a"}])
    with pytest.raises(CallError, match="no such verb"):
        await program("dance")
    await program.event("start", name="a")
