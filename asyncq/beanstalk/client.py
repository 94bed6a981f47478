"""The commands of one beanstalkd."""

from __future__ import annotations

from contextlib import suppress
from typing import Self

from asyncq.beanstalk import requests
from asyncq.beanstalk.channel import Channel
from asyncq.beanstalk.errors import JobNotFoundError, RefusedError
from asyncq.beanstalk.protocol import (
    Job,
    Put,
    Statistics,
    read_list,
    read_statistics,
    require_body,
    require_numbers,
    require_tube,
)
from asyncq.beanstalk.requests import Request, ask

__all__ = ["Client"]


class Client:
    """The commands of one beanstalkd over one connection, which is made at the first use.

    Calls of several tasks take turns. A `reserve` that waits holds up what comes behind it: use one client
    for each reserver, and another one to put. After a loss the connection is made again by the next call,
    with the same tubes used and watched; what was reserved on the old one is not ours any more.

    Args:
        endpoint: `host:port`.
        connect_timeout: Seconds for one attempt to connect.
        response_timeout: Seconds for one answer; for `reserve`, beyond the time it may wait.
    """

    def __init__(
        self, endpoint: str, *, connect_timeout: float = 10.0, response_timeout: float = 10.0
    ) -> None:
        self._channel = Channel(endpoint, connect_timeout=connect_timeout, response_timeout=response_timeout)

    @property
    def endpoint(self) -> str:
        """Where it leads, as it was given."""
        return self._channel.endpoint

    # --- the producer's commands ---------------------------------------------------------------

    async def put(self, body: bytes, *, priority: int = 1024, delay: int = 0, ttr: int = 60) -> Put:
        """Store a job in the tube that is used.

        Args:
            body: Its bytes.
            priority: 0 is the most urgent.
            delay: Whole seconds before it is ready.
            ttr: Whole seconds that a consumer has for it; 0 is made 1 by the server.

        Raises:
            JobTooBigError: The server takes no body of that size.
            DrainingError: It takes no new jobs.
            NodeAwayError: Nobody knows whether the job is there.
        """
        require_body(body)
        require_numbers(priority=priority, delay=delay, ttr=ttr)
        request = ask("put", priority, delay, ttr, len(body), words=(b"INSERTED", b"BURIED"), body=body)
        answer = (await self._channel.call(request)).answer
        if len(answer.numbers) != 1:
            raise self._channel.unreadable("put", answer)
        return Put(answer.numbers[0], is_buried=answer.word == b"BURIED")

    async def use(self, tube: str) -> None:
        """Put into this tube from now on; `default` before."""
        require_tube(tube)
        await self._channel.call(ask("use", tube, words=(b"USING",)))
        self._channel.used = tube

    # --- the consumer's commands ---------------------------------------------------------------

    async def reserve(self, timeout: int | None = None) -> Job:
        """Take the next job of the tubes that are watched, waiting for one.

        Args:
            timeout: Whole seconds to wait; for ever when not given.

        Raises:
            TimedOutError: None came in that time.
            DeadlineSoonError: A job that this connection holds has less than a second left.
        """
        if timeout is None:
            return await self._job(ask("reserve", words=(b"RESERVED",)), wait=None)
        require_numbers(timeout=timeout)
        request = ask("reserve-with-timeout", timeout, words=(b"RESERVED",))
        return await self._job(request, wait=float(timeout))

    async def reserve_job(self, job_id: int) -> Job:
        """Take one job: ready, delayed or buried. Needs beanstalkd 1.12.

        Raises:
            JobNotFoundError: There is none, or somebody holds it.
        """
        return await self._job(requests.reserve_job(job_id))

    async def delete(self, job_id: int) -> None:
        """Remove a job: ours, or one that nobody holds.

        Raises:
            JobNotFoundError: There is none, or somebody else holds it.
        """
        require_numbers(job_id=job_id)
        await self._channel.call(ask("delete", job_id, words=(b"DELETED",)))

    async def release(self, job_id: int, *, priority: int = 1024, delay: int = 0) -> None:
        """Give a job back that this connection holds.

        Raises:
            JobNotFoundError: This connection does not hold it.
            BuriedError: It is buried instead, for want of memory.
        """
        await self._channel.call(requests.release(job_id, priority, delay))

    async def postpone(self, job_id: int, *, priority: int = 1024, delay: int = 0) -> None:
        """Put off a job that nobody holds: `reserve_job` and `release` in one go.

        Both commands leave in the same write, so that the end of this process cannot come between them
        and show the job to others. Needs beanstalkd 1.12.

        Raises:
            JobNotFoundError: There is none, or somebody holds it.
            BuriedError: It is buried instead, for want of memory.
        """
        both = (requests.reserve_job(job_id), requests.release(job_id, priority, delay))
        for reply in await self._channel.talk(both):
            if isinstance(reply, RefusedError):
                raise reply

    async def bury(self, job_id: int, *, priority: int = 1024) -> None:
        """Set a job aside that this connection holds, until somebody kicks it.

        Raises:
            JobNotFoundError: This connection does not hold it.
        """
        await self._channel.call(requests.bury(job_id, priority))

    async def bury_job(self, job_id: int, *, priority: int = 1024) -> None:
        """Bury a job that nobody holds: `reserve_job` and `bury` in one go. Needs beanstalkd 1.12.

        Raises:
            JobNotFoundError: There is none, or somebody holds it.
        """
        for reply in await self._channel.talk(
            (requests.reserve_job(job_id), requests.bury(job_id, priority))
        ):
            if isinstance(reply, RefusedError):
                raise reply

    async def touch(self, job_id: int) -> None:
        """Ask for the whole time to run once more, for a job that this connection holds.

        Raises:
            JobNotFoundError: This connection does not hold it.
        """
        require_numbers(job_id=job_id)
        await self._channel.call(ask("touch", job_id, words=(b"TOUCHED",)))

    async def watch(self, tube: str) -> int:
        """Reserve from this tube, too. Returns how many are watched."""
        require_tube(tube)
        reply = await self._channel.call(ask("watch", tube, words=(b"WATCHING",)))
        if tube not in self._channel.watched:
            self._channel.watched.append(tube)
        return reply.answer.numbers[0]

    async def ignore(self, tube: str) -> int:
        """Reserve from this tube no more. Returns how many are watched.

        Raises:
            NotIgnoredError: It is the only one.
        """
        require_tube(tube)
        reply = await self._channel.call(ask("ignore", tube, words=(b"WATCHING",)))
        if tube in self._channel.watched:
            self._channel.watched.remove(tube)
        return reply.answer.numbers[0]

    async def watch_only(self, tube: str) -> None:
        """Reserve from this tube and no other. Nothing is sent before the connection is made."""
        require_tube(tube)
        if not self.is_connected:
            self._channel.watched = [tube]
            return
        await self.watch(tube)
        for other in [name for name in self._channel.watched if name != tube]:
            await self.ignore(other)

    # --- looking, and what operators do --------------------------------------------------------

    async def peek(self, job_id: int) -> Job:
        """Look at a job.

        Raises:
            JobNotFoundError: There is none.
        """
        require_numbers(job_id=job_id)
        return await self._job(ask("peek", job_id, words=(b"FOUND",)))

    async def peek_ready(self) -> Job | None:
        """Look at the next ready job of the tube that is used, if there is one."""
        return await self._peek("peek-ready")

    async def peek_delayed(self) -> Job | None:
        """Look at the job of the tube that is used that will be ready first, if there is one."""
        return await self._peek("peek-delayed")

    async def peek_buried(self) -> Job | None:
        """Look at the next buried job of the tube that is used, if there is one."""
        return await self._peek("peek-buried")

    async def kick(self, bound: int) -> int:
        """Make up to `bound` buried jobs of the tube that is used ready; where none is buried, delayed ones.

        Returns how many it were.
        """
        require_numbers(bound=bound)
        reply = await self._channel.call(ask("kick", bound, words=(b"KICKED",)))
        if len(reply.answer.numbers) != 1:
            raise self._channel.unreadable("kick", reply.answer)
        return reply.answer.numbers[0]

    async def kick_job(self, job_id: int) -> None:
        """Make one buried or delayed job ready.

        Raises:
            JobNotFoundError: There is none in such a state.
        """
        require_numbers(job_id=job_id)
        await self._channel.call(ask("kick-job", job_id, words=(b"KICKED",)))

    async def pause_tube(self, tube: str, delay: int) -> None:
        """Hand out no jobs of a tube for so many seconds.

        Raises:
            JobNotFoundError: There is no such tube.
        """
        require_tube(tube)
        require_numbers(delay=delay)
        await self._channel.call(ask("pause-tube", tube, delay, words=(b"PAUSED",)))

    async def stats(self) -> Statistics:
        """What the server says of itself."""
        return await self._statistics(ask("stats", words=(b"OK",)))

    async def stats_job(self, job_id: int) -> Statistics:
        """What it says of a job.

        Raises:
            JobNotFoundError: There is none.
        """
        require_numbers(job_id=job_id)
        return await self._statistics(ask("stats-job", job_id, words=(b"OK",)))

    async def stats_tube(self, tube: str) -> Statistics:
        """What it says of a tube.

        Raises:
            JobNotFoundError: There is none.
        """
        require_tube(tube)
        return await self._statistics(ask("stats-tube", tube, words=(b"OK",)))

    async def list_tubes(self) -> list[str]:
        """The tubes that exist."""
        return read_list((await self._channel.call(ask("list-tubes", words=(b"OK",)))).body)

    async def list_tube_used(self) -> str:
        """The tube that `put` goes to."""
        return (await self._channel.call(ask("list-tube-used", words=(b"USING",)))).answer.text

    async def list_tubes_watched(self) -> list[str]:
        """The tubes that `reserve` takes from."""
        return read_list((await self._channel.call(ask("list-tubes-watched", words=(b"OK",)))).body)

    # --- the connection ------------------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection now; the next call makes one where there is none."""
        return self._channel.is_connected

    async def disconnect(self) -> None:
        """Close the connection, if there is one; the next call makes a new one.

        Jobs that are reserved on it are ready again.
        """
        await self._channel.disconnect()

    async def aclose(self) -> None:
        """Close for good. A call that is under way fails with `ClosedError`. May be called twice."""
        await self._channel.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<beanstalk.Client {self.endpoint}>"

    async def _job(self, request: Request, *, wait: float | None = 0.0) -> Job:
        reply = await self._channel.call(request, wait=wait)
        return Job(reply.answer.numbers[0], reply.body)

    async def _peek(self, name: str) -> Job | None:
        with suppress(JobNotFoundError):
            return await self._job(ask(name, words=(b"FOUND",)))
        return None

    async def _statistics(self, request: Request) -> Statistics:
        return read_statistics((await self._channel.call(request)).body)
