"""What a beanstalkd does and our client makes of it: run against the fake one and against a real one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import pytest

from asyncq import beanstalk
from asyncq.beanstalk import Client

__all__ = ["CASES", "Case", "Rig"]


class Rig(Protocol):
    """A server, empty and just started, whose limit for jobs is 65,535 bytes."""

    endpoint: str

    async def pass_time(self, seconds: float) -> None:
        """Let so much time pass."""
        ...

    async def drain(self) -> None:
        """Let it take no more jobs."""
        ...


Case = Callable[[Rig, Client, Client], Awaitable[None]]
CASES: list[Case] = []


def _case(function: Case) -> Case:
    CASES.append(function)
    return function


@_case
async def put_reserve_delete(rig: Rig, one: Client, other: Client) -> None:
    """The life of a job."""
    put = await one.put(b"body\r\nwith lines", priority=2, delay=0, ttr=5)
    assert not put.is_buried
    job = await other.reserve(0)
    assert (job.id, job.body) == (put.id, b"body\r\nwith lines")
    found = await other.stats_job(job.id)
    assert (found["state"], found["pri"], found["ttr"], found["reserves"]) == ("reserved", 2, 5, 1)
    with pytest.raises(beanstalk.JobNotFoundError):
        await one.delete(job.id)
    await other.delete(job.id)
    with pytest.raises(beanstalk.JobNotFoundError):
        await one.stats_job(job.id)


@_case
async def nothing_comes(rig: Rig, one: Client, other: Client) -> None:
    """Asked without waiting, and after some."""
    with pytest.raises(beanstalk.TimedOutError):
        await one.reserve(0)
    waiting = asyncio.gather(other.reserve(1), return_exceptions=True)
    await rig.pass_time(1.05)
    assert isinstance((await waiting)[0], beanstalk.TimedOutError)


@_case
async def a_reserve_that_waits_gets_what_comes(rig: Rig, one: Client, other: Client) -> None:
    """At once."""
    waiting = asyncio.gather(other.reserve(30))
    await one.put(b"x")
    assert (await waiting)[0].body == b"x"


@_case
async def a_delayed_job_is_ready_later(rig: Rig, one: Client, other: Client) -> None:
    """And can be deleted before."""
    later = (await one.put(b"later", delay=1)).id
    gone = (await one.put(b"gone", delay=1)).id
    assert (await one.stats_job(later))["state"] == "delayed"
    await other.delete(gone)
    with pytest.raises(beanstalk.TimedOutError):
        await other.reserve(0)
    await rig.pass_time(1.05)
    assert (await other.reserve(5)).id == later


@_case
async def the_most_urgent_goes_first(rig: Rig, one: Client, other: Client) -> None:
    """Then the oldest."""
    for priority in (9, 1, 9, 0):
        await one.put(str(priority).encode(), priority=priority)
    assert [(await other.reserve(0)).body for _ in range(4)] == [b"0", b"1", b"9", b"9"]


@_case
async def what_is_released_waits(rig: Rig, one: Client, other: Client) -> None:
    """With its new delay and priority."""
    await one.put(b"x", ttr=60)
    job = await one.reserve(0)
    await one.release(job.id, priority=7, delay=1)
    found = await one.stats_job(job.id)
    assert (found["state"], found["pri"], found["releases"]) == ("delayed", 7, 1)
    with pytest.raises(beanstalk.JobNotFoundError):
        await one.release(job.id)
    await rig.pass_time(1.05)
    assert (await other.reserve(5)).id == job.id


@_case
async def a_job_that_is_not_touched_is_taken_away(rig: Rig, one: Client, other: Client) -> None:
    """After its time to run, of which the last second is announced."""
    await one.put(b"x", ttr=2)
    job = await one.reserve(0)
    await rig.pass_time(1.1)
    with pytest.raises(beanstalk.DeadlineSoonError):
        await one.reserve(0)
    await one.touch(job.id)
    await rig.pass_time(1.1)
    with pytest.raises(beanstalk.TimedOutError):
        await other.reserve(0)
    await rig.pass_time(1.1)
    # beanstalkd 1.12 forgets now and then that the time is over, until the connection says something.
    await one.list_tube_used()
    assert (await other.reserve(5)).id == job.id
    with pytest.raises(beanstalk.JobNotFoundError):
        await one.touch(job.id)


@_case
async def the_jobs_of_a_lost_connection_are_ready(rig: Rig, one: Client, other: Client) -> None:
    """At once."""
    await one.put(b"x", ttr=60)
    job = await one.reserve(0)
    await one.disconnect()
    assert (await other.reserve(5)).id == job.id


@_case
async def buried_jobs_are_kicked(rig: Rig, one: Client, other: Client) -> None:
    """One, or the first of all; where none is buried, delayed ones."""
    ids = [(await one.put(b"x")).id for _ in range(3)]
    for _ in ids:
        job = await one.reserve(0)
        await one.bury(job.id, priority=3)
    first = await one.peek_buried()
    assert first is not None
    assert first.id == ids[0]
    await other.kick_job(ids[2])
    assert await other.kick(10) == 2
    assert {(await other.reserve(0)).id for _ in ids} == set(ids)
    with pytest.raises(beanstalk.JobNotFoundError):
        await one.kick_job(ids[0])
    late = (await one.put(b"late", delay=60)).id
    assert await one.kick(1) == 1
    assert (await one.stats_job(late))["state"] == "ready"


@_case
async def a_job_is_reserved_by_its_number(rig: Rig, one: Client, other: Client) -> None:
    """Ready, delayed or buried."""
    ready, delayed = (await one.put(b"a")).id, (await one.put(b"b", delay=60)).id
    assert (await one.reserve_job(ready)).body == b"a"
    await one.bury(ready)
    assert (await other.reserve_job(ready)).id == ready
    assert (await one.reserve_job(delayed)).id == delayed
    for job_id in (ready, 4711):
        with pytest.raises(beanstalk.JobNotFoundError):
            await one.reserve_job(job_id)


@_case
async def postponed_and_buried_in_one_go(rig: Rig, one: Client, other: Client) -> None:
    """What nobody holds; what somebody holds is left alone."""
    job_id = (await one.put(b"a" * 3000, delay=1)).id
    await one.postpone(job_id, priority=2, delay=60)
    await rig.pass_time(1.1)
    found = await one.stats_job(job_id)
    assert (found["state"], found["delay"], found["pri"]) == ("delayed", 60, 2)
    await one.bury_job(job_id, priority=2)
    assert (await one.stats_job(job_id))["buries"] == 1
    await one.postpone(job_id, priority=2, delay=0)
    held = await other.reserve(0)
    assert held.id == job_id
    for act in (one.postpone, one.bury_job):
        with pytest.raises(beanstalk.JobNotFoundError):
            await act(job_id)
    assert (await other.stats_job(job_id))["state"] == "reserved"


@_case
async def tubes_are_used_watched_and_ignored(rig: Rig, one: Client, other: Client) -> None:
    """And are the same after the connection was made again."""
    await one.use("a.b/c")
    assert await one.list_tube_used() == "a.b/c"
    assert await other.watch("a.b/c") == 2
    assert await other.ignore("default") == 1
    with pytest.raises(beanstalk.NotIgnoredError):
        await other.ignore("a.b/c")
    for client in (one, other):
        await client.disconnect()
    await one.put(b"x")
    assert (await other.reserve(5)).body == b"x"
    assert await other.list_tubes_watched() == ["a.b/c"]
    assert set(await one.list_tubes()) == {"default", "a.b/c"}
    found = await one.stats_tube("a.b/c")
    assert (found["name"], found["current-jobs-reserved"]) == ("a.b/c", 1)
    with pytest.raises(beanstalk.JobNotFoundError):
        await one.stats_tube("nowhere")


@_case
async def only_one_tube_is_watched(rig: Rig, one: Client, other: Client) -> None:
    """Before and after the connection is made."""
    await other.watch_only("mine")
    assert await other.list_tubes_watched() == ["mine"]
    await other.watch_only("other")
    assert await other.list_tubes_watched() == ["other"]


@_case
async def looking_takes_nothing(rig: Rig, one: Client, other: Client) -> None:
    """Into each state."""
    assert [await one.peek_ready(), await one.peek_delayed(), await one.peek_buried()] == [None] * 3
    ready, delayed = (await one.put(b"r")).id, (await one.put(b"d", delay=60)).id
    assert await one.peek_ready() == beanstalk.Job(ready, b"r")
    assert await one.peek_delayed() == beanstalk.Job(delayed, b"d")
    assert await one.peek(delayed) == beanstalk.Job(delayed, b"d")
    with pytest.raises(beanstalk.JobNotFoundError):
        await one.peek(4711)


@_case
async def a_paused_tube_hands_out_nothing(rig: Rig, one: Client, other: Client) -> None:
    """Until that is over."""
    await one.put(b"x")
    await one.pause_tube("default", 1)
    with pytest.raises(beanstalk.TimedOutError):
        await other.reserve(0)
    await rig.pass_time(1.05)
    assert (await other.reserve(5)).body == b"x"
    with pytest.raises(beanstalk.JobNotFoundError):
        await one.pause_tube("nowhere", 1)


@_case
async def a_job_that_is_too_big_is_refused(rig: Rig, one: Client, other: Client) -> None:
    """And the connection goes on."""
    limit = (await one.stats())["max-job-size"]
    assert limit == beanstalk.DEFAULT_MAX_JOB_SIZE
    with pytest.raises(beanstalk.JobTooBigError):
        await one.put(b"x" * (65_535 + 1))
    assert (await one.put(b"x" * 65_535)).id > 0
    assert len((await other.reserve(0)).body) == 65_535


@_case
async def while_it_drains_it_takes_nothing(rig: Rig, one: Client, other: Client) -> None:
    """What is there is handed out, and may be put back."""
    await one.put(b"x")
    await rig.drain()
    with pytest.raises(beanstalk.DrainingError):
        await one.put(b"y")
    job = await one.reserve(0)
    await one.release(job.id)
    assert (await other.reserve(0)).id == job.id


@_case
async def an_empty_body_is_a_body(rig: Rig, one: Client, other: Client) -> None:
    """Of no bytes."""
    await one.put(b"")
    assert (await other.reserve(0)).body == b""
