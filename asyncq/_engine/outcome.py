"""What becomes of an attempt. Pure: it is told everything and touches nothing."""

from __future__ import annotations

import textwrap
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, cast

from asyncq.errors import (
    AttemptCancelledError,
    HandlerCrashedError,
    LeaseExpiredError,
    RetryIn,
    RevokeTask,
    SkipRetry,
    TaskCancelledError,
    TaskControl,
    TaskTimedOutError,
)

MAX_ERROR_CHARACTERS = 1024
"""An error text is cut here: it is stored with the task, and every list of tasks carries it."""

MAX_TRACE_CHARACTERS = 4000
"""A traceback is cut here, and its end kept: it is stored with the task, beside those of earlier attempts."""

FRAMES = 12
"""The last calls of an error that are shown."""

LINKS = 4
"""Errors of a chain that are shown: the one that came out, and those that led to it."""

_OURS = ("asyncq.", "anyio.", "asyncio.", "concurrent.")
"""Whose calls are left out where a traceback begins: they are the same for every handler."""

Action = Literal["retry", "archive", "revoke"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with a failed attempt."""

    action: Action
    reason: str = ""  #: of archiving: skip_retry, exhausted or cancelled
    delay: float | None = None  #: given by the handler; `None` asks the retry policy
    counts: bool = True


def judge(  # noqa: PLR0911 - a decision a row
    error: BaseException, *, retried: int, max_retry: int, is_failure: Callable[[BaseException], bool] | None
) -> Verdict:
    """Decide what an error means for the task.

    A control signal wins over everything, also inside a group of errors, because a handler that
    uses a task group cannot raise it any other way. Then a task without retries left is archived;
    an error that does not count does not use one up.
    """
    control = find_control(error)
    if isinstance(control, RevokeTask):
        return Verdict("revoke")
    if isinstance(control, SkipRetry):
        return Verdict("archive", "skip_retry")
    if isinstance(error, TaskCancelledError):
        return Verdict("archive", "cancelled")
    if isinstance(control, RetryIn):
        if control.counts and retried >= max_retry:
            return Verdict("archive", "exhausted")
        return Verdict("retry", delay=control.delay, counts=control.counts)
    counts = is_failure is None or is_failure(error)
    if counts and retried >= max_retry:
        return Verdict("archive", "exhausted")
    return Verdict("retry", counts=counts)


def find_control(error: BaseException) -> TaskControl | None:
    """The control signal that an error is, wraps as its cause, or contains as a group.

    In a group the most final one counts: revoke, then skip, then retry.
    """
    found = list(_controls(error))
    for kind in (RevokeTask, SkipRetry, RetryIn):
        for control in found:
            if isinstance(control, kind):
                return control
    return None


def _controls(error: BaseException) -> Iterator[TaskControl]:
    # A list and no recursion: a handler that ran out of stack, and wrapped the error at each level on the
    # way up, hands us a chain as long as the stack was deep.
    to_see, seen = [error], {id(error)}
    while to_see:
        one = to_see.pop()
        inner: tuple[BaseException, ...] = ()
        if isinstance(one, TaskControl):
            yield one
        elif isinstance(one, BaseExceptionGroup):
            inner = _inside(cast("object", one))
        elif one.__cause__ is not None:
            inner = (one.__cause__,)
        for other in reversed(inner):
            if id(other) not in seen:
                seen.add(id(other))
                to_see.append(other)


def _inside(group: object) -> tuple[BaseException, ...]:
    return cast("BaseExceptionGroup[BaseException]", group).exceptions


def from_handler(error: BaseException) -> BaseException:
    """What a handler raised, as an error that may be handed on.

    `SystemExit`, `KeyboardInterrupt` and their kind would end the event loop if anybody raised
    them again, so they are wrapped.
    """
    if isinstance(error, (Exception, BaseExceptionGroup)):
        return cast("BaseException", error)
    wrapped = HandlerCrashedError(describe(error))
    wrapped.__cause__ = error
    return wrapped


def from_cancelled_handler(error: BaseException) -> BaseException:
    """What a handler raised that was cancelled on request: not to be tried again, whatever it was."""
    cancelled = TaskCancelledError(f"on request, and then {describe(error)}")
    cancelled.__cause__ = error
    return cancelled


def from_cancellation(reason: str, *, seconds: float, deliveries: int) -> BaseException:
    """Why an attempt that we stopped did not succeed."""
    if reason == "timeout":
        return TaskTimedOutError(seconds, "timeout")
    if reason == "deadline":
        return TaskTimedOutError(seconds, "deadline")
    if reason == "lease_lost":
        return LeaseExpiredError(deliveries)
    if reason == "attempt_cancelled":
        return AttemptCancelledError()
    return TaskCancelledError("on request")


def describe(error: BaseException) -> str:
    """An error as text that can be stored: valid UTF-8, cut, never empty."""
    try:
        text = str(error)
    except Exception as broken:  # noqa: BLE001 - a user's __str__ may raise anything
        text = f"(its text could not be made: {type(broken).__name__})"
    name = type(error).__name__
    if isinstance(error, BaseExceptionGroup):
        inner = "; ".join(describe(one) for one in _inside(cast("object", error))[:3])
        text = f"{text}: {inner}"
    whole = f"{name}: {text}" if text else name
    whole = whole.encode("utf-8", "replace").decode()
    return whole if len(whole) <= MAX_ERROR_CHARACTERS else whole[: MAX_ERROR_CHARACTERS - 1] + "…"


def trace(error: BaseException) -> str:
    """The traceback of an error as text that can be stored: what led to it first, and cut from the front.

    Written by hand, since `traceback` goes through a chain of any length, and asks the error for its text
    in ways that may raise.
    """
    parts: list[str] = []
    one: BaseException | None = error
    while one is not None and len(parts) < LINKS:
        parts.append(_one_trace(one))
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    text = "\n".join(reversed(parts)).encode("utf-8", "replace").decode()
    return text if len(text) <= MAX_TRACE_CHARACTERS else "…" + text[1 - MAX_TRACE_CHARACTERS :]


def _one_trace(error: BaseException, depth: int = 0) -> str:
    calls, said = error.__traceback__, describe(error)
    while calls is not None and str(calls.tb_frame.f_globals.get("__name__")).startswith(_OURS):
        calls = calls.tb_next
    lines = traceback.format_tb(calls, -FRAMES)
    if isinstance(error, BaseExceptionGroup) and depth < LINKS:
        inner = _inside(cast("object", error))[:LINKS]
        lines += [textwrap.indent(_one_trace(one, depth + 1), "  | ") for one in inner]
    return "".join((*lines, said, "\n"))


def attempt_deadline(
    *, timeout: float, deadline: float, now: float
) -> tuple[float, Literal["timeout", "deadline"]]:
    """When an attempt that starts at `now` has to end, in Unix seconds, and by which limit; 0 for never."""
    by_timeout = now + timeout if timeout else 0.0
    if by_timeout and (not deadline or by_timeout <= deadline):
        return by_timeout, "timeout"
    return deadline, "deadline"
