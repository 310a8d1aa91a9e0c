"""The formats, and the lines of the two that are text.

Text 0.0.4: https://prometheus.io/docs/instrumenting/exposition_formats/
OpenMetrics 1.0.0: https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass

from exporter.model import Measure

# Prometheus refuses a whole page for one NUL in a label.
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n", "\0": "\ufffd"})
_SPECIAL = re.compile(r'[\\"\n\0]')
_HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})


class Format(enum.Enum):
    """What a scraper can be served; the value is the Content-Type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    PROTOBUF = (
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily;"
        " encoding=delimited"
    )

    # Members are compared by identity. The hash of `Enum` is written in Python, and pages are kept
    # by format.
    __hash__ = object.__hash__


TEXT_FORMATS = (Format.TEXT, Format.OPENMETRICS)
"""Those that are always ready."""


@dataclass(frozen=True, slots=True)
class Family:
    """What stands above a metric's samples. `name` is without `_total`."""

    name: str
    type: str
    help: str

    @classmethod
    def of(cls, measure: Measure) -> Family:
        """The family of a vendor metric."""
        name = measure.name
        return cls(name.removesuffix("_total"), measure.type, measure.help)

    @property
    def full_name(self) -> str:
        """The name, which ends in `_total` if it is a counter."""
        return f"{self.name}_total" if self.type == "counter" else self.name

    def header(self, format: Format) -> bytes:
        """The HELP and TYPE lines of a text format. A counter's name there is full in text 0.0.4."""
        name = self.name
        help_text = self.help.translate(_HELP_ESCAPES)
        if format is Format.TEXT:
            name = self.full_name
        else:
            help_text = help_text.replace('"', r"\"")
        text = f"# HELP {name} {help_text}\n# TYPE {name} {self.type}\n"
        return text.encode("utf-8", "replace")


def escaped(value: str) -> str:
    """A label's value as it stands between quotes. Most need no escaping, and are told quickly."""
    return value.translate(_ESCAPES) if _SPECIAL.search(value) else value


def labels_text(pairs: Iterable[tuple[str, str]]) -> str:
    """`a="x",b="y"`, with what needs escaping escaped."""
    return ",".join(f'{name}="{escaped(value)}"' for name, value in pairs)


def number(value: int | float) -> str:
    """The shortest text that reads back as `value`; whole numbers without a point."""
    if isinstance(value, int):
        return str(value)
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)


def scaled(amount: int, resolution: int) -> str:
    """`amount` parts of a unit as a number of units."""
    whole, rest = divmod(amount, resolution)
    return str(whole) if rest == 0 else repr(amount / resolution)
