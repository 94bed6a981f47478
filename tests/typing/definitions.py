"""What type checkers know about typed definitions. Checked, never run.

Each expected mistake carries a `type: ignore`; mypy complains about those that are not
needed, so a mistake that is no longer found fails the gate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_type

from asyncq.definitions import INJECTED, task
from asyncq.mux import Mux
from asyncq.task import Task

if TYPE_CHECKING:
    from asyncq.context import Context


@task("email:welcome", queue="critical", max_retry=5, timeout=1.5)
async def welcome(ctx: Context, user_id: int, *, language: str = "en") -> str:
    """Take the context first: the caller of `.task` does not see it."""
    del ctx
    return f"{user_id} {language}"


@task("report", executor="thread")
def report(day: str, pages: int = 1) -> int:
    """Take no context."""
    return len(day) * pages


@task("keyword")
async def keyword(user_id: int, *, ctx: Context = INJECTED) -> None:
    """Take the context by keyword."""
    del user_id, ctx


async def correct(ctx: Context, mux: Mux) -> None:
    """Use them as they are meant."""
    assert_type(welcome.task(42), Task)
    assert_type(welcome.task(user_id=42, language="de"), Task)
    assert_type(report.task("monday", pages=2), Task)
    assert_type(keyword.task(user_id=42), Task)
    assert_type(await welcome(ctx, 42), str)
    assert_type(report("monday"), int)
    mux.add(welcome, report, keyword)


def mistaken(ctx: Context) -> None:
    """Make every mistake that is to be found."""
    welcome.task()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    welcome.task("42")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    welcome.task(user_id=42, lang="de")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    welcome.task(ctx, 42)  # type: ignore[call-arg,arg-type]  # pyright: ignore[reportCallIssue]
    report.task(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    report.task("monday", pages="2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    report(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    task("a", queu="low")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    task("a", max_retry="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    task("a", executor="fiber")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
