"""Settings of kq: defaults, and what is wrong with them."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from asyncq.errors import ConfigError
from asyncq.kq import KqConf, Message, Pusher, Queue
from asyncq.kq.bridge import enqueue

GOOD: dict[str, Any] = {"brokers": ["localhost:9092"], "group": "g", "topic": "t"}


async def _handle(message: Message) -> None:
    """Do nothing."""


def test_names_and_defaults_are_those_of_go_queue() -> None:
    """A YAML file of go-queue means the same here."""
    conf = KqConf(**GOOD)
    found = {
        name: getattr(conf, name)
        for name in (
            "offset", "conns", "consumers", "processors", "min_bytes", "max_bytes", "username", "password",
            "ca_file", "force_commit", "commit_in_order", "commit_interval", "max_wait", "queue_capacity",
        )
    }  # fmt: skip
    assert found == {
        "offset": "last",
        "conns": 1,
        "consumers": 8,
        "processors": 8,
        "min_bytes": 10_240,
        "max_bytes": 10_485_760,
        "username": None,
        "password": None,
        "ca_file": None,
        "force_commit": True,
        "commit_in_order": False,
        "commit_interval": 1.0,
        "max_wait": 1.0,
        "queue_capacity": 1000,
    }
    assert conf.brokers == ("localhost:9092",)
    assert conf.title == "t"
    assert KqConf(**GOOD, name="payments").title == "payments"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"brokers": "localhost:9092"}, "brokers='localhost:9092': expected a list"),
        ({"brokers": []}, "one at least"),
        ({"brokers": ["localhost"]}, "'host:port'"),
        ({"brokers": ["localhost:99999"]}, "'host:port'"),
        ({"group": " "}, "consumer group"),
        ({"topic": "a b"}, "a name of letters"),
        ({"topic": ""}, "a name of letters"),
        ({"offset": "middle"}, "'first' or 'last'"),
        ({"conns": 0}, "conns=0: expected a whole number, 1 or more"),
        ({"processors": True}, "processors=True"),
        ({"min_bytes": 20_000_000}, "at most max_bytes, 10485760"),
        ({"username": "u"}, "the password of the user"),
        ({"password": "p"}, "the name of the user"),
        ({"commit": "all"}, "'prefix' or 'max'"),
        ({"commit": "max", "commit_in_order": True}, "'prefix' with commit_in_order"),
        ({"order": "topic"}, "'none' or 'key' or 'partition'"),
        ({"max_attempts": 0}, "max_attempts=0"),
        ({"commit_interval": -1}, "commit_interval=-1"),
        ({"commit_interval": float("nan")}, "commit_interval=nan"),
        ({"session_timeout": 0.5}, "session_timeout=0.5"),
        ({"force_commit": "yes"}, "true or false"),
        ({"assignors": ["sticky"]}, "'range', 'roundrobin', or both"),
    ],
)
def test_what_is_wrong_is_said(wrong: dict[str, Any], said: str) -> None:
    """One clear error, before anything is connected."""
    with pytest.raises(ConfigError, match=re.escape(said)):
        KqConf(**GOOD | wrong)


def test_all_that_is_wrong_is_said_at_once() -> None:
    """Nobody wants to mend a file one line at a time."""
    with pytest.raises(ConfigError) as caught:
        KqConf(brokers=(), group="", topic="", conns=0)
    assert {problem.option for problem in caught.value.problems} == {"brokers", "group", "topic", "conns"}


def test_passwords_are_not_shown() -> None:
    """Settings end up in logs."""
    assert "secret" not in repr(KqConf(**GOOD, username="u", password="secret"))
    with pytest.raises(ConfigError) as caught:
        KqConf(**GOOD, username="u", password=12345)  # type: ignore[arg-type]
    assert "12345" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"acks": 2}, "'all', 1 or 0"),
        ({"acks": True}, "'all', 1 or 0"),
        ({"compression": "lz4"}, "'snappy' or 'gzip'"),
        ({"balancer": "sticky"}, "'least_bytes' or 'hash'"),
        ({"balancer": 5}, "the name of one, or a function"),
        ({"chunk_size": 0}, "chunk_size=0"),
        ({"flush_interval": -1}, "flush_interval=-1"),
        ({"brokers": ["nowhere"]}, "'host:port'"),
        ({"ca_file": "/no/such/file.pem"}, "a readable file of certificates"),
    ],
)
def test_a_pusher_says_what_is_wrong(wrong: dict[str, Any], said: str) -> None:
    """The same for those who push."""
    given = {"brokers": ["localhost:9092"], "topic": "t", **wrong}
    with pytest.raises(ConfigError, match=re.escape(said)):
        Pusher(given.pop("brokers"), given.pop("topic"), **given)


def _yields(message: Message) -> Any:
    yield message


@pytest.mark.parametrize("handler", [None, 5, Message, _yields, lambda: None, lambda a, b: None])
def test_a_handler_is_a_function_of_the_message(handler: Any) -> None:
    """Said when the queue is made, and not with the first message."""
    with pytest.raises(ConfigError, match="handler"):
        Queue(KqConf(**GOOD), handler)


def test_a_queue_says_what_is_wrong(tmp_path: Path) -> None:
    """Settings that are none, callbacks that are none, certificates that are not there."""
    with pytest.raises(ConfigError, match="a KqConf"):
        Queue({"brokers": []}, _handle)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="error_handler"):
        Queue(KqConf(**GOOD), _handle, error_handler=5)  # type: ignore[arg-type]
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(ConfigError, match="ca_file"):
        Queue(KqConf(**GOOD, ca_file=str(tmp_path / "empty.pem")), _handle)


def test_a_bridge_says_what_is_wrong() -> None:
    """The id of the task is made of the message; options are checked now."""
    client: Any = object()
    with pytest.raises(ConfigError, match="task_id"):
        enqueue(client, "email", task_id="mine")
    with pytest.raises(ConfigError, match="did you mean 'queue'"):
        enqueue(client, "email", quue="low")  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match="a type, or a function"):
        enqueue(client, 5)  # type: ignore[arg-type]


def test_the_guide_has_every_setting() -> None:
    """With the name it has in go-queue's files, and its default."""
    page = (Path(__file__).parents[2] / "docs" / "guides" / "kq.md").read_text(encoding="utf-8")
    _, _, table = page.partition("| setting | in YAML | default | meaning |")
    table, _, _ = table.partition("## ")
    named = {
        name
        for row in table.splitlines()
        for name in re.findall(r"`(\w+)`", row.split("|")[1] if row else "")
    }
    assert named == {field.name for field in fields(KqConf)}
    options = page.partition("| option | default | meaning |")[2].partition("Without a key")[0]
    named = {
        name
        for row in options.splitlines()
        for name in re.findall(r"`(\w+)`", row.split("|")[1] if row else "")
    }
    own = set(inspect.signature(Pusher).parameters) - {"brokers", "topic", "connect_timeout", "logger"}
    assert named == own
