"""Kafka as a message queue, on a par with go-queue's kq: a `Pusher` and a `Queue`.

    async with Pusher(["localhost:9092"], "payments") as pusher:
        await pusher.push(b"paid", key="order-7")

    queue = Queue(KqConf(brokers=("localhost:9092",), group="shop", topic="payments"), handle)
    await queue.start()

Keys, headers, compression and consumer groups are those of go-queue, so that programs in both languages share
topics and groups. Guarantees are ours: pushed messages are acknowledged, and what is unfinished is not
committed.

Needs the extra `kq`.
"""

from __future__ import annotations

from importlib.util import find_spec

if find_spec("aiokafka") is None or find_spec("cramjam") is None:  # pragma: no cover - the tests have them
    advice = 'asyncq.kq needs aiokafka and cramjam: pip install "asyncq[kq]"'
    raise ImportError(advice)

from asyncq.kq.balancers import Balancer, Hash, LeastBytes, Murmur2, RoundRobin
from asyncq.kq.calls import ErrorHandler, Handler
from asyncq.kq.config import KqConf
from asyncq.kq.delivery import Delivery
from asyncq.kq.errors import (
    KafkaUnavailableError,
    MessageFailedError,
    PushError,
    TopicNotFoundError,
    Unstored,
)
from asyncq.kq.message import Message, Place
from asyncq.kq.pusher import Pusher
from asyncq.kq.queue import Queue
from asyncq.kq.stats import PusherStats, QueueStats
from asyncq.kq.unstored import PushErrorHandler

__all__ = [
    "Balancer",
    "Delivery",
    "ErrorHandler",
    "Handler",
    "Hash",
    "KafkaUnavailableError",
    "KqConf",
    "LeastBytes",
    "Message",
    "MessageFailedError",
    "Murmur2",
    "Place",
    "PushError",
    "PushErrorHandler",
    "Pusher",
    "PusherStats",
    "Queue",
    "QueueStats",
    "RoundRobin",
    "TopicNotFoundError",
    "Unstored",
]
