"""A client of beanstalkd for asyncio: every command of its protocol, and nothing above it.

    async with beanstalk.Client("127.0.0.1:11300") as client:
        put = await client.put(b"hello", delay=5)

`asyncq.dq` stands on it. It can be used by itself.
"""

from __future__ import annotations

from asyncq.beanstalk.client import Client
from asyncq.beanstalk.errors import (
    BadFormatError,
    BeanstalkError,
    BuriedError,
    DeadlineSoonError,
    DrainingError,
    ExpectedCrlfError,
    InternalError,
    JobNotFoundError,
    JobTooBigError,
    NodeAwayError,
    NotIgnoredError,
    OutOfMemoryError,
    RefusedError,
    TimedOutError,
    UnknownCommandError,
    UnreadableReplyError,
)
from asyncq.beanstalk.protocol import (
    DEFAULT_MAX_JOB_SIZE,
    HIGHEST,
    Job,
    Put,
    Statistics,
    read_endpoint,
    tube_problem,
)

__all__ = [
    "DEFAULT_MAX_JOB_SIZE",
    "HIGHEST",
    "BadFormatError",
    "BeanstalkError",
    "BuriedError",
    "Client",
    "DeadlineSoonError",
    "DrainingError",
    "ExpectedCrlfError",
    "InternalError",
    "Job",
    "JobNotFoundError",
    "JobTooBigError",
    "NodeAwayError",
    "NotIgnoredError",
    "OutOfMemoryError",
    "Put",
    "RefusedError",
    "Statistics",
    "TimedOutError",
    "UnknownCommandError",
    "UnreadableReplyError",
    "read_endpoint",
    "tube_problem",
]
