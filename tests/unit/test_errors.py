"""The error tree: as its docstring draws it, and fit to cross processes."""

from __future__ import annotations

import inspect
import math
import pickle
import re
from datetime import timedelta

import pytest

from asyncq import errors
from asyncq.errors import ConfigError, PayloadError, Problem, RetryIn

EXAMPLES: list[BaseException] = [
    errors.AsyncqError("text"),
    ConfigError("queue", "", "a name", [Problem("max_retry", -1, "zero or more")]),
    PayloadError("email", "too large", 3, 2),
    errors.EmbeddedUnavailableError("no binary", "use a URL"),
    errors.LifecycleError("Server"),
    errors.NotStartedError("Server"),
    errors.AlreadyRunningError("Server"),
    errors.ClosedError("Client"),
    errors.EnqueueRefusedError("no"),
    errors.DuplicateTaskError("low", "email"),
    errors.TaskIdConflictError("low", "id1"),
    errors.NotFoundError("what"),
    errors.QueueNotFoundError("low", ["slow"]),
    errors.GroupNotFoundError("low", "users", ["user"]),
    errors.TaskNotFoundError("low", "id1", ["high"]),
    errors.ResultNotKeptError("low", "id1", "done"),
    errors.ResultTimeoutError("low", "id1", 1.5),
    errors.TaskArchivedError("low", "id1", "exhausted", "ValueError: why"),
    errors.ServerNotFoundError("a1", ["a2", "a3"]),
    errors.NotAllowedError("eve", "task.delete", "billing"),
    errors.WrongStateError("what"),
    errors.TaskNotActiveError("low", "id1"),
    errors.TaskStateError("low", "id1", "active", ["pending", "retry"]),
    errors.TaskChangedError("low", "id1"),
    errors.QueueNotEmptyError("low", {"pending": 2, "retry": 0, "completed": 1}),
    errors.NoSlotError("bank", 2.0),
    errors.SlotLostError("bank"),
    errors.BrokerError("localhost:6379", "why"),
    errors.BrokerUnavailableError("localhost:6379", "refused", "start it"),
    errors.PartlyUnavailableError("cluster a:1,b:1", [errors.Missing("queue", "low", "a:1", "refused")], "x"),
    errors.AuthenticationError("localhost:6379", "wrong password"),
    errors.ServerTooOldError("localhost:6379", "5.0"),
    errors.UnsafeServerError("localhost:6379", "it evicts"),
    errors.BrokerReplyError("deliver", [b"what"]),
    errors.EntryNotFoundError("report", ["reports"]),
    errors.EntryChangedError("report", 7),
    errors.EntryExistsError("report", "other"),
    errors.EntryDeclaredError("report", "shop"),
    errors.SchedulerStalledError(75.0),
    errors.ProviderError("OSError: no"),
    errors.WireError("asyncq:{low}:t:1", "no msgpack"),
    errors.TaskFailure("why"),
    errors.HandlerNotFoundError("email"),
    errors.TaskTimedOutError(1.5, "deadline"),
    errors.LeaseExpiredError(2),
    errors.TaskCancelledError("by hand"),
    errors.AttemptCancelledError(),
    errors.HandlerCrashedError("SystemExit: 3"),
    errors.WorkerProcessDiedError(7, -9),
    errors.TaskControl(),
    errors.SkipRetry("never mind"),
    errors.RevokeTask(),
    RetryIn(timedelta(minutes=1), counts=False),
]


def public_errors() -> dict[str, type[BaseException]]:
    """Return the errors that the module defines."""
    members = inspect.getmembers(errors, inspect.isclass)
    return {
        name: c for name, c in members if issubclass(c, BaseException) and c.__module__ == errors.__name__
    }


def drawn_tree() -> dict[str, str]:
    """Read child → parent from the drawing in the module's docstring."""
    parents: list[tuple[int, str]] = []
    found: dict[str, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ([│├└─ ]*)([A-Z]\w+)( {2,}|$)", line)
        if match is None:
            continue
        depth, name = len(match[1]), match[2]
        parents = [(d, n) for d, n in parents if d < depth]
        found[name] = parents[-1][1] if parents else "Exception"
        parents.append((depth, name))
    return found


def test_the_drawn_tree_is_the_tree() -> None:
    """The drawing is what people read, so it must be true."""
    actual = {name: error.__bases__[0].__name__ for name, error in public_errors().items()}
    assert drawn_tree() == actual


def test_every_error_is_exported_and_has_an_example_here() -> None:
    """A new error must not escape the tests below."""
    assert set(public_errors()) <= set(errors.__all__)
    assert {type(error).__name__ for error in EXAMPLES} == set(public_errors())


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_every_error_survives_pickling(error: BaseException) -> None:
    """Errors come out of worker processes; one that cannot be unpickled breaks the pool."""
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(copy) is type(error)
    assert vars(copy) == vars(error)
    assert copy.args == error.args
    assert str(copy) == str(error)


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_every_attribute_is_in_the_text(error: BaseException) -> None:
    """Whoever reads the log has only the text."""
    for name in ("queue", "task_id", "where", "why", "advice", "type", "script", "reason"):
        assert str(getattr(error, name, "")) in str(error)


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (ConfigError, ValueError),
        (errors.LifecycleError, RuntimeError),
        (errors.NotFoundError, LookupError),
        (errors.WireError, ValueError),
    ],
)
def test_families_are_also_what_python_calls_them(error: type, builtin: type) -> None:
    """`except ValueError` works for who does not know our tree."""
    assert issubclass(error, builtin)


def test_control_signals_are_not_our_errors() -> None:
    """`except AsyncqError` in a handler must not swallow its own `SkipRetry`."""
    assert not issubclass(errors.TaskControl, errors.AsyncqError)


def test_what_is_missing_is_told_node_by_node() -> None:
    """A few names of each, however many there are."""
    queues = [errors.Missing("queue", f"q{at}", "a:1", "refused") for at in range(5)]
    others = [
        errors.Missing("index", "servers", "b:1", "no answer"),
        errors.Missing("node", "b:1", "b:1", "no answer"),
    ]
    error = errors.PartlyUnavailableError("cluster", [*queues, *others])
    assert str(error) == (
        "cluster: a:1 does not answer for queue 'q0', queue 'q1', queue 'q2' and 2 more: refused; "
        "b:1 does not answer for the names of servers: no answer"
    )
    assert [str(missing) for missing in others] == [
        "the names of servers on b:1: no answer",
        "b:1: no answer",
    ]


def test_a_config_error_reports_all_problems() -> None:
    """One round of fixing instead of three."""
    error = ConfigError.of([Problem("queue", "", "a name"), Problem("max_retry", -1, "zero or more")])
    assert (error.option, error.value) == ("queue", "")
    assert str(error).splitlines() == [
        "2 values are wrong:",
        "- queue='': expected a name",
        "- max_retry=-1: expected zero or more",
    ]


def test_a_long_value_is_cut_in_the_text() -> None:
    """A payload given by mistake must not flood the log."""
    assert len(str(ConfigError("queue", "x" * 10_000, "a name"))) < 200


def test_a_broker_error_says_where_why_and_what_to_try() -> None:
    """The three things that whoever is on call needs."""
    error = errors.BrokerUnavailableError("localhost:6379", "connection refused", "is Redis running?")
    assert str(error) == "localhost:6379: connection refused (is Redis running?)"


def test_what_is_not_there_is_told_with_what_is() -> None:
    """Most of what is not found was misspelt, or looked for in the wrong place."""
    assert str(errors.QueueNotFoundError("low")) == "there is no queue 'low'"
    assert str(errors.QueueNotFoundError("low", ["slow", "lower"])) == (
        "there is no queue 'low'; did you mean 'slow' or 'lower'?"
    )
    assert str(errors.TaskNotFoundError("low", "id1", ["high"])) == (
        "queue 'low' has no task 'id1'; there is one in 'high'"
    )


def test_a_queue_that_is_not_empty_says_what_is_in_it() -> None:
    """Whoever wanted to remove it decides by that."""
    error = errors.QueueNotEmptyError("low", {"pending": 2, "retry": 0, "completed": 1})
    assert str(error) == "queue 'low' still holds 2 pending, 1 completed"
    assert error.size == 3


def test_retry_in_takes_seconds_and_timedeltas() -> None:
    """Durations are given in both forms everywhere."""
    assert RetryIn(90).delay == RetryIn(timedelta(seconds=90)).delay == 90.0
    assert RetryIn(1).counts
    assert str(RetryIn(90)) == "run again in 90 s"


@pytest.mark.parametrize("delay", [-1, math.nan, math.inf, timedelta(seconds=-1)])
def test_retry_in_refuses_a_delay_that_cannot_be_waited(delay: float | timedelta) -> None:
    """It would put the task where no forwarder finds it."""
    with pytest.raises(ConfigError):
        RetryIn(delay)
