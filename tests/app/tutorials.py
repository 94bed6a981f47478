"""Settings as programs of the tutorials have them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from asyncq.app import RedisConf, ServiceConf

FILES = Path(__file__).parent / "files"


@dataclass(frozen=True)
class Beanstalk:
    """A node of a delay queue."""

    endpoint: str
    tube: str


@dataclass(frozen=True)
class DqConf:
    """A delay queue."""

    beanstalks: list[Beanstalk]
    redis: RedisConf


@dataclass(frozen=True)
class JobSettings(ServiceConf):
    """Of a job on a delay queue."""

    dq_conf: DqConf


@dataclass(frozen=True, kw_only=True)
class KqConf:
    """A consumer of Kafka."""

    name: str = ""
    brokers: tuple[str, ...]
    group: str
    topic: str
    offset: Literal["first", "last"] = "last"
    conns: int = 1
    consumers: int = 8
    processors: int = 8
    min_bytes: int = 10_240
    force_commit: bool = True


@dataclass(frozen=True)
class OrderSettings(ServiceConf):
    """Of a service that hears of payments."""

    redis: RedisConf
    payment_update_status_conf: KqConf


@dataclass(frozen=True)
class SchedulerSettings(ServiceConf):
    """Of a scheduler."""

    redis: RedisConf


@dataclass(frozen=True)
class JobsSettings(ServiceConf):
    """Of a server of tasks."""

    redis: RedisConf
    concurrency: int = 10
