"""Metrics for Prometheus: what consumers of a delay queue did. Needs the extra `metrics`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from asyncq.dq.consumer import Consumer
from asyncq.metrics.families import Families, Filler
from asyncq.metrics.naming import require_different

__all__ = ["ConsumerCollector"]

_HELP: Final[Mapping[str, str]] = {
    "received": "Copies of messages that nodes handed out.",
    "handled": "Messages whose handler succeeded.",
    "failed": "Attempts whose handler failed.",
    "buried": "Copies that were set aside, since their message failed too often.",
    "discarded": "Messages that were late, or that nobody could read.",
    "duplicates": "Copies that were thrown away, since their message was done.",
    "backups": "Copies that were put off, since somebody else handled their message.",
    "postponed": "Copies that were put off, since Redis was away.",
    "lost": "Messages that are gone without having been handled, with early acknowledgement.",
    "given_back": "Copies whose handler was not done when the consumer had to leave.",
}


class ConsumerCollector(Filler):
    """Shows what consumers of this process did since they started.

        REGISTRY.register(ConsumerCollector(consumer))

    Or hand it to `asyncq.app.set_up`. All numbers come from memory.

    Args:
        consumers: Usually one. Several need different names (`Consumer(name=)`), for the label `consumer`.
        namespace: What every name begins with.

    Raises:
        ConfigError: Two consumers have the same name, or the namespace cannot be one.
    """

    def __init__(self, *consumers: Consumer, namespace: str = "asyncq") -> None:
        require_different([consumer.name for consumer in consumers], label="consumer")
        super().__init__(namespace)
        self._consumers: Final = consumers

    def _fill(self, to: Families) -> None:
        """Add what each did."""
        for consumer in self._consumers:
            stats = consumer.stats
            for name, help_ in _HELP.items():
                to.count(f"dq_{name}", help_, getattr(stats, name), consumer=consumer.name)
            to.gauge("dq_running", "Messages that are being handled.", stats.running, consumer=consumer.name)
