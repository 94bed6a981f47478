"""What the settings of the service are. `etc/order.yaml` has them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from asyncq.app import RedisConf, ServiceConf, Setting, load
from asyncq.dq import Beanstalk
from asyncq.kq import KqConf


@dataclass(frozen=True, kw_only=True)
class OrderSettings:
    """Orders themselves."""

    database: Path
    unpaid_for: timedelta = timedelta(minutes=30)
    report: str = "*/20 * * * *"


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """The server of tasks."""

    concurrency: Annotated[int, Setting(least=1)] = 10
    queues: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class ReminderSettings:
    """The delay queue of reminders."""

    after: timedelta = timedelta(minutes=15)
    beanstalks: tuple[Beanstalk, ...]


@dataclass(frozen=True, kw_only=True)
class Settings(ServiceConf):
    """All of it."""

    redis: RedisConf
    orders: OrderSettings
    server: ServerSettings
    reminders: ReminderSettings
    payments: KqConf

    def validate(self) -> None:
        """Refuse what does not go together."""
        if self.reminders.after >= self.orders.unpaid_for:
            raise ValueError(
                "Reminders.After has to be less than Orders.UnpaidFor, or nobody is reminded in time"
            )


def read(path: str) -> Settings:
    """Read the file, with what the environment says."""
    return load(path, Settings, use_env=True)
