"""`asyncq trail`: who changed what, for people, for scripts, and a page at a time."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from asyncq import Client, Inspector, Task
from asyncq.cli import main
from asyncq.errors import NotAllowedError
from asyncq.inspector import Rights

pytestmark = [pytest.mark.acceptance]


@pytest.fixture
def told(redis_url: str) -> str:
    """A Redis in which three people did something."""

    async def arrange() -> None:
        async with Client(redis_url) as client, Inspector(redis_url) as inspector:
            info = await client.enqueue(Task("x", {"n": 1}), queue="mail", process_in=60, task_id="t1")
            await inspector.acting_as("ann@desk", via="cli").queues.pause("mail")
            await inspector.acting_as("bob", via="web").tasks.edit("mail", info.id, max_retry=3)
            await inspector.acting_as("bob", via="web").tasks.run_all("mail", "scheduled")
            with pytest.raises(NotAllowedError):
                await inspector.acting_as("\x1b[31mred", rights=Rights.viewer()).queues.pause("mail")

    # A name that would colour the terminal is refused where it is given.
    with pytest.raises(ValueError, match="actor"):
        asyncio.run(arrange())

    async def refused() -> None:
        async with Inspector(redis_url) as inspector:
            viewer = inspector.acting_as("eve", rights=Rights.viewer())
            with pytest.raises(NotAllowedError):
                await viewer.tasks.delete("mail", "\x1b[31mt1")

    asyncio.run(refused())
    return redis_url


def _trail(url: str, *arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["trail", "--url", url, *arguments])
    assert result.exit_code == code, result.output
    return result


def _items(url: str, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(_trail(url, "--json", *arguments).stdout)["items"]
    return found


def test_people_see_who_did_what(told: str) -> None:
    """The newest first; and what would act upon a terminal is shown and does not."""
    head, refused, *others = _trail(told, "-o", "wide").stdout.splitlines()
    assert head.split()[:4] == ["TIME", "(UTC)", "WHO", "VIA"]
    assert "eve" in refused
    assert "lacks the right 'task.delete'" in refused
    assert "\x1b" not in refused
    assert [line.split()[2] for line in others] == ["bob", "bob", "bob", "ann@desk"]
    assert "max_retry: 25 -> 3" in others[2]
    assert "1 task" in others[0]


def test_scripts_get_every_field(told: str) -> None:
    """Their names are a promise."""
    done, begun = _items(told, "--action", "task.run")
    assert (done["outcome"], begun["outcome"]) == ("done", "begun")
    assert done["operation"] == begun["operation"]
    assert set(done) == {
        "id", "at", "actor", "via", "action", "queue", "target", "outcome", "reason", "count", "changes",
        "is_redacted", "operation",
    }  # fmt: skip
    (edit,) = _items(told, "--action", "task.edit")
    assert edit["changes"] == {"max_retry": {"before": "25", "after": "3"}}


@pytest.mark.parametrize(
    ("arguments", "who"),
    [
        (["--actor", "bob", "--outcome", "done"], ["bob", "bob"]),
        (["--via", "cli"], ["ann@desk"]),
        (["-q", "mail", "--outcome", "refused"], ["eve"]),
        (["--target", "t1", "--action", "task.edit"], ["bob"]),
        (["--until", "1h"], []),
        (["--since", "1h", "--actor", "ann@desk"], ["ann@desk"]),
    ],
)
def test_filters_pick(told: str, arguments: list[str], who: list[str]) -> None:
    """One of each kind."""
    assert [one["actor"] for one in _items(told, *arguments)] == who


def test_pages_go_on_and_all_is_all(told: str) -> None:
    """Where a page ends, it says how to go on."""
    first = json.loads(_trail(told, "--json", "--size", "2").stdout)
    assert (first["total"], len(first["items"])) == (5, 2)
    second = _items(told, "--size", "2", "--cursor", first["cursor"])
    every = _items(told, "--size", "2", "--all")
    assert [*first["items"], *second] == every[:4]
    assert len(every) == 5
    assert "--cursor" in _trail(told, "--size", "2").stderr


@pytest.mark.parametrize(
    "arguments",
    [["--action", "task.rum"], ["--outcome", "ok"], ["--since", "soon"], ["--size", "0"], ["--cursor", "x"]],
)
def test_what_cannot_be_understood_is_wrong_usage(arguments: list[str]) -> None:
    """Before anything is sent: there is no Redis at this address."""
    _trail("redis://localhost:1", *arguments, code=2)


def test_whoever_sits_there_is_named(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what the system says, however odd: nobody shall be kept from acting by the name of their account."""
    monkeypatch.setenv("LOGNAME", "root\x1b[31m" + "x" * 300)
    acted = CliRunner().invoke(main, ["queue", "resume", "mail", "--url", told])
    assert acted.exit_code == 0, acted.output
    last = _items(told)[0]
    assert last["actor"].startswith("root")
    assert last["actor"].isprintable()
    assert (last["via"], last["action"], last["outcome"]) == ("cli", "queue.resume", "done")


def test_lines_are_one_change(told: str) -> None:
    """A record at the begin, and one at the end that counts."""
    done = CliRunner().invoke(
        main, ["enqueue", "x", "-", "--lines", "-q", "mail", "--url", told], input="1\n2\n3\n"
    )
    assert done.exit_code == 0, done.output
    assert len(done.stdout.splitlines()) == 3
    assert [(one["outcome"], one["count"]) for one in _items(told, "--action", "task.enqueue")] == [
        ("done", 3),
        ("begun", None),
    ]
