"""The roles of dq, played by asyncq."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from asyncq.dq import Beanstalk, Consumer, DqConf, Message, Producer, ProducerNode, RedisConf

from .python_lines import Verbs, run_until_told, script, tell

__all__ = ["consume", "produce"]


def _nodes(config: list[dict[str, str]]) -> list[Beanstalk]:
    return [Beanstalk(one["Endpoint"], one["Tube"]) for one in config]


async def produce(config: dict[str, Any]) -> Verbs:
    """A producer on several nodes, or with `single` on one."""
    nodes = _nodes(config["beanstalks"])
    producer = ProducerNode(nodes[0].endpoint, nodes[0].tube) if config.get("single") else Producer(nodes)

    async def delay(payload: bytes, ns: int) -> str:
        # A timedelta is exact to the microsecond, and so are the delays of the tests, but for one.
        return str(
            await producer.delay(payload, timedelta(microseconds=ns / 1000) if ns % 1000 == 0 else ns / 1e9)
        )

    async def at(payload: bytes, unix_ns: int) -> str:
        seconds, rest = divmod(unix_ns, 10**9)
        due = datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=rest // 1000)
        return str(await producer.at(payload, due))

    async def revoke(ids: str) -> None:
        await producer.revoke(ids)

    return {"delay": delay, "at": at, "revoke": revoke, "close": producer.close}


async def consume(config: dict[str, Any]) -> Verbs:
    """A consumer. Its configuration is a DqConf, and `Options` of ours."""
    redis = config["Redis"]
    conf = DqConf(tuple(_nodes(config["Beanstalks"])), RedisConf(redis["Host"], redis["Type"]))

    async def handle(message: Message) -> None:
        tell("begin", payload=message.body, unix_ns=time.time_ns(), attempt=message.attempt, copy=message.id)
        outcome = "cancelled"
        try:
            await script(message.body)
            outcome = "ok"
        except RuntimeError as error:
            outcome = str(error)
            raise
        finally:
            tell("end", payload=message.body, outcome=outcome)

    consumer = Consumer(conf, handle, **config.get("Options", {}))
    run_until_told(consumer)
    return {}
