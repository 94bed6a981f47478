"""Hands messages to Kafka's client, and hears what became of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata

from asyncq.kq.balancers import BALANCERS, Balancer
from asyncq.kq.message import Place
from asyncq.kq.parcels import Parcel

Settle = Callable[[Parcel, Place | Exception], None]
"""Is told where a message is, or why it is nowhere. Called once for each."""


class Shipper:
    """Sends messages to their partitions.

    Args:
        topic: The topic.
        balancer: Which partition a message goes to: the name of one, or a function.
        settle: Whom to tell what became of it.
    """

    def __init__(self, topic: str, balancer: str | Balancer, settle: Settle) -> None:
        self._topic: Final = topic
        self._balance: Final[Balancer] = BALANCERS[balancer]() if isinstance(balancer, str) else balancer
        self._settle: Final = settle
        self._order: Final = asyncio.Lock()

    async def ship(self, producer: AIOKafkaProducer, parcels: Iterable[Parcel]) -> None:
        """Send messages, after those that were given before. Returns when Kafka's client has them."""
        async with self._order:
            for parcel in parcels:
                await self.ship_one(producer, parcel)

    async def ship_one(self, producer: AIOKafkaProducer, parcel: Parcel) -> None:
        """Send a message, beside the others."""
        key, value = parcel.delivery.key, parcel.delivery.value
        try:
            partitions = sorted(await producer.partitions_for(self._topic))
            partition = self._balance(key, len(key) + len(value), partitions)
            sent = await producer.send(
                self._topic,
                value,
                key=key,
                partition=partition,
                timestamp_ms=parcel.timestamp,
                headers=list(parcel.headers),  # its codec takes lists alone
            )
        except asyncio.CancelledError:
            self._settle(parcel, TimeoutError("nobody waited for it to be sent"))
            raise
        except Exception as error:  # noqa: BLE001 - Kafka's, or a balancer's: told, and the others go on
            self._settle(parcel, error)
        else:
            sent.add_done_callback(partial(self._note_sent, parcel, partition))

    def _note_sent(self, parcel: Parcel, partition: int, sent: asyncio.Future[RecordMetadata | None]) -> None:
        error = TimeoutError("the producer was stopped") if sent.cancelled() else sent.exception()
        if error is not None:
            self._settle(parcel, error if isinstance(error, Exception) else RuntimeError(repr(error)))
            return
        found = sent.result()
        offset = found.offset if found is not None and found.offset >= 0 else None
        self._settle(parcel, Place(self._topic, partition, offset))
