"""Rules about what the package's source may contain, beyond import-linter's contracts."""

from __future__ import annotations

import ast
from collections import Counter

from tests.architecture.repository import PACKAGE, dotted, modules, named, nodes

# Who may start an asyncio task. An actor gets its task from `_service` and from nowhere
# else, so that no task outlives the block that started it. A new line here is a decision.
TASK_STARTERS = {
    "asyncq/_broker/rounds.py": "a question goes on while we look whether its node still answers at all",
    "asyncq/_engine/executor.py": "handlers do not run in the actors' task group",
    "asyncq/_redis/router.py": "dialling and trying again are shared, so no caller may end them",
    "asyncq/_service.py": "the one way an actor, or an errand of one, gets a task",
}

# Where an error of any kind may be swallowed, and what happens to it there. Anywhere
# else a bug would be hidden and live on.
SWALLOWERS = {
    "asyncq/_broker/measures.py": ["numbers that nobody can read: as if there were none"],
    "asyncq/_broker/presence.py": ["what a server says and nobody can read: it is left out"],
    "asyncq/_engine/aggregator.py": ["a user's aggregator: logged, its tasks go back"],
    "asyncq/_engine/callbacks.py": ["a user's callback: logged"],
    "asyncq/_engine/conclusions.py": ["a user's is_failure: the error counts"],
    "asyncq/_engine/executor.py": ["a handler: becomes an outcome"],
    "asyncq/_engine/outcome.py": ["the text of a user's error: said instead"],
    "asyncq/_engine/vital_services.py": ["the good-bye: nobody may hear it"],
    "asyncq/_engine/vitals.py": ["a thread: handed to whoever started it"],
    "asyncq/_redis/link.py": ["the callback of an answer: logged, the answers behind it go on"],
    "asyncq/_scheduling/dispatcher.py": [
        "one time of an entry: logged, the others go on",
        "the answer to one time of an entry: logged, the others go on",
        "a user's middleware: logged, told to the hooks",
    ],
    "asyncq/_scheduling/herald.py": ["the good-bye: nobody may hear it"],
    "asyncq/_scheduling/hooks.py": ["a user's callback: logged"],
    "asyncq/_scheduling/source.py": ["a user's provider, in a thread: handed to whoever asked"],
    "asyncq/_service.py": ["a tick: logged, the third in a row ends the server"],
    "asyncq/app/wheel.py": ["a user's function of a timer: logged, the others go on"],
    "asyncq/client.py": ["a user's middleware: the outcome of its item of many"],
    "asyncq/dq/calling.py": ["a user's function: becomes an outcome, or is logged"],
    "asyncq/dq/late.py": ["a user's backoff: logged, the message waits as long as it is hidden"],
    "asyncq/embedded/guardian.py": ["a process of its own: logged, it ends"] * 2,
    "asyncq/inspector/noting.py": ["a user's callback: logged"],
    "asyncq/kq/processing.py": ["a handler: becomes a verdict", "a user's callback: logged"],
    "asyncq/kq/shipping.py": ["a user's balancer, or Kafka's client: told with the message"],
    "asyncq/kq/unstored.py": ["a user's callback: logged"],
    "asyncq/redaction.py": ["a user's redactor: logged, and nothing is shown"],
    "asyncq/retry.py": ["a user's policy: reported, the task is retried"],
}

# Where a cancellation may be swallowed, and why it is not lost there.
CANCELLATION_SWALLOWERS = {
    "asyncq/_engine/executor.py": [
        "a handler that we stopped: becomes an outcome",
        "the drain: made shorter, raised again when it is over",
    ],
    "asyncq/_engine/vitals.py": ["its thread must be joined: raised again when it is"],
    "asyncq/_engine/offload.py": ["a thread cannot be interrupted: raised again when it has ended"],
    "asyncq/kq/processing.py": ["a handler that cancelled itself: a failure; ours goes on"],
    "asyncq/server.py": ["the drain: finishes first, the waiter raises it then"],
}

_BROAD = {"Exception", "BaseException"}
_STARTERS = {"create_task", "ensure_future"}
_VAGUE = {"utils", "util", "helpers", "common", "types", "base", "core", "manager", "misc"}


def test_no_module_imports_the_root() -> None:
    """The root exports; a module that imports it would close a circle.

    import-linter holds the same for plain imports. This also finds relative ones
    and the ones written inside a function.
    """
    found = []
    for path, node in nodes(ast.Import):
        if any(alias.name == "asyncq" for alias in node.names):
            found.append(f"{named(path)}:{node.lineno}")
    for path, node in nodes(ast.ImportFrom):
        depth = len(dotted(path).split(".")) - (path.name != "__init__.py")
        relative_root = node.level == depth and node.module is None
        # `from asyncq import errors` imports the root on its way to the module.
        if relative_root or (node.level == 0 and node.module == "asyncq"):
            submodules = all(_is_module(alias.name) for alias in node.names)
            if not submodules:
                found.append(f"{named(path)}:{node.lineno}")
    assert not found


def _is_module(name: str) -> bool:
    return (PACKAGE / f"{name}.py").exists() or (PACKAGE / name / "__init__.py").exists()


def test_tasks_are_started_where_it_was_decided() -> None:
    """Structured concurrency: every other file asks for a running actor instead."""
    # Also where it is only handed on, to be called elsewhere.
    found = {named(path) for path, node in nodes(ast.Attribute) if node.attr in _STARTERS}
    assert found == set(TASK_STARTERS)


def _caught(handler: ast.ExceptHandler) -> set[str]:
    if handler.type is None:
        return {"BaseException"}
    return {part.id for part in ast.walk(handler.type) if isinstance(part, ast.Name)}


def _passes_on(handler: ast.ExceptHandler) -> bool:
    """Whether the handler ends by raising again: cleaning up is no swallowing."""
    return isinstance(handler.body[-1], ast.Raise)


def test_errors_of_any_kind_are_swallowed_where_it_was_decided() -> None:
    """Each place is counted, so that a second one in the same file is a decision, too."""
    swallowed = Counter(
        named(path)
        for path, handler in nodes(ast.ExceptHandler)
        if _caught(handler) & _BROAD and not _passes_on(handler)
    )
    assert swallowed == {name: len(reasons) for name, reasons in SWALLOWERS.items()}


def test_cancellations_are_swallowed_where_it_was_decided() -> None:
    """Anywhere else a program that is told to end would not."""
    swallowed = Counter(
        named(path)
        for path, handler in nodes(ast.ExceptHandler)
        if {part.attr for part in ast.walk(handler) if isinstance(part, ast.Attribute)} & {"CancelledError"}
        and handler.type is not None
        and "CancelledError" in ast.unparse(handler.type)
        and not _passes_on(handler)
    )
    assert swallowed == {path: len(reasons) for path, reasons in CANCELLATION_SWALLOWERS.items()}


def test_module_names_say_a_responsibility() -> None:
    """`utils` and its kin are where design goes to hide."""
    assert not [named(path) for path in modules() if path.stem.strip("_") in _VAGUE]


# Who else reads the environment. It is handed in for tests.
ENVIRONMENT_READERS = {
    "asyncq/app/settings.py": "settings are read when a program asks for it",
}


def test_the_environment_is_read_where_it_was_decided() -> None:
    """A library that reads the environment cannot be tested or changed by its user; the command line may."""
    found = []
    for path, node in nodes(ast.Attribute):
        inside_cli = "cli" in path.relative_to(PACKAGE).parts or path.name == "__main__.py"
        is_decided = inside_cli or named(path) in ENVIRONMENT_READERS
        if node.attr in {"environ", "getenv"} and not is_decided:
            found.append(f"{named(path)}:{node.lineno}")
    assert not found


def test_no_pickle() -> None:
    """A payload is bytes or the work of a named codec: unpickling runs the sender's code."""
    imported = [
        f"{named(path)}:{node.lineno}"
        for path, node in [*nodes(ast.Import), *nodes(ast.ImportFrom)]
        if {"pickle", "marshal", "shelve"}
        & {getattr(node, "module", None), *(alias.name for alias in node.names)}
    ]
    assert not imported
