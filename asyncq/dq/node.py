"""One node as a producer sees it: a beanstalkd, its tube, and the largest job it takes."""

from __future__ import annotations

from contextlib import suppress
from typing import Final, NamedTuple

from asyncq.beanstalk import DEFAULT_MAX_JOB_SIZE, BeanstalkError, Client, JobTooBigError
from asyncq.dq.conf import Beanstalk
from asyncq.errors import ConfigError

PRIORITY: Final = 2
"""go-queue has three; this is the one in the middle, and the only one that it uses."""

TTR: Final = 5
"""Seconds that go-queue gives a consumer, which in its order needs none."""


class Copy(NamedTuple):
    """One copy of a message, and where it is."""

    endpoint: str
    tube: str
    job_id: int

    def __str__(self) -> str:
        return f"{self.endpoint}/{self.tube}/{self.job_id}"


def read_ids(ids: object) -> list[Copy]:
    """The copies that an id names.

    A tube may have a `/` in its name, so the endpoint ends at the first and the number begins at the last.

    Raises:
        ConfigError: It is no id that `at` and `delay` return.
    """
    found: list[Copy] = []
    for text in ids.split(",") if isinstance(ids, str) else [""]:
        endpoint, _, rest = text.partition("/")
        tube, _, number = rest.rpartition("/")
        if not (endpoint and tube and number.isascii() and number.isdigit() and len(number) <= 20):
            expected = "what at() and delay() return, such as 10.0.0.1:11300/orders/7,10.0.0.2:11300/orders/3"
            raise ConfigError("ids", ids, expected)
        found.append(Copy(endpoint, tube, int(number)))
    return found


class Node:
    """Puts and deletes on one node, over one connection that is made at the first use."""

    def __init__(self, conf: Beanstalk, *, connect_timeout: float, response_timeout: float) -> None:
        self.conf: Final = conf
        self._client: Final = Client(
            conf.endpoint, connect_timeout=connect_timeout, response_timeout=response_timeout
        )
        self._is_used = False
        self._max_job_size: int | None = None

    def check(self, raw: bytes) -> None:
        """Refuse a job of which it is known that the node does not take it.

        Raises:
            JobTooBigError: It has too many bytes.
        """
        if self._max_job_size is not None and len(raw) > self._max_job_size:
            raise JobTooBigError(self.conf.endpoint, "put", len(raw), self._max_job_size)

    async def put(self, raw: bytes, *, delay: int) -> Copy:
        """Write a copy."""
        if not self._is_used:
            await self._client.use(self.conf.tube)
            self._is_used = True
        if self._max_job_size is None and len(raw) > DEFAULT_MAX_JOB_SIZE:
            await self._learn_size()  # rather than send it in vain
        self.check(raw)
        try:
            put = await self._client.put(raw, priority=PRIORITY, delay=delay, ttr=TTR)
        except JobTooBigError:
            await self._learn_size()
            self.check(raw)
            raise
        return Copy(self.conf.endpoint, self.conf.tube, put.id)

    async def delete(self, copy: Copy) -> None:
        """Delete a copy that nobody holds."""
        await self._client.delete(copy.job_id)

    def has(self, copy: Copy) -> bool:
        """Whether a copy is one of this node."""
        return (copy.endpoint, copy.tube) == (self.conf.endpoint, self.conf.tube)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._client.aclose()

    async def _learn_size(self) -> None:
        with suppress(BeanstalkError):
            found = (await self._client.stats()).get("max-job-size")
            if isinstance(found, int):
                self._max_job_size = found
