"""What the metrics are made of: values that are kept elsewhere, the words of labels, the text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from coord.consul.errors import (
    ConsulError,
    ConsulNotFound,
    ConsulNotPermitted,
    ConsulRefused,
    ConsulUnavailable,
)

CONSUL_ERROR_KINDS = ("refused", "unavailable", "no_leader", "not_permitted", "not_found")

_CREATED = "_created"


def consul_error_kind(error: ConsulError) -> str:
    """The `kind` label of an error: one of `CONSUL_ERROR_KINDS`."""
    match error:
        case ConsulUnavailable():
            return "no_leader" if error.no_leader else "unavailable"
        case ConsulNotPermitted():
            return "not_permitted"
        case ConsulNotFound():
            return "not_found"
        case ConsulRefused():
            return "refused"
        case _:
            return "unavailable"


def read_or_nan(read: Callable[[], float]) -> float:
    """What `read` gives, or NaN: one value that cannot be had must not cost all the others."""
    try:
        return float(read())
    except Exception:
        return math.nan


@dataclass(frozen=True, slots=True)
class CounterReader(Collector):
    """A counter that is kept elsewhere."""

    name: str
    text: str
    read: Callable[[], float]

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(self.name, self.text, value=read_or_nan(self.read))


def rendered(registry: CollectorRegistry) -> bytes:
    """The text of all metrics, without when each began: that is a fifth of all series, and nobody
    asks for it."""
    return generate_latest(_WithoutBeginnings(registry))


class _WithoutBeginnings(CollectorRegistry):
    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()
        self._all = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._all.collect():
            metric.samples = [s for s in metric.samples if not s.name.endswith(_CREATED)]
            yield metric
