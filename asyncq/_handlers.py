"""How a handler is called: what it takes, and where it may run."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from asyncq.definitions import Executor, TaskDefinition, context_parameter
from asyncq.errors import ConfigError
from asyncq.limit import Limit
from asyncq.task import Task

if TYPE_CHECKING:
    from asyncq.context import Context

__all__ = ["Arguments", "Call", "Entry", "defined_entry", "is_async", "plain_entry"]

Call = Callable[[Task, "Context"], Awaitable[Any]]
"""Running a task, or what is left of it further in: `await call_next(task, ctx)`."""

Arguments = Callable[[Task, "Context"], tuple[tuple[Any, ...], dict[str, Any]]]
"""Makes the positional and the named arguments of a handler."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A handler as it was registered."""

    function: Callable[..., Any]
    executor: Executor
    wants_context: bool
    arguments: Arguments
    limit: Limit | None
    """How many may run at the same time, over all servers. None for as many as there are slots."""

    call: Call | None
    """The handler alone, for the loop; None if it runs in a thread or a process."""


def defined_entry(
    definition: TaskDefinition[..., ..., Any], executor: Executor | None, limit: Limit | None = None
) -> Entry:
    """Return the entry of a typed definition: called with the payload as arguments."""
    function = definition.function
    executor = _checked_executor(function, executor)
    _check_context(function, executor, wants_context=definition.wants_context)

    def call(task: Task, ctx: Context) -> Awaitable[Any]:
        args, kwargs = definition.arguments(task, ctx)
        return cast("Awaitable[Any]", function(*args, **kwargs))

    return Entry(
        # A process is sent the definition: its name in the module stands for it, and
        # no longer for the bare function.
        function=definition if executor == "process" else function,
        executor=executor,
        wants_context=definition.wants_context,
        arguments=definition.arguments,
        limit=limit or definition.limit,
        call=_awaiting(function, call) if executor == "loop" else None,
    )


def plain_entry(function: Callable[..., Any], executor: Executor | None, limit: Limit | None = None) -> Entry:
    """Return the entry of a function of the task, or of the task and its context."""
    if not callable(cast("object", function)) or inspect.isclass(function):
        raise ConfigError("handler", function, _HANDLER)
    executor = _checked_executor(function, executor)
    keyword = _context_keyword(function)
    _check_context(function, executor, wants_context=keyword is not None)
    if keyword is None:
        arguments, call = _of_task(function)
    elif keyword:
        arguments, call = _of_task_with_keyword(function, keyword)
    else:
        arguments, call = _of_task_and_context(function)
    return Entry(
        function=function,
        executor=executor,
        wants_context=keyword is not None,
        arguments=arguments,
        limit=limit,
        call=_awaiting(function, call) if executor == "loop" else None,
    )


def _of_task(function: Callable[..., Any]) -> tuple[Arguments, Call]:
    def arguments(task: Task, ctx: Context) -> tuple[tuple[Any, ...], dict[str, Any]]:
        del ctx
        return (task,), {}

    def call(task: Task, ctx: Context) -> Awaitable[Any]:
        del ctx
        return cast("Awaitable[Any]", function(task))

    return arguments, call


def _of_task_and_context(function: Callable[..., Any]) -> tuple[Arguments, Call]:
    def arguments(task: Task, ctx: Context) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (task, ctx), {}

    return arguments, function  # as it is: nothing to pay for


def _of_task_with_keyword(function: Callable[..., Any], keyword: str) -> tuple[Arguments, Call]:
    def arguments(task: Task, ctx: Context) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (task,), {keyword: ctx}

    def call(task: Task, ctx: Context) -> Awaitable[Any]:
        return cast("Awaitable[Any]", function(task, **{keyword: ctx}))

    return arguments, call


_HANDLER = "a function of the task, or of the task and its context"


def _context_keyword(function: Callable[..., Any]) -> str | None:
    """Return how a handler takes the context: None for not, "" by position, or its keyword."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None  # written in C without a signature: it is given the task
    parameters = list(signature.parameters.values())
    context = context_parameter(signature)
    if context is None:
        # A second argument that has to be given can only be the context.
        needed = [p for p in parameters if p.kind in _POSITIONAL and p.default is p.empty]
        context = needed[1] if len(needed) > 1 else None
    by_position = context is not None and context.kind in _POSITIONAL
    try:
        if context is None:
            signature.bind(None)
        elif by_position:
            signature.bind(None, None)
        else:
            signature.bind(None, **{context.name: None})
    except TypeError:
        raise ConfigError("handler", f"{_name(function)}{signature}", _HANDLER) from None
    if context is None:
        return None
    if not by_position:
        return context.name
    if parameters.index(context) != 1:
        raise ConfigError("handler", f"{_name(function)}{signature}", f"{_HANDLER}, in this order")
    return ""


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _checked_executor(function: Callable[..., Any], executor: Executor | None) -> Executor:
    """Return where the function runs, and refuse what cannot run there."""
    runs_on_loop = is_async(function)
    called = getattr(function, "__call__", function)  # noqa: B004 - the method itself, of a callable object
    if any(inspect.isgeneratorfunction(f) or inspect.isasyncgenfunction(f) for f in (function, called)):
        raise ConfigError("handler", _name(function), "a function that returns; this one yields")
    if executor is None:
        return "loop" if runs_on_loop else "thread"
    if executor not in ("loop", "thread", "process"):
        raise ConfigError("executor", executor, '"loop", "thread" or "process"')
    if runs_on_loop and executor != "loop":
        raise ConfigError("executor", executor, f'"loop", since {_name(function)} is an `async def`')
    if executor == "process" and not _is_importable(function):
        expected = f"a function at the top level of a module, which {_name(function)} is not"
        raise ConfigError("executor", executor, expected)
    return executor


def _check_context(function: Callable[..., Any], executor: Executor, *, wants_context: bool) -> None:
    """Refuse what would fail at each task: a context belongs to the server and cannot leave it."""
    if executor == "process" and wants_context:
        expected = f"a handler without a context, since processes have none; {_name(function)} asks for it"
        raise ConfigError("executor", executor, expected)


def is_async(function: Callable[..., Any]) -> bool:
    """Tell whether calling it makes a coroutine; also of objects with an `async def __call__`."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - a callable object with `async def __call__`
    )


def _is_importable(function: Callable[..., Any]) -> bool:
    """Tell whether another process can find the function by its name.

    Not by looking it up: while its decorator runs, the name is not bound yet.
    """
    return inspect.isfunction(function) and function.__qualname__.isidentifier()


def _awaiting(function: Callable[..., Any], call: Call) -> Call:
    """Return `call`, or for a plain function that was put on the loop, one to be awaited.

    Such a function may return an awaitable, as one does that a decorator made of an
    `async def`, or a plain result.
    """
    if is_async(function):
        return call

    async def await_result(task: Task, ctx: Context) -> Any:
        result: object = call(task, ctx)
        return await result if inspect.isawaitable(result) else result

    return await_result


def _name(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__qualname__", None) or repr(function))
