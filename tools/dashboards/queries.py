"""PromQL over the catalogue: a metric that does not exist cannot be asked for.

Every selector carries the dashboard's variables. Windows are fixed rather than `$__rate_interval`:
vendors publish every quarter of an hour at best, so a window of a few scrapes would show spikes
with nothing between them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from exporter.exposition.own_metrics import OwnMetric
from exporter.model import Measure
from exporter.model.measures import STREAM_INFO

Metric: TypeAlias = Measure | OwnMetric

ACCOUNT = ("provider", "account")
FEED = (*ACCOUNT, "feed")
STREAM = (*ACCOUNT, "stream")

HOUR = "1h"
DAY = "1d"
WEEK = "7d"
RANGE = "$__range"
MONTH_LEFT = "(scalar(days_in_month() - day_of_month() + 1) * 86400 - time() % 86400)"
"""Seconds to the end of the month, UTC."""

TARGET = {"job": "$job", "instance": "$instance"}


def matchers(names: Sequence[str], *, own: bool = False) -> str:
    """`job=~"$job",…` for the target and, unless the metric is the process's `own`, the account."""
    chosen = (*TARGET, *(() if own else ACCOUNT), *names)
    return ", ".join(f'{name}=~"${name}"' for name in chosen)


def series(
    metric: Metric, *names: str, part: str = "", only: Mapping[str, str] | None = None
) -> str:
    """The metric's series, narrowed to the variables `names` and to `only` these labels.

    `part` is `_bucket` and the like.
    """
    every = metric.labels if isinstance(metric, OwnMetric) else (*ACCOUNT, *metric.labels)
    fixed = only or {}
    unknown = {*names, *fixed} - set(every)
    if unknown:
        raise ValueError(f"{metric.name} has no label {', '.join(sorted(unknown))}")
    chosen = ", ".join(
        [
            matchers(names, own="account" not in every),
            *(f'{name}="{value}"' for name, value in fixed.items()),
        ]
    )
    return f"{metric.name}{part}{{{chosen}}}"


def target(name: str) -> str:
    """A metric that Prometheus or the client library keeps about the exporter's process."""
    return f"{name}{{{matchers((), own=True)}}}"


def alerts_firing() -> str:
    """The exporter's own alerts that fire, those without one of the variables' labels among them.

    An alert on an account's sums has no instance, one on the exporter no account.
    """
    chosen = ", ".join(f'{name}=~"${name}|"' for name in (*TARGET, *ACCOUNT))
    return f'ALERTS{{alertname=~"MediaUsage.*", alertstate="firing", {chosen}}}'


def now(
    metric: Metric, by: Sequence[str] = (), *names: str, how: str = "sum", offset: str = ""
) -> str:
    """A gauge now, or so long ago as `offset` says."""
    at = f" offset {offset}" if offset else ""
    return _grouped(how, by, f"{series(metric, *names)}{at}")


def grown(
    metric: Metric,
    window: str,
    by: Sequence[str] = (),
    *names: str,
    part: str = "",
    offset: str = "",
) -> str:
    """By how much a counter grew over `window`, which ended so long ago as `offset` says."""
    at = f" offset {offset}" if offset else ""
    return _grouped("sum", by, f"increase({series(metric, *names, part=part)}[{window}]{at})")


def billed(measure: Measure, expression: str) -> str:
    """An amount of `measure` in what people are billed by: viewing in hours, other time in minutes."""
    if "viewing_seconds" in measure.name:
        return f"{expression} / 3600"
    if "_seconds" in measure.name:
        return f"{expression} / 60"
    return expression


def quantile(metric: Metric, share: float, window: str, by: Sequence[str] = (), *names: str) -> str:
    """A histogram's quantile over `window`."""
    buckets = grown(metric, window, ("le", *by), *names, part="_bucket")
    return f"histogram_quantile({share}, {buckets})"


def mean(metric: Metric, window: str, by: Sequence[str] = (), *names: str) -> str:
    """A histogram's mean over `window`."""
    amount = grown(metric, window, by, *names, part="_sum")
    return f"{amount} / ({grown(metric, window, by, *names, part='_count')} > 0)"


def age(metric: Metric, by: Sequence[str] = ()) -> str:
    """How long ago a timestamp was, 0 if it is yet to come; of several, the longest."""
    return _grouped("max", by, f"clamp_min(time() - {series(metric)}, 0)")


def top(count: int, expression: str) -> str:
    """The largest ones."""
    return f"topk({count}, {expression})"


def named(expression: str) -> str:
    """The same series by STREAM with a label `name`, which is the stream itself where none is known."""
    info = f"topk by ({', '.join(STREAM)}) (1, {series(STREAM_INFO)})"
    on = f"on ({', '.join(STREAM)})"
    return (
        f"{expression} * {on} group_left(name) {info}"
        f' or {on} label_replace({expression}, "name", "$1", "stream", "(.+)")'
    )


def _grouped(how: str, by: Sequence[str], expression: str) -> str:
    clause = f" by ({', '.join(by)})" if by else ""
    return f"{how}{clause} ({expression})" if by else f"{how}({expression})"
