"""Finding handlers: patterns, executors, middleware, nesting."""

from __future__ import annotations

import functools
import os
import threading
from typing import Any, cast

import pytest

from asyncq.context import Context, current_context
from asyncq.definitions import task
from asyncq.errors import ConfigError, HandlerNotFoundError, NotStartedError, PayloadError, SkipRetry
from asyncq.mux import Call, Mux, Route
from asyncq.task import Task
from tests.unit import handlers

CTX = cast("Context", "the context")


async def said(route: Route | None, of: str = "email:welcome") -> object:
    """Run a route on the loop and return what the handler returned."""
    assert route is not None
    assert route.invoke is not None
    return await route.invoke(Task(of), CTX)


def saying(text: str) -> Any:
    """Return a handler that returns `text`."""

    async def handler(task: Task) -> str:
        del task
        return text

    return handler


async def test_the_exact_pattern_is_tried_first_then_the_longest_prefix() -> None:
    """As asynq."""
    mux = Mux()
    for pattern in ("email", "email:", "email:welcome", "email:welcome:again"):
        mux.handle(pattern, saying(pattern))
    for of, expected in [
        ("email:welcome", "email:welcome"),
        ("email:welcome2", "email:welcome"),
        ("email:bye", "email:"),
        ("emails", "email"),
    ]:
        assert await said(mux.resolve(of)) == expected
    assert mux.resolve("sms") is None
    assert (mux.knows("email:x"), mux.knows("sms")) == (True, False)
    assert mux.patterns == ("email", "email:", "email:welcome", "email:welcome:again")


async def test_handle_is_a_decorator_that_leaves_the_function_alone() -> None:
    """It can be called and tested as if it were not registered."""
    mux = Mux()

    @mux.handle("email")
    async def handler(task: Task) -> str:
        return task.type

    assert await handler(Task("direct")) == "direct"
    assert await said(mux.resolve("email"), "email") == "email"


async def test_a_handler_takes_the_context_if_it_asks_for_it() -> None:
    """By position or by name."""
    mux = Mux()

    async def by_position(task: Task, context: Context) -> object:
        return task.type, context

    async def by_name(task: Task, *, ctx: Context) -> object:
        return task.type, ctx

    async def with_default(task: Task, times: int = 3) -> object:
        return task.type, times

    class Callable:
        async def __call__(self, task: Task, ctx: Context) -> object:
            return task.type, ctx

    for name, handler in [("a", by_position), ("b", by_name), ("c", Callable())]:
        mux.handle(name, handler)
        route = mux.resolve(name)
        assert await said(route, name) == (name, CTX)
        assert route is not None
        assert route.wants_context
    mux.handle("d", with_default)
    assert await said(mux.resolve("d"), "d") == ("d", 3)
    mux.handle("e", functools.partial(with_default, times=4))
    assert await said(mux.resolve("e"), "e") == ("e", 4)


def test_where_a_handler_runs_follows_from_what_it_is() -> None:
    """`async def` must not sit in a thread, nor `def` on the loop, unless somebody says so."""
    mux = Mux()
    mux.handle("loop", saying("x"))
    mux.handle("thread", lambda task: task.type)
    mux.handle("process", handlers.resize, executor="process")
    mux.add(handlers.crop)
    assert [
        getattr(mux.resolve(of), "executor", None) for of in ("loop", "thread", "process", "image:crop")
    ] == [
        "loop",
        "thread",
        "process",
        "process",
    ]


def later(handler: Any, task: Task) -> Any:
    """Return what has still to be awaited."""
    return handler(task)


async def test_a_plain_function_on_the_loop_is_called_there() -> None:
    """Some are quick, and some return an awaitable, as a decorator in between makes them do."""
    mux = Mux()
    mux.handle("quick", lambda task: task.type, executor="loop")
    mux.handle("wrapped", functools.partial(later, saying("later")), executor="loop")
    assert await said(mux.resolve("quick"), "quick") == "quick"
    assert await said(mux.resolve("wrapped")) == "later"


def nothing() -> None:
    """Take no task."""


def needs_three(task: Task, ctx: Context, more: int) -> None:
    """Need what nobody gives."""


def context_first(ctx: Context, task: Task) -> None:
    """Mix up the order."""


def yields(task: Task) -> Any:
    """Yield instead of return."""
    yield task


@pytest.mark.parametrize("bad", [None, 7, "handler", nothing, needs_three, context_first, yields, dict, Task])
def test_what_cannot_be_called_with_a_task_is_refused(bad: Any) -> None:
    """When it is registered, not at the first task."""
    with pytest.raises(ConfigError):
        Mux().handle("email", bad) if bad is not None else Mux().not_found(bad)


@pytest.mark.parametrize(
    ("handler", "executor"),
    [
        (saying("x"), "thread"),
        (saying("x"), "process"),
        (lambda task: task, "process"),
        (functools.partial(handlers.resize), "process"),
        (handlers.resize, "fiber"),
        (handlers.resize_with_context, "process"),
        (task("image:flip")(handlers.resize_with_context), "process"),
    ],
)
def test_an_executor_that_cannot_run_the_handler_is_refused(handler: Any, executor: Any) -> None:
    """A lambda or a context cannot be sent to another process, and a thread has no loop."""
    with pytest.raises(ConfigError, match="executor"):
        Mux().handle("email", handler, executor=executor)


@pytest.mark.parametrize("pattern", ["", "  ", None, "email:*"])
def test_a_pattern_that_can_match_nothing_is_refused(pattern: Any) -> None:
    """Above all the star, which other muxes want."""
    with pytest.raises(ConfigError, match="pattern"):
        Mux().handle(pattern, saying("x"))


def test_a_pattern_is_registered_once() -> None:
    """The second handler would never be called."""
    mux = Mux()
    mux.handle("email", saying("x"))
    with pytest.raises(ConfigError, match="no handler yet"):
        mux.handle("email", saying("y"))


async def test_the_middleware_added_first_is_outermost() -> None:
    """And it sees what those inside of it return."""
    mux = Mux()

    def tagging(tag: str) -> Any:
        async def middleware(task: Task, ctx: Context, call_next: Call) -> object:
            return f"{tag}({await call_next(task, ctx)})"

        return middleware

    mux.handle("email", saying("x"))
    mux.resolve("email")  # a route that was looked up before does not stay without
    mux.use(tagging("a"), tagging("b"))
    mux.use(tagging("c"))
    assert await said(mux.resolve("email")) == "a(b(c(x)))"


async def test_middleware_wraps_threads_and_processes_through_the_executor() -> None:
    """The executor supplies the innermost call; what is around it runs on the loop."""
    mux = Mux()

    async def middleware(task: Task, ctx: Context, call_next: Call) -> object:
        return f"around {await call_next(task, ctx)}"

    mux.use(middleware)
    mux.handle("thread", lambda task: task.type)
    mux.handle("process", handlers.resize, executor="process")
    for of in ("thread", "process"):
        route = mux.resolve(of)
        assert route is not None
        assert route.invoke is None

        async def innermost(task: Task, ctx: Context, route: Route = route) -> object:
            args, kwargs = route.arguments(task, ctx)
            return route.function(*args, **kwargs)

        assert await route.bind(innermost)(Task(of), CTX) == f"around {of}"


def test_middleware_is_an_async_function() -> None:
    """A plain one would return before the task has run."""
    with pytest.raises(ConfigError, match="async def"):
        Mux().use(lambda task, ctx, call_next: None)  # type: ignore[arg-type,return-value]


def test_without_middleware_nothing_is_in_between() -> None:
    """The hot path pays only for what is used."""
    mux = Mux()

    async def handler(task: Task, ctx: Context) -> None: ...

    mux.handle("email", handler)
    route = mux.resolve("email")
    assert route is not None
    assert route.invoke is handler


async def test_the_not_found_handler_takes_what_nothing_matches_with_middleware() -> None:
    """Like asynq; but it does not make a type known."""
    mux = Mux()
    mux.not_found(saying("nothing"))

    async def middleware(task: Task, ctx: Context, call_next: Call) -> object:
        return f"around {await call_next(task, ctx)}"

    mux.use(middleware)
    route = mux.resolve("sms")
    assert await said(route) == "around nothing"
    assert route is not None
    assert route.pattern == ""
    assert not mux.knows("sms")
    with pytest.raises(ConfigError, match="one not-found handler"):
        mux.not_found(saying("again"))


async def test_a_mux_in_a_mux_finds_by_the_whole_type_inside_both_middlewares() -> None:
    """Also after the inner one has changed."""
    outer, inner = Mux(), Mux()

    def tagging(tag: str) -> Any:
        async def middleware(task: Task, ctx: Context, call_next: Call) -> object:
            return f"{tag}({await call_next(task, ctx)})"

        return middleware

    outer.use(tagging("outer"))
    inner.use(tagging("inner"))
    outer.handle("email:", inner)
    assert outer.resolve("email:welcome") is None
    inner.handle("email:welcome", saying("x"))
    assert await said(outer.resolve("email:welcome")) == "outer(inner(x))"
    assert (outer.knows("email:welcome"), outer.knows("email:bye")) == (True, False)
    outer.not_found(saying("outside"))
    assert await said(outer.resolve("email:bye")) == "outer(outside)"
    inner.not_found(saying("inside"))
    assert await said(outer.resolve("email:bye")) == "outer(inner(inside))"


def test_a_mux_cannot_contain_itself() -> None:
    """Looking up would never end."""
    one, two = Mux(), Mux()
    one.handle("a", two)
    with pytest.raises(ConfigError, match="does not contain"):
        two.handle("b", one)
    with pytest.raises(ConfigError, match="does not contain"):
        one.handle("c", one)


def test_types_without_end_do_not_fill_the_memory() -> None:
    """Types come from Redis, so anybody may invent them."""
    mux = Mux()
    mux.handle("email:", saying("x"))
    for number in range(10_000):
        mux.resolve(f"email:{number}")
    assert len(mux._cache) <= 4096  # noqa: SLF001 - there is no other way to see it
    assert mux.resolve("email:1") is mux.resolve("email:1")


async def test_definitions_are_called_with_the_arguments_of_the_task() -> None:
    """The payload becomes the arguments again."""
    mux = Mux()

    @task("order:pay", queue="critical")
    async def pay(ctx: Context, order: int, *, currency: str = "EUR") -> object:
        return ctx, order, currency

    mux.add(pay)
    route = mux.resolve("order:pay")
    assert route is not None
    assert route.invoke is not None
    assert await route.invoke(pay.task(7), CTX) == (CTX, 7, "EUR")
    assert await route.invoke(pay.task(order=7, currency="USD"), CTX) == (CTX, 7, "USD")
    with pytest.raises(ConfigError, match="decorated"):
        mux.add(said)  # type: ignore[arg-type]


# -- outside a server -----------------------------------------------------------------------------


async def test_a_task_can_be_run_without_a_server() -> None:
    """Through the middleware, with a context, and with the payload as it comes out of Redis."""
    mux, seen = Mux(), list[object]()

    @mux.handle("email:")
    async def email(given: Task, ctx: Context) -> object:
        seen.append((given.payload, given.headers, given.queue, bool(given.id)))
        seen.append((ctx.attempt, ctx.is_last_attempt, ctx.state, ctx.deadline, current_context() is ctx))
        ctx.progress(1)
        assert await ctx.write_result([1]) > 0
        return "sent"

    async def noting(given: Task, ctx: Context, call_next: Call) -> object:
        return ["noted", await call_next(given, ctx)]

    mux.use(noting)
    options: Any = {"queue": "q", "headers": {"a": "b"}, "max_retry": 2}
    result = await mux.process(Task("email:x", (1, 2), **options), retried=2, state="the pool")
    assert result == ["noted", "sent"]
    assert seen == [([1, 2], {"a": "b"}, "q", True), (3, True, "the pool", None, True)]
    with pytest.raises(NotStartedError):
        current_context()


async def test_threads_and_processes_are_threads_without_a_server() -> None:
    """And the error of a handler is the caller's."""
    mux = Mux()
    mux.handle("thread", handlers.where_am_i, executor="thread")
    mux.handle("process", handlers.where_am_i, executor="process")

    @mux.handle("fail")
    def fail(given: Task) -> None:
        raise SkipRetry("no use")

    here = (os.getpid(), threading.get_ident())
    for of in ("thread", "process"):
        pid, thread = await mux.process(Task(of))
        assert pid == here[0]
        assert thread != here[1]
    with pytest.raises(SkipRetry, match="no use"):
        await mux.process(Task("fail"))


async def test_what_could_not_be_run_by_a_server_is_refused_without_one() -> None:
    """That is what it is for."""
    mux = Mux()
    with pytest.raises(HandlerNotFoundError, match="email"):
        await mux.process(Task("email"))
    with pytest.raises(ConfigError, match="not the class"):
        await mux.process(Task)  # type: ignore[arg-type]
    mux.not_found(saying("found by nobody"))
    assert await mux.process(Task("email")) == "found by nobody"
    with pytest.raises(PayloadError):
        await mux.process(Task("email", object()))


async def test_one_more_middleware_goes_around_everything() -> None:
    """For the server: the mux itself stays as it is, and may still grow."""

    async def outer(given: Task, ctx: Context, call_next: Call) -> object:
        return f"({await call_next(given, ctx)})"

    async def own(given: Task, ctx: Context, call_next: Call) -> object:
        return f"<{await call_next(given, ctx)}>"

    mux = Mux()
    mux.use(own)
    inside = mux.inside(outer)
    assert inside.resolve("a") is None
    mux.handle("a", saying("a"))
    assert await inside.process(Task("a")) == "(<a>)"
    assert await mux.process(Task("a")) == "<a>"
    assert inside.knows("a")
    mux.not_found(saying("?"))
    assert await inside.process(Task("b")) == "(<?>)"
    assert not inside.knows("b")
    assert mux.patterns == ("a",)
