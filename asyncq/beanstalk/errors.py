"""What can go wrong between us and a beanstalkd, in one tree by what the caller should do.

    BeanstalkError                everything that happens to a call
    ├─ NodeAwayError              not reached, or gone before it answered: try again
    ├─ UnreadableReplyError       an answer that no beanstalkd gives: is it one?
    └─ RefusedError               it answered, and the answer was no
       ├─ OutOfMemoryError        OUT_OF_MEMORY
       ├─ InternalError           INTERNAL_ERROR
       ├─ BadFormatError          BAD_FORMAT
       ├─ UnknownCommandError     UNKNOWN_COMMAND: the server is too old for it
       ├─ ExpectedCrlfError       EXPECTED_CRLF
       ├─ JobTooBigError          JOB_TOO_BIG
       ├─ DrainingError           DRAINING: it takes no new jobs
       ├─ DeadlineSoonError       DEADLINE_SOON: a job that we hold is about to be taken from us
       ├─ TimedOutError           TIMED_OUT: no job came in that time
       ├─ JobNotFoundError        NOT_FOUND: no such job or tube, or somebody else holds it
       ├─ NotIgnoredError         NOT_IGNORED: it is the last tube that is watched
       └─ BuriedError             BURIED: the node had no memory to put the job back, and keeps it aside

What is wrong with arguments is an `asyncq.errors.ConfigError`, before anything is sent.
"""

from __future__ import annotations

from typing import ClassVar, Final

from asyncq._error_base import AsyncqError


class BeanstalkError(AsyncqError):
    """A call to a beanstalkd went wrong."""

    _text = "beanstalkd {where}, {command}: {why}"

    def __init__(self, where: str, command: str, why: str) -> None:
        super().__init__(where, command, why)
        self.where, self.command, self.why = where, command, why


class NodeAwayError(BeanstalkError):
    """It was not reached, or went away before it answered.

    It does *not* say that nothing happened: a job may be there, or be gone, and only the answer lost.
    """


class UnreadableReplyError(BeanstalkError):
    """It answered something that no beanstalkd answers to this. The connection was closed."""


class RefusedError(BeanstalkError):
    """It answered, and the answer was no. `word` is what it said."""

    word: ClassVar[str] = ""
    _why: ClassVar[str] = ""

    def __init__(self, where: str, command: str) -> None:
        super().__init__(where, command, f"{self.word} ({self._why})")
        self.args = where, command


class OutOfMemoryError(RefusedError):
    """OUT_OF_MEMORY."""

    word = "OUT_OF_MEMORY"
    _why = "it has no memory left"


class InternalError(RefusedError):
    """INTERNAL_ERROR."""

    word = "INTERNAL_ERROR"
    _why = "a fault of its own; its disk may be full"


class BadFormatError(RefusedError):
    """BAD_FORMAT."""

    word = "BAD_FORMAT"
    _why = "it does not understand the arguments"


class UnknownCommandError(RefusedError):
    """UNKNOWN_COMMAND."""

    word = "UNKNOWN_COMMAND"
    _why = "it does not know this command; it may be older than 1.12"


class ExpectedCrlfError(RefusedError):
    """EXPECTED_CRLF."""

    word = "EXPECTED_CRLF"
    _why = "the body did not end where it was said to"


class JobTooBigError(RefusedError):
    """JOB_TOO_BIG, or known to be before it was sent: then `size` and `limit` say how much."""

    word = "JOB_TOO_BIG"
    _why = "the body has more bytes than it takes; its option -z says how many"

    def __init__(self, where: str, command: str, size: int = 0, limit: int = 0) -> None:
        super().__init__(where, command)
        self.args = where, command, size, limit
        self.size, self.limit = size, limit
        if limit:
            self.why = f"{self.word} (the body has {size} bytes, and it takes {limit}; its option -z says so)"


class DrainingError(RefusedError):
    """DRAINING."""

    word = "DRAINING"
    _why = "it was told to take no new jobs"


class DeadlineSoonError(RefusedError):
    """DEADLINE_SOON."""

    word = "DEADLINE_SOON"
    _why = "the time for a job that this connection holds is over in a second"


class TimedOutError(RefusedError):
    """TIMED_OUT."""

    word = "TIMED_OUT"
    _why = "no job came in that time"


class JobNotFoundError(RefusedError, LookupError):
    """NOT_FOUND."""

    word = "NOT_FOUND"
    _why = "there is no such job or tube, or another connection holds the job"


class NotIgnoredError(RefusedError):
    """NOT_IGNORED."""

    word = "NOT_IGNORED"
    _why = "a connection has to watch one tube at least"


class BuriedError(RefusedError):
    """BURIED, in answer to `release`."""

    word = "BURIED"
    _why = "it had no memory to put the job back and keeps it buried; kick it later"


BY_WORD: Final[dict[bytes, type[RefusedError]]] = {
    kind.word.encode(): kind
    for kind in (
        OutOfMemoryError,
        InternalError,
        BadFormatError,
        UnknownCommandError,
        ExpectedCrlfError,
        JobTooBigError,
        DrainingError,
        DeadlineSoonError,
        TimedOutError,
        JobNotFoundError,
        NotIgnoredError,
        BuriedError,
    )
}
"""Each word of refusal, and what it becomes."""

TROUBLE: Final = (OutOfMemoryError, InternalError, BadFormatError, UnknownCommandError, ExpectedCrlfError)
"""After these the connection is closed: what the node made of our bytes is not certain any more."""
