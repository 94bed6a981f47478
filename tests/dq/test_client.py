"""The client of beanstalkd: all commands, and what becomes of a connection when something goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncq import beanstalk
from asyncq.beanstalk import Client
from asyncq.beanstalk.errors import BY_WORD, TROUBLE
from asyncq.errors import ClosedError
from tests.support.beanstalk_cases import CASES, Case
from tests.support.doors import door
from tests.support.fake_beanstalkd import FakeBeanstalkd, Fault
from tests.support.waiting import wait_until


class _FakeRig:
    """The fake one, whose clock is moved."""

    def __init__(self, server: FakeBeanstalkd) -> None:
        self.endpoint = server.endpoint
        self._server = server

    async def pass_time(self, seconds: float) -> None:
        # What was sent before has arrived, as it would have in that time.
        for _ in range(20):
            await asyncio.sleep(0)
        self._server.advance(seconds)

    async def drain(self) -> None:
        self._server.is_draining = True


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_case(case: Case, fake: FakeBeanstalkd) -> None:
    """The same as against a real beanstalkd (tests/services)."""
    async with Client(fake.endpoint) as one, Client(fake.endpoint) as other:
        await case(_FakeRig(fake), one, other)


async def test_nothing_is_connected_before_the_first_use(fake: FakeBeanstalkd) -> None:
    """And what is wrong is said without a connection."""
    async with Client(fake.endpoint) as client:
        with pytest.raises(beanstalk.errors.AsyncqError):
            await client.use("no tube")
        assert not client.is_connected
        assert not fake.conns
        await client.put(b"x")
        assert client.is_connected


async def test_tasks_take_turns(fake: FakeBeanstalkd) -> None:
    """Nobody gets the answer of somebody else."""
    async with Client(fake.endpoint) as client:
        ids = await asyncio.gather(*(client.put(b"%d" % number) for number in range(50)))
        jobs = await asyncio.gather(*(client.peek(put.id) for put in ids))
        assert [job.body for job in jobs] == [b"%d" % number for number in range(50)]


@pytest.mark.parametrize("fault", ["cut", "cut after"])
async def test_a_connection_that_is_lost_is_an_error_and_made_again(
    fake: FakeBeanstalkd, fault: Fault
) -> None:
    """Nothing is sent twice: nobody knows whether the job is there."""
    async with Client(fake.endpoint) as client:
        await client.use("t")
        fake.faults["put"] = fault
        with pytest.raises(beanstalk.NodeAwayError, match="closed"):
            await client.put(b"x")
        assert len(fake.jobs) == (fault == "cut after")
        fake.faults.clear()
        await client.put(b"y")
        assert len(fake.in_tube("t")) == (2 if fault == "cut after" else 1)


async def test_a_connection_that_was_lost_in_silence_costs_no_call(fake: FakeBeanstalkd) -> None:
    """The node was restarted while nobody looked."""
    async with Client(fake.endpoint) as client:
        await client.put(b"x")
        await fake.restart()
        await wait_until(lambda: not client.is_connected, "the loss to be seen")
        await client.put(b"y")
        assert [job.body for job in fake.jobs.values()] == [b"y"]


async def test_a_node_that_is_away_is_named(fake: FakeBeanstalkd) -> None:
    """Which, and why."""
    await fake.kill()
    async with Client(fake.endpoint) as client:
        with pytest.raises(beanstalk.NodeAwayError) as caught:
            await client.put(b"x")
        assert fake.endpoint in str(caught.value)
        assert caught.value.command == "connect"


async def test_every_answer_has_a_deadline(fake: FakeBeanstalkd) -> None:
    """Afterwards the connection is closed: its answer may still come."""
    async with Client(fake.endpoint, response_timeout=0.05) as client:
        fake.faults["put"] = "mute"
        with pytest.raises(beanstalk.NodeAwayError, match="no answer within"):
            await client.put(b"x")
        assert not client.is_connected
        fake.faults.clear()
        assert (await client.peek(1)).body == b"x"


async def test_a_reserve_may_wait_longer_than_an_answer(fake: FakeBeanstalkd) -> None:
    """The deadline counts from when the server had to speak."""
    async with Client(fake.endpoint, response_timeout=0.05) as client, Client(fake.endpoint) as other:
        waiting = asyncio.gather(client.reserve(2), client.reserve())
        await wait_until(lambda: "reserve-with-timeout 2" in fake.seen, "the reserve")
        await asyncio.sleep(0.1)
        await other.put(b"x")
        await other.put(b"y")
        assert {job.body for job in await waiting} == {b"x", b"y"}


_CALLS: list[tuple[str, Callable[[Client], Awaitable[object]]]] = [
    ("put", lambda client: client.put(b"z")),
    ("use", lambda client: client.use("t")),
    ("reserve", lambda client: client.reserve()),
    ("reserve-with-timeout", lambda client: client.reserve(60)),
    ("reserve-job", lambda client: client.reserve_job(1)),
    ("delete", lambda client: client.delete(1)),
    ("touch", lambda client: client.touch(1)),
    ("release", lambda client: client.release(1)),
    ("bury", lambda client: client.bury(1)),
    ("watch", lambda client: client.watch("t")),
    ("peek", lambda client: client.peek(1)),
    ("stats", lambda client: client.stats()),
    ("list-tubes", lambda client: client.list_tubes()),
]


@pytest.mark.parametrize(("name", "call"), _CALLS, ids=[name for name, _ in _CALLS])
async def test_a_cancelled_call_closes_its_connection(
    fake: FakeBeanstalkd, name: str, call: Callable[[Client], Awaitable[object]]
) -> None:
    """Its answer may still come, and would be taken for that of the next call."""
    async with Client(fake.endpoint) as client:
        await client.put(b"x")
        fake.faults[name] = "mute"
        task = asyncio.ensure_future(call(client))
        await wait_until(lambda: len(fake.seen) > 1, "the call")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not client.is_connected
        await wait_until(lambda: not fake.conns, "the end of the connection")
        fake.faults.clear()
        assert await client.list_tube_used() == "default"


async def test_who_waits_for_a_turn_may_be_cancelled(fake: FakeBeanstalkd) -> None:
    """Nothing was sent, so the connection stays."""
    async with Client(fake.endpoint) as client, Client(fake.endpoint) as other:
        first = asyncio.ensure_future(client.reserve(60))
        await wait_until(lambda: "reserve-with-timeout 60" in fake.seen, "the first")
        second = asyncio.ensure_future(client.put(b"never"))
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        await other.put(b"x")
        assert (await first).body == b"x"
        assert len(fake.jobs) == 1


async def test_what_a_cancelled_reserve_got_is_ready_again(fake: FakeBeanstalkd) -> None:
    """With the end of its connection."""
    async with Client(fake.endpoint) as client, Client(fake.endpoint) as other:
        await client.put(b"x", ttr=60)
        fake.faults["reserve-with-timeout"] = "mute"
        task = asyncio.ensure_future(client.reserve(60))
        await wait_until(lambda: bool(fake.in_tube("default", "reserved")), "the reservation")
        task.cancel()
        await asyncio.wait([task])
        fake.faults.clear()
        assert (await other.reserve(5)).body == b"x"


async def test_closing_ends_what_is_under_way(fake: FakeBeanstalkd) -> None:
    """And it stays closed."""
    client = Client(fake.endpoint)
    task = asyncio.ensure_future(client.reserve())
    await wait_until(lambda: "reserve" in fake.seen, "the reserve")
    await client.aclose()
    await client.aclose()
    with pytest.raises(ClosedError):
        await task
    with pytest.raises(ClosedError):
        await client.put(b"x")


@pytest.mark.parametrize(("word", "kind"), BY_WORD.items(), ids=lambda one: str(one)[:20])
async def test_every_word_of_refusal_is_an_error(
    fake: FakeBeanstalkd, word: bytes, kind: type[beanstalk.RefusedError]
) -> None:
    """After those that leave a doubt about what the node made of our bytes, the connection is made again."""
    async with Client(fake.endpoint) as client:
        fake.faults["stats"] = word.decode()
        with pytest.raises(kind) as caught:
            await client.stats()
        assert caught.value.word == word.decode()
        assert client.is_connected == (kind not in TROUBLE)
        fake.faults.clear()
        await client.stats()


# --- a server that is none --------------------------------------------------------------------


@asynccontextmanager
async def _saying(*chunks: bytes) -> AsyncIterator[str]:
    """A server that answers everything with these bytes, in these pieces, and closes then."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(0)

    async with door(answer) as address:
        yield address


@pytest.mark.parametrize(
    "said",
    [b"-ERR unknown command\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"RESERVED 7 3\r\n", b"INSERTED\r\n",
     b"BURIED\r\n", b"x" * 5000, b"INSERTED x\r\n", b"OK 3\r\nabc\r\n", b"\x00" * 10 + b"\r\n"],
)  # fmt: skip
async def test_an_answer_that_is_none_is_an_error(said: bytes) -> None:
    """Of one kind, and the connection is closed."""
    async with _saying(said) as endpoint, Client(endpoint) as client:
        with pytest.raises((beanstalk.UnreadableReplyError, beanstalk.NodeAwayError)):
            await client.put(b"x")
        assert not client.is_connected


async def test_a_body_that_does_not_end_is_an_error() -> None:
    """It was longer or shorter than announced."""
    async with _saying(b"FOUND 1 3\r\nabcde\r\n") as endpoint, Client(endpoint) as client:
        with pytest.raises(beanstalk.UnreadableReplyError, match="does not end"):
            await client.peek(1)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=50), cuts=st.lists(st.integers(0, 80), max_size=6))
def test_packets_may_be_split_anywhere(body: bytes, cuts: list[int]) -> None:
    """An answer is what its bytes say, however they come."""
    whole = b"FOUND 12 %d\r\n%b\r\n" % (len(body), body)
    places = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    chunks = [whole[start:end] for start, end in pairwise(places)]

    async def ask() -> beanstalk.Job:
        async with _saying(*chunks) as endpoint, Client(endpoint) as client:
            return await client.peek(12)

    assert asyncio.run(ask()) == beanstalk.Job(12, body)


@settings(max_examples=60)
@given(said=st.binary(max_size=120))
def test_garbage_is_an_error_of_ours(said: bytes) -> None:
    """Whatever somebody answers, no other exception comes out, and nothing waits for ever."""

    async def ask() -> None:
        async with _saying(said) as endpoint, Client(endpoint, response_timeout=5.0) as client:
            with pytest.raises(beanstalk.BeanstalkError):
                await client.stats()

    asyncio.run(ask())
