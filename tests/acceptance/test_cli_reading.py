"""What the command line shows: to people, to scripts, and to the next command of a pipe."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import subprocess
import sys
import time

import pytest
from redis import Redis

from asyncq import Mux, Scheduler, Server, Task
from asyncq._wire.asynq_records import EnqueueEvent, SchedulerEntry, Timestamp
from asyncq._wire.keys import GoKeys
from asyncq.sync import Client
from tests.acceptance.staging import Stage, set_stage
from tests.support.cluster import ClusterProcesses

pytestmark = pytest.mark.acceptance

KINDS = [
    ("single", "native"),
    ("single", "asynq"),
    pytest.param(("cluster", "native"), marks=pytest.mark.cluster),
]

QUEUE_KEYS = {
    "name", "size", "tasks", "groups", "orphaned", "latency", "processed_total", "failed_total", "processed",
    "failed", "is_paused", "paused_at", "is_being_removed", "at",
}  # fmt: skip
TASK_KEYS = {
    "queue", "id", "type", "state", "headers", "max_retry", "retried", "timeout", "deadline", "retention",
    "expires_at", "unique_key", "group", "retry_policy", "enqueued_at", "next_process_at", "last_error",
    "last_failed_at", "completed_at", "deliveries", "lost", "is_orphaned", "unreadable", "codec", "version",
    "payload", "result", "progress", "reason", "delivered_at", "attempts",
}  # fmt: skip
ENTRY_KEYS = {
    "id", "kind", "spec", "timezone", "type", "queue", "options", "rules", "version", "origin",
    "application",
    "created_at", "changed_at", "paused_at", "pause_reason", "orphaned_at", "next_at", "previous_at",
    "lateness", "last_error", "payload", "state",
}  # fmt: skip
SERVER_KEYS = {
    "id", "host", "pid", "name", "status", "concurrency", "active", "queues", "strict_priority", "lease",
    "types", "started_at", "library",
}  # fmt: skip
WORKER_KEYS = {
    "queue", "task_id", "type", "server_id", "attempt", "deliveries", "started_at", "deadline",
    "lease_ends_at", "is_orphaned",
}  # fmt: skip


@pytest.fixture(params=KINDS, ids="-".join)
def stage(request: pytest.FixtureRequest) -> Stage:
    """A task in each state, on a server and on a cluster, in both wires."""
    kind, wire = request.param
    if kind == "single":
        return set_stage(request.getfixturevalue("redis_url"), wire)
    cluster: ClusterProcesses = request.getfixturevalue("cluster")
    cluster.flush()
    return set_stage(cluster.url, wire)


def test_everything_is_shown(stage: Stage) -> None:
    """One walk through all that reads, on each kind of Redis. The keys of JSON are a promise."""
    mail, japan = stage.items("queue", "ls")
    assert (mail["name"], japan["name"]) == ("mail", "日本")
    assert set(mail) >= QUEUE_KEYS
    assert mail["size"] == 7
    assert mail["tasks"] == {
        "pending": 1, "active": 0, "scheduled": 1, "retry": 1, "archived": 1, "completed": 1,
        "aggregating": 2,
    }  # fmt: skip
    assert (mail["processed"], mail["failed"]) == (3, 2)
    assert [item["name"] for item in stage.items("queue", "ls", "m*")] == ["mail"]
    assert stage.run("queue", "ls", "-o", "id").stdout.splitlines() == ["mail", "日本"]
    table = stage.run("queue", "ls").stdout.splitlines()
    assert table[0].split()[:3] == ["QUEUE", "STATE", "SIZE"]
    assert table[1].split()[:10] == ["mail", "no", "server", "7", "1", "0", "1", "1", "1", "1"]

    shown = stage.one("queue", "show", "mail")
    assert set(shown) >= QUEUE_KEYS | {"memory", "slot", "nodes", "history"}
    assert shown["memory"]["total"] > 0
    assert 0 <= shown["slot"] < 16384
    assert len(shown["history"]) == 7
    assert "3 processed, 2 failed" in stage.run("queue", "show", "mail").stdout
    (today, *_) = stage.items("queue", "history", "mail", "--days", "2")
    assert (today["processed"], today["failed"]) == (3, 2)
    assert [day["processed"] for day in stage.items("history", "-x", "3")] == [3, 0, 0]

    tasks = stage.items("task", "ls", "-q", "mail")
    assert all(set(task) >= TASK_KEYS for task in tasks)
    assert {task["state"] for task in tasks} == {"pending", "scheduled", "retry", "archived", "completed"}
    (group,) = stage.items("group", "ls")
    assert (group["queue"], group["name"], group["size"]) == ("mail", "digest", 2)
    assert stage.one("group", "show", "digest", "-q", "mail") == group
    grouped = stage.items("task", "ls", "-q", "mail", "-g", "digest")
    assert sorted(task["payload"] for task in grouped) == [1, 2]

    (entry,) = stage.items("cron", "ls")
    assert set(entry) >= ENTRY_KEYS
    assert (entry["id"], entry["kind"], entry["state"]) == ("daily", "stored", "on")
    shown = stage.one("cron", "show", "daily", "--next", "3")
    assert [time[10:] for time in shown["upcoming"]] == ["T09:00:00Z"] * 3
    assert shown["upcoming"][0] == shown["next_at"]
    assert stage.run("cron", "show", "daily").stdout.count("09:00:00") == 5

    assert stage.items("server", "ls") == []
    assert stage.items("server", "workers") == []
    assert stage.items("cron", "schedulers") == []
    stats = stage.one("stats")
    assert (stats["size"], stats["tasks"]["archived"], len(stats["queues"])) == (8, 1, 2)
    assert stats["redis"][0]["keys"] > 0
    text = stage.run("stats").stdout
    assert "8 in 2 queues" in text
    assert "3 processed, 2 failed (66.7%)" in text


def test_history_by_minutes_and_by_type(stage: Stage) -> None:
    """What servers counted: how many, how long tasks waited, and how long they ran."""
    points = stage.items("history", "--since", "30m", "-q", "mail")
    assert (sum(point["processed"] for point in points), sum(point["failed"] for point in points)) == (3, 2)
    assert any(point["run"]["p95"] is not None for point in points)
    assert stage.items("history", "--since", "2h", "--step", "30m")[0]["seconds"] == 1800
    by_type = {item["type"]: item["processed"] for item in stage.items("history", "--since", "1h", "--types")}
    assert by_type == {"email:bounce": 2, "report": 1}
    assert "email:bounce" in stage.run("history", "--since", "1h", "--types").stdout
    assert "not more than the week" in stage.run("history", "--since", "30d", code=2).stderr


def test_a_task_is_shown_with_all_that_is_known(stage: Stage) -> None:
    """What an operator asks about first: what it is, why it failed, and what it left."""
    task = stage.one("task", "show", stage.ids["archived"], "-q", "mail")
    assert (task["state"], task["payload"], task["retried"]) == ("archived", {"to": "a@b"}, 0)
    assert "Timeout of smtp.example" in task["last_error"]
    assert stage.one("task", "show", stage.ids["completed"], "-q", "mail")["result"] == {"rows": 3}
    text = stage.run("task", "show", stage.ids["pending"], "-q", "mail").stdout
    assert '"user_id": 42' in text
    assert "trace: 4711" in text
    retry = stage.run("task", "show", stage.ids["retry"], "-q", "mail").stdout
    assert re.search(r"due +20\d\d-.* UTC \(in (59m|1h)", retry)


def test_failures_are_told_by_cause(stage: Stage) -> None:
    """Which reason, how many, and the tasks of it; and anything is found by what is in it."""
    cause = stage.one("failures", "-q", "mail")
    assert (cause["type"], cause["count"]) == ("email:bounce", 2)
    assert cause["sample"]["last_error"].endswith("Timeout of smtp.example")
    assert cause["id"] in stage.run("failures").stdout
    ids = stage.run("task", "ls", "-q", "mail", "--cause", cause["id"], "-o", "id").stdout.split()
    assert ids == [stage.ids["retry"], stage.ids["archived"]]
    found = stage.items("task", "find", "type:email:*", "state:retry", "error:timeout")
    assert [task["id"] for task in found] == [stage.ids["retry"]]
    assert [task["id"] for task in stage.items("task", "find", "payload.user_id:42")] == [
        stage.ids["pending"]
    ]
    assert stage.run("task", "find", "こんにちは", "-o", "id").stdout.count("\n") == 1


def test_lists_are_filtered(stage: Stage) -> None:
    """By state, type, error and time, as bulk work is."""

    def ids(*arguments: str) -> list[str]:
        return stage.run("task", "ls", "-q", "mail", "-o", "id", *arguments).stdout.split()

    known = stage.ids
    assert ids("-s", "archived") == [known["archived"]]
    assert ids("-s", "archived", "-s", "retry") == [known["archived"], known["retry"]]
    assert ids("--error", "timeout") == [known["retry"], known["archived"]]
    assert ids("--type", "email:*", "-s", "pending") == [known["pending"]]
    assert ids("-s", "archived", "--since", "1h") == [known["archived"]]
    assert ids("-s", "archived", "--until", "1h") == []
    assert ids("-s", "scheduled", "--since", "+50m", "--until", "+2h") == [known["scheduled"]]


@pytest.fixture
def many(redis_url: str) -> Stage:
    """Seventy pending tasks."""
    with Client(redis_url) as client:
        for number in range(70):
            client.enqueue(Task("x", number, task_id=f"t{number}"))
    return Stage(redis_url)


def test_pages(many: Stage) -> None:
    """By number, by cursor, and all of them as they come."""
    page = json.loads(many.run("task", "ls", "-s", "pending", "--size", "30", "--json").stdout)
    assert (len(page["items"]), page["total"]) == (30, 70)
    rest = json.loads(
        many.run("task", "ls", "-s", "pending", "--size", "30", "--cursor", page["cursor"], "--json").stdout
    )
    assert rest["items"][0]["id"] == "t30"
    second = many.run("task", "ls", "-s", "pending", "--size", "30", "--page", "3", "-o", "id").stdout.split()
    assert second == [f"t{number}" for number in range(60, 70)]
    newest = many.run("task", "ls", "-s", "pending", "--newest-first", "--size", "1", "-o", "id").stdout
    assert newest == "t69\n"
    every = many.run("task", "ls", "--all", "-o", "jsonl").stdout.splitlines()
    assert [json.loads(line)["payload"] for line in every] == list(range(70))
    told = many.run("task", "ls", "-s", "pending")
    assert "30 of 70 pending; go on with --state pending --cursor" in told.stderr
    whole = json.loads(many.run("task", "ls", "--all", "--json").stdout)
    assert (len(whole["items"]), whole["total"], whole["cursor"]) == (70, 70, None)


def test_text_of_strangers_is_escaped(redis_url: str) -> None:
    """A payload must not clear the operator's screen, and wide letters must not shift the columns."""
    stage = set_stage(redis_url)
    line = stage.run("task", "ls", "-q", "日本", "-s", "pending").stdout
    assert "\x1b" not in line
    assert r"こんにちは\u001b[31m" in line
    with Client(redis_url) as client:
        client.enqueue(Task("a\x1b[2Jb", "x\n", queue="q\x07"))
    for command in (("queue", "ls"), ("task", "ls", "-q", "q\x07"), ("stats",)):
        text = stage.run(*command).stdout
        assert "\x1b" not in text
        assert "\x07" not in text


@pytest.mark.parametrize("wire", ["native", "asynq"])
async def test_servers_and_what_they_work_on(redis_url: str, wire: str) -> None:
    """With a server at work, which says of itself what it is."""
    stage, mux = Stage(redis_url, wire), Mux()
    started = asyncio.Event()

    @mux.handle("slow")
    async def slow(_: Task) -> None:
        started.set()
        await asyncio.get_running_loop().create_future()

    server = Server(redis_url, wire=wire, queues={"mail": 3, "low": 1}, concurrency=4, name="one")
    async with server.running(mux):
        put = stage.run
        await asyncio.to_thread(put, "enqueue", "slow", "-q", "mail", "--id", "s1", "--timeout", "30s")
        await asyncio.wait_for(started.wait(), 20)

        def look() -> None:
            info = stage.one("server", "ls", "--workers")
            assert set(info) >= SERVER_KEYS | {"workers"}
            assert (info["name"], info["concurrency"], info["queues"]) == ("one", 4, {"mail": 3, "low": 1})
            (worker,) = info["workers"]
            assert set(worker) >= WORKER_KEYS
            assert (worker["task_id"], worker["type"]) == ("s1", "slow")
            assert stage.items("server", "ls", "-q", "other") == []
            stage.run("enqueue", "slow", "-q", "other")
            served = {item["name"]: item["is_served"] for item in stage.items("queue", "ls")}
            assert served == {"mail": True, "other": False}
            assert re.search(r"^other +no server", stage.run("stats").stdout, re.MULTILINE)
            assert stage.one("server", "workers", info["id"]) == worker
            assert stage.one("server", "show", info["id"])["id"] == info["id"]
            text = stage.run("server", "ls", "-w").stdout
            assert "mail:3 low:1" in text
            assert "s1" in text
            assert "queues   mail:3 low:1" in stage.run("server", "show", info["id"]).stdout
            assert stage.one("stats")["servers"]["concurrency"] == 4
            cancelled = stage.one("task", "cancel", "s1", "-q", "mail", "--wait", "20s")
            assert cancelled["outcome"] == "cancelled"

        await asyncio.to_thread(look)


async def test_entries_of_code_and_their_history(redis_url: str) -> None:
    """Declared, stored; paused, run by hand, and what became of it."""
    stage = Stage(redis_url)
    scheduler = Scheduler(redis_url, application="shop")
    scheduler.register("@every 1h", Task("clean"), entry_id="clean", queue="low")
    async with scheduler.running():

        def look() -> None:
            entry = stage.one("cron", "ls")
            assert (entry["id"], entry["kind"], entry["application"]) == ("clean", "declared", "shop")
            scheduler = stage.one("cron", "schedulers")
            assert (scheduler["application"], scheduler["entries"], scheduler["health"]) == ("shop", 1, "ok")
            assert stage.one("cron", "pause", "clean", "--reason", "too loud")["state"] == "paused"
            assert "too loud" in stage.run("cron", "show", "clean").stdout
            assert stage.one("cron", "ls", "--paused")["pause_reason"] == "too loud"
            info = stage.one("cron", "run", "clean")
            assert (info["entry"], info["queue"], info["state"]) == ("clean", "low", "pending")
            assert stage.one("cron", "resume", "clean")["state"] == "on"
            assert stage.items("cron", "ls", "--paused") == []
            outcomes = [event["outcome"] for event in stage.items("cron", "history", "clean")]
            assert outcomes[:3] == ["resumed", "enqueued", "paused"]
            refused = stage.run("cron", "rm", "clean", "--yes", code=1)
            assert "is declared in the code of 'shop'" in refused.stderr
            assert stage.run("cron", "history", "clean").stdout.count("enqueued") == 1

        await asyncio.to_thread(look)


def test_entries_of_go(redis_url: str, redis_client: Redis) -> None:
    """Beside ours, in the asynq wire: to look at, and not to change."""
    stage, keys = Stage(redis_url, "asynq"), GoKeys()
    at = Timestamp(1_900_000_000, 0)
    entry = SchedulerEntry(
        entry_id="theirs", spec="@every 1h", task_type="mail", payload=b"[1]", next=at, prev=at
    )
    process = "web-1:77:5b1f9f4e-6c0f-4f39-9a5e-0d9a3b2f7c11"
    redis_client.zadd(keys.schedulers, {keys.scheduler(process): int(time.time()) + 60})
    redis_client.rpush(keys.scheduler(process), entry.encode())
    event = EnqueueEvent(task_id="t1", enqueued_at=Timestamp(int(time.time()), 0))
    redis_client.zadd(keys.history("theirs"), {event.encode(): event.enqueued_at.seconds})
    with Client(redis_url, wire="asynq") as client:
        client.schedules.add("@daily", Task("report"), entry_id="ours")
    ours, theirs = stage.items("cron", "ls")
    assert (ours["id"], ours["kind"], theirs["id"], theirs["kind"]) == ("ours", "stored", "theirs", "go")
    assert (theirs["host"], theirs["pid"], theirs["payload"]) == ("web-1", 77, [1])
    assert [item["id"] for item in stage.items("cron", "ls", "--kind", "go")] == ["theirs"]
    shown = stage.one("cron", "show", "theirs", "-n", "2")
    assert shown["upcoming"] == ["2030-03-17T17:46:40Z", "2030-03-17T18:46:40Z"]
    assert "web-1:77" in stage.run("cron", "show", "theirs").stdout
    assert [item["task_id"] for item in stage.items("cron", "history", "theirs")] == ["t1"]
    assert "there is no entry 'theirs'" in stage.run("cron", "pause", "theirs", code=3).stderr


def test_a_pipe_that_nobody_reads_is_no_mistake(many: Stage) -> None:
    """`| head -1` ends the command without a word."""
    process = subprocess.Popen(
        [sys.executable, "-m", "asyncq", "task", "ls", "--all", "--size", "1", "-o", "jsonl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **many.environment},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) in (0, 141)
    assert errors == b""


def test_a_table_fits_the_terminal(redis_url: str) -> None:
    """On a real terminal of sixty columns."""
    stage = set_stage(redis_url)
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "asyncq", "--no-color", "task", "ls", "-q", "mail"],
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=subprocess.PIPE,
            env={**os.environ, **stage.environment, "COLUMNS": "60"},
        )
        _, errors = process.communicate(timeout=60)
        text = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert process.returncode == 0, errors
    lines = text.splitlines()
    assert len(lines) == 6
    assert max(map(len, lines)) <= 60


def test_options_may_stand_before_the_command(redis_url: str) -> None:
    """`asyncq --url … queue ls` is what one types first; it is stronger than the environment."""
    stage = Stage("redis://localhost:1/0")
    with Client(redis_url, wire="asynq") as client:
        client.enqueue(Task("x"), queue="go")
    found = stage.run("--url", redis_url, "--wire", "asynq", "queue", "ls", "-o", "id").stdout
    assert found == "go\n"
    assert stage.run("--url", "x://", "queue", "ls", "--url", redis_url, "-o", "id").stdout == ""


def test_completion_of_queue_names(redis_url: str, tmp_path: object) -> None:
    """From Redis; and nothing at all, quickly, where it is away."""
    set_stage(redis_url)
    words = {"COMP_WORDS": "asyncq queue pause m", "COMP_CWORD": "3", "_ASYNCQ_COMPLETE": "bash_complete"}
    for url, expected in ((redis_url, "plain,mail"), (f"unix://{tmp_path}/none.sock", "")):
        done = subprocess.run(
            [sys.executable, "-m", "asyncq"],
            env={**os.environ, **words, "ASYNCQ_URL": url},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (done.stdout.strip(), done.stderr) == (expected, "")
