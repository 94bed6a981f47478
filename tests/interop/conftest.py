"""Go's programs for the tests of this folder. Without Go, they skip and say so."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.support.golang import GoMissingError, GoModule
from tests.support.kept import begin_for, kept_folder

from .asynqmon import Asynqmon
from .driving import Go
from .go_side import GoSide
from .python_side import PythonSide
from .sides import Side

_HERE = Path(__file__).parent
_CACHE = "interop-go"
_PROGRAMS = GoModule(_HERE / "go", ("./drive", "./golden", "./mon"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder. The limit of time is for the test and not for building the programs."""
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.interop)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(60, func_only=True))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start to build the programs: they are wanted last, and a download is mostly waiting."""
    begin_for("interop", session, lambda: [_PROGRAMS.begin(kept_folder(session.config, _CACHE))])


@pytest.fixture(scope="session")
def go_programs(request: pytest.FixtureRequest) -> Path:
    """The folder with `drive` and `mon`."""
    try:
        return _PROGRAMS.build(kept_folder(request.config, _CACHE))
    except GoMissingError as error:
        if os.environ.get("ASYNCQ_INTEROP") == "required":
            pytest.fail(str(error))
        # Not even CI has to have Go; what it then has not tested is said in the summary.
        pytest.skip(f"NOT TESTED with Go's asynq: {error}")


@pytest.fixture
async def start_go(go_programs: Path, redis_url: str) -> AsyncIterator[Callable[[], Awaitable[Go]]]:
    """Start a process of Go's on the test's Redis, and end it after the test."""
    started: list[Go] = []

    async def start() -> Go:
        go = await Go.start(go_programs / "drive", redis_url.partition("?")[0])
        started.append(go)
        return go

    yield start
    for go in started:
        await go.close()


@pytest.fixture
async def go(start_go: Callable[[], Awaitable[Go]]) -> Go:
    """One process of Go's, with all there is in it."""
    return await start_go()


@pytest.fixture
async def asynqmon(go_programs: Path, redis_url: str) -> AsyncIterator[Asynqmon]:
    """The web interface on the test's Redis."""
    started = await Asynqmon.start(go_programs / "mon", redis_url.partition("?")[0])
    yield started
    await started.close()


@pytest.fixture
def golang(go: Go) -> GoSide:
    """Go's client, server and inspector."""
    return GoSide(go)


@pytest.fixture
async def python(redis_url: str) -> AsyncIterator[PythonSide]:
    """Ours. What a test leaves behind is sound: the doctor has nothing to complain of."""
    async with PythonSide(redis_url) as side:
        yield side
        report = await side.inspector.audit()
        assert report.is_clean, str(report)


@pytest.fixture(params=["go to python", "python to go"])
def pair(request: pytest.FixtureRequest, golang: GoSide, python: PythonSide) -> tuple[Side, Side]:
    """Who produces or acts, and who works or suffers it: each language once."""
    return (golang, python) if request.param == "go to python" else (python, golang)
