"""`asyncq doctor` as an operator meets it: what it prints, what it asks, and how it exits."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from typing import Any

import pytest
from click.testing import CliRunner, Result
from redis import Redis

from asyncq.cli import main
from asyncq.sync import Client
from asyncq.task import Task
from tests.support.go_steps import GoSteps
from tests.support.servers import RedisOptions, RedisProcess

pytestmark = pytest.mark.acceptance

TASKS = "asyncq:{default}:"


@pytest.fixture
def damaged(redis_url: str, redis_client: Redis) -> str:
    """A Redis with three tasks, one of which is in no list."""
    with Client(redis_url) as client:
        for name in ("a", "b", "c"):
            client.enqueue(Task("work", {}, task_id=name))
    redis_client.lrem(TASKS + "pending", 0, "b")
    return redis_url


def doctor(*arguments: str, **options: Any) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(main, ["doctor", *arguments], **options)


def test_all_is_well(redis_url: str) -> None:
    """The commonest answer, and the exit code that a cron job looks at."""
    with Client(redis_url) as client:
        client.enqueue(Task("work", {}))
    result = doctor("--url", redis_url)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert any(line.split() == ["default", "1", "0", "0", "0", "0", "0", "0"] for line in lines)
    assert lines[-1] == "Every task is in exactly one place, and the counters add up."


def test_damage_is_told_and_nothing_is_changed(damaged: str, redis_client: Redis) -> None:
    """Looking is free: the decision is the operator's."""
    result = doctor("--url", damaged)
    assert result.exit_code == 1
    assert "damage: orphan in queue default" in result.stdout
    assert "b says it is pending, but is in no list or set: nothing will find it" in result.stdout
    assert "repair: put it into pending" in result.stdout
    assert "Nothing was changed. `asyncq doctor --repair` would put right 1 of them." in result.stdout
    assert redis_client.llen(TASKS + "pending") == 2


def test_repair_with_yes(damaged: str, redis_client: Redis) -> None:
    """For scripts: no question, and the exit code of what is left."""
    result = doctor("--url", damaged, "--repair", "--yes")
    assert result.exit_code == 0, result.output
    assert "Repaired 1 finding." in result.stdout
    assert sorted(redis_client.lrange(TASKS + "pending", 0, -1)) == [b"a", b"b", b"c"]


def test_repair_without_anybody_to_ask_is_refused(damaged: str, redis_client: Redis) -> None:
    """A pipeline must not repair by accident; and it is told before the long look."""
    result = doctor("--url", damaged, "--repair")
    assert result.exit_code == 2
    assert "add --yes" in result.stderr
    assert redis_client.llen(TASKS + "pending") == 2


@pytest.mark.parametrize(("answer", "pending", "code"), [("n", 2, 1), ("y", 3, 0)])
def test_repair_asks_on_a_terminal(
    damaged: str, redis_client: Redis, answer: str, pending: int, code: int
) -> None:
    """A real process on a real terminal: the only way to see that it asks there."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "asyncq", "doctor", "--repair"],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "ASYNCQ_URL": damaged},
        )
        os.write(ours, f"{answer}\n".encode())
        output, errors = process.communicate(timeout=30)
    finally:
        os.close(ours)
        os.close(theirs)
    assert b"Repair 1 finding? [y/N]" in errors
    assert process.returncode == code, output
    assert redis_client.llen(TASKS + "pending") == pending


def test_json_is_one_object(damaged: str) -> None:
    """What a monitor reads; warnings and progress must not get between."""
    found = json.loads(doctor("--url", damaged, "--json").stdout)
    assert found["is_clean"] is False
    assert found["examined"] == 3
    assert found["queues"]["default"]["tasks"]["pending"] == 2
    assert found["queues"]["default"]["flow"] == {"created": 3}
    assert [(f["kind"], f["key"], f["repairable"]) for f in found["items"]] == [("orphan", "b", True)]
    # As of all commands: what was found, more about the whole, what could not be looked at.
    first, *_, last = found
    assert (first, last) == ("items", "missing")
    repaired = json.loads(doctor("--url", damaged, "--json", "--repair", "--yes").stdout)
    assert repaired["is_clean"] is True
    assert [(f["kind"], f["key"]) for f in repaired["repaired"]] == [("orphan", "b")]


def test_one_queue(damaged: str) -> None:
    """Somebody else's queue is not looked at."""
    with Client(damaged) as client:
        client.enqueue(Task("work", {}, queue="low"))
    result = doctor("--url", damaged, "--queue", "low")
    assert result.exit_code == 0, result.output
    assert "default" not in result.stdout


def test_many_findings_are_summed_up(redis_url: str, redis_client: Redis) -> None:
    """Three thousand lines at three in the morning tell less than ten."""
    with Client(redis_url) as client:
        for number in range(25):
            client.enqueue(Task("work", {}, task_id=f"t{number}"))
    redis_client.delete(TASKS + "pending")
    result = doctor("--url", redis_url)
    assert result.stdout.count("repair: put it into pending") == 10
    assert "15 more findings like it: orphan in queue default (--json lists them)" in result.stdout


def test_redis_that_cannot_be_reached(tmp_path: Any) -> None:
    """Where, why, and what to try: not a traceback."""
    result = doctor("--url", f"unix://{tmp_path}/none.sock")
    assert result.exit_code == 5
    assert result.stderr.startswith("Error: unix:")
    assert "none.sock" in result.stderr
    assert "redis-cli" in result.stderr


def test_wrong_password() -> None:
    """The password is not in the text."""
    with RedisProcess(RedisOptions(password="right")) as redis:
        result = doctor("--url", redis.url.replace("right", "wrong-secret"))
    assert result.exit_code == 5
    assert "secret" not in result.output


def test_redis_that_throws_tasks_away() -> None:
    """It is not fit, and that is said; what is in there is looked at all the same."""
    options = RedisOptions(extra={"maxmemory": "100mb", "maxmemory-policy": "allkeys-lru"})
    with RedisProcess(options) as redis:
        result = doctor("--url", redis.url)
    assert result.exit_code == 1
    assert "noeviction" in result.stdout
    assert "Looked at 0 tasks" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["docter"], "Did you mean 'doctor'?"),
        (["doctor", "--repare"], "--repair"),
        (["doctor", "--url", "rediss//x"], "a scheme that asyncq knows"),
        (["completion", "tcsh"], "bash"),
    ],
)
def test_wrong_usage(arguments: list[str], hint: str) -> None:
    """Exit code 2, and the near miss."""
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert hint in result.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    """The script that the shell reads calls us back by this variable."""
    result = CliRunner().invoke(main, ["completion", shell])
    assert result.exit_code == 0
    assert "_ASYNCQ_COMPLETE" in result.stdout


def test_help_and_version_load_no_command() -> None:
    """Help must be quick: the module of a command is imported when it is used."""
    code = (
        "import sys; from asyncq.cli import main; main(sys.argv[1:], standalone_mode=False);"
        "print([name for name in sys.modules if name.startswith(('asyncq.cli.', 'rich'))])"
    )
    for option in ("--help", "--version"):
        done = subprocess.run(
            [sys.executable, "-c", code, option], capture_output=True, text=True, check=False, timeout=30
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "environment", "escapes"),
    [([], {}, {b"\x1b["}), (["--no-color"], {}, set()), ([], {"NO_COLOR": "1"}, set())],
)
def test_colours(
    damaged: str, arguments: list[str], environment: dict[str, str], escapes: set[bytes]
) -> None:
    """On a terminal, unless somebody does not want them."""
    ours, theirs = pty.openpty()
    variables = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "asyncq", *arguments, "doctor", "--url", damaged],
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=subprocess.PIPE,
            env={**variables, **environment},
        )
        _, errors = process.communicate(timeout=30)
        output = os.read(ours, 65536)
    finally:
        os.close(ours)
        os.close(theirs)
    assert process.returncode == 1, errors
    assert set(re.findall(rb"\x1b\[", output)) == escapes


def test_the_wire_of_go_has_its_own_prefix(redis_url: str, redis_client: Redis) -> None:
    """The same Redis may hold both wires, each looked at for itself. Go keeps no account to balance."""
    go = GoSteps(redis_client, "default")
    go.enqueue("a")
    found = doctor("--url", redis_url, "--wire", "asynq")
    assert found.exit_code == 0, found.output
    assert found.stdout.splitlines()[-1] == "Every task is in exactly one place."
    go.dequeue()
    redis_client.delete(go.keys.lease)
    found = doctor("--url", redis_url, env={"ASYNCQ_WIRE": "asynq"})
    assert found.exit_code == 1
    assert "damage: no lease in queue default" in found.stdout
    mended = doctor("--url", redis_url, "--wire", "asynq", "--repair", "--yes")
    assert mended.exit_code == 0, mended.output
    assert mended.stdout.splitlines()[-1] == "Every task is in exactly one place."
    assert "Looked at 0 tasks" in doctor("--url", redis_url, "--wire", "native").stdout


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--wire", "asynq", "--prefix", "mine:"), "asynq: in the asynq wire"),
        (("--wire", "go"), "'native', 'asynq'"),
    ],
)
def test_a_wire_that_is_not_there(redis_url: str, arguments: tuple[str, ...], text: str) -> None:
    """Said before anything is looked at."""
    refused = doctor("--url", redis_url, *arguments)
    assert refused.exit_code == 2
    assert text in refused.output
