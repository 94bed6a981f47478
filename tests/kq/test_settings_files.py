"""The settings of a queue from the files of go-queue's users, and in a group of services."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from asyncq.app import ServiceConf, ServiceGroup, SettingsError, load
from asyncq.kq import KqConf, Message, Queue
from tests.kq.handling import NotingHandler, conf, until_committed
from tests.support.kafka_double import FakeCluster

YAML = """
Name: order-mq
Mode: dev
PaymentUpdateStatusConf:
  Name: PaymentUpdateStatus
  Brokers:
    - kafka:9092
    - kafka2:9092
  Group: payment-update-paystatus-group
  Topic: payment-update-paystatus-topic
  Offset: first
  Consumers: 1
  Processors: 1
  MinBytes: 1
  ForceCommit: false
  CommitInOrder: true
  Username: alice
  Password: "12345"
"""


@dataclass(frozen=True, kw_only=True)
class Settings(ServiceConf):
    """What the program of a tutorial has."""

    payment_update_status_conf: KqConf


def test_the_files_of_tutorials_load_as_they_are(tmp_path: Path) -> None:
    """Names are go-queue's, whatever their case."""
    path = tmp_path / "order.yaml"
    path.write_text(YAML)
    found = load(path, Settings).payment_update_status_conf
    assert found == KqConf(
        name="PaymentUpdateStatus",
        brokers=("kafka:9092", "kafka2:9092"),
        group="payment-update-paystatus-group",
        topic="payment-update-paystatus-topic",
        offset="first",
        consumers=1,
        processors=1,
        min_bytes=1,
        force_commit=False,
        commit_in_order=True,
        username="alice",
        password="12345",
    )


def test_what_is_wrong_in_a_file_is_said(tmp_path: Path) -> None:
    """By the loader, with the names of the file."""
    path = tmp_path / "order.yaml"
    path.write_text(YAML.replace("first", "middle").replace("Processors: 1", "Processors: 0"))
    with pytest.raises(SettingsError, match="middle"):
        load(path, Settings)


async def test_a_queue_is_a_service(broker: FakeCluster) -> None:
    """It goes into a group as it is."""
    handler = NotingHandler()
    broker.put("a")
    group = ServiceGroup()
    group.add(Queue(conf(), handler))
    life = asyncio.ensure_future(group.start())
    await until_committed(broker, 0, 1)
    await group.stop()
    await life
    assert broker.members == []


async def test_a_queue_that_cannot_begin_ends_its_group(
    broker: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the group says why."""

    async def fail(*_: object, **__: object) -> None:
        raise LookupError("no such topic")

    async def handle(message: Message) -> None:
        """Do nothing."""

    monkeypatch.setattr("asyncq.kq.queue.check_topic", fail)
    group = ServiceGroup()
    group.add(Queue(conf(), handle))
    with pytest.raises(LookupError, match="no such topic"):
        await group.start()
