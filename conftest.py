"""Order of the test stages, and whose turn it is; the fixtures are in `tests/conftest.py`.

The tests of a stage run in random order (pytest-randomly), the stages themselves
cheap first: a broken rule of the house is reported before the first server starts.
Several workers (pytest-xdist) take tests from one line in this order, two at a time.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.support.turns import SHARED_FOLDER, Turns

_ROOT = Path(__file__).resolve().parent
_STAGES = (
    "architecture",
    "typing",
    "unit",
    "lua",
    "integration",
    "engine",
    "faults",
    "acceptance",
    "interop",
    "e2e",
    "services",
)
_SERVICES = _ROOT / "tests" / "services"
_FOLDER = "asyncq_folder"
_turns = pytest.StashKey[Turns]()


def _stage(item: pytest.Item) -> tuple[int, bool]:
    parts = item.path.relative_to(_ROOT).parts
    folder = parts[1] if len(parts) > 2 else ""
    # Last of its stage is what has to be alone: the others are waited for once and not each time.
    return _STAGES.index(folder) if folder in _STAGES else len(_STAGES), _is_alone(item)


def _is_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None


# `trylast`: pytest-randomly shuffles first, and a stable sort keeps its order inside a stage.
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring the stages into order, leaving each stage as shuffled."""
    items.sort(key=_stage)


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder that the workers of this run share, or learn of it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # So it is for what a shell starts in the background, and programs of tests would inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if getattr(config.option, "maxschedchunk", 1) is None:
        config.option.maxschedchunk = 1  # each worker has one test in reserve and no more
    shared: dict[str, Any] | None = getattr(config, "workerinput", None)
    if shared is None:
        folder = Path(tempfile.mkdtemp(prefix="aq-run-"))
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    else:
        folder = Path(shared[_FOLDER])
    config.stash[SHARED_FOLDER] = folder
    config.stash[_turns] = Turns(folder)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker where the folder is."""
    node.workerinput[_FOLDER] = str(node.config.stash[SHARED_FOLDER])


# beanstalkd, Kafka and Go are more than a plain `make test` may ask of a machine.
def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the tests with services, unless they are asked for by name or by the environment."""
    return True if collection_path == _SERVICES and not _wants_services(config) else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say so where a run that seems whole was not."""
    if not _wants_services(config) and any(_SERVICES.is_relative_to(path) for path in _asked(config)):
        terminalreporter.write_line(
            "NOT TESTED with beanstalkd, Kafka and go-queue: `make test-services` does."
        )


def _wants_services(config: pytest.Config) -> bool:
    return bool(os.environ.get("ASYNCQ_SERVICES")) or any(
        path.is_relative_to(_SERVICES) for path in _asked(config)
    )


def _asked(config: pytest.Config) -> list[Path]:
    """Return the files and folders that this run is about."""
    start = config.invocation_params.dir
    return [(start / argument.partition("::")[0]).resolve() for argument in config.args]


# First of all, and so around the limit of time: to wait for one's turn is no part of the test.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, bool, bool]:
    """Hold the turn of a test from its first fixture to the last."""
    with item.config.stash[_turns].turn(alone=_is_alone(item)):
        return (yield)
