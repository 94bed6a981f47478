"""Files of settings: each format, what cannot be read, and those of go-zero's tutorials."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from asyncq.app import ServiceConf, SettingsError, from_mapping, load
from asyncq.connection import Address, ConnectionOptions, Topology
from tests.app.tutorials import FILES, JobSettings, JobsSettings, OrderSettings, SchedulerSettings
from tests.app.wanted import Everything, Redis, Small, read, wrong

SAME = {
    "settings.yaml": "name: a\nredis:\n  host: b\n  port: 0\nothers:\n  - host: c\n    prot: 1\n",
    "settings.json": """{
  "name": "a",
  "redis": {
    "host": "b", "port":
      0},
  "others": [
    {"host": "c",
     "prot": 1}]
}
""",
    "settings.toml": """name = "a"

[redis]
host = "b"
port = 0

[[others]]
host = "c"
prot = 1
""",
}
LINES = {"settings.yaml": (4, 7), "settings.json": (5, 8), "settings.toml": (5, 9)}


@pytest.mark.parametrize("name", SAME)
def test_each_format_says_the_same(tmp_path: Path, name: str) -> None:
    """With the lines where things stand."""
    file = tmp_path / name
    file.write_text(SAME[name])
    with pytest.raises(SettingsError) as caught:
        load(file, Everything, environ={})
    port, prot = LINES[name]
    assert [str(one) for one in caught.value.troubles] == [
        f"line {port}: redis.port=0: expected at least 1 and less than 65536",
        f"line {prot}: others[0].prot is no setting; did you mean 'port'?",
    ]
    file.write_text(SAME[name].replace("prot", "port").replace("0", "7", 1))
    assert load(file, Everything, environ={}) == Everything(
        name="a", redis=Redis("b", 7), others=[Redis("c", 1)]
    )


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.yaml", "name: [1\nport: 2\n", "line 2: expected YAML, and it is none: "),
        ("a.yaml", "name: a\n---\nname: b\n", "line 2: expected YAML, and it is none: "),
        ("a.yaml", "name: &x [*x]\n", "line 1: expected YAML, and it is none: a value contains itself"),
        ("a.yaml", "name: 2026-13-40\n", "expected YAML, and it is none: "),
        ("a.yaml", "? [a]\n: b\n", "line 1: expected YAML, and it is none: a key is no text"),
        (
            "a.yml",
            "name: !!python/object:os.system {}\n",
            "line 1: expected YAML, and it is none: nothing is known of",
        ),
        ("a.yaml", "just text\n", "line 1: the file='just text': expected a section with name, port"),
        ("a.json", '{"name": "a",}', "line 1: expected JSON, and it is none: "),
        (
            "a.json",
            '{"name": "a", "name": "b"}',
            "line 1: expected JSON, and it is none: 'name' stands twice",
        ),
        ("a.json", '{"name": "a"} {}', "line 1: expected JSON, and it is none: there is more"),
        ("a.json", "nothing", "line 1: expected JSON, and it is none: a value is missing"),
        ("a.json", "[]", "line 1: the file=[]: expected a section with name, port"),
        ("a.toml", 'name = "a"\nname = "b"\n', "line 2: expected TOML, and it is none: "),
        ("a.toml", "[name", "expected TOML, and it is none: "),
        ("a.ini", "", "expected a name that ends in .yaml, .yml, .toml or .json"),
        ("a.json", "", "name is missing: expected text"),
        ("a.yaml", "# nothing\n", "name is missing: expected text"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, text: str, expected: str) -> None:
    """One sentence each, with the line where there is one."""
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(file, Small, environ={})
    assert str(caught.value).startswith(f"{file}: {expected}")


def test_files_that_are_not_there(tmp_path: Path) -> None:
    """A slip of the pen is the usual reason."""
    (tmp_path / "order.yaml").write_text("name: a\n")
    with pytest.raises(SettingsError, match=r"did you mean '.*/order\.yaml'\?"):
        load(tmp_path / "order.yml", Small)
    with pytest.raises(SettingsError, match=r"there is no folder '.*/etc'"):
        load(tmp_path / "etc" / "order.yml", Small)
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(SettingsError, match="can be read"):
        load(tmp_path / "folder.yaml", Small)
    (tmp_path / "bytes.yaml").write_bytes(b"name: \xff")
    with pytest.raises(SettingsError, match="UTF-8; byte 6"):
        load(tmp_path / "bytes.yaml", Small)


def test_yaml_as_people_write_it(tmp_path: Path) -> None:
    """Anchors and merges; an alias many times over costs nothing; `on` as a key is a word."""
    text = "base: &b {host: a, port: 1}\none: {<<: *b, port: 2}\ntwo: *b\n'on': {host: c}\n"

    @dataclass(frozen=True)
    class Switched:
        base: Any
        one: Any
        two: Any
        on: Any

    Switched.__annotations__ = dict.fromkeys(("base", "one", "two", "on"), Redis)
    made = read(text.replace("'on'", "on"), Switched, tmp_path)
    assert (made.one, made.two, made.on) == (Redis("a", 2), Redis("a", 1), Redis("c"))
    laughs = "\n".join(f"l{i}: &l{i} [{','.join([f'*l{i - 1}'] * 9)}]" for i in range(1, 40))

    @dataclass(frozen=True)
    class Laughing:
        l0: str = ""

    assert read(f"l0: &l0 x\n{laughs}\n", Laughing, tmp_path, unknown="ignore").l0 == "x"


def test_without_pyyaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text names the extra."""
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "asyncq\[app\]"'):
        read("name: a\n", Small, tmp_path)
    (tmp_path / "a.json").write_text('{"name": "a"}')
    assert load(tmp_path / "a.json", Small) == Small("a")


# --- what the tutorials have ----------------------------------------------------------------------


def test_files_of_the_tutorials_load_as_they_are() -> None:
    """What go-zero reads is read here, to the same values."""
    job = load(FILES / "job.yaml", JobSettings)
    assert [(one.endpoint, one.tube) for one in job.dq_conf.beanstalks] == [
        ("127.0.0.1:11300", "left"),
        ("127.0.0.1:11301", "right"),
    ]
    redis = job.dq_conf.redis_place()
    assert isinstance(redis, ConnectionOptions)
    assert redis.addresses == (Address("127.0.0.1", 6379),)
    assert (job.name, job.log.service_name, job.mode) == ("reminders", "reminders", "pro")
    orders = load(FILES / "order-mq.yaml", OrderSettings)
    assert orders.payment_update_status_conf.offset == "first"
    assert orders.payment_update_status_conf.processors == 1
    assert orders.prometheus.port == 4005
    assert orders.redis.options().password == "secret-of-orders"
    assert "secret" not in repr(orders)
    assert load(FILES / "scheduler.yaml", SchedulerSettings).redis.options().topology is Topology.SINGLE
    environ = {"REDIS_HOST": "db", "REDIS_PASS": ""}
    jobs = load(FILES / "mq.yaml", JobsSettings, use_env=True, environ=environ)
    assert jobs.redis.options().addresses == (Address("db", 6379),)
    assert (jobs.shutdown.wrap_up, jobs.shutdown.wait) == (1.0, 5.5)
    assert jobs.dev_server is not None
    assert (jobs.dev_server.health_path, jobs.concurrency) == ("/ping", 20)


def test_the_files_are_what_a_reader_of_yaml_sees() -> None:
    """So that the test above does not prove our own mistakes."""
    plain = yaml.safe_load((FILES / "job.yaml").read_text())
    assert plain["DqConf"]["Beanstalks"][1] == {"Endpoint": "127.0.0.1:11301", "Tube": "right"}


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1:", "host and port"), ("a:0", "host and port"), (":1", "host and port")],
)
def test_a_redis_that_cannot_be(host: str, expected: str) -> None:
    """Said while the settings are read, with the place in the file."""
    with pytest.raises(SettingsError, match=expected) as caught:
        from_mapping({"Name": "a", "Redis": {"Host": host}}, SchedulerSettings)
    assert caught.value.troubles[0].key == "Redis.Host"


def test_ways_to_redis() -> None:
    """Several of a cluster, a socket, and the limits of both."""
    made = from_mapping(
        {"Name": "a", "Redis": {"Host": "a:1, [::1]:2", "Type": "cluster", "Tls": True, "PingTimeout": "1s"}},
        SchedulerSettings,
    ).redis.options()
    assert made.addresses == (Address("a", 1), Address("::1", 2))
    assert made.topology is Topology.CLUSTER
    assert made.tls is not None
    assert math.isclose(made.connect_timeout, 1.0)
    with pytest.raises(SettingsError, match="the only database of a cluster"):
        from_mapping({"Name": "a", "Redis": {"Host": "a:1", "Type": "cluster", "Db": 1}}, SchedulerSettings)


def test_a_class_of_ones_own_needs_no_order(tmp_path: Path) -> None:
    """Fields without a default may follow those of `ServiceConf`, which have some."""
    assert JobSettings.__mro__[1] is ServiceConf
    *said, redis = wrong("Log: {Level: debg}\n", JobSettings, tmp_path)
    assert redis.startswith("DqConf.Redis is missing: expected a section with Host, Type, User, Pass")
    assert said == [
        "line 1: Log.Level='debg': expected one of 'debug', 'info', 'error', 'severe'; did you mean 'debug'?",
        "Name is missing: expected text",
        "DqConf.Beanstalks is missing: expected a list, each of it a section with Endpoint, Tube",
    ]
