"""deploy/: the board, the rules and the example for KEDA ask for metrics that there are."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any, Final

import click
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from redis import Redis

from asyncq import Client, Mux, Scheduler, Server, Task, dq, kq
from asyncq.cli import main
from asyncq.dq.metrics import ConsumerCollector
from asyncq.kq.metrics import PusherCollector, QueueCollector
from asyncq.metrics import Exporter, ServerCollector
from asyncq.metrics.families import encoded
from tests.acceptance.pages import DOCS, ROOT, names, table
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.acceptance]

DEPLOY: Final = ROOT / "deploy"
BOARD: Final = DEPLOY / "grafana-board.json"
RULES: Final = DEPLOY / "prometheus-alerts.yml"
KEDA: Final = DEPLOY / "keda-scaledobject.yml"
GUIDE: Final = DOCS / "guides" / "metrics.md"
EVENTS: Final = DOCS / "reference" / "log-events.md"

_METRIC: Final = re.compile(r"\basyncq_\w+")
_LABELS: Final = re.compile(r"\b(asyncq_\w+)\{([^}]*)\}")


def _board() -> Any:
    return json.loads(BOARD.read_text(encoding="utf-8"))


def _rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _panels() -> Iterator[dict[str, Any]]:
    for panel in _board()["panels"]:
        yield panel
        yield from panel.get("panels", [])


def _queries() -> list[str]:
    """Every expression that is asked for anywhere."""
    board = [target["expr"] for panel in _panels() for target in panel.get("targets", [])]
    variables = [one["definition"] for one in _board()["templating"]["list"] if "definition" in one]
    triggers = yaml.safe_load(KEDA.read_text(encoding="utf-8"))["spec"]["triggers"]
    return [
        *board,
        *variables,
        *(rule["expr"] for rule in _rules()),
        *(trigger["metadata"]["query"] for trigger in triggers),
    ]


async def _scraped(url: str) -> dict[str, set[str]]:
    """Each name that real pages have, of a server and of the exporter, with its labels."""
    mux = Mux()

    @mux.handle("t")
    async def work(task: Task) -> None:
        """Succeed."""

    found: dict[str, set[str]] = {}
    server = Server(url)
    async with Client(url) as client, server.running(mux), Scheduler(url).running():
        exporter = Exporter(url, listen="127.0.0.1:0", interval=0, timeout=30)
        try:
            await client.enqueue(Task("t"))
            await wait_until(lambda: server.measures().processed, "it to be done")
            mine, _ = await encoded([ServerCollector(server), *_of_dq_and_kq()], "")
            whole, _ = await exporter.render()
        finally:
            await exporter.aclose()
    for page in (mine, whole):
        for family in text_string_to_metric_families(page.decode()):
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
    # Shown when there were tasks in the last minutes that are over, which nobody waits for here.
    for name in ("wait", "run", "lateness"):
        found.setdefault(f"asyncq_recent_{name}_seconds", {"quantile"})
    return found


def _of_dq_and_kq() -> list[Collector]:
    """They show everything from the beginning, so nothing has to run."""

    async def handle(message: object) -> None:
        """Never called."""

    nodes = [dq.Beanstalk(f"127.0.0.1:{port}", "t") for port in (1, 2)]
    brokers = ("127.0.0.1:1",)
    return [
        ConsumerCollector(dq.Consumer(dq.DqConf(nodes, "redis://127.0.0.1:1/0"), handle)),
        QueueCollector(kq.Queue(kq.KqConf(brokers=brokers, group="g", topic="t"), handle)),
        PusherCollector(kq.Pusher(brokers, "t")),
    ]


async def test_every_metric_that_is_asked_for_is_there(redis_url: str, redis_client: Redis) -> None:
    """With the labels by which it is asked for. A board with empty panels is worse than none."""
    del redis_client
    found = await _scraped(redis_url)
    queries = _queries()
    asked = {name for query in queries for name in _METRIC.findall(query)}
    assert len(asked) > 30
    assert asked <= found.keys(), asked - found.keys()
    for query in queries:
        for name, inside in _LABELS.findall(query):
            labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", inside))
            assert labels <= found[name], (name, labels)
    listed = {name for row in table(GUIDE.read_text(encoding="utf-8")) for name in names(row[0])}
    documented = {re.sub(r"_(bucket|sum|count)$", "", name) for name in found}
    assert {name for name in listed if name.startswith("asyncq_")} == documented


def test_the_board_is_sound() -> None:
    """Every panel has a place of its own, and something to show."""
    ids, places = [], set[tuple[int, int]]()
    for panel in _panels():
        ids.append(panel["id"])
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not places & cells, panel["title"]
        places |= cells
        assert panel["title"]
        assert panel["type"] == "row" or panel["targets"]
    assert len(ids) == len(set(ids))


def test_each_rule_says_what_is_the_matter() -> None:
    """And how bad it is."""
    rules = _rules()
    assert len({rule["alert"] for rule in rules}) == len(rules) > 10
    for rule in rules:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"]
        for text in (rule["expr"], *rule["annotations"].values()):
            for one, other in ("()", "{}", "[]"):
                assert text.count(one) == text.count(other), text


def test_log_events_that_a_rule_names_are_there() -> None:
    """Whoever was woken looks for them."""
    texts = [text for rule in _rules() for text in rule["annotations"].values()]
    named = {event for text in texts for event in re.findall(r"log says [^(]*\(`(\w+)`\)", text)}
    events = {name for row in table(EVENTS.read_text(encoding="utf-8")) for name in names(row[0])}
    assert len(named) > 2
    assert named <= events


def test_commands_that_a_rule_names_are_understood() -> None:
    """Whoever was woken copies them."""
    texts = [text for rule in _rules() for text in rule["annotations"].values()]
    lines = [line for text in texts for line in re.findall(r"`asyncq ([^`]+)`", text)]
    assert lines
    for line in lines:
        command: click.Command = main
        arguments = shlex.split(re.sub(r"\{\{.*?\}\}", "mail", line))
        while isinstance(command, click.Group):
            _, found, arguments = command.resolve_command(click.Context(command), arguments)
            assert found is not None, line
            command = found
        command.make_context(line, arguments)


def test_prometheus_itself_takes_the_rules() -> None:
    """Where its tool is installed."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("NOT TESTED: promtool is missing (Debian package prometheus)")
    answer = subprocess.run(
        [promtool, "check", "rules", str(RULES)], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
