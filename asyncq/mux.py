"""Finding the handler of a task by its type, and the middleware around handlers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast, overload

from asyncq._handlers import Arguments, Call, Entry, defined_entry, is_async, plain_entry
from asyncq._rehearsal import in_thread, rehearsal
from asyncq.codecs import DEFAULT_CODECS, Codecs
from asyncq.context import CURRENT, Context
from asyncq.definitions import Executor, TaskDefinition
from asyncq.errors import ConfigError, HandlerNotFoundError
from asyncq.limit import HasLimit, Limit, read_limit
from asyncq.options import is_text
from asyncq.task import Task

__all__ = ["Call", "Handler", "Middleware", "Mux", "Route"]

Middleware = Callable[[Task, "Context", Call], Awaitable[Any]]
"""Wraps the running of tasks: `async def middleware(task, ctx, call_next)`."""

Handler = Callable[[Task], Any] | Callable[[Task, "Context"], Any]
"""Runs tasks: `async def` or `def`, of the task, or of the task and its context."""

H = TypeVar("H", bound="Callable[..., Any] | Mux")

# Types come from Redis, and under a prefix there may be any number of them.
_MOST_CACHED = 4096


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Route:
    """How tasks of one type are run."""

    type: str
    """The type of task it was looked up for."""

    pattern: str
    """The pattern that matched; empty for the not-found handler."""

    executor: Executor
    """Where the handler runs."""

    function: Callable[..., Any]
    """The handler itself, to be called with what `arguments` returns."""

    wants_context: bool
    """Tell whether the handler asks for the context."""

    arguments: Arguments
    """Makes the arguments of `function`. Raises `WireError` if the payload cannot be read."""

    middleware: tuple[Middleware, ...]
    """What is wrapped around the handler, outermost first."""

    limit: Limit | None
    """How many may run at the same time, over all servers, if that is limited."""

    invoke: Call | None
    """Runs a task on the loop, middleware and all. None if it runs in a thread or a process."""

    def bind(self, call: Call) -> Call:
        """Wrap the middleware around `call`, which does the innermost thing.

        For threads and processes `call` is the executor's, since it alone can carry a
        task there. What is returned runs on the loop and can be kept.
        """
        for middleware in reversed(self.middleware):
            call = _wrapped(middleware, call)
        return call


def _wrapped(middleware: Middleware, call_next: Call) -> Call:
    def call(task: Task, ctx: Context) -> Awaitable[Any]:
        return middleware(task, ctx, call_next)

    return call


class Mux:
    """Hands each task to the handler of its type.

    A pattern matches the type it is, and every type it is the beginning of: `email:`
    matches `email:welcome`. The exact pattern is tried first, then the longest one.

        mux = Mux()

        @mux.handle("email:welcome")
        async def welcome(task: Task) -> None: ...

        @mux.handle("image:resize", executor="process")
        def resize(task: Task) -> None: ...

    `async def` runs on the loop and `def` in a thread, unless `executor` says otherwise.
    Under a pattern there can be another mux, which finds the handler by the whole type.
    """

    __slots__ = ("_cache", "_entries", "_middleware", "_not_found", "_parents", "_patterns")

    def __init__(self) -> None:
        """Make a mux that knows nothing yet."""
        self._entries: dict[str, Entry | Mux] = {}
        self._patterns: tuple[str, ...] = ()  # longest first
        self._middleware: list[Middleware] = []
        self._not_found: Entry | None = None
        self._parents: list[Mux] = []
        self._cache: dict[str, Route | None] = {}

    @overload
    def handle(
        self, pattern: str, *, executor: Executor | None = None, limit: Limit | HasLimit | None = None
    ) -> Callable[[H], H]: ...
    @overload
    def handle(
        self,
        pattern: str,
        handler: H,
        *,
        executor: Executor | None = None,
        limit: Limit | HasLimit | None = None,
    ) -> H: ...
    def handle(
        self,
        pattern: str,
        handler: H | None = None,
        *,
        executor: Executor | None = None,
        limit: Limit | HasLimit | None = None,
    ) -> H | Callable[[H], H]:
        """Register a handler, as a decorator or by a call. Returns the handler as it was.

        Args:
            pattern: A type of task, or the beginning of types.
            handler: A function of the task, or of the task and its context; or another mux.
            executor: "loop", "thread" or "process". A process can be killed when its time is
                up; what runs in it is a plain `def` at the top level of a module, without a context.
            limit: How many may run at the same time over all servers: `Limit("bank", 5)`, or a
                `Semaphore`. A task that finds no slot goes back, with no retry counted.

        Raises:
            ConfigError: The pattern is blank or taken, or the handler cannot be called so.
        """
        if handler is None:
            return cast("Callable[[H], H]", partial(self.handle, pattern, executor=executor, limit=limit))
        registered, limited = handler, read_limit(limit)
        if isinstance(handler, Mux):
            if handler is self or handler.contains(self):
                raise ConfigError("handler", handler, "a mux that does not contain this one")
            if limited is not None:
                raise ConfigError("limit", limit, "no limit for a mux; it belongs to a handler")
            self._register(pattern, handler)
            handler._parents.append(self)
        elif isinstance(handler, TaskDefinition):
            definition = cast("TaskDefinition[..., ..., Any]", handler)
            self._register(pattern, defined_entry(definition, executor or definition.executor, limited))
        else:
            self._register(pattern, plain_entry(handler, executor, limited))
        return registered

    def add(self, *definitions: TaskDefinition[..., ..., Any]) -> None:
        """Register typed definitions, each under its own type.

        Raises:
            ConfigError: One of the types is taken.
        """
        for definition in definitions:
            if not isinstance(cast("object", definition), TaskDefinition):
                raise ConfigError("definition", definition, "a function decorated with asyncq.task")
            self.handle(definition.name, definition)

    def use(self, *middleware: Middleware) -> None:
        """Wrap middleware around every handler, also around the not-found handler.

        What is added first is outermost. It runs on the loop, whatever the executor.

            async def timed(task: Task, ctx: Context, call_next: Call) -> object:
                started = time.monotonic()
                try:
                    return await call_next(task, ctx)
                finally:
                    record(task.type, time.monotonic() - started)

        Raises:
            ConfigError: It is not an `async def`.
        """
        for given in middleware:
            if not is_async(given):
                raise ConfigError("middleware", given, "an `async def` of task, ctx and call_next")
        self._middleware.extend(middleware)
        self._changed()

    def not_found(self, handler: H, *, executor: Executor | None = None) -> H:
        """Register what is called for types that no pattern matches. Also a decorator.

        Without it, a server puts such a task back for another server to find, which is
        what a rolling deploy needs.

        Raises:
            ConfigError: There is one already, or the handler cannot be called so.
        """
        if self._not_found is not None:
            raise ConfigError("not_found", handler, "one not-found handler at most")
        if isinstance(handler, Mux):
            raise ConfigError("not_found", handler, "a function; a mux belongs under a pattern")
        self._not_found = plain_entry(handler, executor)
        self._changed()
        return handler

    def resolve(self, type: str) -> Route | None:  # noqa: A002 - the word of the API
        """Return how to run tasks of this type: handler, pattern, middleware. None if there is no handler."""
        try:
            return self._cache[type]
        except KeyError:
            return self._find(type)

    async def process(
        self, task: Task, *, retried: int = 0, state: Any = None, codecs: Codecs = DEFAULT_CODECS
    ) -> Any:
        """Run a task through middleware and handler here and now, without server and Redis.

        For tests, and for trying a handler by hand. The handler gets what a server would hand it: the
        payload went through the codec, and there is a context. What it reports is forgotten, limits of
        time are not watched, and a handler for processes runs in a thread.

        Args:
            task: What to run.
            retried: How many retries are used up already.
            state: What `ctx.state` is to be.
            codecs: How payloads are encoded; as for a client.

        Returns:
            What the handler returned.

        Raises:
            HandlerNotFoundError: No pattern matches, and there is no not-found handler.
            Exception: What the handler raised, `SkipRetry` and its kind included.
        """
        received, ctx = rehearsal(task, retried=retried, state=state, codecs=codecs)
        route = self.resolve(received.type)
        if route is None:
            raise HandlerNotFoundError(received.type)
        call = route.invoke or route.bind(in_thread(route.function, route.arguments))
        token = CURRENT.set(ctx)
        try:
            return await call(received, ctx)
        finally:
            CURRENT.reset(token)

    def knows(self, type: str) -> bool:  # noqa: A002 - the word of the API
        """Tell whether a pattern matches this type. The not-found handler does not count."""
        return self._match(type) is not None

    @property
    def patterns(self) -> tuple[str, ...]:
        """All patterns that are registered here, sorted."""
        return tuple(sorted(self._entries))

    def inside(self, middleware: Middleware) -> Mux:
        """This mux with one more middleware around everything, for the server; itself it stays as it is."""
        outer = Mux()
        outer.use(middleware)
        # The one pattern that cannot be registered, being the beginning of every type.
        outer._entries[""] = self
        outer._patterns = ("",)
        self._parents.append(outer)
        return outer

    @property
    def limits(self) -> frozenset[Limit]:
        """The limits of all handlers, those of nested muxes too."""
        found: set[Limit] = set()
        for entry in self._entries.values():
            if isinstance(entry, Mux):
                found |= entry.limits
            elif entry.limit is not None:
                found.add(entry.limit)
        return frozenset(found)

    def contains(self, other: Mux) -> bool:
        """Tell whether another mux is registered here, or in one that is."""
        nested = [entry for entry in self._entries.values() if isinstance(entry, Mux)]
        return any(mux is other or mux.contains(other) for mux in nested)

    def _register(self, pattern: str, entry: Entry | Mux) -> None:
        if not is_text(pattern):
            raise ConfigError("pattern", pattern, "a type of task or the beginning of types, not blank")
        if pattern.endswith("*"):
            expected = f"no star: {pattern.rstrip('*')!r} matches all types that begin so"
            raise ConfigError("pattern", pattern, expected)
        if pattern in self._entries:
            raise ConfigError("pattern", pattern, "a pattern that has no handler yet")
        self._entries[pattern] = entry
        self._patterns = tuple(sorted(self._entries, key=len, reverse=True))
        self._changed()

    def _changed(self) -> None:
        """Forget the routes that were looked up: here, and where this mux is registered."""
        self._cache.clear()
        for parent in self._parents:
            parent._changed()

    def _find(self, type: str) -> Route | None:  # noqa: A002 - the word of the API
        found = self._match(type) or self._fallback(type)
        route = None if found is None else _route(type, *found)
        if len(self._cache) >= _MOST_CACHED:
            self._cache.clear()
        self._cache[type] = route
        return route

    def _match(self, type: str) -> tuple[str, Entry, tuple[Middleware, ...]] | None:  # noqa: A002 - as above
        """Return pattern, handler and middleware for a type that a pattern matches."""
        pattern = type if type in self._entries else next(filter(type.startswith, self._patterns), None)
        if pattern is None:
            return None
        entry = self._entries[pattern]
        if not isinstance(entry, Mux):
            return pattern, entry, tuple(self._middleware)
        found = entry._match(type)
        return None if found is None else (*found[:2], (*self._middleware, *found[2]))

    def _fallback(self, type: str) -> tuple[str, Entry, tuple[Middleware, ...]] | None:  # noqa: A002 - as above
        """Return the not-found handler: that of the nested mux whose pattern matches, or our own."""
        pattern = type if type in self._entries else next(filter(type.startswith, self._patterns), None)
        nested = self._entries[pattern] if pattern is not None else None
        if isinstance(nested, Mux) and (found := nested._fallback(type)) is not None:
            return "", found[1], (*self._middleware, *found[2])
        return None if self._not_found is None else ("", self._not_found, tuple(self._middleware))


def _route(type: str, pattern: str, entry: Entry, middleware: tuple[Middleware, ...]) -> Route:  # noqa: A002 - as above
    route = Route(
        type=type,
        pattern=pattern,
        executor=entry.executor,
        function=entry.function,
        wants_context=entry.wants_context,
        arguments=entry.arguments,
        limit=entry.limit,
        middleware=middleware,
        invoke=None,
    )
    if entry.call is None:
        return route
    # The class is frozen for its users; here it is still being made.
    object.__setattr__(route, "invoke", route.bind(entry.call))
    return route
