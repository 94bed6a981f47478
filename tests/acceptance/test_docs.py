"""The pages say what the code does: each list on a page is compared with what it lists."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest

from asyncq import Client, ConnectionOptions, Inspector, Semaphore, ServerConfig, errors, sync
from asyncq._wire.keys import ClaimKeys, EntryKeys, Keys, SemaphoreKeys
from asyncq._wire.states import State
from asyncq.app import Setting, Shutdown
from asyncq.cli import main
from asyncq.dq import ConsumerConfig
from asyncq.entries import Rules
from asyncq.inspector import TrailRecord
from asyncq.metrics import Exporter
from asyncq.options import TaskOptions
from asyncq.periodic import ManagerConfig
from asyncq.scheduler import SchedulerConfig
from tests.acceptance.pages import DOCS, ROOT, names, section, table
from tools import api
from tools import cli as command_line

pytestmark = [pytest.mark.acceptance]

OPTIONS = DOCS / "reference" / "options.md"
EVENTS = DOCS / "reference" / "log-events.md"
KEYSPACE = DOCS / "concepts" / "keyspace.md"
DELIVERY = DOCS / "concepts" / "delivery.md"


def _first_names(text: str) -> list[str]:
    return [name for row in table(text) for name in names(row[0])]


# --- delivery ---------------------------------------------------------------------------------


def test_every_promise_has_a_test_that_exists() -> None:
    """A promise without a test is a hope."""
    rows = [row for row in table(DELIVERY.read_text(encoding="utf-8")) if row[0].isdigit()]
    assert [int(row[0]) for row in rows] == list(range(1, len(rows) + 1))
    missing = []
    for number, sentence, test in rows:
        assert sentence.endswith("."), number
        (name,) = names(test)
        file, _, function = name.partition("::")
        source = ROOT / file
        if not source.is_file() or not re.search(rf"def {function}\(", source.read_text(encoding="utf-8")):
            missing.append((number, name))
    assert missing == []


# --- the public interface -----------------------------------------------------------------------


def test_the_page_of_the_public_interface_is_up_to_date() -> None:
    """`python tools/api.py` writes it anew."""
    assert (DOCS / "reference" / "api.md").read_text(encoding="utf-8") == api.page()


# --- the command line -------------------------------------------------------------------------


def test_the_page_of_the_command_line_is_up_to_date() -> None:
    """`python tools/cli.py` writes it anew."""
    assert (DOCS / "reference" / "cli.md").read_text(encoding="utf-8") == command_line.page()


def _commands() -> list[str]:
    """Every `$ asyncq …` of a page, without what stands around it in a pipe."""
    found: list[str] = []
    for page in [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]:
        for line in re.findall(r"^\$ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE):
            parts = re.split(r" (?:\||&&|;) ", line)
            found += [part.removesuffix("  #") for part in parts if part.startswith("asyncq ")]
    return sorted(set(found))


@pytest.mark.parametrize("line", _commands())
def test_commands_that_a_page_shows_are_understood(line: str) -> None:
    """An operator copies them at three in the morning."""
    _, *arguments = shlex.split(line, comments=True)
    command, context = main, click.Context(main)
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        context = click.Context(command, context, info_name=command.name)
        _, found, arguments = command.resolve_command(context, arguments)
        assert found is not None
        command = found
    assert not isinstance(command, click.Group) or {"--help", "--version"} & set(arguments)
    if not isinstance(command, click.Group):
        command.make_context(command.name, arguments, context)


# --- options ----------------------------------------------------------------------------------


def _parameters(door: Any) -> list[str]:
    return [name for name in inspect.signature(door).parameters if name != "url"]


@pytest.mark.parametrize(
    ("heading", "known"),
    [
        ("Task options", list(TaskOptions.__annotations__)),
        ("Entry options", [field.name for field in dataclasses.fields(Rules)]),
        ("Server options", [field.name for field in dataclasses.fields(ServerConfig)]),
        ("Client options", _parameters(Client)),
        ("Client options", _parameters(sync.Client)),
        ("Scheduler options", [field.name for field in dataclasses.fields(SchedulerConfig)]),
        (
            "Manager options",
            [
                field.name
                for field in dataclasses.fields(ManagerConfig)
                if field.name not in {base.name for base in dataclasses.fields(SchedulerConfig)}
            ],
        ),
        ("Inspector options", _parameters(Inspector)),
        ("Exporter options", [name for name in _parameters(Exporter) if name != "inspector"]),
        ("Semaphore options", _parameters(Semaphore)),
        ("Consumer options of dq", [field.name for field in dataclasses.fields(ConsumerConfig)]),
        ("Connection options", [field.name for field in dataclasses.fields(ConnectionOptions)]),
        ("Times of leaving", [field.name for field in dataclasses.fields(Shutdown)]),
        ("Setting options", [field.name for field in dataclasses.fields(Setting)]),
    ],
    ids=[
        "task",
        "entry",
        "server",
        "client",
        "sync",
        "scheduler",
        "manager",
        "inspector",
        "exporter",
        "semaphore",
        "consumer of dq",
        "connection",
        "leaving",
        "setting",
    ],
)
def test_options_are_listed_in_their_order(heading: str, known: list[str]) -> None:
    """An option that is not on the page does not exist for its reader."""
    assert _first_names(section(OPTIONS, heading)) == known


_UNITS = {"": 1.0, " s": 1.0, " days": 86400.0}


def _number(cell: str) -> float | None:
    match = re.fullmatch(r"([\d,.]+)( s| days)?", cell.strip("`"))
    return None if match is None else float(match[1].replace(",", "")) * _UNITS[match[2] or ""]


@pytest.mark.parametrize(
    ("heading", "options"),
    [
        ("Server options", ServerConfig()),
        ("Consumer options of dq", ConsumerConfig()),
        ("Connection options", ConnectionOptions()),
    ],
    ids=["server", "consumer of dq", "connection"],
)
def test_default_numbers_are_those_of_the_code(heading: str, options: object) -> None:
    """Defaults change more easily than pages."""
    compared = 0
    for row in table(section(OPTIONS, heading)):
        (name,) = names(row[0])
        number = _number(row[1])
        if number is not None:
            assert getattr(options, name) == number, name
            compared += 1
    assert compared >= 3


# --- log events -------------------------------------------------------------------------------


def _events_in_the_source() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path in (ROOT / "asyncq").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                for keyword in node.keywords:
                    if keyword.arg == "extra" and isinstance(keyword.value, ast.Dict):
                        found.setdefault(_event(path, keyword.value), set()).add(node.func.attr)
    return found


def _event(path: Path, extra: ast.Dict) -> str:
    for key, value in zip(extra.keys, extra.values, strict=True):
        if isinstance(key, ast.Constant) and key.value == "event":
            assert isinstance(value, ast.Constant), f"{path}: the word must stand in the code"
            return str(value.value)
    raise AssertionError(f"{path}:{extra.lineno}: a log record without an event")


def test_log_events_are_those_of_the_source() -> None:
    """Words are what alerts are made of; so they are listed, all of them, with their level."""
    listed = {names(row[0])[0]: set(row[1].split(", ")) for row in table(EVENTS.read_text(encoding="utf-8"))}
    found = _events_in_the_source()
    assert sorted(listed) == sorted(found)
    for event, methods in found.items():
        for method in methods - {"log"}:
            assert {"exception": "error"}.get(method, method) in listed[event], event


# --- keys -------------------------------------------------------------------------------------


def test_keys_are_those_of_the_code() -> None:
    """Who looks into Redis with another tool reads this page."""
    keys = Keys("<prefix>")
    queue = keys.queue("<queue>")
    base = queue.base
    made = {
        value
        for name in type(queue).__slots__
        if name not in ("name", "base", "active") and not name.endswith("_prefix")
        for value in [getattr(queue, name)]
    }
    made |= {
        queue.task("<id>"),
        queue.unique("<type>:<md5>"),
        queue.group("<group>"),
        queue.group("<group>:<set>"),
        queue.receipt("<sender>"),
        queue.tick("<entry>"),
        queue.fence("<entry>"),
    }
    made |= {re.sub(r"\d{4}-\d\d-\d\d$", "<day>", queue.day(name, 0)) for name in ("processed", "failed")}
    listed = {name.replace("Q ", base) for name in _first_names(section(KEYSPACE, "Keys of a queue"))}
    assert listed == made
    assert queue.active.replace(base, "Q ") in _first_names(section(KEYSPACE, "In the asynq wire"))
    assert set(_first_names(section(KEYSPACE, "Keys outside queues"))) == {
        keys.queues,
        keys.servers,
        keys.server("<id>"),
        keys.schedulers,
        keys.scheduler("<id>"),
        keys.history("<entry>"),
        keys.trail,
        *(getattr(keys.semaphore("<scope>"), name) for name in SemaphoreKeys.__slots__),
        *(getattr(keys.claim("<name>"), name) for name in ClaimKeys.__slots__),
        *(getattr(keys.entries, name) for name in EntryKeys.__slots__),
        *(keys.measures.minutes, keys.measures.hours, keys.measures.receipt("<server>")),
    }
    assert set(_first_names(section(KEYSPACE, "Channels"))) == {
        keys.channel("<server>"),
        keys.news,
        keys.entry_news,
    }


_FIELD = re.compile(r"'([a-z_]+)'")


def test_fields_are_those_of_the_scripts() -> None:
    """Each field on the page is one that a script writes; a real Redis is compared with the page below."""
    words: set[str] = {"result", "progress"}  # their names are arguments
    for script in (ROOT / "asyncq" / "_broker" / "lua").glob("*.lua"):
        words.update(_FIELD.findall(script.read_text(encoding="utf-8")))
    for path in (ROOT / "asyncq" / "_broker").glob("*.py"):
        words.update(re.findall(r'kind="([a-z]+)"', path.read_text(encoding="utf-8")))
    for path in (ROOT / "asyncq" / "_engine").glob("*.py"):
        words.update(re.findall(r'kind="([a-z]+)"', path.read_text(encoding="utf-8")))
    text = section(KEYSPACE, "Fields of a task") + section(KEYSPACE, "Fields of flow")
    fields = [name for row in table(text) for name in names(row[0])]
    assert fields
    assert [field for field in fields if field not in words] == []


def test_fields_of_the_trail_are_those_of_a_record() -> None:
    """In their order, of one that says everything."""
    full = TrailRecord(
        at=datetime.now(UTC),
        actor="ann",
        via="cli",
        action="task.edit",
        queue="q",
        target="id",
        outcome="failed",
        reason="why",
        count=1,
        changes={"n": ("1", "2")},
        is_redacted=True,
        operation="o",
    )
    assert _first_names(section(KEYSPACE, "Fields of the trail")) == [*full.fields()]


# --- states and errors ------------------------------------------------------------------------


def test_the_states_are_those_of_the_code() -> None:
    """Seven of them, in the table and in the picture."""
    page = (DOCS / "concepts" / "lifecycle.md").read_text(encoding="utf-8")
    listed = _first_names(page.partition("## Who moves what")[0])
    assert sorted(listed) == sorted(State)
    drawn = set(re.findall(r"^    ([a-z]+) -->|--> ([a-z]+):", page, re.MULTILINE))
    assert {one or other for one, other in drawn} == set(State)


def test_every_error_has_its_line() -> None:
    """What to do about it is the first thing that whoever meets it wants to know."""
    page = DOCS / "guides" / "errors.md"
    listed = set(_first_names(page.read_text(encoding="utf-8")))
    classes = {name for name in errors.__all__ if issubclass(getattr(errors, name), BaseException)}
    assert listed == classes - {"AsyncqError"}
