"""Makes the actors that look after things every now and then: one for queues that are asked together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from asyncq._broker.broker import Broker
from asyncq._broker.leases import Leases, RecoveryTerms
from asyncq._engine.health_check import HealthCheck
from asyncq._engine.janitor import Janitor
from asyncq._engine.measures import Recorder
from asyncq._engine.recoverer import Recoverer
from asyncq._service import Service
from asyncq.config import ServerConfig


def make_recoverers(
    leases: Leases, config: ServerConfig, together: Iterable[Sequence[str]], measures: Recorder
) -> list[Recoverer]:
    """Who takes back the tasks of servers that went away."""
    terms = RecoveryTerms(config.max_lost, config.unlock_archived, config.keep_attempts)
    return [Recoverer(leases, some, measures, lease=config.lease, terms=terms) for some in together]


def make_keepers(broker: Broker, config: ServerConfig, together: Sequence[Sequence[str]]) -> list[Service]:
    """Who removes what is old, and who tells the user how Redis is."""
    keepers: list[Service] = [
        Janitor(
            broker.upkeep,
            some,
            max_age=config.archive_max_age,
            max_count=config.archive_max_count,
            on_dropped=config.on_dropped,
            interval=config.janitor_interval,
            batch=config.janitor_batch_size,
        )
        for some in together
    ]
    if config.health_check is not None:
        keepers.append(HealthCheck(broker.router, config.health_check, interval=config.health_check_interval))
    return keepers
