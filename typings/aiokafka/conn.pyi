"""One connection to one broker."""

import asyncio
import ssl
from typing import Any

class AIOKafkaConnection:
    def send(self, request: object, expect_response: bool = True) -> asyncio.Future[Any]: ...
    def close(self, reason: object = None, exc: BaseException | None = None) -> object: ...

async def create_conn(
    host: str,
    port: int,
    *,
    client_id: str = "aiokafka",
    request_timeout_ms: int = 40000,
    ssl_context: ssl.SSLContext | None = None,
    security_protocol: str = "PLAINTEXT",
    sasl_mechanism: str | None = None,
    sasl_plain_username: str | None = None,
    sasl_plain_password: str | None = None,
) -> AIOKafkaConnection: ...
