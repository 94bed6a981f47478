"""The way to the brokers: where they are, how to get in, and whether the topic is there."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypedDict

from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError, for_code
from aiokafka.protocol.metadata import MetadataRequest

from asyncq._checks import near_misses
from asyncq.errors import ConfigError
from asyncq.kq.errors import KafkaUnavailableError, TopicNotFoundError

CLIENT_ID: Final = "asyncq"
LOOK_AGAIN: Final = 0.1
RETRY_BACKOFF_MS: Final = 300
"""How often aiokafka tries again. It logs several lines each time while brokers are away."""

_AUTHORISATION: Final = 29
_NO_LEADER: Final = 5
_UNKNOWN: Final = 3


class Security(TypedDict):
    """What aiokafka calls the ways in."""

    security_protocol: str
    ssl_context: ssl.SSLContext | None
    sasl_mechanism: str
    sasl_plain_username: str | None
    sasl_plain_password: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where Kafka is and how to get in."""

    brokers: tuple[str, ...]
    username: str | None
    password: str | None = field(repr=False)
    ca_file: str | None
    tls: bool
    verify: bool
    connect_timeout: float

    def security(self) -> Security:
        """The ways in.

        Raises:
            ConfigError: The file of certificates cannot be used.
        """
        is_encrypted = self.tls or self.ca_file is not None
        protocol = "SSL" if is_encrypted else "PLAINTEXT"
        return {
            "security_protocol": f"SASL_{protocol}" if self.username else protocol,
            "ssl_context": self._context() if is_encrypted else None,
            "sasl_mechanism": "PLAIN",
            "sasl_plain_username": self.username or None,
            "sasl_plain_password": self.password or None,
        }

    def _context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError("ca_file", self.ca_file, f"a readable file of certificates ({error})") from None
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


async def check_topic(access: Access, topic: str, *, create: bool = False) -> None:
    """Find a broker that lets us in, and see that the topic is there. Nothing stays open.

    Args:
        access: Where to look.
        topic: The topic.
        create: Have Kafka make it, where it does so for those who ask.

    Raises:
        KafkaUnavailableError: No broker can be used; it has the reason of each.
        TopicNotFoundError: There is no such topic.
    """
    deadline = asyncio.get_running_loop().time() + access.connect_timeout
    connection = await _connected(access)
    try:
        async with asyncio.timeout_at(deadline):
            while not await _is_there(connection, topic, create=create):  # noqa: ASYNC110 - by asking alone
                await asyncio.sleep(LOOK_AGAIN)
    except TimeoutError:
        raise KafkaUnavailableError(
            [(broker, f"topic {topic!r} has no leader") for broker in access.brokers]
        ) from None
    except (KafkaError, OSError) as error:
        raise KafkaUnavailableError([(broker, _reason(error)) for broker in access.brokers]) from error
    finally:
        connection.close()


async def _connected(access: Access) -> AIOKafkaConnection:
    reasons: list[tuple[str, str]] = []
    cause: BaseException | None = None
    for broker in access.brokers:
        host, _, port = broker.rpartition(":")
        try:
            async with asyncio.timeout(access.connect_timeout):
                return await create_conn(
                    host.strip("[]"),
                    int(port),
                    client_id=CLIENT_ID,
                    request_timeout_ms=max(1, int(access.connect_timeout * 1000)),
                    **access.security(),
                )
        except (KafkaError, OSError, EOFError, TimeoutError) as error:
            cause = error
            reasons.append((broker, _reason(error)))
    raise KafkaUnavailableError(reasons) from cause


async def _is_there(connection: AIOKafkaConnection, topic: str, *, create: bool) -> bool:
    """Whether the topic can be used. False: not yet."""
    answer = await connection.send(MetadataRequest([topic], allow_auto_topic_creation=create))
    for code, name, *_, partitions in answer.topics:
        if name != topic:
            continue
        if code == _AUTHORISATION:
            raise TopicAuthorizationFailedError(topic)
        if code == _UNKNOWN and not create:
            raise TopicNotFoundError(topic, await _names_like(connection, topic))
        if code not in (0, _UNKNOWN, _NO_LEADER):
            raise for_code(code)(topic)
        return code == 0 and bool(partitions)
    return False


async def _names_like(connection: AIOKafkaConnection, topic: str) -> Sequence[str]:
    with suppress(KafkaError, OSError, TimeoutError):
        answer = await connection.send(MetadataRequest(None, allow_auto_topic_creation=False))
        return near_misses(topic, [name for _, name, *_ in answer.topics])
    return ()


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return str(error) or type(error).__name__


def access_of(given: Any) -> Access:
    """The way to the brokers that settings describe: those of a queue, or others with the same names."""
    return Access(
        brokers=tuple(given.brokers),
        username=given.username,
        password=given.password,
        ca_file=given.ca_file,
        tls=given.tls,
        verify=given.verify,
        connect_timeout=float(given.connect_timeout),
    )
