"""The page about every metric: out of the catalogue, the providers and the exporter's own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from exporter import providers
from exporter.exposition.own_metrics import OWN_METRICS, OwnMetric
from exporter.model import Measure, Provider
from exporter.model.measures import CATALOGUE
from tools.metric_sources import BILLING, VENDORS, of_months, overview, sources

_HEAD: Final = """\
<!-- Made by `make generate` from the code. -->
# Metrics

All metrics: [which vendor gives which](#overview), [each one](#vendor-data) with the vendor's own
field in brackets, and [what the exporter says of itself](#the-exporter-itself). Feeds in **bold** are
polled by default.

Every metric of vendor data also has the labels `provider` and `account`. Units are base units:
bytes, seconds, ratios from 0 to 1. A metric is absent when nothing is known; that is not 0. A label
that the vendor leaves empty is `unknown`. `kind` says what carried the media: `live`, `vod`,
`realtime`, `transcoder`, or `all` where the vendor does not tell them apart. Streams beyond
`limits.streams` are summed under `stream="__other__"`; devices, browsers, and countries by stream
beyond `limits.labels` likewise.

Counters grow by what the vendors report, late and revised numbers included, and go on over
restarts. They never fall: after a revision downwards they stand still until growth has made up
for it. Vendors are asked every `polling.cadence`, not on scrape.
"""

_OVERVIEW: Final = """\
## Overview

The feeds that give a metric, by vendor. Those in **bold** are polled when the account names no
`feeds`; the others have to be listed under `feeds` ([what each costs](request-costs.md)). "with" names
a setting of the account that is needed, too.
"""

_COMPUTED: Final = """
Computed from the ledger, not by a feed: `media_month_to_date_since_timestamp_seconds` and
`media_month_to_date_complete`, for every account that has a sum of the month. For accounts under
[`billing`](billing.md) also {billing}.
"""

_NOT: Final[tuple[tuple[str, str], ...]] = (
    (
        "media_component_delivered_bytes_total",
        "Not to be added to `media_delivered_bytes_total`: "
        "it is what that is made of, though not always all of it.",
    ),
    (
        "media_account_",
        "Not what the account delivered, which is the sum over `kind`, and not to be added to it.",
    ),
    (
        "media_stream_component_delivered_bytes_total",
        "Not to be added to `media_stream_delivered_bytes_total`: it is what that is made of.",
    ),
    ("media_stream_restream_seconds_total", "Not viewing time: what was sent on to other servers."),
    (
        "media_browser_",
        "Not to be added to the account's own metrics: the same usage, by browser.",
    ),
    (
        "media_lifetime_",
        "Not usage since the exporter began: it starts at what the vendor has "
        "counted since ever. Not to be added to `media_stream_views_total` and the like.",
    ),
    (
        "media_usage_delivered_seconds_total",
        "Not watching time as the viewership feed measures it: this is what is billed.",
    ),
    (
        "media_transcoded_seconds_total",
        "Not the time that transcoding took, but what was "
        "transcoded, as billed. For Millicast a day is billed in the course of the next.",
    ),
    ("media_restream_seconds_total", "Not viewing time, and not part of any other metric."),
    ("media_stored_seconds", "Not a sum: a mean over the newest complete hour. No `rate()`."),
    ("media_stored_bytes", "Not byte-hours: what is stored now. No `rate()`."),
    ("media_stream_info", "Not a measurement: its value is always 1. Join it by `stream`."),
    ("media_streams_live", "Not the streams that have usage: only those on air at the poll."),
    (
        "media_viewers",
        "Not a number of views, and not to be summed over time. For Wowza and "
        "Livepeer not the sum of streams either: viewers are unique.",
    ),
    (
        "media_stream_viewers",
        "Not a number of views. Of Wowza and Livepeer, viewers are unique: do not add streams up.",
    ),
    ("media_exits_before_start_total", "Not a percentage, whatever the vendor's documents say."),
    ("media_time_to_first_frame_seconds", "Not a median, and not live: a mean over an hour."),
    (
        "media_rebuffer_ratio",
        "Not live: a mean over an hour. Means cannot be averaged further "
        "without their number of sessions.",
    ),
    (
        "media_playback_error_ratio",
        "Not live: a mean over an hour. Means cannot be averaged further "
        "without their number of sessions.",
    ),
    ("media_realtime_playback_error_ratio", "Not a share of views: of the sessions active now."),
    (
        "media_jobs_total",
        "Not jobs that were submitted: those completed, by day of completion. "
        "It may be more than succeeded and failed together, as cancelled jobs are neither.",
    ),
    (
        "media_jobs_succeeded_total",
        "Not the same count as "
        '`media_jobs_finished_total{status="success"}`: this is the vendor\'s own total.',
    ),
    (
        "media_jobs_failed_total",
        "Not the same count as "
        '`media_jobs_finished_total{status="failed"}`: this is the vendor\'s own total.',
    ),
    (
        "media_jobs_finished_total",
        "Not for billing: jobs listed one by one, of the last 31 days. "
        "The vendor's own totals are `media_jobs_total` and its siblings.",
    ),
    ("media_jobs_in_progress", "Not jobs ever begun: those unfinished now."),
    ("media_job_queue_seconds", "Not for jobs that never started: they are left out."),
    (
        "media_job_processing_seconds",
        "Not the length of the media, and not the vendor's "
        "`duration`, whose meaning is not documented.",
    ),
    (
        "media_oldest_unfinished_job_timestamp_seconds",
        "Not an age: an instant. Subtract it from `time()`. Absent when nothing is unfinished.",
    ),
    ("media_month_to_date_cost", "Not an invoice: no taxes or credits, and the prices are yours."),
    ("media_previous_month_cost", "Not an invoice: no taxes or credits, and the prices are yours."),
    ("media_month_forecast_cost", "Not a promise: usage may change its pace."),
    ("media_month_to_date_charged_units", "Not only the units that cost something: all of them."),
    ("media_charge_info", "Not what the charge is limited to by `where`."),
    ("media_included_units", "Not what is left: what the contract includes a month."),
    ("media_included_used_ratio", "Not limited to 1: it goes on growing once all is used."),
    ("media_month_forecast_included_used_ratio", "Not a promise: usage may change its pace."),
    ("media_price", "Not a mean: the price of the next unit."),
    ("media_budget", "Not a limit: nothing is refused beyond it."),
    ("media_commitment", "Not a cost: the least that is billed a month."),
    ("media_contract_end_timestamp_seconds", "Not an age: an instant. Subtract `time()` from it."),
    (
        "media_month_to_date_complete",
        "Not final: the vendor may still add to, or revise, what is there.",
    ),
    ("media_previous_month_", "Not what the invoice says: what the ledger holds of that month."),
    ("media_month_to_date_", "Not what the invoice says: what the ledger holds of the month."),
    ("media_received_bytes_total", "Not the sum of streams: the account's own total."),
    (
        "media_delivered_bytes_total",
        "Not the sum of streams, and not the sum of "
        "`media_component_delivered_bytes_total`: the account's own total.",
    ),
    ("media_egress_", "Not delivery to viewers: what was pulled from storage or transcoders."),
    (
        "media_stream_egress_",
        "Not delivery to viewers: what was pulled from storage or transcoders.",
    ),
    ("media_country_viewers", "Not to be summed over time: viewers are unique."),
    ("media_stream_country_viewers", "Not to be summed over time or streams: viewers are unique."),
    ("media_device_viewers", "Not to be summed over time: viewers are unique."),
    ("media_rendition_viewers", "Not to be summed over time: viewers are unique."),
    (
        "media_stream_rendition_viewers",
        "Not to be summed over time or streams: viewers are unique.",
    ),
    (
        "media_stream_country_",
        "Not to be added to `media_stream_…` or `media_country_…`: the same "
        "usage, broken down by both.",
    ),
    (
        "media_creator_",
        "Not to be added to `media_stream_…`: the same usage, by the ids of assets and live "
        "streams in place of playback ids.",
    ),
    (
        "media_country_",
        "Not to be added to the account's own metrics: the same usage, by country. "
        "Restreaming and cascading have no country.",
    ),
    ("media_stream_", "Not to be added to the account's own metrics: the same usage, by stream."),
    ("media_viewing_seconds_total", "Not the sum of streams: the account's own total."),
    ("media_views_total", "Not unique viewers: one viewer may start several times."),
)
"""What a metric is easily taken for: by the beginning of its name, the first that fits."""


def documentation() -> str:
    """docs/metrics.md."""
    known = providers.load()
    computed = _COMPUTED.format(billing=", ".join(f"`{one.name}`" for one in BILLING))
    parts = [_HEAD, _OVERVIEW, overview(known) + computed, "## Vendor data\n"]
    parts += (_of_vendors(measure, known) for measure in CATALOGUE)
    parts.append("## The exporter itself\n")
    parts.append("| metric | type | unit | labels | what it says |\n|---|---|---|---|---|")
    parts += (_own(metric) for metric in OWN_METRICS)
    return "\n".join(parts) + "\n"


def is_not(name: str) -> str:
    """What the metric is easily taken for, and is not. Raises LookupError when nobody said."""
    for beginning, text in _NOT:
        if name == beginning or (beginning.endswith("_") and name.startswith(beginning)):
            return text
    raise LookupError(f"tools/metrics.py does not say what {name} is not")


def unit(name: str) -> str:
    """The unit in a metric's name."""
    bare = name.removesuffix("_total")
    for suffix, what in (
        ("_timestamp_seconds", "seconds since 1970"),
        ("_seconds", "seconds"),
        ("_bytes", "bytes"),
        ("_ratio", "ratio"),
        ("_info", "none"),
        ("_success", "0 or 1"),
        ("_successful", "0 or 1"),
    ):
        if bare.endswith(suffix):
            return what
    return "number"


def _of_vendors(measure: Measure, known: Mapping[str, Provider]) -> str:
    help_text = re.sub(r" Polled every cadence, not on scrape: .*", "", measure.help)
    labels = ", ".join(f"`{label}`" for label in measure.labels) or "none of its own"
    sources = "; ".join(_sources(measure, known)) or _computed(measure)
    lines = [
        f"### `{measure.name}`\n",
        f"{measure.type.capitalize()}, {unit(measure.name)}. Labels: {labels}.\n",
        f"{help_text}\n",
        f"- From: {sources}.",
        f"- {is_not(measure.name)}",
    ]
    if measure.buckets:
        bounds = ", ".join(f"{bound:g}" for bound in measure.buckets)
        lines.append(f"- Buckets: {bounds}.")
    return "\n".join(lines) + "\n"


def _computed(measure: Measure) -> str:
    if measure in BILLING:
        return "the ledger, where [`billing`](billing.md) is configured"
    counters = sorted(f"`{counter.name}`" for counter in of_months(measure))
    return f"the ledger's buckets of {' and '.join(counters)}" if counters else "the ledger"


def _sources(measure: Measure, known: Mapping[str, Provider]) -> Iterator[str]:
    for name in (name for name in VENDORS if name in known):
        found = ", ".join(map(str, sources(measure, known[name])))
        if found:
            yield f"{name} {found}"


def _own(metric: OwnMetric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.type} | {unit(metric.name)} | {labels} | {metric.help} |"
