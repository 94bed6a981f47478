"""Tasks defined by the function that runs them, with arguments a type checker sees.

    @asyncq.task("email:welcome", queue="critical", max_retry=5)
    async def welcome(ctx: Context, user_id: int, *, language: str = "en") -> None: ...

    await client.enqueue(welcome.task(user_id=42), process_in=60)
    mux.add(welcome)

The function stays an ordinary function: `await welcome(ctx, 42)` calls it, here and now.
`welcome.task(...)` takes the same arguments without the context and makes a `Task`, whose
payload is a mapping of the arguments. Defaults are not stored, so they are those of the
server that runs the task.

A function need not ask for the context. If it does, it names it `ctx` or annotates it as
`Context`, and it comes first, which is where type checkers can leave it out for the
caller. It may also be a keyword, with `INJECTED` as its default for the checkers' sake:

    async def welcome(user_id: int, *, ctx: Context = INJECTED) -> None: ...
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import update_wrapper
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Final,
    Generic,
    Literal,
    ParamSpec,
    TypeVar,
    Unpack,
    cast,
    overload,
)

from asyncq.errors import ConfigError, WireError
from asyncq.limit import HasLimit, Limit, read_limit
from asyncq.options import TaskOptions, check_options, is_text
from asyncq.task import Task

if TYPE_CHECKING:
    from asyncq.context import Context

__all__ = ["INJECTED", "Executor", "TaskDecorator", "TaskDefinition", "task"]

Executor = Literal["loop", "thread", "process"]
"""Where a handler runs: on the event loop, in a thread, or in a process that can be killed."""

Full = ParamSpec("Full")
Args = ParamSpec("Args")
R = TypeVar("R", covariant=True)  # noqa: PLC0105 - the result of the function

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class _Injected:
    """What stands in for the context where nobody gave one."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"no context: a server gives one to the task it runs, and a direct call has to bring its own "
            f"(wanted: {name})"
        )

    def __repr__(self) -> str:
        return "INJECTED"


INJECTED: Final[Any] = _Injected()
"""Default for a keyword `ctx: Context = INJECTED`: a server puts the real context there."""


class TaskDefinition(Generic[Full, Args, R]):
    """A function, and how to make tasks that call it. Made by the decorator `task`."""

    def __init__(
        self,
        name: str,
        function: Callable[Full, R],
        executor: Executor | None,
        options: TaskOptions,
        limit: Limit | None = None,
    ) -> None:
        """Check the name, the options and the signature, and report what is wrong."""
        if not is_text(name):
            raise ConfigError("name", name, "the type of a task, text that is not blank")
        signature = inspect.signature(function)
        self._context = context_parameter(signature)
        rest = [p for p in signature.parameters.values() if p is not self._context]
        for parameter in rest:
            if parameter.kind not in (*_NAMED, inspect.Parameter.VAR_KEYWORD):
                expected = "arguments that have names: they are stored by name"
                raise ConfigError("function", f"{function.__qualname__}{signature}", expected)
        self.name = name
        self.function = function
        self.executor: Executor | None = executor
        self.limit: Limit | None = limit
        self._checked = check_options(cast("Mapping[str, object]", options))
        self._signature = signature.replace(parameters=rest)
        self._names = frozenset(p.name for p in rest if p.kind in _NAMED)
        self._required = frozenset(p.name for p in rest if p.kind in _NAMED and p.default is p.empty)
        update_wrapper(self, function)

    def __call__(self, *args: Full.args, **kwargs: Full.kwargs) -> R:
        """Call the function itself, here and now; nothing is enqueued."""
        return self.function(*args, **kwargs)

    def task(self, *args: Args.args, **kwargs: Args.kwargs) -> Task:
        """Make a task that calls the function with these arguments.

        Raises:
            TypeError: The function does not take these arguments.
        """
        if args or not (self._required <= kwargs.keys() <= self._names):
            return Task.prepared(self.name, self._bound(args, kwargs) or None, self._checked)
        return Task.prepared(self.name, kwargs or None, self._checked)

    def _bound(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> dict[str, object]:
        """Return the arguments by name, as Python would bind them."""
        if self._context is not None and self._context.name in kwargs:
            raise TypeError(f"{self.name}: {self._context.name} is given by the server that runs the task")
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.name}: {error}") from None
        arguments = dict(bound.arguments)
        for parameter in self._signature.parameters.values():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                arguments.update(arguments.pop(parameter.name, {}))
        return arguments

    def arguments(self, task: Task, ctx: Context) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return what to call the function with to run `task`.

        Raises:
            WireError: The payload is not a mapping of arguments.
        """
        payload = task.payload
        if payload is None:
            kwargs: dict[str, Any] = {}
        elif isinstance(payload, dict):
            kwargs = cast("dict[str, Any]", payload)
        else:
            reason = f"it is no mapping of arguments but {type(payload).__name__}"
            raise WireError(f"the payload of task {task.id!r} ({task.type})", reason)
        context = self._context
        if context is None:
            return (), kwargs
        if context.kind is inspect.Parameter.POSITIONAL_ONLY:
            return (ctx,), kwargs
        return (), {**kwargs, context.name: ctx}

    @property
    def wants_context(self) -> bool:
        """Tell whether the function asks for the context."""
        return self._context is not None

    @property
    def options(self) -> TaskOptions:
        """The options that its tasks are made with."""
        return Task.prepared(self.name, None, self._checked).options

    def __repr__(self) -> str:
        """Show the type and the function."""
        return f"<TaskDefinition {self.name!r} {self.function.__qualname__}>"

    def __reduce__(self) -> str:
        """Pickle by name, as functions are: a worker process imports the module."""
        return self.function.__qualname__


class TaskDecorator:
    """What `task(...)` returns; turns a function into a `TaskDefinition`."""

    def __init__(
        self, name: str, executor: Executor | None, options: TaskOptions, limit: Limit | None = None
    ) -> None:
        """Keep what the definition will be made with."""
        self._name = name
        self._limit = limit
        self._executor: Executor | None = executor
        self._options = options

    @overload
    def __call__(
        self, function: Callable[Concatenate[Context, Args], R], /
    ) -> TaskDefinition[Concatenate[Context, Args], Args, R]: ...
    @overload
    def __call__(self, function: Callable[Args, R], /) -> TaskDefinition[Args, Args, R]: ...
    def __call__(self, function: Callable[..., Any], /) -> TaskDefinition[..., ..., Any]:
        """Define the task that `function` runs."""
        return TaskDefinition(self._name, function, self._executor, self._options, self._limit)


def task(
    name: str,
    /,
    *,
    executor: Executor | None = None,
    limit: Limit | HasLimit | None = None,
    **options: Unpack[TaskOptions],
) -> TaskDecorator:
    """Define a task by the function that runs it.

    Args:
        name: The type of the task.
        executor: Where it runs. If None, `async def` runs on the loop and `def` in a thread.
        limit: How many may run at the same time over all servers; see `Mux.handle`.
        options: As `TaskOptions` lists them, for every task that is made of it.

    Raises:
        ConfigError: The name is blank, an option is wrong, or the function has arguments
            that cannot be stored by name.
    """
    check_options(cast("Mapping[str, object]", options))  # before the function is even looked at
    return TaskDecorator(name, executor, options, read_limit(limit))


def context_parameter(signature: inspect.Signature) -> inspect.Parameter | None:
    """Return the parameter that asks for the context, if there is one.

    It is called `ctx`, or annotated as `Context` (with `from __future__ import
    annotations` an annotation is text, which is why its name has to do).
    """
    for parameter in signature.parameters.values():
        if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            continue
        if parameter.name == "ctx" or _is_context(parameter.annotation):
            return parameter
    return None


def _is_context(annotation: object) -> bool:
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return text.partition("[")[0].rpartition(".")[2] == "Context"
