"""Puts on several nodes: as go-queue does it, and without leaving anything half done."""

from __future__ import annotations

import asyncio
import pickle
import time
from datetime import UTC, datetime, timedelta

import pytest

from asyncq import beanstalk
from asyncq.dq import Beanstalk, DqConf, NotRevokedError, NotWrittenError, Producer, ProducerNode, RedisConf
from asyncq.dq.stamp import unwrap
from asyncq.errors import ClosedError, ConfigError
from tests.support.fake_beanstalkd import FakeBeanstalkd, FakeJob
from tests.support.waiting import wait_until


def _confs(fakes: list[FakeBeanstalkd], tube: str = "orders") -> list[Beanstalk]:
    return [Beanstalk(fake.endpoint, tube) for fake in fakes]


def _jobs(fakes: list[FakeBeanstalkd]) -> list[FakeJob]:
    return [job for fake in fakes for job in fake.jobs.values()]


async def test_a_message_is_put_to_every_node(fakes: list[FakeBeanstalkd]) -> None:
    """The same bytes, with go-queue's parameters; the id names each copy."""
    async with Producer(_confs(fakes)) as producer:
        before = time.time_ns()
        ids = await producer.delay(b"1000", 90.9)
        after = time.time_ns()
    jobs = _jobs(fakes)
    assert len(jobs) == 3
    assert {(job.pri, job.delay, job.ttr, job.tube) for job in jobs} == {(2, 90, 5, "orders")}
    assert len({job.body for job in jobs}) == 1
    due, body = unwrap(jobs[0].body) or (0, b"")
    assert body == b"1000"
    assert before <= due - 90_900_000_000 <= after
    assert set(ids.split(",")) == {f"{fake.endpoint}/orders/1" for fake in fakes}


@pytest.mark.parametrize(
    ("delay", "seconds"), [(0, 0), (0.9, 0), (1, 1), (1.9, 1), (timedelta(minutes=30), 1800)]
)
async def test_nodes_count_whole_seconds(
    fake: FakeBeanstalkd, delay: float | timedelta, seconds: int
) -> None:
    """Cut off, as go-queue does; the stamp keeps the rest."""
    async with ProducerNode(fake.endpoint, "t") as producer:
        await producer.delay(b"x", delay)
    assert f"put 2 {seconds} 5 {19 + 1 + 1}" in fake.seen


async def test_a_message_for_a_moment_has_its_stamp(fake: FakeBeanstalkd) -> None:
    """To the microsecond, in whatever zone."""
    when = datetime.now(UTC) + timedelta(hours=1, microseconds=7)
    async with ProducerNode(fake.endpoint, "t") as producer:
        assert await producer.at(b"x", when) == f"{fake.endpoint}/t/1"
    (job,) = fake.jobs.values()
    assert unwrap(job.body) == (
        int((when - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)) * 1000,
        b"x",
    )
    assert job.delay in (3599, 3600)


async def test_the_ids_are_in_the_order_in_which_nodes_answered(fakes: list[FakeBeanstalkd]) -> None:
    """As in go-queue, which is not that of the configuration."""
    async with Producer(_confs(fakes)) as producer:
        await producer.delay(b"x", 60)
        fakes[0].freeze()
        task = asyncio.ensure_future(producer.delay(b"y", 60))
        await wait_until(lambda: len(_jobs(fakes)) == 5, "the other nodes")
        fakes[0].thaw()
        ids = [one.partition("/")[0] for one in (await task).split(",")]
        assert ids[2] == fakes[0].endpoint
        assert set(ids) == {fake.endpoint for fake in fakes}


async def test_of_more_than_three_nodes_three_are_drawn() -> None:
    """For each message anew."""
    fakes = [FakeBeanstalkd() for _ in range(5)]
    for fake in fakes:
        await fake.start()
    try:
        async with Producer(_confs(fakes)) as producer:
            for _ in range(30):
                ids = await producer.delay(b"x", 60)
                assert len({one.partition("/")[0] for one in ids.split(",")}) == 3
        assert sum(len(fake.jobs) for fake in fakes) == 90
        assert all(fake.jobs for fake in fakes)
    finally:
        for fake in fakes:
            await fake.kill()


async def test_two_of_three_are_enough(fakes: list[FakeBeanstalkd]) -> None:
    """The third may be away."""
    await fakes[1].kill()
    async with Producer(_confs(fakes)) as producer:
        ids = await producer.delay(b"x", 60)
    assert {one.partition("/")[0] for one in ids.split(",")} == {fakes[0].endpoint, fakes[2].endpoint}


async def test_one_of_two_is_not_enough_and_is_taken_back(fakes: list[FakeBeanstalkd]) -> None:
    """The error says which node is away, and why."""
    await fakes[1].kill()
    async with Producer(_confs(fakes[:2])) as producer:
        with pytest.raises(NotWrittenError) as caught:
            await producer.delay(b"x", 60)
    error = caught.value
    assert (error.written, error.needed, error.left) == (1, 2, ())
    assert list(error.failures) == [fakes[1].endpoint]
    assert fakes[1].endpoint in str(error)
    assert not _jobs(fakes)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 - ours


async def test_what_cannot_be_taken_back_is_named(fakes: list[FakeBeanstalkd]) -> None:
    """It may be handled after all."""
    await fakes[1].kill()
    fakes[0].faults["delete"] = "cut"
    async with Producer(_confs(fakes[:2])) as producer:
        with pytest.raises(NotWrittenError, match="still there") as caught:
            await producer.delay(b"x", 60)
    assert caught.value.left == (f"{fakes[0].endpoint}/orders/1",)


async def test_a_node_that_is_back_is_used_again(fakes: list[FakeBeanstalkd]) -> None:
    """With the next message."""
    async with Producer(_confs(fakes)) as producer:
        await producer.delay(b"x", 60)
        await fakes[0].restart()
        assert len((await producer.delay(b"y", 60)).split(",")) >= 2
        assert len((await producer.delay(b"z", 60)).split(",")) == 3
    assert fakes[0].in_tube("orders")


async def test_nobody_is_asked_when_the_moment_is_over(fake: FakeBeanstalkd) -> None:
    """Nor when the delay is negative, or the body no bytes."""
    async with ProducerNode(fake.endpoint, "t") as producer:
        with pytest.raises(ConfigError, match="not in the past"):
            await producer.at(b"x", datetime.now(UTC) - timedelta(seconds=1))
        with pytest.raises(ConfigError, match="delay"):
            await producer.delay(b"x", -1)
        with pytest.raises(ConfigError, match="aware"):
            await producer.at(b"x", datetime(2100, 1, 1))  # noqa: DTZ001 - that is the point
        with pytest.raises(ConfigError, match="encode"):
            await producer.delay("text", 1)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="136 years"):
            await producer.delay(b"x", 2**32)
    assert not fake.seen


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([], "nodes such as"),
        (["127.0.0.1:1"], "nodes such as"),
        ([Beanstalk("127.0.0.1:1", "t")], "at least 2 nodes"),
        ([Beanstalk("127.0.0.1:1", "t"), Beanstalk("127.0.0.1:1", "u")], "all different"),
    ],
)
def test_nodes_that_are_no_two_nodes(nodes: list[Beanstalk], words: str) -> None:
    """go-queue ends the process."""
    with pytest.raises(ConfigError, match=words):
        Producer(nodes)


def test_everything_that_is_wrong_with_a_node_is_said() -> None:
    """At once."""
    with pytest.raises(ConfigError) as caught:
        Beanstalk("nowhere", "-x")
    assert [problem.option for problem in caught.value.problems] == ["endpoint", "tube"]
    with pytest.raises(ConfigError) as caught:
        RedisConf("here", "sentinel")  # type: ignore[arg-type]
    assert [problem.option for problem in caught.value.problems] == ["host", "type"]
    with pytest.raises(ConfigError, match="redis"):
        DqConf((Beanstalk("a:1", "t"),), 7)  # type: ignore[arg-type]


def test_redis_as_go_zero_describes_it() -> None:
    """Its password is not shown."""
    conf = RedisConf("a:1,b:2", "cluster", user="u", pass_="secret", tls=True)
    options = conf.options()
    assert [str(address) for address in options.addresses] == ["a:1", "b:2"]
    assert (options.topology, options.username, options.password) == ("cluster", "u", "secret")
    assert options.tls is not None
    assert "secret" not in repr(conf)


@pytest.mark.parametrize("size", [65_535 - 20, 65_535 - 19])
async def test_a_body_may_fill_a_job(fake: FakeBeanstalkd, size: int) -> None:
    """Less its stamp; one byte more is sent nowhere."""
    async with ProducerNode(fake.endpoint, "t") as producer:
        if size + 20 <= 65_535:
            await producer.delay(b"x" * size, 60)
            return
        with pytest.raises(NotWrittenError, match="65536 bytes, and it takes 65535"):
            await producer.delay(b"x" * size, 60)
    assert not [line for line in fake.seen if line.startswith("put")]


async def test_a_smaller_limit_is_learnt_from_the_first_refusal() -> None:
    """What is known to be too big afterwards is not sent."""
    async with FakeBeanstalkd(max_job_size=100) as fake, ProducerNode(fake.endpoint, "t") as producer:
        for _ in range(2):
            with pytest.raises(NotWrittenError) as caught:
                await producer.delay(b"x" * 200, 60)
            (error,) = caught.value.failures.values()
            assert isinstance(error, beanstalk.JobTooBigError)
            assert error.limit == 100
        assert len([line for line in fake.seen if line.startswith("put")]) == 1
        await producer.delay(b"x" * 80, 60)


async def test_larger_jobs_are_put_where_they_are_taken() -> None:
    """The node was told to, with -z."""
    async with FakeBeanstalkd(max_job_size=200_000) as fake, ProducerNode(fake.endpoint, "t") as producer:
        await producer.delay(b"x" * 100_000, 60)
        assert len(fake.jobs) == 1


async def test_a_message_is_revoked_once(fakes: list[FakeBeanstalkd]) -> None:
    """The second time says which copies were not there."""
    async with Producer(_confs(fakes, "a/b")) as producer:
        ids = await producer.delay(b"x", 60)
        await producer.revoke(ids)
        assert not _jobs(fakes)
        with pytest.raises(NotRevokedError) as caught:
            await producer.revoke(ids)
    assert caught.value.revoked == ()
    assert set(caught.value.failures) == set(ids.split(","))
    assert all(isinstance(why, beanstalk.JobNotFoundError) for why in caught.value.failures.values())
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301 - ours


async def test_what_can_be_revoked_is(fakes: list[FakeBeanstalkd]) -> None:
    """Although a node is away."""
    async with Producer(_confs(fakes)) as producer:
        ids = await producer.delay(b"x", 60)
        await fakes[2].kill()
        with pytest.raises(NotRevokedError) as caught:
            await producer.revoke(ids)
    assert len(caught.value.revoked) == 2
    assert [job.tube for job in _jobs(fakes)] == ["orders"]


async def test_copies_on_other_nodes_are_left_alone(fakes: list[FakeBeanstalkd]) -> None:
    """As in go-queue; an id with none of ours is a mistake."""
    async with Producer(_confs(fakes)) as all_of_them, Producer(_confs(fakes[:2])) as two:
        ids = await all_of_them.delay(b"x", 60)
        await two.revoke(ids)
        assert len(_jobs(fakes)) == 1
        with pytest.raises(ConfigError, match="nodes of this producer"):
            await two.revoke("10.0.0.1:11300/orders/1")


@pytest.mark.parametrize("ids", ["", "x", "a:1/t", "a:1/t/x", "a:1/t/1,", "/t/1", None, "a:1/t/" + "9" * 30])
async def test_what_is_no_id(fake: FakeBeanstalkd, ids: object) -> None:
    """Said before anything is deleted."""
    async with ProducerNode(fake.endpoint, "t") as producer:
        with pytest.raises(ConfigError, match="ids"):
            await producer.revoke(ids)  # type: ignore[arg-type]
    assert not fake.seen


@pytest.mark.parametrize("name", ["use", "put"])
async def test_a_put_whose_caller_is_cancelled_leaves_nothing(fakes: list[FakeBeanstalkd], name: str) -> None:
    """Nobody would have its id."""
    fakes[1].faults[name] = "mute"
    async with Producer(_confs(fakes), response_timeout=0.2) as producer:
        task = asyncio.ensure_future(producer.delay(b"x", 60))
        await wait_until(lambda: any(line.startswith(name) for line in fakes[1].seen), "the call")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await wait_until(lambda: len(_jobs([fakes[0], fakes[2]])) == 0, "the copies to be taken back")


async def test_closing_waits_for_what_is_under_way(fakes: list[FakeBeanstalkd]) -> None:
    """And stays closed."""
    producer = Producer(_confs(fakes))
    task = asyncio.ensure_future(producer.delay(b"x", 60))
    await asyncio.sleep(0)
    await producer.close()
    await producer.close()
    assert len((await task).split(",")) == 3
    with pytest.raises(ClosedError):
        await producer.delay(b"x", 60)
    with pytest.raises(ClosedError):
        await producer.revoke(f"{fakes[0].endpoint}/orders/1")


async def test_a_draining_node_counts_as_away(fakes: list[FakeBeanstalkd]) -> None:
    """It takes nothing new."""
    fakes[0].is_draining = True
    async with Producer(_confs(fakes)) as producer:
        assert len((await producer.delay(b"x", 60)).split(",")) == 2
        fakes[1].is_draining = True
        with pytest.raises(NotWrittenError, match="DRAINING"):
            await producer.delay(b"x", 60)
    assert len(fakes[2].jobs) == 1
