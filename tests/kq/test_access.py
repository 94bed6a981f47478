"""The way to the brokers: encryption, and who is let in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from asyncq.kq import KafkaUnavailableError
from asyncq.kq.access import Access, check_topic
from tests.support.certificates import Certificate
from tests.support.doors import door
from tests.support.mock_kafka import MockKafka


def _access(broker: str, **options: Any) -> Access:
    none: dict[str, Any] = {"username": None, "password": None, "ca_file": None, "tls": False, "verify": True}
    return Access(brokers=(broker,), **{"connect_timeout": 10.0, **none, **options})


@asynccontextmanager
async def _encrypted(kafka: MockKafka, certificate: Certificate) -> AsyncIterator[str]:
    """A door with TLS before the mock cluster, which has none."""
    host, port = kafka.brokers[0].split(":")

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inside, outside = await asyncio.open_connection(host, int(port))
        try:
            await asyncio.gather(_pipe(reader, outside), _pipe(inside, writer))
        finally:
            outside.transport.abort()

    async with door(forward, tls=certificate.server_context()) as address:
        yield address


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()
    await writer.wait_closed()


async def test_certificates_are_checked(kafka: MockKafka, certificate: Certificate) -> None:
    """Go-queue checks none. Here that is a switch, and its name says what it does."""
    topic = await kafka.topic()
    async with _encrypted(kafka, certificate) as broker:
        await check_topic(_access(broker, ca_file=str(certificate.certificate)), topic)
        await check_topic(_access(broker, tls=True, verify=False), topic)
        with pytest.raises(KafkaUnavailableError, match="certificate verify failed"):
            await check_topic(_access(broker, tls=True), topic)


async def test_a_broker_without_encryption_is_not_used_with_it(
    kafka: MockKafka, certificate: Certificate
) -> None:
    """Nothing goes over the network as it is when encryption was asked for."""
    access = _access(kafka.brokers[0], ca_file=str(certificate.certificate), connect_timeout=2.0)
    with pytest.raises(KafkaUnavailableError):
        await check_topic(access, "t")
