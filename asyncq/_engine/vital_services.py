"""What runs in the thread of the vitals, on a connection of its own: the heartbeat, and all about leases."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from asyncq._broker.broker import Broker
from asyncq._broker.leases import Held
from asyncq._broker.together import together
from asyncq._engine.go_heartbeat import GoHeartbeat
from asyncq._engine.heartbeat import Heartbeat
from asyncq._engine.held import HeldDeliveries
from asyncq._engine.historian import Historian
from asyncq._engine.keepers import make_recoverers
from asyncq._engine.lease_keeper import LeaseKeeper
from asyncq._engine.measures import Recorder
from asyncq._engine.run import Run
from asyncq._logs import Log
from asyncq._redis.router import Router
from asyncq._service import Service
from asyncq._slots import Slots
from asyncq._wire.wire import Wire
from asyncq.config import ServerConfig
from asyncq.connection import ConnectionOptions
from asyncq.context import CancelReason


def make_vital_services(  # noqa: PLR0913 - what they may touch, said one by one
    connection: ConnectionOptions,
    wire: Wire,
    held: HeldDeliveries,
    slots: Slots,
    measures: Recorder,
    config: ServerConfig,
    *,
    server_id: str,
    describe: Callable[[], Mapping[str, Any]],
    active: Callable[[], Sequence[Run]],
    stop_work: Callable[[Held, CancelReason], None],
    farewell: Callable[[], float],
    log: Log,
) -> tuple[list[Service], Callable[[], Awaitable[None]]]:
    """Make them, and what closes their connection. Connections belong to the loop they are made in.

    Args:
        connection: Where Redis is.
        wire: How keys look.
        held: The deliveries whose leases are to be kept.
        slots: The slots of semaphores that are held for them.
        measures: What the server counts.
        config: Its options.
        server_id: Whose they are.
        describe: What the heartbeat says.
        active: What runs, for Go's tools.
        stop_work: Called, in this thread, with each delivery that must not go on.
        farewell: Tells how many seconds saying good-bye may take; asked at the end.
        log: Where they log.
    """
    # A connection that went dead without a word must be noticed while the leases still hold.
    lease = config.lease
    patience = lease / 3
    options = replace(
        connection,
        connect_timeout=min(connection.connect_timeout, lease / 2),
        response_timeout=min(connection.response_timeout, patience),
    )
    router = Router(options, name=f"asyncq:vitals:{server_id}", dialect=wire.name)
    broker = Broker(router, wire, owner=server_id, patience=patience)
    services: list[Service] = [
        Heartbeat(broker.presence, describe),
        LeaseKeeper(broker.leases, held, lease=lease, stop_work=stop_work),
        slots.keeper(broker.semaphores),
        # Here they also go on where handlers hold up the event loop all the time: each look would be too late
        # to be believed there (recover.lua), and no task of a server that went away ever be taken back.
        *make_recoverers(broker.leases, config, broker.basis.by_slot(config.queues).values(), measures),
    ]
    good_byes = [broker.presence.leave]
    if config.history:
        historian = Historian(broker.measures, measures)
        services.append(historian)
        good_byes.append(historian.leave)
    if wire.is_shared:
        go = GoHeartbeat(broker.go_servers, server_id, describe, active)
        services.append(go)
        good_byes.append(go.leave)

    async def aclose() -> None:
        try:
            async with asyncio.timeout(farewell()):
                await together([say() for say in good_byes])
        except Exception as error:  # noqa: BLE001 - leaving must not fail because nobody hears the good-bye
            log.debug("could not say good-bye: %s", error, extra={"event": "farewell_failed"})
        await router.aclose()

    return services, aclose
