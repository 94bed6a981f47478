"""Delayed messages over several beanstalkds, as go-queue's dq has them, and together with it.

    producer = Producer([Beanstalk("10.0.0.1:11300", "orders"), Beanstalk("10.0.0.2:11300", "orders")])
    ids = await producer.delay(b"close 42", timedelta(minutes=30))

    await Consumer(DqConf(nodes, "redis://localhost:6379/0"), handler).start()

docs/guides/dq.md says what is promised, and what in a fleet with consumers of go-queue.
"""

from __future__ import annotations

from asyncq.dq import bridge
from asyncq.dq.conf import Beanstalk, DqConf, RedisConf
from asyncq.dq.consumer import Consumer
from asyncq.dq.errors import DqError, NotRevokedError, NotWrittenError
from asyncq.dq.message import Discarded, Message
from asyncq.dq.producer import Producer, ProducerNode
from asyncq.dq.settings import ConsumerConfig
from asyncq.dq.watch import ConsumerStats

__all__ = [
    "Beanstalk",
    "Consumer",
    "ConsumerConfig",
    "ConsumerStats",
    "Discarded",
    "DqConf",
    "DqError",
    "Message",
    "NotRevokedError",
    "NotWrittenError",
    "Producer",
    "ProducerNode",
    "RedisConf",
    "bridge",
]
