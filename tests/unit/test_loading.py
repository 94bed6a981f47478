"""From `module:attribute` to what is to run, and what is said when that does not work."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from asyncq.app import App
from asyncq.cli.loading import LoadingError, load
from asyncq.errors import ConfigError
from asyncq.mux import Mux
from asyncq.scheduler import Scheduler
from asyncq.server import Server

HEAD = """
from asyncq import App, Mux, Scheduler, Server
URL = "redis://localhost:6379/0"
"""

Loads = Callable[..., Any]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loads]:
    """Write `shop/tasks.py` and load something of it, as if in a new process."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)

    def loads(source: str, *references: str, factory: bool = False) -> Any:
        (tmp_path / "shop").mkdir()
        (tmp_path / "shop" / "__init__.py").touch()
        (tmp_path / "shop" / "tasks.py").write_text(HEAD + source)
        return load(references or ("shop.tasks",), folder=str(tmp_path), factory=factory)

    yield loads
    for name in set(sys.modules) - before:
        if name.split(".")[0] == "shop":
            del sys.modules[name]


def test_an_app_by_name_and_by_default(program: Loads) -> None:
    """`:app` may be left out."""
    app = program("app = App(Server(URL), Mux())")
    assert isinstance(app, App)
    assert len(app.servers) == 1


def test_several_become_one(program: Loads) -> None:
    """A list in the module, or several on the command line, or both."""
    source = "a = [App(Server(URL), Mux()), Scheduler(URL)]\nclass k: b = Scheduler(URL)"
    app = program(source, "shop.tasks:a", "shop.tasks:k.b")
    assert (len(app.servers), len(app.schedulers)) == (1, 2)


def test_a_factory_is_called(program: Loads) -> None:
    """For programs that make nothing at import."""
    app = program("def make(): return Scheduler(URL)", "shop.tasks:make", factory=True)
    assert len(app.schedulers) == 1


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("shop/tasks.py", "'shop/tasks.py' is a file, and a module is wanted: try 'shop.tasks:app'"),
        ("./shop/tasks.py:x", "try 'shop.tasks:x'"),
        ("shop.tasks:", "names nothing behind the colon"),
        ("shop-tasks", "cannot be read: module:attribute is wanted"),
        (":app", "cannot be read"),
        ("shop.taks", "There is no module 'shop.taks' in the package shop; did you mean 'shop.tasks'?"),
        ("shopp.tasks", "There is no module 'shopp' in "),
        ("shopp.tasks", "did you mean 'shop'?"),
        ("quux", "--app-dir says where else to look"),
        ("shop.tasks:ap", "The module shop.tasks has no 'ap'; did you mean shop.tasks:app?"),
        ("shop.tasks:zzz", "has no 'zzz'; it has shop.tasks:app"),
        (
            "shop.tasks:server",
            "is a Server, and an App, a Scheduler, or a list of these is wanted: App(server, mux)",
        ),
        ("shop.tasks:mux", "is a Mux, and an App"),
        ("shop.tasks:group", "a group is run by a program of its own, with group.run()"),
        ("shop.tasks:make", "if it returns one, add --factory"),
        ("shop.tasks:App", "is the class App"),
        ("shop.tasks:URL", "is a str"),
        ("shop.tasks:nothing", "is an empty list"),
        ("shop.tasks:mixed", "is a list of App, int"),
    ],
)
def test_wrong_references_are_told_what_would_be_right(program: Loads, reference: str, words: str) -> None:
    """Each is a usage error, and says what to type."""
    source = "server, mux = Server(URL), Mux()\napp = App(server, mux)\n"
    source += "from asyncq.app import ServiceGroup\ngroup = ServiceGroup()\n"
    source += "nothing = []\nmixed = [app, 1]\ndef make(): ..."
    with pytest.raises(LoadingError) as caught:
        program(source, reference)
    assert words in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_module_without_anything_to_run(program: Loads) -> None:
    """Then no name in it would help."""
    with pytest.raises(LoadingError, match="nothing else in it is an App, a Scheduler, or a list"):
        program("")


def test_the_same_thing_twice_is_refused(program: Loads) -> None:
    """One server cannot run twice in one process."""
    with pytest.raises(LoadingError, match="each server and each scheduler once"):
        program("app = App(Server(URL), Mux())", "shop.tasks:app", "shop.tasks:app")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import redsi", "ModuleNotFoundError: No module named 'redsi'"),
        ("def f():\n    1 / 0\nf()", "ZeroDivisionError: division by zero"),
        ("def f(:", "SyntaxError: invalid syntax"),
    ],
)
def test_an_import_that_fails_shows_the_programs_own_traceback(
    program: Loads, capsys: pytest.CaptureFixture[str], source: str, words: str
) -> None:
    """It is the author's mistake, and our frames would only hide where."""
    with pytest.raises(LoadingError, match=r"shop\.tasks cannot be imported: \w+Error, see above") as caught:
        program(source)
    assert caught.value.exit_code == 1
    shown = capsys.readouterr().err
    assert words in shown
    assert "tasks.py" in shown
    assert "loading.py" not in shown
    assert "importlib" not in shown


def test_a_script_that_runs_at_import(program: Loads) -> None:
    """The commonest mistake with a program that was a script before."""
    with pytest.raises(LoadingError, match="__main__"):
        program("raise SystemExit(0)")


@pytest.mark.parametrize(
    ("source", "words", "code"),
    [
        ("async def make(): ...", "is an async function; --factory wants a plain function", 2),
        ("make = 3", "is an int; --factory wants a plain function", 2),
        ("def make(): return 3", "is an int, and an App", 2),
        ("def make(): raise KeyError('x')", "shop.tasks:make\\(\\) failed: KeyError, see above", 1),
    ],
)
def test_factories_that_make_nothing(program: Loads, source: str, words: str, code: int) -> None:
    """What is wrong with a factory is said of the factory."""
    with pytest.raises(LoadingError, match=words) as caught:
        program(source, "shop.tasks:make", factory=True)
    assert caught.value.exit_code == code


# --- App --------------------------------------------------------------------------------------

URL = "redis://localhost:6379/0"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (App, "a server with its mux, or schedulers"),
        (lambda: App(Server(URL)), "a Mux: the handlers of the server"),
        (lambda: App(None, Mux()), "a Server that runs the handlers"),
        (lambda: App(Mux(), Mux()), "a Server"),  # type: ignore[arg-type]
        (lambda: App(schedulers=[Server(URL)]), "schedulers"),  # type: ignore[list-item]
        (lambda: App.together([]), "at least one"),
    ],
)
def test_an_app_needs_something_to_run(make: Callable[[], App], words: str) -> None:
    """Found where it is written, not when it is started."""
    with pytest.raises(ConfigError, match=words):
        make()


def test_an_app_is_sent_elsewhere_with_all_its_doors() -> None:
    """`--url` and its kind change what a module has made, and say what they cannot change."""
    server, scheduler = Server(URL), Scheduler(URL)
    app = App(server, Mux(), schedulers=[scheduler])
    app.override("redis://elsewhere:6380/1", prefix="other:", concurrency=7)
    assert {connection.options.describe() for connection in app.connections} == {"elsewhere:6380"}
    assert {connection.wire.keys.prefix for connection in app.connections} == {"other:"}
    assert server.config.concurrency == 7
    with pytest.raises(ConfigError, match="did you mean 'concurrency'"):
        app.override(concurency=7)
