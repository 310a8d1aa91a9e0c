"""Metrics kept by prometheus_client, as blocks for the exposition."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric

from exporter.exposition import Block, Family, Format, protobuf
from exporter.exposition.own_metrics import OwnMetric
from exporter.exposition.text import labels_text, number


class Registry:
    """Some metrics of one owner, as blocks that are rendered when they have changed."""

    def __init__(self, metrics: Iterable[OwnMetric], *, created_timestamps: bool) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self._created = created_timestamps
        self._gauges: dict[OwnMetric, Gauge] = {}
        self._counters: dict[OwnMetric, Counter] = {}
        self._histograms: dict[OwnMetric, Histogram] = {}
        self.families: dict[str, Family] = {}
        self.changed = True
        self.renderings = 0
        self.protobuf = False
        """Whether protobuf is rendered, too."""
        self.blocks: dict[Format, dict[str, Block]] = {kind: {} for kind in Format}
        for metric in metrics:
            match metric.type:
                case "gauge":
                    self._gauges[metric] = Gauge(
                        metric.name, metric.help, metric.labels, registry=self.registry
                    )
                case "counter":
                    self._counters[metric] = Counter(
                        metric.name, metric.help, metric.labels, registry=self.registry
                    )
                case "histogram":
                    self._histograms[metric] = Histogram(
                        metric.name,
                        metric.help,
                        metric.labels,
                        registry=self.registry,
                        buckets=metric.buckets,
                    )

    def set(self, metric: OwnMetric, value: float, *labels: str) -> None:
        """Set a gauge."""
        gauge = self._gauges[metric]
        (gauge.labels(*labels) if labels else gauge).set(value)
        self.changed = True

    def add(self, metric: OwnMetric, value: float, *labels: str) -> None:
        """Increase a counter; by 0 to make its series."""
        counter = self._counters[metric]
        (counter.labels(*labels) if labels else counter).inc(value)
        self.changed = True

    def observe(self, metric: OwnMetric, value: float, *labels: str) -> None:
        """Add an observation to a histogram."""
        self._histograms[metric].labels(*labels).observe(value)
        self.changed = True

    def keep_only(self, label: str, values: Iterable[str]) -> None:
        """Forget every series whose `label` has another value than these."""
        kept = set(values)
        metrics = (self._gauges, self._counters, self._histograms)
        for metric, family in chain.from_iterable(each.items() for each in metrics):
            if label not in metric.labels:
                continue
            found = {
                tuple(sample.labels[name] for name in metric.labels)
                for collected in family.collect()
                for sample in collected.samples
                if sample.labels[label] not in kept
            }
            for labels in found:
                family.remove(*labels)
                self.changed = True

    def render(self) -> None:
        """Bring the blocks up to date."""
        self.changed = False
        for metric in self.registry.collect():
            if not metric.samples:
                for blocks in self.blocks.values():
                    blocks.pop(metric.name, None)
                continue
            lines: list[str] = []
            created: list[str] = []
            for sample in metric.samples:
                labels = labels_text(sample.labels.items())
                line = f"{sample.name}{{{labels}}}" if labels else sample.name
                line = f"{line} {number(sample.value)}\n"
                if not sample.name.endswith("_created"):
                    lines.append(line)
                created.append(line)
            self.families[metric.name] = Family(metric.name, metric.type, metric.documentation)
            block = Block.of("".join(lines).encode("utf-8", "replace"))
            self.blocks[Format.TEXT][metric.name] = block
            self.blocks[Format.OPENMETRICS][metric.name] = (
                Block.of("".join(created).encode("utf-8", "replace")) if self._created else block
            )
            if self.protobuf:
                self.blocks[Format.PROTOBUF][metric.name] = Block.of(_protobuf(metric))


def _protobuf(metric: Metric) -> bytes:
    """The `metric` fields of the family that holds these samples."""
    if metric.type == "gauge":
        return b"".join(
            protobuf.gauge(protobuf.labels(sample.labels.items()), sample.value)
            for sample in metric.samples
        )
    parts: dict[tuple[tuple[str, str], ...], dict[str, float]] = {}
    for sample in metric.samples:
        labels = tuple(pair for pair in sample.labels.items() if pair[0] != "le")
        name = sample.labels.get("le") or sample.name.removeprefix(metric.name)
        parts.setdefault(labels, {})[name] = sample.value
    metrics = []
    for labels, values in parts.items():
        encoded, created = protobuf.labels(labels), values.pop("_created", None)
        if metric.type == "counter":
            metrics.append(protobuf.counter(encoded, values["_total"], created))
            continue
        count, total = values.pop("_count"), values.pop("_sum")
        buckets = [(float(bound), int(number)) for bound, number in values.items()]
        metrics.append(
            protobuf.histogram(
                encoded, count=int(count), sum=total, buckets=buckets, created=created
            )
        )
    return b"".join(metrics)
