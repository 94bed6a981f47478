"""Tasks defined by their function."""

from __future__ import annotations

import pickle
from typing import Any, cast

import pytest

from asyncq._compose import compose
from asyncq._wire.messages import Envelope
from asyncq.codecs import Codecs
from asyncq.context import Context
from asyncq.definitions import INJECTED, TaskDefinition, task
from asyncq.errors import ConfigError, WireError
from asyncq.task import Task
from tests.unit import handlers

CTX = cast("Context", "the context")


@task("email:welcome", queue="critical", max_retry=5)
async def welcome(ctx: Context, user_id: int, *, language: str = "en") -> object:
    """Greet a user."""
    return ctx, user_id, language


def delivered(made: Task) -> Task:
    """Return a task as it comes out of Redis."""
    codec, raw = Codecs().encode(made.payload, type=made.type)
    return Task.received("q", "id1", Envelope(made.type, raw, codec))


async def test_the_function_stays_an_ordinary_function() -> None:
    """Its own tests call it as they always did."""
    assert await welcome(CTX, 42) == (CTX, 42, "en")
    assert (welcome.__name__, welcome.__doc__, welcome.__module__) == ("welcome", "Greet a user.", __name__)


def test_a_task_holds_the_arguments_by_name_and_the_options() -> None:
    """Defaults are not stored: they are those of the server that runs the task."""
    made = welcome.task(42)
    assert made == Task("email:welcome", {"user_id": 42}, queue="critical", max_retry=5)
    assert made == welcome.task(user_id=42)
    assert welcome.task(42, language="de").payload == {"user_id": 42, "language": "de"}
    assert welcome.options == {"queue": "critical", "max_retry": 5}
    new = compose(made, {"queue": "low"})
    assert (new.queue, new.envelope.max_retry) == ("low", 5)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}),
        ((1, 2), {}),
        ((1,), {"user_id": 2}),
        ((), {"user_id": 1, "lang": "de"}),
        ((), {"user_id": 1, "ctx": 2}),
    ],
)
def test_arguments_the_function_does_not_take_are_a_type_error(args: Any, kwargs: Any) -> None:
    """Where the task is made, as in any call; not on the server a day later."""
    with pytest.raises(TypeError, match="email:welcome"):
        welcome.task(*args, **kwargs)


async def test_the_function_is_called_with_what_the_task_holds() -> None:
    """And with the context, wherever it asks for it."""

    @task("a")
    async def first(ctx: Context, /, n: int) -> object:
        return ctx, n

    @task("b")
    async def keyword(n: int, *, ctx: Context = INJECTED) -> object:
        return ctx, n

    @task("c")
    async def by_annotation(context: Context, n: int) -> object:
        return context, n

    for made in (first, keyword, by_annotation):
        definition = cast("TaskDefinition[..., ..., Any]", made)
        args, kwargs = definition.arguments(delivered(definition.task(n=7)), CTX)
        assert await definition(*args, **kwargs) == (CTX, 7)
        assert definition.wants_context


def test_a_function_that_takes_any_keywords_gets_them() -> None:
    """They are stored beside the others."""

    @task("a")
    def anything(n: int, **more: int) -> object:
        return n, more

    made = delivered(anything.task(1, x=2))
    args, kwargs = anything.arguments(made, CTX)
    assert anything(*args, **kwargs) == (1, {"x": 2})
    assert not anything.wants_context


def test_a_function_without_arguments_has_no_payload() -> None:
    """Nothing is stored for nothing."""

    @task("a")
    def tick() -> None: ...

    assert tick.task().payload is None
    assert tick.arguments(delivered(tick.task()), CTX) == ((), {})


def test_a_payload_that_is_no_mapping_is_refused_by_name() -> None:
    """Somebody enqueued this type by hand."""
    with pytest.raises(WireError, match="no mapping of arguments"):
        welcome.arguments(Task("email:welcome", [1, 2]), CTX)


def test_without_a_server_the_injected_context_says_so() -> None:
    """A direct call has to bring its own."""
    with pytest.raises(AttributeError, match="a direct call has to bring its own"):
        _ = INJECTED.id


def star(*args: int) -> None:
    """Take arguments that have no names."""


def only_by_position(a: int, /) -> None:
    """Take an argument that cannot be given by name."""


@pytest.mark.parametrize("function", [star, only_by_position])
def test_arguments_without_names_are_refused(function: Any) -> None:
    """They are stored by name."""
    with pytest.raises(ConfigError, match="have names"):
        task("a")(function)


def test_a_wrong_definition_is_refused_where_it_stands() -> None:
    """When the module is imported."""
    with pytest.raises(ConfigError, match="did you mean 'queue'"):
        task("a", queu="low")  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match="name"):
        task(" ")(welcome.function)


def test_a_definition_reaches_a_worker_process_by_name() -> None:
    """The name in the module stands for the definition, not for the function."""
    copy = pickle.loads(pickle.dumps(handlers.crop))  # noqa: S301 - our own bytes
    assert copy is handlers.crop
    assert handlers.crop(3) == 30
