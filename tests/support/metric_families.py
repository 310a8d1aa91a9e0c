"""Reads Prometheus' protobuf format with Google's library, from the published message types.

https://github.com/prometheus/client_model/blob/master/io/prometheus/client/metrics.proto
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

CONTENT_TYPE = (
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
)

_MESSAGES = {
    "Timestamp": "1 seconds int64, 2 nanos int32",
    "LabelPair": "1 name string, 2 value string",
    "Gauge": "1 value double",
    "Counter": "1 value double, 3 created_timestamp Timestamp",
    "Bucket": "1 cumulative_count uint64, 2 upper_bound double",
    "Histogram": "1 sample_count uint64, 2 sample_sum double, 3 bucket Bucket*,"
    " 15 created_timestamp Timestamp",
    "Metric": "1 label LabelPair*, 2 gauge Gauge, 3 counter Counter, 7 histogram Histogram",
    "MetricFamily": "1 name string, 2 help string, 3 type int32, 4 metric Metric*",
}
TYPES = {0: "counter", 1: "gauge", 4: "histogram"}

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@cache
def _message(name: str) -> type[Any]:
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="metrics.proto", package="m", syntax="proto2")
    for message, fields in _MESSAGES.items():
        described = file.message_type.add(name=message)
        for text in fields.split(", "):
            number, field, kind = text.split()
            repeated = kind.endswith("*")
            kind = kind.removesuffix("*")
            added = described.field.add(
                name=field,
                number=int(number),
                label=kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL,
            )
            if kind in _MESSAGES:
                added.type, added.type_name = kinds.TYPE_MESSAGE, f".m.{kind}"
            else:
                added.type = getattr(kinds, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"m.{name}"))


def families(page: bytes) -> Iterator[Any]:
    """The messages of a page; each says its size first."""
    position = 0
    while position < len(page):
        size = shift = 0
        while True:
            byte = page[position]
            position += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        family = _message("MetricFamily")()
        assert family.ParseFromString(page[position : position + size]) == size
        position += size
        yield family


def samples(page: bytes) -> Samples:
    """What the text format would show, by name and sorted labels."""
    found: Samples = {}
    for family in families(page):
        for metric in family.metric:
            pairs = [(pair.name, pair.value) for pair in metric.label]
            values: list[tuple[str, list[tuple[str, str]], float]]
            match TYPES[family.type]:
                case "counter":
                    values = [("", [], metric.counter.value)]
                case "gauge":
                    values = [("", [], metric.gauge.value)]
                case _:
                    histogram = metric.histogram
                    values = [
                        ("_count", [], histogram.sample_count),
                        ("_sum", [], histogram.sample_sum),
                        *(
                            ("_bucket", [("le", bound_text(one.upper_bound))], one.cumulative_count)
                            for one in histogram.bucket
                        ),
                    ]
            for suffix, more, value in values:
                key = (family.name + suffix, tuple(sorted([*pairs, *more])))
                assert key not in found
                found[key] = value
    return found


def created(page: bytes) -> dict[str, list[float | None]]:
    """The start timestamps of each family's counters and histograms, in their order."""
    found: dict[str, list[float | None]] = {}
    for family in families(page):
        for metric in family.metric:
            for part in (metric.counter, metric.histogram):
                if metric.HasField(part.DESCRIPTOR.name.lower()):
                    known = part.HasField("created_timestamp")
                    stamp = part.created_timestamp
                    at = stamp.seconds + stamp.nanos / 1e9 if known else None
                    found.setdefault(family.name, []).append(at)
    return found


def bound_text(bound: float) -> str:
    """As the text format writes it."""
    return "+Inf" if bound == float("inf") else str(bound)
