"""What the exporter says of itself is live, whole, and apart from what vendors say."""

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.exposition import TEXT_FORMATS, Format
from exporter.exposition.own_metrics import (
    ACCOUNT_METRICS,
    LEDGER_REASON,
    OWN_METRICS,
    PROCESS_METRICS,
)
from exporter.exposition.telemetry import RENDERED_AT_ONCE, AccountTelemetry, Telemetry
from exporter.model.errors import REASONS
from exporter.model.measures import CATALOGUE

NOW = 1_704_067_200.0


class Stand:
    def __init__(self, *, accounts=2, created=False):
        self.now = NOW
        self.size = 4096
        self.telemetry = Telemetry(
            clock=lambda: self.now, ledger_size=lambda: self.size, created_timestamps=created
        )
        self.accounts = [
            AccountTelemetry(
                provider="millicast",
                account=f"account {number}",
                feeds=["usage", "viewers"],
                cadence_seconds=900,
                created_timestamps=created,
            )
            for number in range(accounts)
        ]
        self.telemetry.set_accounts(self.accounts)

    def text(self, format=Format.TEXT, accounts=None):
        chosen = None if accounts is None else frozenset(accounts)
        return b"".join(self.telemetry.section(format, chosen).plain).decode()

    def values(self, name, **labels):
        return [
            sample.value
            for family in parse_text(self.text())
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]


@pytest.fixture
def stand():
    return Stand()


def busy(account):
    account.request("usage", "200", 0.2)
    account.request("usage", "timeout", 30)
    account.poll("usage", seconds=0.5, failure=None, at=NOW)
    account.poll("viewers", seconds=0.5, failure="auth", at=NOW)
    account.recorded("usage", newest=1_700_000_000, corrections=2, late=1, backlog=3600)
    account.lost("usage", 7200)
    account.series(12, 3)
    account.revised("usage", 4)
    account.reconciled("usage", -0.25)


@pytest.mark.parametrize("created", [False, True])
@pytest.mark.parametrize("format", TEXT_FORMATS)
def test_every_metric_of_the_catalogue_is_there_once(format, created):
    stand = Stand(created=created)
    for account in stand.accounts:
        busy(account)
    text = stand.text(format)
    if format is Format.TEXT:
        families = list(parse_text(text))
    else:
        families = list(parse_openmetrics(text + "# EOF\n"))
    types = {family.name: family.type for family in families}
    assert len(types) == len(families)
    for metric in (*ACCOUNT_METRICS, *PROCESS_METRICS):
        assert types[metric.name.removesuffix("_total")] == metric.type
    has_created = "_created{" in text
    assert has_created == (created and format is Format.OPENMETRICS)


def test_its_families_are_none_of_the_vendors(stand):
    for account in stand.accounts:
        busy(account)
    own = {family.name for family in parse_text(stand.text())}
    vendors = {measure.name.removesuffix("_total") for measure in CATALOGUE}
    assert not own & vendors
    assert all(name.startswith(("media_exporter_", "process_", "python_")) for name in own)


def test_counters_that_alerts_watch_are_there_before_their_first_increase(stand):
    usage = {"account": "account 0", "feed": "usage"}
    for reason in (*REASONS, LEDGER_REASON):
        assert stand.values("media_exporter_poll_failures_total", reason=reason, **usage) == [0]
    for name in (
        "polls",
        "corrections",
        "late_buckets",
        "data_lost_seconds",
        "settled_buckets_revised",
    ):
        assert stand.values(f"media_exporter_{name}_total", **usage) == [0]
    assert stand.values("media_exporter_poll_interval_seconds", **usage) == [900]
    assert stand.values("media_exporter_ledger_write_failures_total") == [0]


def test_what_is_not_known_yet_is_not_there(stand):
    assert stand.values("media_exporter_poll_success") == []
    assert stand.values("media_exporter_poll_last_success_timestamp_seconds") == []
    assert stand.values("media_exporter_data_newest_timestamp_seconds") == []


def test_a_poll_is_counted_with_its_outcome(stand):
    account = stand.accounts[0]
    busy(account)
    usage = {"account": "account 0", "feed": "usage"}
    viewers = {"account": "account 0", "feed": "viewers"}
    assert stand.values("media_exporter_poll_success", **usage) == [1]
    assert stand.values("media_exporter_poll_success", **viewers) == [0]
    assert stand.values("media_exporter_polls_total", **viewers) == [1]
    assert stand.values("media_exporter_poll_failures_total", reason="auth", **viewers) == [1]
    assert stand.values("media_exporter_poll_last_success_timestamp_seconds", **usage) == [NOW]
    assert stand.values("media_exporter_poll_last_success_timestamp_seconds", **viewers) == []
    assert stand.values("media_exporter_poll_duration_seconds_count", **usage) == [1]
    assert stand.values("media_exporter_requests_total", code="timeout", **usage) == [1]
    assert stand.values("media_exporter_request_duration_seconds_sum", **usage) == [30.2]
    assert stand.values("media_exporter_corrections_total", **usage) == [2]
    assert stand.values("media_exporter_late_buckets_total", **usage) == [1]
    assert stand.values("media_exporter_backlog_seconds", **usage) == [3600]
    assert stand.values("media_exporter_data_lost_seconds_total", **usage) == [7200]
    assert stand.values("media_exporter_data_newest_timestamp_seconds", **usage) == [1.7e9]
    assert stand.values("media_exporter_settled_buckets_revised_total", **usage) == [4]
    assert stand.values("media_exporter_reconciliation_difference_ratio", **usage) == [-0.25]
    assert stand.values("media_exporter_series", account="account 0") == [12]
    assert stand.values("media_exporter_series_folded", account="account 0") == [3]


def test_what_the_ledger_remembers_is_shown_before_the_first_poll(stand):
    stand.accounts[0].restored("usage", polled_at=NOW - 60, newest=1_700_000_000)
    stand.accounts[1].restored("usage", polled_at=None, newest=None)
    name = "media_exporter_poll_last_success_timestamp_seconds"
    assert stand.values(name) == [NOW - 60]
    assert stand.values("media_exporter_data_newest_timestamp_seconds") == [1.7e9]
    assert stand.values("media_exporter_poll_success") == []


def test_values_are_live(stand):
    assert stand.values("media_exporter_poll_success") == []
    stand.accounts[1].poll("usage", seconds=1, failure=None, at=NOW)
    assert stand.values("media_exporter_poll_success", account="account 1") == [1]
    stand.telemetry.ledger_write_failed()
    assert stand.values("media_exporter_ledger_write_failures_total") == [1]


def test_what_the_process_says_is_at_most_a_second_old(stand):
    assert stand.values("media_exporter_ledger_size_bytes") == [4096]
    stand.size = 8192
    stand.now += 0.5
    assert stand.values("media_exporter_ledger_size_bytes") == [4096]
    stand.now += 0.6
    assert stand.values("media_exporter_ledger_size_bytes") == [8192]


def test_it_stays_live_when_the_clock_is_set_back(stand):
    assert stand.values("media_exporter_ledger_size_bytes") == [4096]
    stand.size = 8192
    stand.now -= 3600
    assert stand.values("media_exporter_ledger_size_bytes") == [8192]


def test_a_reload_that_fails_leaves_the_time_of_the_last_good_one(stand):
    time = "media_exporter_config_last_reload_success_timestamp_seconds"
    stand.now += 60
    stand.telemetry.reloaded(successful=False)
    assert stand.values("media_exporter_config_last_reload_successful") == [0]
    assert stand.values(time) == [NOW]
    stand.telemetry.reloaded(successful=True)
    assert stand.values("media_exporter_config_last_reload_successful") == [1]
    assert stand.values(time) == [NOW + 60]


def test_a_section_narrows_to_accounts_and_leaves_the_process_out(stand):
    text = stand.text(accounts={"account 1"})
    assert 'account="account 1"' in text
    assert 'account="account 0"' not in text
    assert "process_" not in text
    assert "media_exporter_build_info" not in text
    assert stand.text(accounts=set()) == ""


def test_an_unchanged_section_is_the_same_one(stand):
    first = stand.telemetry.section(Format.TEXT, None)
    assert stand.telemetry.section(Format.TEXT, None) is first


def test_many_changed_accounts_are_all_shown_within_a_few_scrapes():
    count = 4 * RENDERED_AT_ONCE
    stand = Stand(accounts=count)
    assert len(stand.values("media_exporter_poll_interval_seconds", feed="usage")) == count
    for account in stand.accounts:
        account.poll("usage", seconds=1, failure=None, at=NOW)
    shown = [len(stand.values("media_exporter_poll_success")) for _ in range(4)]
    assert shown == [RENDERED_AT_ONCE * number for number in (1, 2, 3, 4)]


def test_accounts_that_are_gone_are_not_shown(stand):
    stand.text()
    stand.telemetry.set_accounts(stand.accounts[:1])
    assert 'account="account 1"' not in stand.text()


def test_an_account_that_changed_goes_on_counting(stand):
    account = stand.accounts[0]
    busy(account)
    shown = stand.text()
    assert 'account="account 0",feed="viewers"' in shown
    account.set_feeds(["usage", "geo"], cadence_seconds=60)
    assert stand.values("media_exporter_polls_total", account="account 0", feed="usage") == [1]
    assert stand.values("media_exporter_polls_total", account="account 0", feed="geo") == [0]
    assert stand.values("media_exporter_poll_interval_seconds", feed="usage") == [60, 900]
    assert 'account="account 0",feed="viewers"' not in stand.text()


def test_a_metric_without_any_series_left_is_not_shown():
    stand = Stand(accounts=1)
    busy(stand.accounts[0])
    assert "media_exporter_backlog_seconds" in stand.text()
    stand.accounts[0].set_feeds(["viewers"], cadence_seconds=900)
    assert "media_exporter_backlog_seconds" not in stand.text()


def test_names_with_odd_characters_are_read_back():
    telemetry = Telemetry(clock=lambda: NOW, ledger_size=lambda: 0)
    name = 'a "b"\\\n\U0001f3a5'
    telemetry.set_accounts(
        [AccountTelemetry(provider="wowza", account=name, feeds=["x"], cadence_seconds=1)]
    )
    text = b"".join(telemetry.section(Format.OPENMETRICS, None).plain).decode() + "# EOF\n"
    accounts = {
        sample.labels["account"]
        for family in parse_openmetrics(text)
        for sample in family.samples
        if "account" in sample.labels
    }
    assert accounts == {name}


def test_names_follow_the_conventions():
    names = [metric.name for metric in OWN_METRICS]
    assert len(set(names)) == len(names)
    for metric in OWN_METRICS:
        assert metric.name.startswith("media_exporter_")
        assert metric.name.endswith("_total") == (metric.type == "counter")
        assert metric.help.endswith(".")
    assert all(metric.labels[:2] == ("provider", "account") for metric in ACCOUNT_METRICS)
