"""The settings of a queue, with the names and defaults of go-queue's `KqConf`, and some of ours."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

from asyncq._checks import whole_problem
from asyncq.errors import ConfigError, Problem
from asyncq.kq.lanes import Order
from asyncq.kq.ledger import CommitRule

__all__ = ["KqConf"]

Assignor = Literal["range", "roundrobin"]

_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,249}", re.ASCII)
_ADDRESS: Final = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\s:,/\[\]]+):(\d{1,5})", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class KqConf:
    """Everything that can be set on a `Queue`.

    Raises:
        ConfigError: Something is wrong; all of it is reported.
    """

    brokers: tuple[str, ...]
    """Where Kafka is: `host:port` of some of the brokers. The others are found through them."""

    group: str
    """The consumer group. All its members, in all processes and languages, share the messages."""

    topic: str
    """The topic. It has to exist."""

    name: str = ""
    """What it is called in logs; the topic when not given."""

    offset: Literal["first", "last"] = "last"
    """Where a group begins that never committed anything: with the first message there is, or with those to
    come."""

    conns: int = 1
    """Readers of this process. Each is a member of the group and gets a share of the partitions."""

    consumers: int = 8
    """Messages that a reader holds ready for its processors."""

    processors: int = 8
    """Messages of one reader that are handled at the same time."""

    min_bytes: int = 10_240
    """Bytes that a broker gathers before it answers, for `max_wait` at the longest. 1 for the least delay."""

    max_bytes: int = 10_485_760
    """Bytes that a broker answers with at the most."""

    username: str | None = None
    """Name for SASL PLAIN. Together with `password`."""

    password: str | None = field(default=None, repr=False)
    """Password for SASL PLAIN. Without TLS it goes over the network as it is."""

    ca_file: str | None = None
    """Certificates (PEM) to trust. Given, the connection is encrypted."""

    tls: bool = False
    """Encrypt without a `ca_file`: the certificates of the system are trusted then."""

    verify: bool = True
    """`False` accepts any certificate, as go-queue always does: for tests only."""

    force_commit: bool = True
    """Whether a message whose handler failed is committed all the same, after the error handler was told.

    Without, it is tried again in its place until it succeeds, and what comes after it is not committed before
    it."""

    commit_in_order: bool = False
    """Commit in the order of the messages. That is what `commit="prefix"` does anyway; not with
    `commit="max"`."""

    commit: CommitRule = "prefix"
    """`prefix`: commit up to the first unfinished message. `max`: up to the highest finished one, as go-queue
    does; what is unfinished before it is lost when the process dies."""

    order: Order = "none"
    """Whether messages wait for each other: `none`, those with one `key` of one partition, or all of one
    `partition`."""

    max_attempts: int | None = None
    """Attempts at one message. None: one with `force_commit`, any number without. When they are used up, the
    message is skipped with `force_commit`; without, the queue stops with a `MessageFailedError`."""

    commit_interval: float = 1.0
    """Seconds between commits. 0: at once."""

    max_wait: float = 1.0
    """Seconds for which a broker may gather messages when there are fewer than `min_bytes`."""

    queue_capacity: int = 1000
    """Messages of a partition that may be handed out beyond its first unfinished one."""

    shutdown_timeout: float = 8.0
    """Seconds to let running handlers finish after a stop, and when partitions go to another member (then two
    thirds of `rebalance_timeout` at the most). What still runs is cancelled, and not committed."""

    connect_timeout: float = 10.0
    """Seconds to reach a broker when it starts."""

    session_timeout: float = 30.0
    """Seconds without a sign of life after which the group goes on without this member."""

    rebalance_timeout: float = 30.0
    """Seconds that members have to give up their partitions when the group changes."""

    assignors: tuple[Assignor, ...] = ("range",)
    """How the group may share partitions, the best first. All members must have one in common; go-queue has
    both."""

    def __post_init__(self) -> None:
        for name in ("brokers", "assignors"):
            given: object = getattr(self, name)
            if isinstance(given, (list, tuple)):
                object.__setattr__(self, name, tuple(cast("Iterable[Any]", given)))
        problems = [
            *broker_problems(self.brokers),
            *topic_problems(self.topic),
            *secret_problems(self.username, self.password),
            *self._text_problems(),
            *self._number_problems(),
            *self._choice_problems(),
        ]
        if problems:
            raise ConfigError.of(problems)

    @property
    def title(self) -> str:
        """What it is called in logs and metrics."""
        return self.name or self.topic

    def _text_problems(self) -> list[Problem]:
        problems: list[Problem] = []
        group: object = self.group
        name: object = self.name
        if not isinstance(group, str) or not group.strip():
            problems.append(Problem("group", group, "the name of a consumer group"))
        if not isinstance(name, str):
            problems.append(Problem("name", name, "text"))
        return problems

    def _number_problems(self) -> list[Problem]:
        problems = [
            problem
            for name in _WHOLE
            for problem in [whole_problem(name, getattr(self, name), least=1)]
            if problem is not None
        ]
        if self.max_attempts is not None:
            problem = whole_problem("max_attempts", self.max_attempts, least=1)
            problems += [problem] if problem else []
        if not problems and self.min_bytes > self.max_bytes:
            problems.append(Problem("min_bytes", self.min_bytes, f"at most max_bytes, {self.max_bytes}"))
        for name, least in _SECONDS.items():
            problems += seconds_problems(name, getattr(self, name), least=least)
        return problems

    def _choice_problems(self) -> list[Problem]:
        problems = [
            Problem(name, getattr(self, name), " or ".join(map(repr, choices)))
            for name, choices in _CHOICES.items()
            if getattr(self, name) not in choices
        ]
        problems += [
            Problem(name, getattr(self, name), "true or false")
            for name in _SWITCHES
            if not isinstance(getattr(self, name), bool)
        ]
        if self.commit_in_order is True and self.commit == "max":
            problems.append(Problem("commit", self.commit, "'prefix' with commit_in_order"))
        assignors: object = self.assignors
        known = ("range", "roundrobin")
        if (
            not assignors
            or not isinstance(assignors, tuple)
            or any(one not in known for one in self.assignors)
        ):
            problems.append(Problem("assignors", assignors, "'range', 'roundrobin', or both"))
        return problems


_WHOLE: Final = ("conns", "consumers", "processors", "min_bytes", "max_bytes", "queue_capacity")
_SECONDS: Final = {
    "commit_interval": 0.0,
    "max_wait": 0.001,
    "shutdown_timeout": 0.0,
    "connect_timeout": 0.001,
    "session_timeout": 1.0,
    "rebalance_timeout": 1.0,
}
_CHOICES: Final = {
    "offset": ("first", "last"),
    "commit": ("prefix", "max"),
    "order": ("none", "key", "partition"),
}
_SWITCHES: Final = ("force_commit", "commit_in_order", "tls", "verify")


def broker_problems(brokers: object) -> list[Problem]:
    """What is wrong with a list of brokers, if anything."""
    expected = "a list of 'host:port', one at least"
    if not isinstance(brokers, (list, tuple)) or not brokers:
        return [Problem("brokers", brokers, expected)]
    given = cast("Iterable[object]", brokers)
    return [Problem("brokers", broker, "'host:port'") for broker in given if not _is_address(broker)]


def _is_address(broker: object) -> bool:
    match = _ADDRESS.fullmatch(broker) if isinstance(broker, str) else None
    return match is not None and 0 < int(match[2]) < 65536


def topic_problems(topic: object) -> list[Problem]:
    """What is wrong with the name of a topic, if anything."""
    if isinstance(topic, str) and _TOPIC.fullmatch(topic) and topic not in (".", ".."):
        return []
    return [Problem("topic", topic, "a name of letters, digits, '.', '_' and '-', at most 249")]


def secret_problems(username: object, password: object) -> list[Problem]:
    """What is wrong with name and password, if anything. The password is not shown."""
    problems: list[Problem] = []
    if username is not None and not isinstance(username, str):
        problems.append(Problem("username", username, "text"))
    if password is not None and not isinstance(password, str):
        problems.append(Problem("password", "***", "text"))
    if username and not password:
        problems.append(Problem("password", None, "the password of the user, since there is a username"))
    if password and not username:
        problems.append(Problem("username", None, "the name of the user, since there is a password"))
    return problems


def seconds_problems(name: str, value: object, *, least: float) -> list[Problem]:
    """What is wrong with a number of seconds, if anything."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if is_number and least <= cast("float", value) <= _LONGEST:
        return []
    what = "zero or a positive number" if least == 0 else f"a number, {least:g} or more,"
    return [Problem(name, value, f"{what} of seconds, at most a day")]


_LONGEST: Final = 86_400.0
