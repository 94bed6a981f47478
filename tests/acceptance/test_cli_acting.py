"""What the command line does: to one task, to some, and to all that match; and what it asks before."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from redis import Redis

from asyncq.sync import Client
from asyncq.task import Task
from tests.acceptance.staging import Stage, set_stage
from tests.support.cluster import ClusterProcesses

pytestmark = pytest.mark.acceptance

KINDS = [
    ("single", "native"),
    ("single", "asynq"),
    pytest.param(("cluster", "native"), marks=pytest.mark.cluster),
]


@pytest.fixture(params=KINDS, ids="-".join)
def stage(request: pytest.FixtureRequest) -> Stage:
    """A task in each state, on a server and on a cluster, in both wires."""
    kind, wire = request.param
    if kind == "single":
        return set_stage(request.getfixturevalue("redis_url"), wire)
    cluster: ClusterProcesses = request.getfixturevalue("cluster")
    cluster.flush()
    return set_stage(cluster.url, wire)


def _sound(stage: Stage) -> None:
    stage.run("doctor")


def test_tasks_by_their_ids(stage: Stage) -> None:
    """Each thing that can be done to one; what cannot be done says why, and the others go on."""
    ids = stage.ids
    assert stage.one("task", "retry", ids["archived"], "-q", "mail")["outcome"] == "pending"
    assert stage.state_of(ids["archived"]) == "pending"
    assert stage.one("task", "run", ids["scheduled"], "-q", "mail", "--fresh")["outcome"] == "pending"
    assert stage.one("task", "archive", ids["pending"], "-q", "mail")["outcome"] == "archived"
    assert stage.one("task", "cancel", ids["retry"], "-q", "mail")["outcome"] == "cancelled"
    assert stage.one("task", "delete", ids["completed"], "-q", "mail")["outcome"] == "deleted"
    stage.run("task", "show", ids["completed"], "-q", "mail", code=3)
    partly = stage.run("task", "archive", ids["scheduled"], "nobody", ids["pending"], "-q", "mail", code=6)
    assert f"{ids['scheduled']}: archived" in partly.stdout
    assert "has no task 'nobody'" in partly.stderr
    assert "is archived, and would have to be pending" in partly.stderr
    looked = stage.run("task", "run", ids["scheduled"], "-q", "mail", "--dry-run").stdout
    assert "archived, would be run if its state allows it" in looked
    assert stage.state_of(ids["scheduled"]) == "archived"
    _sound(stage)


def test_tasks_that_match(stage: Stage) -> None:
    """By state and filters, over several states; counted first, and done as said."""
    counted = stage.one("task", "retry", "-q", "mail", "--error", "timeout", "--dry-run")
    assert (counted["matched"], counted["done"], counted["dry_run"]) == (1, 0, True)
    text = stage.run(
        "task", "retry", "-q", "mail", "--type", "email:*", "--error", "Timeout", "--rate", "50/s"
    ).stdout
    assert text == "mail: 1 of 1 archived task run.\n"
    reports = stage.items("task", "archive", "-q", "mail", "-s", "pending", "-s", "scheduled")
    assert [(report["state"], report["done"]) for report in reports] == [("pending", 2), ("scheduled", 1)]
    everywhere = stage.items("task", "run", "--all-queues", "-s", "completed")
    assert [(report["queue"], report["done"]) for report in everywhere] == [("mail", 1), ("日本", 0)]
    (limited,) = stage.items("task", "run", "-q", "mail", "-s", "archived", "--limit", "2")
    assert (limited["done"], limited["is_complete"]) == (2, False)
    deleted = stage.items("task", "delete", "-q", "mail", "-q", "日本", "-s", "pending", "--yes")
    assert [(report["queue"], report["done"]) for report in deleted] == [("mail", 3), ("日本", 1)]
    _sound(stage)


def test_groups(stage: Stage) -> None:
    """What waits in one is run each on its own, or deleted."""
    refused = stage.run("group", "delete", "digest", "-q", "mail", code=2)
    assert "add --yes" in refused.stderr
    assert stage.one("group", "archive", "digest", "-q", "mail", "--limit", "1")["done"] == 1
    assert stage.one("group", "run", "digest", "-q", "mail", "--dry-run")["matched"] == 1
    assert stage.one("group", "delete", "digest", "-q", "mail", "--yes")["done"] == 1
    assert stage.items("group", "ls", "mail") == []
    assert "no group 'digest'" in stage.run("group", "show", "digest", "-q", "mail", code=3).stderr
    _sound(stage)


def test_queues(stage: Stage) -> None:
    """Paused, resumed, and removed with what is in them."""
    assert stage.run("queue", "pause", "mail", "日本").stdout == "mail: paused\n日本: paused\n"
    assert stage.items("queue", "pause", "mail") == [{"queue": "mail", "paused": True, "changed": False}]
    assert [item["name"] for item in stage.items("queue", "ls", "--paused")] == ["mail", "日本"]
    partly = stage.run("queue", "resume", "mail", "mial", code=6)
    assert partly.stdout == "mail: resumed\n"
    assert "there is no queue 'mial'; did you mean 'mail'?" in partly.stderr
    held = stage.run("queue", "rm", "mail", "--yes", code=1)
    assert "still holds" in held.stderr
    assert (
        "7 tasks; it would be left alone without --force"
        in stage.run("queue", "rm", "mail", "--dry-run").stdout
    )
    assert stage.one("queue", "rm", "mail", "--force", "--yes")["removed"] == 7
    assert stage.run("queue", "ls", "-o", "id").stdout == "日本\n"
    _sound(stage)


def test_a_task_is_changed(stage: Stage) -> None:
    """Payload and options, under its version; and when it runs."""
    task_id = stage.ids["pending"]
    before = stage.one("task", "show", task_id, "-q", "mail")
    named = ("task", "edit", task_id, "-q", "mail")
    after = stage.one(
        *named, "--payload", '{"user_id": 43}', "--max-retry", "3", "--header", "trace=1", "--version",
        before["version"],
    )  # fmt: skip
    assert (after["payload"], after["max_retry"], after["headers"]) == ({"user_id": 43}, 3, {"trace": "1"})
    stale = stage.run(*named, "--timeout", "1m", "--version", before["version"], code=1)
    assert "has changed since it was looked at" in stale.stderr
    moved = stage.one("task", "reschedule", task_id, "-q", "mail", "--in", "2h")
    assert moved["state"] == "scheduled"
    moved = stage.one("task", "reschedule", task_id, "-q", "mail", "--at", "2036-01-01T00:00 Europe/Berlin")
    assert moved["next_process_at"] == "2035-12-31T23:00:00Z"
    text = stage.run(*named, "--retention", "2d").stdout
    assert text == f"{task_id}: changed (retention)\n"
    _sound(stage)


def test_a_task_is_enqueued_and_waited_for(stage: Stage, tmp_path: Path) -> None:
    """Everything that a client can say; and what came of it."""
    info = stage.one(
        "enqueue", "email:x", '{"a": [1, 2]}', "-q", "mail", "--id", "own", "--max-retry", "2",
        "--timeout", "1m",
        "--retention", "1h", "--header", "a=b=c", "--process-in", "1h30m", "--unique", "1d",
    )  # fmt: skip
    assert (info["id"], info["state"], info["payload"]) == ("own", "scheduled", {"a": [1, 2]})
    assert (info["max_retry"], info["timeout"], info["retention"], info["headers"]) == (
        2,
        60.0,
        3600.0,
        {"a": "b=c"},
    )
    twice = stage.run("enqueue", "email:x", "-q", "mail", "--id", "own", code=1)
    assert "has a task with the id 'own' already" in twice.stderr
    file = tmp_path / "payload.json"
    file.write_text('"text"', encoding="utf-8")
    assert stage.one("enqueue", "email:x", f"@{file}", "-q", "mail")["payload"] == "text"
    assert stage.run("enqueue", "x", "-q", "mail", "--dry-run").stdout == "It can be enqueued.\n"
    lines = stage.run(
        "enqueue", "x", "-", "--lines", "-q", "mail", "-o", "id", input="1\n\n2\n"
    ).stdout.split()
    assert len(lines) == 2
    assert [stage.one("task", "show", one, "-q", "mail")["payload"] for one in lines] == [1, 2]
    assert stage.one("task", "enqueue", "x", "-q", "mail")["payload"] is None
    done = stage.one("task", "wait", stage.ids["completed"], "-q", "mail")
    assert (done["outcome"], done["result"]) == ("completed", {"rows": 3})
    failed = stage.run("task", "wait", stage.ids["archived"], "-q", "mail", code=1)
    assert "is archived (exhausted)" in failed.stderr
    late = stage.run("task", "wait", "own", "-q", "mail", "--timeout", "0", code=1)
    assert "was not over after 0 s" in late.stderr
    _sound(stage)


def test_raw_payloads(redis_url: str) -> None:
    """Bytes as they are, for programs in other languages."""
    stage = Stage(redis_url)
    info = stage.one("enqueue", "x", "no json", "--raw")
    assert (info["codec"], info["payload"]) == ("", {"base64": "bm8ganNvbg=="})
    edited = stage.one("task", "edit", info["id"], "-q", "default", "--payload", "other", "--raw")
    assert edited["payload"] == {"base64": "b3RoZXI="}


def test_a_task_is_found_by_its_id_in_whatever_queue(redis_url: str) -> None:
    """Nobody knows the queue by heart; where there are two of an id, it has to be said."""
    stage = set_stage(redis_url)
    assert stage.one("task", "show", stage.ids["archived"])["queue"] == "mail"
    assert stage.one("task", "retry", stage.ids["archived"])["queue"] == "mail"
    stage.run("enqueue", "x", "-q", "other", "--id", stage.ids["pending"])
    several = stage.run("task", "delete", stage.ids["pending"], code=2)
    assert "Queues mail, other have a task" in several.stderr
    assert "no queue has a task 'nobody'" in stage.run("task", "wait", "nobody", code=3).stderr


def test_what_was_done_is_in_the_trail(redis_url: str) -> None:
    """With who did it, from where, and how much of it."""
    stage = set_stage(redis_url)
    stage.run("task", "retry", "-q", "mail")
    stage.run("queue", "pause", "mail")
    paused, retried, begun = stage.items("trail")
    assert (paused["action"], paused["queue"], paused["via"]) == ("queue.pause", "mail", "cli")
    assert (retried["action"], retried["outcome"], retried["count"]) == ("task.run", "done", 1)
    assert begun["outcome"] == "begun"
    assert "queue.pause" in stage.run("trail", "--action", "queue.pause").stdout
    assert stage.items("trail", "--actor", "somebody@else") == []


def test_ids_go_through_a_pipe(redis_url: str) -> None:
    """`task ls -o id … | task run -` is how a shell does what no filter can say."""
    stage = set_stage(redis_url)
    ids = stage.run("task", "ls", "-q", "mail", "-s", "archived", "-s", "retry", "-o", "id").stdout
    done = stage.run("task", "run", "-", "-q", "mail", "-o", "id", input=ids)
    assert done.stdout == ids
    stage.run("task", "run", "-", "-q", "mail", input="")
    with Client(redis_url) as client:
        many = [client.enqueue(Task("x", number, process_in=60)).id for number in range(30)]
    lines = "\n".join([*many, "nobody", many[0]])
    done = stage.run("task", "archive", "-", "-q", "default", "-o", "id", input=lines, code=6)
    assert done.stdout.split() == many
    assert "has no task 'nobody'" in done.stderr
    wrong = stage.run("task", "archive", *many, code=1)
    assert wrong.stderr.count("is archived, and would have to be pending") == 30
    changes = stage.items("trail", "-q", "default")
    assert len(changes) <= 4  # as one change, and not as thirty: the trail has to keep the others, too


def test_what_destroys_is_refused_where_nobody_can_be_asked(redis_url: str, redis_client: Redis) -> None:
    """In a pipeline: exit code 2, before anything is looked at or done."""
    stage = set_stage(redis_url)
    keys = sorted(redis_client.keys())
    both = [stage.ids["pending"], stage.ids["archived"]]
    for arguments in (
        ["queue", "rm", "mail", "--force"],
        ["task", "delete", *both, "-q", "mail"],
        ["task", "delete", "-q", "mail", "-s", "archived"],
        ["task", "cancel", "-q", "mail", "-s", "scheduled"],
        ["group", "delete", "digest", "-q", "mail"],
        ["cron", "rm", "daily"],
    ):
        refused = stage.run(*arguments, code=2)
        assert "Nobody is there to answer: add --yes." in refused.stderr, arguments
    assert sorted(redis_client.keys()) == keys
    assert stage.one("task", "delete", both[0], "-q", "mail")["outcome"] == "deleted"  # one, by its id


def test_read_only_of_the_environment(
    redis_url: str, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds for commands that have no such option of their own, too."""
    stage = set_stage(redis_url)
    redis_client.delete("asyncq:{mail}:pending")
    monkeypatch.setenv("ASYNCQ_READ_ONLY", "1")
    keys = sorted(redis_client.keys())
    assert "lacks the right" in stage.run("doctor", "--repair", "--yes", code=4).stderr
    assert "lacks the right" in stage.run("queue", "pause", "mail", code=4).stderr
    assert "bench enqueues" in stage.run("bench", "--yes", "--tasks", "1", code=4).stderr
    monkeypatch.delenv("ASYNCQ_READ_ONLY")
    assert "bench enqueues" in stage.run("--read-only", "bench", "--yes", "--tasks", "1", code=4).stderr
    assert [key for key in sorted(redis_client.keys()) if b"trail" not in key] == keys


def test_read_only(redis_url: str, redis_client: Redis) -> None:
    """Whatever would change something is refused, and nothing is; reading goes on."""
    stage = set_stage(redis_url)
    keys = sorted(redis_client.keys())
    ids = stage.ids
    for arguments in (
        ["queue", "pause", "mail"],
        ["queue", "resume", "mail"],
        ["queue", "rm", "mail", "--force", "--yes"],
        ["task", "run", ids["archived"], "-q", "mail"],
        ["task", "retry", "-q", "mail"],
        ["task", "archive", ids["pending"], "-q", "mail"],
        ["task", "cancel", ids["pending"], "-q", "mail"],
        ["task", "delete", "-q", "mail", "-s", "archived", "--yes"],
        ["task", "edit", ids["pending"], "-q", "mail", "--max-retry", "1"],
        ["task", "reschedule", ids["pending"], "-q", "mail", "--in", "1m"],
        ["enqueue", "x"],
        ["group", "run", "digest", "-q", "mail"],
        ["cron", "pause", "daily"],
        ["cron", "resume", "daily"],
        ["cron", "run", "daily"],
        ["cron", "rm", "daily", "--yes"],
    ):
        refused = stage.run("--read-only", *arguments, code=4)
        assert "lacks the right" in refused.stderr, arguments
    assert [key for key in sorted(redis_client.keys()) if b"trail" not in key] == keys
    refusals = stage.items("trail", "--outcome", "refused", "--size", "100")
    assert len(refusals) > 15
    assert all(re.fullmatch(r".+@.+", item["actor"]) and item["via"] == "cli" for item in refusals)
    assert stage.run("queue", "ls", "--read-only", "-o", "id").stdout.splitlines() == ["mail", "日本"]
    redis_client.delete("asyncq:{mail}:pending")
    assert "lacks the right" in stage.run("--read-only", "doctor", "--repair", "--yes", code=4).stderr
    stage.run("--read-only", "doctor", code=1)
