"""Settings as programs of the tutorials have them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asyncq.app import RedisConf, ServiceConf
from asyncq.dq import DqConf
from asyncq.kq import KqConf

FILES = Path(__file__).parent / "files"


@dataclass(frozen=True)
class JobSettings(ServiceConf):
    """Of a job on a delay queue."""

    dq_conf: DqConf


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
