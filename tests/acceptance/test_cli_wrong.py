"""Bad input on every command: a message that says what to do, and an exit code that says what it was."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from asyncq.cli import COMMANDS, main
from asyncq.sync import Client
from asyncq.task import Task
from tests.acceptance.staging import Stage

pytestmark = pytest.mark.acceptance


def commands(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command, those below groups included."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, (*path, name))


ALL = dict(commands(main))
LEAVES = {path: command for path, command in ALL.items() if not isinstance(command, click.Group)}

NEEDED = {
    ("queue", "show"): ["q"],
    ("queue", "pause"): ["q"],
    ("queue", "resume"): ["q"],
    ("queue", "rm"): ["q", "--yes"],
    ("task", "find"): ["word"],
    ("task", "show"): ["id", "-q", "q"],
    ("task", "run"): ["id", "-q", "q"],
    ("task", "retry"): ["id", "-q", "q"],
    ("task", "archive"): ["id", "-q", "q"],
    ("task", "cancel"): ["id", "-q", "q"],
    ("task", "delete"): ["id", "-q", "q"],
    ("task", "edit"): ["id", "-q", "q", "--max-retry", "1"],
    ("task", "reschedule"): ["id", "-q", "q", "--in", "1m"],
    ("task", "wait"): ["id", "-q", "q", "--timeout", "1s"],
    ("task", "enqueue"): ["x"],
    ("enqueue",): ["x"],
    ("group", "show"): ["g"],
    ("group", "run"): ["g"],
    ("group", "archive"): ["g"],
    ("group", "delete"): ["g", "--yes"],
    ("server", "show"): ["id"],
    ("cron", "show"): ["e"],
    ("cron", "history"): ["e"],
    ("cron", "pause"): ["e"],
    ("cron", "resume"): ["e"],
    ("cron", "run"): ["e"],
    ("cron", "rm"): ["e", "--yes"],
}
"""Arguments with which a command begins to look at Redis."""

MINE = {"cron", "enqueue", "failures", "group", "history", "queue", "server", "stats", "task", "trail"}
"""Commands of an operator; the others have tests of their own."""

LOOKING = [path for path in LEAVES if path and path[0] in MINE]


def run(*arguments: str, code: int, **options: object) -> str:
    """Run the command, look at its exit code, and return what it complained."""
    result = CliRunner().invoke(main, list(arguments), **options)  # type: ignore[arg-type]
    assert result.exit_code == code, f"{arguments}: {result.output}"
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.stderr


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_has_its_help(path: tuple[str, ...]) -> None:
    """A sentence for the list, and one for each option."""
    command = ALL[path]
    assert command.help
    assert command.get_short_help_str(200).endswith((".", "..."))
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{path}: {parameter.name}"
    shown = CliRunner().invoke(main, [*path, "--help"])
    assert shown.exit_code == 0
    assert "\\b" not in shown.output


def test_the_list_of_commands_is_right() -> None:
    """Every module of a command is listed with the first words of its help."""
    for name in COMMANDS:
        assert ALL[name,].name == name


@pytest.mark.parametrize("path", LOOKING, ids=" ".join)
def test_redis_that_is_away(path: tuple[str, ...], tmp_path: object) -> None:
    """Exit code 5, where it is, and no traceback."""
    url = f"unix://{tmp_path}/none.sock"
    told = run(*path, *NEEDED.get(path, []), "--patience", "0", "--url", url, code=5)
    assert "none.sock" in told


@pytest.mark.parametrize("path", LOOKING, ids=" ".join)
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--url", "redis//x"], "a scheme that asyncq knows"),
        (["--wire", "go"], "'native', 'asynq'"),
        (["--wire", "asynq", "--prefix", "mine:"], "asynq: in the asynq wire"),
        (["--output", "yaml"], "'table'"),
        (["--patience", "soon"], "not a valid float"),
        (["--nonsense"], "No such option"),
    ],
)
def test_bad_options_of_every_command(path: tuple[str, ...], arguments: list[str], text: str) -> None:
    """Exit code 2, before anything is connected."""
    assert text in run(*path, *NEEDED.get(path, []), *arguments, code=2)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["qeue"], "Did you mean 'queue'?"),
        (["queue", "puase", "q"], "Did you mean 'pause'?"),
        (["queue", "pause"], "Missing argument 'QUEUE...'"),
        (["queue", "history", "q", "--days", "91"], "1<=x<=90"),
        (["queue", "ls", "--sort", "colour"], "'latency'"),
        (["task", "show"], "Missing argument 'ID...'"),
        (["task", "ls", "-s", "dead"], "'archived'"),
        (["task", "ls", "-s", "aggregating"], "needs a --group"),
        (["task", "ls", "-s", "retry", "-g", "x"], "--group is of --state aggregating alone"),
        (["task", "ls", "--page", "2"], "are of one --state"),
        (["task", "ls", "-s", "retry", "--page", "0"], "x>=1"),
        (["task", "ls", "-s", "retry", "--page", "2", "--all"], "--all begins at the beginning"),
        (["task", "ls", "--size", "1001"], "1<=x<=1000"),
        (["task", "ls", "--since", "yesterday"], "no time"),
        (["task", "ls", "--until", "2026-11-21T18:00"], "no time"),
        (["task", "retry"], "Say of which queue"),
        (["task", "run"], "Say which tasks"),
        (["task", "run", "-q", "q"], "Say which tasks"),
        (["task", "run", "-q", "q", "-s", "active"], "is not one of"),
        (["task", "run", "id", "-q", "q", "--type", "x"], "Either IDs or --type, not both"),
        (["task", "run", "id", "-q", "q", "-s", "retry"], "Either IDs or --state, not both"),
        (["task", "run", "id", "-q", "q", "-q", "p"], "IDs are of one --queue"),
        (["task", "run", "-s", "retry"], "Say of which queue"),
        (["task", "run", "-s", "retry", "-q", "q", "--all-queues"], "not both"),
        (["task", "run", "-s", "retry", "-q", "q", "--rate", "fast"], "no rate"),
        (["task", "run", "-s", "retry", "-q", "q", "--rate", "0"], "no rate"),
        (["task", "run", "-s", "retry", "-q", "q", "--limit", "0"], "x>=1"),
        (["task", "run", "-s", "aggregating", "-q", "q"], "needs a --group"),
        (["task", "retry", "-s", "archived", "-g", "g", "-s", "retry", "-q", "q"], "needs a --group"),
        (["task", "delete", "-s", "active", "-q", "q", "--yes"], "is not one of"),
        (["task", "cancel", "id", "-q", "q", "--wait", "soon"], "no duration"),
        (["task", "edit", "id", "-q", "q"], "Say what to change"),
        (["task", "edit", "id", "-q", "q", "--payload", "{"], "it is no JSON"),
        (["task", "edit", "id", "-q", "q", "--payload", "@/none/file"], "cannot read '/none/file'"),
        (["task", "edit", "id", "-q", "q", "--raw"], "--raw says how --payload is meant"),
        (["task", "edit", "id", "-q", "q", "--header", "x"], "no header"),
        (["task", "edit", "id", "-q", "q", "--header", "x=1", "--no-headers"], "not both"),
        (["task", "edit", "id", "-q", "q", "--editor", "--payload", "1"], "--editor or --payload, not both"),
        (["task", "edit", "id", "-q", "q", "--deadline", "2036-01-01T00:00"], "no time with a zone"),
        (["task", "reschedule", "id", "-q", "q"], "--at or --in, one of the two"),
        (["task", "reschedule", "id", "-q", "q", "--in", "1m", "--at", "now"], "one of the two"),
        (["task", "wait", "id", "--timeout", "x"], "no duration"),
        (["enqueue"], "Missing argument 'TYPE'"),
        (["enqueue", " "], "text that is not blank"),
        (["enqueue", "x", "hello"], "it is no JSON"),
        (["enqueue", "x", "[" * 100_000], "nested too deep"),
        (["enqueue", "x", "--queue", "a{b}"], "no braces"),
        (["enqueue", "x", "--process-in", "1h", "--process-at", "now"], "not both"),
        (["enqueue", "x", "--unique", "0"], "0.001 or more"),
        (["enqueue", "x", "--lines"], "there is none"),
        (["enqueue", "x", "1", "--lines", "--raw"], "not both"),
        (["enqueue", "x", "1\n{", "--lines"], "line 2"),
        (["enqueue", "x", "--id", ""], "text that is not blank"),
        (["enqueue", "x", "--max-retry", "-1"], "x>=0"),
        (["cron", "show", "e", "--next", "1001"], "0<=x<=1000"),
        (["cron", "history", "e", "-n", "0"], "1<=x<=1000"),
        (["cron", "ls", "--kind", "rust"], "'declared'"),
        (["history", "--days", "x"], "not a valid integer"),
        (["history", "--step", "1m"], "--step, --type and --types are for --since"),
        (["history", "--since", "1h", "--types", "--step", "1m"], "--types, or --step and --type"),
        (["history", "--since", "1h", "-q", "a", "-q", "b"], "one --queue"),
        (["history", "--since", "1h", "--step", "7s"], "step"),
        (["failures", "-s", "pending"], "is not one of"),
        (["failures", "--scan", "0"], "x>=1"),
        (["task", "find"], "Missing argument 'QUERY...'"),
        (["task", "find", "state:dead"], "state"),
        (["task", "find", "x", "--cursor", "y"], "cursor"),
        (["trail", "--outcome", "good"], "'refused'"),
        (["trail", "--cursor", "x"], "the cursor of another page"),
        (["task", "cancel", "-q", "q", "-s", "archived", "--yes"], "is not one of"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else "",
)
def test_wrong_usage(arguments: list[str], text: str, tmp_path: object) -> None:
    """Exit code 2, without a look at Redis, which is away here."""
    told = run(*arguments, code=2, env={"ASYNCQ_URL": f"unix://{tmp_path}/none.sock"})
    assert text in re.sub(r"\s+", " ", told)


@pytest.mark.parametrize("wire", ["native", "asynq"])
def test_what_is_not_there(redis_url: str, wire: str) -> None:
    """Exit code 3, and names that are like it."""
    stage = Stage(redis_url, wire)
    with Client(redis_url, wire=wire) as client:
        client.enqueue(Task("x", task_id="known"), queue="mails")
        client.enqueue(Task("x"), queue="other", group="digest")
    for arguments, text in (
        (["queue", "show", "mials"], "there is no queue 'mials'; did you mean 'mails'?"),
        (["queue", "history", "mials"], "did you mean 'mails'?"),
        (["queue", "pause", "mials"], "did you mean 'mails'?"),
        (["queue", "resume", "mials"], "did you mean 'mails'?"),
        (["queue", "rm", "mials", "--yes"], "did you mean 'mails'?"),
        (["queue", "rm", "mials", "--dry-run"], "did you mean 'mails'?"),
        (["history", "-q", "mials"], "did you mean 'mails'?"),
        (["task", "ls", "-q", "mials"], "did you mean 'mails'?"),
        (["task", "show", "known", "-q", "mials"], "did you mean 'mails'?"),
        (["task", "show", "nobody", "-q", "mails"], "queue 'mails' has no task 'nobody'"),
        (["task", "show", "known", "-q", "other"], "there is one in 'mails'"),
        (["task", "run", "nobody", "-q", "mails"], "has no task 'nobody'"),
        (["task", "archive", "nobody", "-q", "mails"], "has no task 'nobody'"),
        (["task", "delete", "nobody", "-q", "mails"], "has no task 'nobody'"),
        (["task", "cancel", "nobody", "-q", "mails"], "has no task 'nobody'"),
        (["task", "edit", "nobody", "-q", "mails", "--max-retry", "1"], "has no task 'nobody'"),
        (["task", "reschedule", "nobody", "-q", "mails", "--in", "1m"], "has no task 'nobody'"),
        (["task", "wait", "nobody", "-q", "mails", "--timeout", "0"], "has no task 'nobody'"),
        (["task", "retry", "-q", "mials"], "did you mean 'mails'?"),
        (["task", "delete", "-q", "mials", "-s", "retry", "--yes"], "did you mean 'mails'?"),
        (["group", "ls", "mials"], "did you mean 'mails'?"),
        (["group", "show", "digset", "-q", "other"], "did you mean 'digest'?"),
        (["group", "run", "digset", "-q", "other"], "did you mean 'digest'?"),
        (["server", "show", "nobody"], "there is no server 'nobody'"),
        (["server", "workers", "nobody"], "there is no server 'nobody'"),
        (["server", "workers", "-q", "mials"], "did you mean 'mails'?"),
        (["cron", "show", "nightly"], "there is no entry 'nightly'"),
        (["cron", "history", "nightly"], "there is no entry 'nightly'"),
        (["cron", "pause", "nightly"], "there is no entry 'nightly'"),
        (["cron", "run", "nightly"], "there is no entry 'nightly'"),
        (["cron", "rm", "nightly", "--yes"], "there is no entry 'nightly'"),
    ):
        assert text in stage.run(*arguments, code=3).stderr, arguments


# --- how long help may take -----------------------------------------------------------


def _seconds(code: str) -> float:
    """Seconds of processor time that a program takes, which others on this machine make little longer."""
    # Compiled code may be kept, or each run would pay for compiling it.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, env=environment)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_utime + used.ru_stime


@pytest.mark.alone
def test_help_is_quick() -> None:
    """Under a tenth of a second, on a machine on which Python and click alone take half of that.

    What those two take in the same minute says how fast the machine is just now, so a busy one does not
    fail the test; what a forgotten import costs does: asyncio half as much again, Redis thrice.
    """
    asked = (["--help"], ["queue", "--help"], ["task", "ls", "--help"])
    codes = ["import click", *(f"from asyncq.__main__ import main; main({words})" for words in asked)]
    bare, *took = (
        min(times) for times in zip(*([_seconds(code) for code in codes] for _ in range(6)), strict=True)
    )
    assert max(took) < max(0.1, 2.2 * bare), f"{took}, and {bare:.3f} s for click alone"
