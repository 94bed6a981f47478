"""Retry policies, and what a broken one gets."""

from __future__ import annotations

import math
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncq.errors import ConfigError
from asyncq.retry import LONGEST_DELAY, AsynqBackoff, Exponential, Fixed, RetryPolicies
from asyncq.task import Task

TASK = Task("email")
ERROR = ValueError("why")


@pytest.mark.parametrize(("retried", "low", "high"), [(0, 15, 44), (1, 16, 74), (2, 31, 118), (5, 640, 814)])
def test_the_default_waits_as_long_as_asynq(retried: int, low: int, high: int) -> None:
    """The bounds that were seen in the Go library."""
    policy = AsynqBackoff(random=Random(1))
    waits = {policy.delay(retried, ERROR, TASK) for _ in range(2000)}
    assert (min(waits), max(waits)) == (low, high)


@given(st.integers(0, 5000), st.floats(0, 1))
def test_exponential_waits_stay_between_the_jitter_and_the_maximum(retried: int, jitter: float) -> None:
    """Also after so many retries that the power overflows."""
    policy = Exponential(base=2, factor=3, maximum=timedelta(minutes=10), jitter=jitter)
    longest = min(2.0 * 3.0 ** min(retried, 50), 600.0)
    assert longest * (1 - jitter) <= policy.delay(retried, ERROR, TASK) <= longest


def test_exponential_without_jitter_doubles() -> None:
    """The plain form."""
    policy = Exponential(base=1, maximum=5, jitter=0)
    assert [policy.delay(n, ERROR, TASK) for n in range(5)] == [1, 2, 4, 5, 5]


def test_waits_differ_between_tasks_that_failed_together() -> None:
    """Or they would all come back together."""
    policy = Exponential(base=100, random=Random(1))
    assert len({policy.delay(0, ERROR, TASK) for _ in range(100)}) == 100


def test_all_options_of_exponential_are_reported_at_once() -> None:
    """One round of fixing."""
    with pytest.raises(ConfigError) as caught:
        Exponential(base=-1, factor=0.5, jitter=2)
    assert [p.option for p in caught.value.problems] == ["base", "factor", "jitter"]
    with pytest.raises(ConfigError, match="maximum"):
        Exponential(base=10, maximum=5)


def test_fixed_is_the_same_each_time() -> None:
    """Seconds or a timedelta."""
    assert Fixed(timedelta(minutes=1)).delay(9, ERROR, TASK) == 60.0
    with pytest.raises(ConfigError):
        Fixed(math.inf)


def test_a_function_is_a_policy() -> None:
    """It sees how often, why, and which task."""
    seen: list[object] = []

    def policy(retried: int, error: BaseException, task: Task) -> timedelta:
        seen.append((retried, error, task))
        return timedelta(seconds=5)

    assert RetryPolicies(policy).delay("", 3, ERROR, TASK) == (5.0, None)
    assert seen == [(3, ERROR, TASK)]


def test_a_task_chooses_its_policy_by_name() -> None:
    """The server's own is for those that did not."""
    policies = RetryPolicies(Fixed(1), {"slow": Fixed(60)})
    assert policies.delay("", 0, ERROR, TASK).seconds == 1.0
    assert policies.delay("slow", 0, ERROR, TASK).seconds == 60.0
    assert 15 <= policies.delay("asynq", 0, ERROR, TASK).seconds <= 44
    assert policies.names == ("asynq", "slow")


def test_an_unknown_name_falls_back_to_the_servers_own_and_is_reported() -> None:
    """The task is retried all the same: it is not to blame."""
    delay = RetryPolicies(Fixed(1)).delay("nope", 0, ERROR, TASK)
    assert delay.seconds == 1.0
    assert "'nope'" in str(delay.problem)


@pytest.mark.parametrize(
    ("answer", "low", "high"),
    [
        (-1, 0, 0),
        (timedelta(seconds=-1), 0, 0),
        (math.inf, LONGEST_DELAY, LONGEST_DELAY),
        (1e300, LONGEST_DELAY, LONGEST_DELAY),
        (math.nan, 15, 44),
        (None, 15, 44),
        ("5", 15, 44),
        (True, 15, 44),
    ],
)
def test_a_wrong_answer_is_made_good_and_reported(answer: object, low: float, high: float) -> None:
    """A policy of a user must not lose a task."""
    delay = RetryPolicies(lambda retried, error, task: answer).delay("", 0, ERROR, TASK)  # type: ignore[arg-type,return-value]
    assert low <= delay.seconds <= high
    assert isinstance(delay.problem, ConfigError)


def test_a_policy_that_raises_falls_back_to_asynq_and_is_reported() -> None:
    """With the error as it was."""

    def broken(retried: int, error: BaseException, task: Task) -> float:
        raise ZeroDivisionError

    delay = RetryPolicies(broken).delay("", 0, ERROR, TASK)
    assert 15 <= delay.seconds <= 44
    assert isinstance(delay.problem, ZeroDivisionError)


@given(st.integers(0, 2**31))
def test_no_count_of_retries_leads_beyond_a_year(retried: int) -> None:
    """n^4 is soon longer than anybody lives."""
    assert 0 < RetryPolicies().delay("", retried, ERROR, TASK).seconds <= LONGEST_DELAY


@pytest.mark.parametrize("bad", [7, "slow", Exponential, object()])
def test_what_is_no_policy_is_refused(bad: object) -> None:
    """Also the class where an object was meant."""
    with pytest.raises(ConfigError, match="method `delay`"):
        RetryPolicies(bad)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="slow"):
        RetryPolicies(None, {"slow": bad})  # type: ignore[dict-item]
