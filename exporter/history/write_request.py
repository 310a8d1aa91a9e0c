"""Encodes Prometheus' WriteRequest: protobuf, with the message declared here, and Snappy.

The message is that of `prompb/remote.proto` and `prompb/types.proto`, of which remote write 1.0 uses
five fields:

    WriteRequest  { repeated TimeSeries timeseries = 1; }
    TimeSeries    { repeated Label labels = 1; repeated Sample samples = 2; }
    Label         { string name = 1; string value = 2; }
    Sample        { double value = 1; int64 timestamp = 2; }
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from exporter.model import extras
from exporter.model.errors import ExporterError

Series = tuple[tuple[tuple[str, str], ...], list[tuple[int, float]]]
"""Sorted labels, and samples as (Unix milliseconds, value)."""


def encoder() -> Callable[[Iterable[Series]], bytes]:
    """A function that encodes a request's body; ExporterError when the libraries are missing."""
    try:
        import cramjam
        from google.protobuf import (  # noqa: F401
            descriptor_pb2,
            descriptor_pool,
            message_factory,
        )
    except ImportError:
        raise ExporterError(
            f"remote_write needs cramjam and protobuf: {extras.install('remote-write')}"
        ) from None
    message = message_class()

    def encode(series: Iterable[Series]) -> bytes:
        request = message()
        for labels, samples in series:
            one = request.timeseries.add()
            for name, value in labels:
                one.labels.add(name=name, value=value)
            for timestamp, number in samples:
                one.samples.add(timestamp=timestamp, value=number)
        return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))

    return encode


def message_class() -> Any:
    """The protobuf class WriteRequest, in its own descriptor pool instead of the global one."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="remote.proto", package="prometheus", syntax="proto3"
    )
    shapes = {
        "Label": (("name", kinds.TYPE_STRING, ""), ("value", kinds.TYPE_STRING, "")),
        "Sample": (("value", kinds.TYPE_DOUBLE, ""), ("timestamp", kinds.TYPE_INT64, "")),
        "TimeSeries": (
            ("labels", kinds.TYPE_MESSAGE, "Label"),
            ("samples", kinds.TYPE_MESSAGE, "Sample"),
        ),
        "WriteRequest": (("timeseries", kinds.TYPE_MESSAGE, "TimeSeries"),),
    }
    for name, members in shapes.items():
        message = file.message_type.add(name=name)
        for number, (member, kind, of) in enumerate(members, start=1):
            declared = message.field.add(
                name=member, number=number, type=kind, label=kinds.LABEL_OPTIONAL
            )
            if of:
                declared.label = kinds.LABEL_REPEATED
                declared.type_name = f".prometheus.{of}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("prometheus.WriteRequest"))
