"""What type checkers know about tasks, options, muxes and policies. Checked, never run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, assert_type

from asyncq.codecs import Codecs
from asyncq.mux import Call, Mux, Route
from asyncq.retry import Exponential, Fixed, RetryPolicies
from asyncq.task import Task

if TYPE_CHECKING:
    from asyncq.context import Context


class Upper:
    """A codec of a user needs no base class."""

    name = "upper"

    def encode(self, payload: object, /) -> bytes:
        """Write."""
        return str(payload).upper().encode()

    def decode(self, raw: bytes, /) -> object:
        """Read."""
        return raw.decode()


def slower(retried: int, error: BaseException, task: Task) -> timedelta:
    """Be a policy by being a function."""
    del error, task
    return timedelta(minutes=retried)


mux = Mux()


@mux.handle("email")
async def email(task: Task) -> None:
    """Take the task."""
    del task


@mux.handle("sms", executor="thread")
def sms(task: Task, ctx: Context) -> int:
    """Take the context as well."""
    return len(task.type) + len(ctx.id)


async def around(task: Task, ctx: Context, call_next: Call) -> object:
    """Wrap handlers."""
    return await call_next(task, ctx)


async def correct(ctx: Context) -> None:
    """Use all of it as it is meant."""
    made = Task("email", {"user_id": 42}, queue="low", process_in=timedelta(minutes=5), headers={"a": "b"})
    Task("email", payload=b"x", deadline=datetime.now(UTC), unique=60)
    assert_type(made.type, str)
    assert_type(made.raw, bytes)
    assert_type(sms(made, ctx), int)
    assert_type(mux.handle("nested:", Mux()), Mux)
    assert_type(mux.resolve("email"), Route | None)
    mux.use(around)
    Codecs(Upper(), Upper())
    RetryPolicies(slower, {"a": Fixed(5), "b": Exponential(maximum=timedelta(hours=1)), "c": slower})
    await email(made)


def mistaken() -> None:
    """Make every mistake that is to be found."""
    Task(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Task("email", max_retries=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Task("email", process_at=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Task("email", headers={"a": 1})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    mux.handle("email", 7)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    mux.use(email)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    RetryPolicies(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Codecs(object())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
