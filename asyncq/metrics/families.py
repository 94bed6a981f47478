"""Families of metrics, made of numbers that somebody else has."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from asyncq.measures import BOUNDS, Spread
from asyncq.metrics.naming import require_namespace

BUCKETS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
    *(25.0, 50.0, 100.0, 250.0, 1000.0, 10000.0),
)
"""Upper bounds of Prometheus' buckets: some of those that asyncq counts in (`asyncq.measures.BOUNDS`)."""

_CLASSES: Final = tuple(BOUNDS.index(bound) + 1 for bound in BUCKETS)

Labels = Mapping[str, str]

_F = TypeVar("_F", CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily)


class Families:
    """Gathers samples into families.

    Args:
        namespace: What every name begins with.
    """

    def __init__(self, namespace: str) -> None:
        self._namespace: Final = namespace
        self._families: Final[dict[str, Metric]] = {}

    def count(self, name: str, help_: str, value: float, /, **labels: str) -> None:
        """Something that only grows; its name is said without `_total`."""
        family = self._family(CounterMetricFamily, name, help_, labels)
        family.add_metric(self._values(labels), value)

    def gauge(self, name: str, help_: str, value: float, /, **labels: str) -> None:
        """Something that goes up and down."""
        family = self._family(GaugeMetricFamily, name, help_, labels)
        family.add_metric(self._values(labels), value)

    def spread(self, name: str, help_: str, value: Spread, /, **labels: str) -> None:
        """Times, sorted into classes."""
        family = self._family(HistogramMetricFamily, name, help_, labels)
        counts = value.counts or (0,) * (len(BOUNDS) + 1)
        buckets: list[tuple[str, float]] = []
        below = before = 0
        for bound, upto in zip(BUCKETS, _CLASSES, strict=True):
            below += sum(counts[before:upto])
            before = upto
            buckets.append((repr(bound), below))
        buckets.append(("+Inf", below + sum(counts[before:])))
        family.add_metric(self._values(labels), buckets, value.seconds)

    def all(self) -> list[Metric]:
        """Every family there is."""
        return list(self._families.values())

    def _values(self, labels: Labels) -> list[str]:
        # Whoever enqueues chooses types, also such that are no text.
        return [value.encode("utf-8", "replace").decode() for value in labels.values()]

    def _family(self, kind: type[_F], name: str, help_: str, labels: Labels) -> _F:
        family = self._families.get(name)
        if not isinstance(family, kind):
            family = kind(f"{self._namespace}_{name}", help_, labels=list(labels))
            self._families[name] = family
        return family


class Filler(Collector):
    """A collector that fills families anew for each scrape.

    Args:
        namespace: What every name begins with.

    Raises:
        ConfigError: It cannot be one.
    """

    def __init__(self, namespace: str) -> None:
        self._namespace: Final = require_namespace(namespace)

    @abstractmethod
    def _fill(self, to: Families) -> None:
        """Add what there is now."""

    def collect(self) -> Iterable[Metric]:
        """Made anew for each scrape."""
        families = Families(self._namespace)
        self._fill(families)
        return families.all()

    def describe(self) -> Iterable[Metric]:
        """Nothing: what there is to say is known when it is scraped."""
        return []


class Ready(Collector):
    """A collector of families that are there already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families: Final = list(families)

    def collect(self) -> Iterable[Metric]:
        """All of them."""
        return self._families


async def encoded(collectors: Iterable[Collector], accept: str) -> tuple[bytes, str]:
    """A page, in the format that the scraper asks for, and what it is.

    Made in a thread: ten thousand lines take a tenth of a second, in which the event loop has better to do.

    Args:
        collectors: Whose metrics.
        accept: The header of this name.
    """
    registry = CollectorRegistry(auto_describe=False)
    for collector in collectors:
        registry.register(collector)
    encode, content_type = choose_encoder(accept)
    return await asyncio.to_thread(encode, registry), content_type
