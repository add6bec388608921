"""Metrics, read back as Prometheus reads them."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from coord.telemetry.metrics import Metrics


class Rendered:
    """One scrape: values by name and labels."""

    def __init__(self, metrics: Metrics) -> None:
        body, self.content_type = metrics.render()
        self.families = list(text_string_to_metric_families(body.decode()))
        self.samples = [sample for family in self.families for sample in family.samples]

    def value(self, name: str, **labels: str) -> float:
        found = [s.value for s in self.samples if s.name == name and s.labels == labels]
        assert len(found) == 1, f"{name}{labels}: {found}"
        return float(found[0])

    def labels(self, name: str) -> list[dict[str, str]]:
        return [s.labels for s in self.samples if s.name == name]
