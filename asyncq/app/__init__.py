"""What one program is made of: services in a group, settings from a file, logs and metrics, timers.

    settings = load("etc/order.yaml", Settings)
    group = ServiceGroup(shutdown=settings.shutdown)
    group.add(set_up(settings))
    group.add(Server(settings.redis.options(), concurrency=20), mux)
    group.add(scheduler)
    group.run()

`App`, a server with its mux and schedulers, is what `asyncq run` runs.
"""

from __future__ import annotations

from asyncq.app.application import App
from asyncq.app.fields import Setting
from asyncq.app.group import ServiceGroup
from asyncq.app.leaving import Shutdown
from asyncq.app.service import Service, with_start
from asyncq.app.service_conf import (
    DevServerConf,
    LogConf,
    PrometheusConf,
    RedisConf,
    ServiceConf,
    TelemetryConf,
)
from asyncq.app.setting_up import SetUp, set_up
from asyncq.app.settings import from_mapping, load
from asyncq.app.troubles import SettingsError, Trouble
from asyncq.app.wheel import TimingWheel

__all__ = [
    "App",
    "DevServerConf",
    "LogConf",
    "PrometheusConf",
    "RedisConf",
    "Service",
    "ServiceConf",
    "ServiceGroup",
    "SetUp",
    "Setting",
    "SettingsError",
    "Shutdown",
    "TelemetryConf",
    "TimingWheel",
    "Trouble",
    "from_mapping",
    "load",
    "set_up",
    "with_start",
]
