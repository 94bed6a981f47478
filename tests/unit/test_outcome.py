"""What becomes of an attempt, decided without touching anything."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncq._engine.outcome import (
    MAX_ERROR_CHARACTERS,
    Verdict,
    attempt_deadline,
    describe,
    find_control,
    from_cancellation,
    from_handler,
    judge,
)
from asyncq.errors import (
    AttemptCancelledError,
    HandlerCrashedError,
    LeaseExpiredError,
    RetryIn,
    RevokeTask,
    SkipRetry,
    TaskCancelledError,
    TaskTimedOutError,
)


def _judge(error: BaseException, retried: int = 0, max_retry: int = 3, is_failure: Any = None) -> Verdict:
    return judge(error, retried=retried, max_retry=max_retry, is_failure=is_failure)


@pytest.mark.parametrize(
    ("error", "retried", "verdict"),
    [
        (ValueError(), 0, Verdict("retry")),
        (ValueError(), 2, Verdict("retry")),
        (ValueError(), 3, Verdict("archive", "exhausted")),
        (ValueError(), 4, Verdict("archive", "exhausted")),
        (TaskTimedOutError(1.0), 0, Verdict("retry")),
        (LeaseExpiredError(1), 0, Verdict("retry")),
        (SkipRetry(), 0, Verdict("archive", "skip_retry")),
        (RevokeTask(), 0, Verdict("revoke")),
        (RevokeTask(), 9, Verdict("revoke")),
        (TaskCancelledError("on request"), 0, Verdict("archive", "cancelled")),
        (AttemptCancelledError(), 0, Verdict("retry")),
        (RetryIn(5), 0, Verdict("retry", delay=5.0)),
        (RetryIn(5), 3, Verdict("archive", "exhausted")),
        (RetryIn(5, counts=False), 3, Verdict("retry", delay=5.0, counts=False)),
    ],
)
def test_verdicts(error: BaseException, retried: int, verdict: Verdict) -> None:
    """Of three retries the third is the last."""
    assert _judge(error, retried) == verdict


def test_an_error_that_is_no_failure_never_ends_a_task() -> None:
    """And is asked about only where it matters: a signal is a signal."""
    assert _judge(ValueError(), 3, is_failure=lambda _: False) == Verdict("retry", counts=False)
    assert _judge(ValueError(), 3, is_failure=lambda _: True) == Verdict("archive", "exhausted")

    def never(error: BaseException) -> bool:
        raise AssertionError(error)

    for error in (SkipRetry(), RevokeTask(), RetryIn(1), TaskCancelledError("x")):
        _judge(error, is_failure=never)


_signals = st.sampled_from([SkipRetry(), RevokeTask(), RetryIn(1)])
_errors: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([ValueError("v"), KeyError("k")]) | _signals,
    lambda inner: st.lists(inner, min_size=1, max_size=3).map(lambda errors: ExceptionGroup("g", errors)),
    max_leaves=6,
)


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]


@given(_errors)
def test_of_several_signals_the_most_final_counts(error: BaseException) -> None:
    """However deep they lie."""
    found = {type(leaf) for leaf in _leaves(error)}
    expected = next((kind for kind in (RevokeTask, SkipRetry, RetryIn) if kind in found), type(None))
    assert type(find_control(error)) is expected


def test_a_chain_as_long_as_the_stack_is_judged() -> None:
    """A function that calls itself too often, and wraps the error at each level, makes one."""
    error = last = ValueError()
    for _ in range(5000):
        last.__cause__ = last = ValueError()
    last.__cause__ = SkipRetry()
    assert _judge(error) == Verdict("archive", "skip_retry")
    last.__cause__ = None
    assert _judge(error) == Verdict("retry")


def test_causes_are_followed_and_contexts_are_not() -> None:
    """`raise X from SkipRetry()` means it; what was merely being handled does not."""
    caused = ValueError()
    caused.__cause__ = SkipRetry()
    assert isinstance(find_control(caused), SkipRetry)
    happened = ValueError()
    happened.__context__ = SkipRetry()
    assert find_control(happened) is None
    circle = ValueError()
    circle.__cause__ = other = KeyError()
    other.__cause__ = circle
    assert find_control(circle) is None


@pytest.mark.parametrize(
    "error",
    [ValueError("x"), ExceptionGroup("g", [ValueError()]), BaseExceptionGroup("g", [KeyboardInterrupt()])],
)
def test_ordinary_errors_are_handed_on_as_they_are(error: BaseException) -> None:
    """Error handlers look at their types."""
    assert from_handler(error) is error


class _Mute(SystemExit):
    def __str__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit("x"), _Mute()])
def test_what_ends_programs_is_wrapped(error: BaseException) -> None:
    """Whoever raises it again would end the loop. Whatever its text does."""
    wrapped = from_handler(error)
    assert isinstance(wrapped, HandlerCrashedError)
    assert wrapped.__cause__ is error
    assert type(error).__name__ in str(wrapped)


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("timeout", TaskTimedOutError),
        ("deadline", TaskTimedOutError),
        ("lease_lost", LeaseExpiredError),
        ("cancelled", TaskCancelledError),
        ("attempt_cancelled", AttemptCancelledError),
    ],
)
def test_why_we_stopped_it(reason: str, kind: type[Exception]) -> None:
    """Each reason is an error of its own."""
    assert type(from_cancellation(reason, seconds=1.0, deliveries=2)) is kind


class _BrokenError(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("why"), "ValueError: why"),
        (ValueError(), "ValueError"),
        (ValueError("\ud800"), "ValueError: ?"),
        (_BrokenError(), "_BrokenError: (its text could not be made: ZeroDivisionError)"),
        (ExceptionGroup("g", [ValueError("a"), _BrokenError()]), "ValueError: a; _BrokenError:"),
    ],
)
def test_errors_become_text(error: BaseException, text: str) -> None:
    """Valid, never empty, whatever the error does."""
    assert text in describe(error)


@given(st.text(max_size=3000))
def test_the_text_is_cut_and_can_be_stored(text: str) -> None:
    """Every list of tasks carries it."""
    described = describe(ValueError(text))
    described.encode()
    assert 0 < len(described) <= MAX_ERROR_CHARACTERS


@pytest.mark.parametrize(
    ("timeout", "deadline", "answer"),
    [
        (0.0, 0.0, (0.0, "deadline")),
        (5.0, 0.0, (105.0, "timeout")),
        (0.0, 103.0, (103.0, "deadline")),
        (5.0, 103.0, (103.0, "deadline")),
        (5.0, 105.0, (105.0, "timeout")),
        (5.0, 107.0, (105.0, "timeout")),
        (5.0, 50.0, (50.0, "deadline")),
    ],
)
def test_the_earlier_limit_ends_an_attempt(
    timeout: float, deadline: float, answer: tuple[float, str]
) -> None:
    """A deadline that has passed is over at once."""
    assert attempt_deadline(timeout=timeout, deadline=deadline, now=100.0) == answer
