"""The catalogue: every metric of vendor data, once, with its type, labels and help.

Names, types and labels are stable, since dashboards use them. The help text names the vendor's
own field and its conversion. Seconds are recorded in milliseconds, because two vendors report
minutes as fractions that are a whole number of milliseconds.
"""

from __future__ import annotations

from typing import Final

from exporter.model import Measure

MILLISECONDS: Final = 1000

_POLLED = " Polled every cadence, not on scrape: the vendor renews it every few minutes at best."


def _counter(name: str, help: str, *labels: str, resolution: int = 1, limited: str = "") -> Measure:
    return Measure(name, "counter", labels, help + _POLLED, resolution, limited=limited)


def _seconds(name: str, help: str, *labels: str, limited: str = "") -> Measure:
    return _counter(name, help, *labels, resolution=MILLISECONDS, limited=limited)


def _gauge(name: str, help: str, *labels: str, identity: int = 0, limited: str = "") -> Measure:
    return Measure(name, "gauge", labels, help + _POLLED, identity=identity, limited=limited)


def _histogram(name: str, help: str, *labels: str, buckets: tuple[float, ...]) -> Measure:
    return Measure(name, "histogram", labels, help + _POLLED, MILLISECONDS, buckets)


_JOB_BUCKETS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 10800)

# The whole account, by kind of delivery. Kinds are disjoint.

RECEIVED_BYTES = _counter(
    "media_received_bytes_total",
    "Bytes the vendor received (Millicast bytesIn, Wowza bytes_in).",
    "kind",
)
DELIVERED_BYTES = _counter(
    "media_delivered_bytes_total",
    "Bytes the vendor delivered, its own total"
    " (Millicast bytesOut, Wowza viewing_bytes or bytes_out).",
    "kind",
)
COMPONENT_DELIVERED_BYTES = _counter(
    "media_component_delivered_bytes_total",
    "Parts of media_delivered_bytes_total, not to be added to it"
    " (Millicast standardStream, restream, geoCascade).",
    "component",
)
RESTREAM_SECONDS = _seconds(
    "media_restream_seconds_total", "Seconds of restreaming (Millicast restream.secondsUsed)."
)
EGRESS_BYTES = _counter(
    "media_egress_bytes_total",
    "Bytes pulled from storage or sent out by transcoders (Wowza egress_bytes).",
    "kind",
)
EGRESS_SECONDS = _seconds(
    "media_egress_seconds_total",
    "Seconds of egress; for transcoders, of processing (Wowza egress_seconds).",
    "kind",
)
VIEWING_SECONDS = _seconds(
    "media_viewing_seconds_total",
    "Seconds watched, all viewers together (Wowza viewing_seconds, Livepeer playtimeMins x 60).",
    "kind",
)
VIEWS = _counter("media_views_total", "Times playback was started (Livepeer viewCount).", "kind")
EXITS_BEFORE_START = _counter(
    "media_exits_before_start_total",
    "Viewers who left before the first frame (Livepeer exitsBeforeStart, which is a count).",
    "kind",
    resolution=MILLISECONDS,
)
VIEWERS = _gauge(
    "media_viewers",
    "Viewers now (Millicast viewerCount summed, Wowza account viewers, Livepeer viewCount).",
    "kind",
)
STREAMS_LIVE = _gauge(
    "media_streams_live", "Streams that are live now (Millicast monitoring summary).", "kind"
)

# One stream.

STREAM_RECEIVED_BYTES = _counter(
    "media_stream_received_bytes_total",
    "Bytes received for one stream (Millicast bytesIn, Wowza bytes_in).",
    "kind",
    "stream",
)
STREAM_DELIVERED_BYTES = _counter(
    "media_stream_delivered_bytes_total",
    "Bytes delivered from one stream (Millicast bytesOut, Wowza viewing_bytes or bytes_out).",
    "kind",
    "stream",
)
STREAM_EGRESS_BYTES = _counter(
    "media_stream_egress_bytes_total",
    "Bytes of egress of one stream (Wowza egress_bytes).",
    "kind",
    "stream",
)
STREAM_EGRESS_SECONDS = _seconds(
    "media_stream_egress_seconds_total",
    "Seconds of egress of one stream (Wowza egress_seconds).",
    "kind",
    "stream",
)
STREAM_VIEWING_SECONDS = _seconds(
    "media_stream_viewing_seconds_total",
    "Seconds one stream was watched (Wowza viewing_seconds, Livepeer playtimeMins x 60).",
    "kind",
    "stream",
)
STREAM_VIEWS = _counter(
    "media_stream_views_total",
    "Times playback of one stream was started (Livepeer viewCount).",
    "kind",
    "stream",
)
CREATOR_VIEWING_SECONDS = _seconds(
    "media_creator_viewing_seconds_total",
    "Seconds one asset or live stream in the configuration was watched"
    " (Livepeer's creator query, playtimeMins x 60).",
    "kind",
    "stream",
)
CREATOR_VIEWS = _counter(
    "media_creator_views_total",
    "Times playback of one asset or live stream in the configuration was started"
    " (Livepeer's creator query, viewCount).",
    "kind",
    "stream",
)
STREAM_VIEWERS = _gauge(
    "media_stream_viewers",
    "Viewers of one stream now. Wowza's and Livepeer's are unique viewers: do not add them up.",
    "kind",
    "stream",
)
STREAM_INFO = _gauge(
    "media_stream_info",
    "Always 1; tells a stream's name and whether it was deleted but still bills (Wowza). Of an idle"
    " stream it is what the vendor said last.",
    "kind",
    "stream",
    "name",
    "archived",
    identity=2,
)
STREAM_COMPONENT_DELIVERED_BYTES = _counter(
    "media_stream_component_delivered_bytes_total",
    "Parts of media_stream_delivered_bytes_total, not to be added to it"
    " (Millicast standardStream, restream, geoCascade of one stream).",
    "kind",
    "stream",
    "component",
)
STREAM_RESTREAM_SECONDS = _seconds(
    "media_stream_restream_seconds_total",
    "Seconds of restreaming one stream (Millicast restream.secondsUsed).",
    "kind",
    "stream",
)

# Countries, devices, renditions.

COUNTRY_RECEIVED_BYTES = _counter(
    "media_country_received_bytes_total",
    "Bytes received from one country (Millicast geo bytesIn).",
    "kind",
    "country",
)
COUNTRY_DELIVERED_BYTES = _counter(
    "media_country_delivered_bytes_total",
    "Bytes delivered to one country (Millicast geo bytesOut).",
    "kind",
    "country",
)
COUNTRY_VIEWING_SECONDS = _seconds(
    "media_country_viewing_seconds_total",
    "Seconds watched in one country (Millicast geo duration or viewDuration).",
    "kind",
    "country",
)
COUNTRY_VIEWS = _counter(
    "media_country_views_total",
    "Times playback was started in one country (Millicast geo views).",
    "kind",
    "country",
)
COUNTRY_PUBLISHES = _counter(
    "media_country_publishes_total",
    "Times publishing was started in one country (Millicast geo publishes).",
    "kind",
    "country",
)
COUNTRY_VIEWERS = _gauge(
    "media_country_viewers",
    "Viewers in one country now (Wowza countries, Livepeer country).",
    "kind",
    "country",
)
BROWSER_VIEWS = _counter(
    "media_browser_views_total",
    "Times playback was started in one browser (Livepeer viewCount by browser).",
    "kind",
    "browser",
    limited="browser",
)
BROWSER_VIEWING_SECONDS = _seconds(
    "media_browser_viewing_seconds_total",
    "Seconds watched in one browser (Livepeer playtimeMins x 60 by browser).",
    "kind",
    "browser",
    limited="browser",
)
DEVICE_VIEWERS = _gauge(
    "media_device_viewers",
    "Viewers on one sort of device now (Wowza devices, Livepeer device).",
    "kind",
    "device",
    limited="device",
)
RENDITION_VIEWERS = _gauge(
    "media_rendition_viewers",
    "Viewers of one rendition now (Wowza renditions).",
    "kind",
    "rendition",
)
STREAM_COUNTRY_RECEIVED_BYTES = _counter(
    "media_stream_country_received_bytes_total",
    "Bytes received for one stream from one country (Millicast geo bytesIn).",
    "kind",
    "stream",
    "country",
    limited="country",
)
STREAM_COUNTRY_DELIVERED_BYTES = _counter(
    "media_stream_country_delivered_bytes_total",
    "Bytes delivered from one stream to one country (Millicast geo bytesOut).",
    "kind",
    "stream",
    "country",
    limited="country",
)
STREAM_COUNTRY_VIEWING_SECONDS = _seconds(
    "media_stream_country_viewing_seconds_total",
    "Seconds one stream was watched in one country (Millicast geo duration or viewDuration).",
    "kind",
    "stream",
    "country",
    limited="country",
)
STREAM_COUNTRY_VIEWS = _counter(
    "media_stream_country_views_total",
    "Times playback of one stream was started in one country (Millicast geo views).",
    "kind",
    "stream",
    "country",
    limited="country",
)
STREAM_COUNTRY_PUBLISHES = _counter(
    "media_stream_country_publishes_total",
    "Times publishing of one stream was started in one country (Millicast geo publishes).",
    "kind",
    "stream",
    "country",
    limited="country",
)
STREAM_COUNTRY_VIEWERS = _gauge(
    "media_stream_country_viewers",
    "Viewers of one stream in one country now (Wowza countries).",
    "kind",
    "stream",
    "country",
    limited="country",
)
STREAM_RENDITION_VIEWERS = _gauge(
    "media_stream_rendition_viewers",
    "Viewers of one rendition of one stream now (Wowza renditions).",
    "kind",
    "stream",
    "rendition",
)

# Quality of experience: means over the newest complete hour, so gauges.

TIME_TO_FIRST_FRAME = _gauge(
    "media_time_to_first_frame_seconds",
    "Mean time to the first frame in the newest complete hour (Livepeer ttffMs / 1000).",
    "kind",
)
REBUFFER_RATIO = _gauge(
    "media_rebuffer_ratio",
    "Mean share of playing time spent rebuffering, newest complete hour (Livepeer rebufferRatio).",
    "kind",
)
PLAYBACK_ERROR_RATIO = _gauge(
    "media_playback_error_ratio",
    "Share of sessions with an error in the newest complete hour (Livepeer errorRate).",
    "kind",
)
REALTIME_PLAYBACK_ERROR_RATIO = _gauge(
    "media_realtime_playback_error_ratio",
    "Share of the sessions active now that met an error (Livepeer realtime errorRate).",
    "kind",
)

# Totals that overlap with others, hence families of their own.

ACCOUNT_DELIVERED_BYTES = _counter(
    "media_account_delivered_bytes_total",
    "Bytes delivered, the vendor's total of transcoders and VOD (Wowza account viewing_bytes).",
)
ACCOUNT_VIEWING_SECONDS = _seconds(
    "media_account_viewing_seconds_total",
    "Seconds watched, the vendor's total of transcoders and VOD (Wowza account viewing_seconds).",
)
ACCOUNT_EGRESS_BYTES = _counter(
    "media_account_egress_bytes_total",
    "Bytes of egress, the vendor's total of transcoders and VOD (Wowza account egress_bytes).",
)
ACCOUNT_EGRESS_SECONDS = _seconds(
    "media_account_egress_seconds_total",
    "Seconds of egress, the vendor's total of transcoders and VOD (Wowza account egress_seconds).",
)
LIFETIME_VIEWS = _counter(
    "media_lifetime_views_total",
    "Views of one asset since it exists (Livepeer viewCount + legacyViewCount).",
    "stream",
)
LIFETIME_VIEWING_SECONDS = _seconds(
    "media_lifetime_viewing_seconds_total",
    "Seconds one asset was watched since it exists (Livepeer playtimeMins x 60).",
    "stream",
)

# Transcoding, delivery time and storage.

TRANSCODED_SECONDS = _seconds(
    "media_transcoded_seconds_total",
    "Seconds transcoded (Millicast minutesUsed x 60, Livepeer TotalUsageMins x 60).",
)
USAGE_DELIVERED_SECONDS = _seconds(
    "media_usage_delivered_seconds_total",
    "Seconds delivered to viewers, as billed (Livepeer DeliveryUsageMins x 60).",
)
STORED_SECONDS = _gauge(
    "media_stored_seconds",
    "Seconds of media in storage, an average (Livepeer StorageUsageMins x 60). A level: no rate().",
)
STORED_BYTES = _gauge(
    "media_stored_bytes",
    "Bytes in storage now, by kind of object (Millicast media storage usage).",
    "object",
)

# Jobs.

JOBS = _counter("media_jobs_total", "Jobs completed, failed ones included (Dolby Jobs).", "path")
JOBS_SUCCEEDED = _counter(
    "media_jobs_succeeded_total", "Jobs that succeeded (Dolby Succeeded).", "path"
)
JOBS_FAILED = _counter("media_jobs_failed_total", "Jobs that failed (Dolby Failed).", "path")
JOBS_FINISHED = _counter(
    "media_jobs_finished_total",
    "Jobs seen to finish, each counted once by its id, by the vendor's status (Dolby job list).",
    "path",
    "status",
)
JOBS_IN_PROGRESS = _gauge(
    "media_jobs_in_progress", "Jobs pending or running now (Dolby job list).", "path", "status"
)
JOB_QUEUE_SECONDS = _histogram(
    "media_job_queue_seconds",
    "Time from submission to start of jobs that started (Dolby time_submitted, time_started).",
    "path",
    buckets=_JOB_BUCKETS,
)
JOB_PROCESSING_SECONDS = _histogram(
    "media_job_processing_seconds",
    "Time from start to end of jobs that started (Dolby time_started, time_completed).",
    "path",
    "status",
    buckets=_JOB_BUCKETS,
)
OLDEST_UNFINISHED_JOB = _gauge(
    "media_oldest_unfinished_job_timestamp_seconds",
    "When the oldest job that is not finished was submitted (Dolby time_submitted).",
    "path",
)

# The current month, from the ledger's buckets by their start, to be compared with the invoice.

_MONTH = (
    " in the current month (UTC), from the ledger's buckets by their own time. It holds what the"
    " ledger has: see media_month_to_date_since_timestamp_seconds."
)

MONTH_TO_DATE_BYTES = Measure(
    "media_month_to_date_bytes",
    "gauge",
    ("direction",),
    "Bytes of the account, the sum over the kinds that are polled," + _MONTH,
)
MONTH_TO_DATE_VIEWING_SECONDS = Measure(
    "media_month_to_date_viewing_seconds",
    "gauge",
    (),
    "Seconds watched, the sum over the kinds that are polled," + _MONTH,
)
MONTH_TO_DATE_JOBS = Measure(
    "media_month_to_date_jobs", "gauge", (), "Jobs as the vendor counts them," + _MONTH
)
MONTH_TO_DATE_SINCE = Measure(
    "media_month_to_date_since_timestamp_seconds",
    "gauge",
    (),
    "From when on the month to date is complete: the month's beginning, or later when the ledger"
    " begins later, has compacted earlier buckets, or has a gap that is still to be filled.",
)
MONTH_TO_DATE_COMPLETE = Measure(
    "media_month_to_date_complete",
    "gauge",
    (),
    "Whether the ledger has the current month from its beginning on, without a gap: 1, else 0.",
)

_BEFORE = (
    " in the month before (UTC), from the ledger's buckets by their own time; what the vendor adds"
    " or revises later is taken into it. There only when the ledger has the whole month."
)

PREVIOUS_MONTH_BYTES = Measure(
    "media_previous_month_bytes",
    "gauge",
    ("direction",),
    "Bytes of the account, the sum over the kinds that are polled," + _BEFORE,
)
PREVIOUS_MONTH_VIEWING_SECONDS = Measure(
    "media_previous_month_viewing_seconds",
    "gauge",
    (),
    "Seconds watched, the sum over the kinds that are polled," + _BEFORE,
)
PREVIOUS_MONTH_JOBS = Measure(
    "media_previous_month_jobs", "gauge", (), "Jobs as the vendor counts them," + _BEFORE
)

# Money and quotas, for accounts with `billing`.

_PRICED = " By the prices in the configuration, not the vendor's; see docs/billing.md."

MONTH_TO_DATE_COST = Measure(
    "media_month_to_date_cost",
    "gauge",
    ("charge", "currency"),
    "What each charge comes to in the current month (UTC), from the ledger's buckets by their own"
    " time; a fee whole from its first day on." + _PRICED,
)
PREVIOUS_MONTH_COST = Measure(
    "media_previous_month_cost",
    "gauge",
    ("charge", "currency"),
    'What each charge came to in the month before; charge="commitment" is what it lacked to the'
    " commitment. There only when the ledger has the whole month." + _PRICED,
)
MONTH_FORECAST_COST = Measure(
    "media_month_forecast_cost",
    "gauge",
    ("currency",),
    "What the whole current month comes to at the pace of the last 7 days, included units, tiers,"
    " fees and the commitment taken into account." + _PRICED,
)
MONTH_TO_DATE_CHARGED_UNITS = Measure(
    "media_month_to_date_charged_units",
    "gauge",
    ("charge", "unit"),
    "Units that a charge has counted in the current month, included ones among them.",
)
INCLUDED_UNITS = Measure(
    "media_included_units",
    "gauge",
    ("charge", "unit"),
    "Units a month that a charge includes: the quota.",
)
INCLUDED_USED_RATIO = Measure(
    "media_included_used_ratio",
    "gauge",
    ("charge", "unit"),
    "Units counted in the current month as a ratio of the included ones; 1 when all are used.",
)
MONTH_FORECAST_INCLUDED_USED_RATIO = Measure(
    "media_month_forecast_included_used_ratio",
    "gauge",
    ("charge", "unit"),
    "The same ratio at the end of the month, at the pace of the last 7 days.",
)
CHARGE_INFO = Measure(
    "media_charge_info",
    "gauge",
    ("charge", "measure"),
    "Always 1; tells which counter a charge of the terms in force counts.",
)
PRICE = Measure(
    "media_price",
    "gauge",
    ("charge", "unit", "currency"),
    "What the next unit costs; 0 while included units are left." + _PRICED,
)
BUDGET = Measure(
    "media_budget", "gauge", ("currency",), "The budget a month, from the configuration."
)
COMMITTED = Measure(
    "media_commitment",
    "gauge",
    ("currency",),
    "The least that is billed a month, from the configuration.",
)
CONTRACT_END = Measure(
    "media_contract_end_timestamp_seconds",
    "gauge",
    (),
    "When the contract ends, from the configuration.",
)

CATALOGUE: Final[tuple[Measure, ...]] = tuple(
    value for value in list(vars().values()) if isinstance(value, Measure)
)
"""Every measure, in the order above, which is the order on the page."""

BY_NAME: Final = {measure.name: measure for measure in CATALOGUE}
