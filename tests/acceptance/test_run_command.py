"""`asyncq run` as a service manager and a developer meet it: real processes, signals, and crashes."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import urllib.error
import urllib.request
from configparser import ConfigParser
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner
from redis import Redis

from asyncq.cli import main
from asyncq.sync import Client
from asyncq.task import Task
from tests.support.census import take_census
from tests.support.commands import Command, Program
from tests.support.servers import is_gone
from tests.support.waiting import wait_until_sync

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(120)]

WORK = """
@mux.handle("work")
async def work(task):
    note("work", task.payload)

@mux.handle("slow")
async def slow(task):
    note("slow began")
    await asyncio.sleep(task.payload)
    note("slow ended")

@mux.handle("die")
async def die(task):
    os._exit(7)

app = App(Server(URL, concurrency=4, lease=1, shutdown_timeout=30, name="shop"), mux)
"""


@pytest.fixture
def shop(tmp_path: Path) -> Program:
    """A program that notes what it does."""
    program = Program(tmp_path)
    program.write(WORK)
    return program


def enqueue(url: str, *tasks: tuple[str, object]) -> None:
    """Put tasks into the default queue."""
    with Client(url) as client:
        for kind, payload in tasks:
            client.enqueue(Task(kind, payload))


def counts(redis: Redis) -> dict[str, int]:
    """How many tasks are in which state."""
    return take_census(redis).counts


def probed(command: Command, page: str) -> tuple[int, dict[str, object]]:
    """What the probe of a parent answers: the status, and the body with the numbers of the processes."""
    (url,) = re.findall(r"probes of all processes: (\S+)", command.output)
    try:
        with urllib.request.urlopen(f"{url}/{page}", timeout=20) as answer:  # noqa: S310 - ours
            status, body = answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            status, body = error.code, json.load(error)
    return status, {**body, "processes": [one["number"] for one in body["processes"]]}


# --- one process --------------------------------------------------------------------------------


def test_one_process_works_and_leaves_in_order(shop: Program, redis_url: str, redis_client: Redis) -> None:
    """No parent in between: it is the process that gets the signals, as in a container.

    A deployment decides on queues and concurrency; and the environment says where Redis is.
    """
    enqueue(redis_url, ("work", 1), ("slow", 1.0))
    options = ("--queues", "high=6,default", "--concurrency", "9", "--log-level", "info")
    with Command(shop.folder, "run", "shop", *options, ASYNCQ_URL=redis_url) as command:
        assert shop.wait("slow began") == [command.pid]
        assert "takes tasks of high, default at" in command.output
        assert command.leave() == 0
    assert shop.noted("slow ended") == [command.pid], "what runs may finish"
    assert take_census(redis_client).gone == {"done": 2}


def test_the_second_sigterm_does_not_wait(shop: Program, redis_url: str, redis_client: Redis) -> None:
    """And the task is handed back at once, instead of waiting for its lease."""
    enqueue(redis_url, ("slow", 60))
    with Command(shop.folder, "run", "shop:app", "--url", redis_url) as command:
        shop.wait("slow began")
        command.send(signal.SIGTERM)
        command.wait_for("asked to leave")
        assert command.leave() == 0
    assert counts(redis_client) == {"pending": 1}


def test_scheduler_and_server_leave_together(shop: Program, redis_url: str) -> None:
    """Several references make one program. What it logs can be read by programs, line by line.

    A client that goes elsewhere than `--url` is said to: its tasks would wait where nobody looks.
    """
    shop.write(
        WORK
        + """
from asyncq import Client, sync
client = Client(URL)
elsewhere = sync.Client("redis://127.0.0.1:1/0")
beat = Scheduler(URL)
beat.register("@every 1s", Task("work", "tick"))
"""
    )
    options = ("--url", redis_url, "--no-uvloop", "--log-format", "json")
    with Command(shop.folder, "run", "shop:app", "shop:beat", *options) as command:
        shop.wait("work tick", 2)
        assert command.leave() == 0
        records = [json.loads(line) for line in command.output.splitlines()]
    by_event = {record["event"]: record for record in records}
    assert "shop.elsewhere still leads to 127.0.0.1:1" in by_event["leads_elsewhere"]["message"]
    assert {"started", "scheduler_started", "signal", "scheduler_left", "left"} <= set(by_event)


def test_a_wire_that_the_program_is_not_of_is_refused(shop: Program, redis_url: str) -> None:
    """Its clients would go on to write what its server could not read."""
    with Command(shop.folder, "run", "shop", "--url", redis_url, "--wire", "asynq") as command:
        assert command.wait() == 2
        assert "shop was made for the native wire, not for asynq: pass wire=" in command.output


# --- several processes ----------------------------------------------------------------------------


def test_processes_survive_each_other_and_no_task_is_lost(
    shop: Program, redis_url: str, redis_client: Redis
) -> None:
    """One is killed under load, and replaced; all leave in order when the parent is asked to.

    Whoever probes is answered by the parent, for all of them.
    """
    enqueue(redis_url, *(("slow", 0.1) for _ in range(40)))
    options = ("--processes", "2", "--probes", "127.0.0.1:0")
    with Command(shop.folder, "run", "shop", "--url", redis_url, *options) as command:
        command.wait_for("probes of all processes: ")
        first, second = command.children(2)
        line = Path(f"/proc/{first}/cmdline").read_text(encoding="utf-8")
        assert redis_url not in line, "it may hold a password, and anybody may read command lines"
        shop.wait("slow began", 4)
        assert probed(command, "readyz") == (200, {"ok": True, "processes": [1, 2]})
        os.kill(first, signal.SIGKILL)
        command.wait_for("was ended by SIGKILL; starting another in 0.5 s")
        assert probed(command, "healthz")[0] == 200, "whoever is not there is not ill"
        third = command.children(3)[-1]
        wait_until_sync(lambda: probed(command, "readyz")[0] == 200, "all to be ready again")
        os.kill(second, signal.SIGSTOP)
        status, found = probed(command, "healthz")
        assert (status, found["ok"]) == (503, False), "one that is stuck is seen"
        os.kill(second, signal.SIGCONT)
        wait_until_sync(lambda: not counts(redis_client), "all tasks to be done")
        assert command.leave() == 0
        assert command.pid not in {pid for _, pid in shop.notes}
        assert all(is_gone(pid) for pid in (first, second, third))
    assert take_census(redis_client).gone == {"done": 40}


def test_signals_are_passed_on_with_their_meaning(shop: Program, redis_url: str, redis_client: Redis) -> None:
    """SIGTSTP: no more tasks. SIGCONT: again. SIGTERM: finish. A second one: at once.

    A service manager may send SIGTERM to each process of a service: that is one wish and not two.
    """
    with Command(shop.folder, "run", "shop", "--url", redis_url, "--processes", "2") as command:
        children = command.children(2)
        command.send(signal.SIGTSTP)
        command.wait_for("asked to take no more tasks", 3)
        enqueue(redis_url, ("slow", 60))
        assert counts(redis_client) == {"pending": 1}
        command.send(signal.SIGCONT)
        (runs,) = shop.wait("slow began")
        os.kill(runs, signal.SIGTERM)
        command.wait_for("asked to leave")
        command.send(signal.SIGTERM)
        command.wait_for("asked to leave", 3)
        os.kill(runs, signal.SIGTERM)
        wait_until_sync(lambda: all(is_gone(pid) for pid in children if pid != runs), "the idle one to leave")
        assert not is_gone(runs), "it waits for its task"
        assert command.leave() == 0
    assert counts(redis_client) == {"pending": 1}


def test_a_third_sigterm_kills(shop: Program, redis_url: str, redis_client: Redis) -> None:
    """A handler that blocks its event loop hears nothing; its task runs again when its lease is over."""
    shop.write(WORK.replace("await asyncio.sleep(task.payload)", "time.sleep(task.payload)"))
    with Command(shop.folder, "run", "shop", "--url", redis_url, "--reload") as command:
        (child,) = command.children()
        enqueue(redis_url, ("slow", 600))
        shop.wait("slow began")
        for words in ("asked to leave", "asked to leave, again: now"):
            command.send(signal.SIGTERM)
            command.wait_for(words + "\n")
        assert not is_gone(child)
        assert command.leave() == 1
        assert is_gone(child)
    assert counts(redis_client) == {"active": 1}


def test_children_do_not_outlive_their_parent(shop: Program, redis_url: str, redis_client: Redis) -> None:
    """They notice that it is gone, whatever ended it, and leave in order."""
    enqueue(redis_url, ("slow", 0.5))
    with Command(shop.folder, "run", "shop", "--url", redis_url, "--processes", "2") as command:
        children = command.children(2)
        shop.wait("slow began")
        command.send(signal.SIGKILL)
        wait_until_sync(lambda: all(is_gone(pid) for pid in children), "the children to leave")
    assert shop.noted("slow ended")
    assert take_census(redis_client).gone == {"done": 1}


def test_a_crash_loop_is_slowed_down(shop: Program, redis_url: str) -> None:
    """A task that ends whoever runs it: each start comes later than the one before."""
    enqueue(redis_url, ("die", 0))
    with Command(shop.folder, "run", "shop", "--url", redis_url, "--reload") as command:
        command.wait_for("ended with exit code 7; starting another in 0.5 s")
        command.wait_for("ended with exit code 7; starting another in 1.0 s")
        assert command.leave() == 0


@pytest.mark.parametrize("processes", ["1", "2"])
def test_what_cannot_start_ends_with_an_exit_code(shop: Program, processes: str) -> None:
    """A deploy that fails must fail: at once, and with the reason."""
    shop.write("1 / 0\n")
    with Command(shop.folder, "run", "shop", "--processes", processes) as command:
        assert command.wait() == 1
        assert "ZeroDivisionError: division by zero" in command.output
        assert "Error: shop cannot be imported: ZeroDivisionError, see above" in command.output


def test_an_unreachable_redis_has_an_exit_code_of_its_own(shop: Program) -> None:
    """Whoever starts it again can tell that from a mistake."""
    shop.write(WORK.replace("lease=1", "lease=1, start_patience=0.1"))
    with Command(shop.folder, "run", "shop", "--url", "redis://127.0.0.1:1/0") as command:
        assert command.wait() == 5
        assert "Traceback" not in command.output


# --- reload -----------------------------------------------------------------------------------------


def test_reload_runs_new_code_and_loses_no_task(shop: Program, redis_url: str, redis_client: Redis) -> None:
    """Code that does not start is waited out, and so is a half-typed change; then new code takes over.

    What ran is put back, and runs with the new code, with no retry counted.
    """
    shop.write("1 / 0\n")
    with Command(shop.folder, "run", "shop", "--url", redis_url, "--reload") as command:
        command.wait_for("the program does not start; waiting for a change")
        assert "ZeroDivisionError" in command.output
        shop.write(WORK)
        (old,) = command.children()
        shop.write("def f(:\n")
        command.wait_for(": invalid syntax; still running what was there before")
        enqueue(redis_url, ("work", 1), ("slow", 60), *(("slow", 0.5) for _ in range(30)))
        assert shop.wait("work 1") == [old]
        shop.wait("slow began")
        new_code = WORK.replace('"work", task', '"new work", task').replace("sleep(task.payload)", "sleep(0)")
        shop.write(new_code)
        new = command.children(2)[-1]
        enqueue(redis_url, ("work", 2))
        assert shop.wait("new work 2") == [new]
        assert is_gone(old)
        wait_until_sync(lambda: not counts(redis_client), "what was under way to be done with the new code")
        assert new in shop.noted("slow ended")
        assert command.leave() == 0
    assert take_census(redis_client).gone == {"done": 33}


# --- embedded ---------------------------------------------------------------------------------------


def test_embedded_keeps_its_data_or_does_not(shop: Program) -> None:
    """With its own Valkey the first steps need nothing else; --fresh leaves nothing behind."""
    shop.write(
        WORK
        + """
from contextlib import asynccontextmanager
from asyncq import Client

@asynccontextmanager
async def lifespan():
    async with Client(URL) as client:
        await client.enqueue(Task("work", "once", task_id="once", retention=3600))
        yield

app = App(Server(URL, lifespan=lifespan), mux)
"""
    )
    for options, kept in ((["--fresh"], False), ([], True)):
        with Command(shop.folder, "run", "shop", "--embedded", *options) as command:
            shop.wait("work once", 2 if kept else 1)
            assert command.leave() == 0
            assert ("data is kept in .asyncq/valkey" in command.output) == kept
        assert (shop.folder / ".asyncq" / "valkey").is_dir() == kept
    with Command(shop.folder, "run", "shop", "--embedded") as command:
        assert command.wait() == 1, "the task is still there, so nothing can be enqueued as it"
        assert "TaskIdConflictError" in command.output


# --- bad input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Missing argument 'MODULE:APP...'"),
        (["shop", "--queues", "a=b"], "'a=b' is no queue with a weight"),
        (["shop", "--queues", "a=0"], "'a=0' is no queue with a weight"),
        (["shop", "--queues", "a,a"], "'a' is there twice"),
        (["shop", "--concurrency", "0"], "0 is not in the range"),
        (["shop", "--processes", "0"], "0 is not in the range"),
        (["shop", "--probes", "here"], "'here' is no address"),
        (["shop", "--probes", "127.0.0.1:99999"], "is no address"),
        (["shop", "--fresh"], "--fresh is about the embedded Valkey: add --embedded"),
        (["shop", "--embedded", "--url", "redis://localhost"], "two places for Redis: give one"),
        (["shop", "--reload-dir", "/nowhere/at/all"], "does not exist"),
        (["shop.py"], "'shop.py' is a file, and a module is wanted: try 'shop:app'"),
    ],
)
def test_bad_input_is_refused_before_anything_starts(arguments: list[str], words: str) -> None:
    """Exit code 2, one line, and what would be right."""
    result = CliRunner().invoke(main, ["run", *arguments])
    assert result.exit_code == 2, result.output
    assert words in result.stderr


# --- deployment -----------------------------------------------------------------------------------------

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


def _parsed(command: list[str]) -> dict[str, object]:
    """The options of a command line, as the command reads them."""
    assert command[:1] == ["asyncq"]
    with main.make_context("asyncq", command[1:2]) as root:
        name, found, _ = main.resolve_command(root, command[1:2])
        assert found is not None
        return found.make_context(name, command[2:], parent=root).params


def test_the_unit_for_systemd_is_one_that_works() -> None:
    """Its command exists with its options, and the parent sees to its processes."""
    unit = ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(DEPLOY / "systemd" / "asyncq.service")
    service = unit["Service"]
    program, *arguments = shlex.split(service["ExecStart"])
    assert _parsed([Path(program).name, *arguments])["processes"] == 4
    assert service["KillMode"] == "mixed"
    assert int(service["TimeoutStopSec"]) >= 8 + 15


def test_the_deployment_for_kubernetes_is_one_that_works() -> None:
    """The probes ask where the command answers, and there is time to leave in order."""
    (deployment,) = yaml.safe_load_all((DEPLOY / "kubernetes" / "worker.yaml").read_text(encoding="utf-8"))
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert _parsed(container["command"])["probes"] == f"0.0.0.0:{container['ports'][0]['containerPort']}"
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    patience = container["livenessProbe"]
    assert patience["timeoutSeconds"] >= 5
    assert patience["periodSeconds"] * patience["failureThreshold"] >= 60
    assert pod["terminationGracePeriodSeconds"] >= 8 + 15


@pytest.mark.parametrize("name", ["run", "dev", "bench", "web", "exporter"])
def test_help_needs_nothing(name: str) -> None:
    """Also where the extra of a command is not installed."""
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0
    assert isinstance(main.get_command(click.Context(main), name), click.Command)
    assert "Exit code" in result.stdout or name == "dev"
