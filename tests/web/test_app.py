"""The HTTP side over real sockets, with the whole exporter behind it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text

from exporter.cli import demo
from exporter.emulators.app import Emulators
from exporter.emulators.world import World
from tests.support.processes import Exporter, eventually, vendors

pytestmark = pytest.mark.sockets

SECRET = "planted-credential-3f9c"


@pytest.fixture(scope="module")
def emulators() -> Emulators:
    return Emulators(World(), credential=SECRET)


@pytest.fixture(scope="module")
def exporter(emulators: Emulators, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    """The exporter with all four vendors, polled once with a planted credential."""
    folder = tmp_path_factory.mktemp("server")
    with vendors(emulators) as address:
        (folder / "credential").write_text(SECRET)
        config = folder / "config.yaml"
        config.write_text(
            demo.configuration(address, folder, emulators, cadence_seconds=60, every_feed=False)
        )
        with Exporter(config, "--log.level", "debug") as exporter:
            exporter.wait_until_ready()
            yield exporter


def test_text_is_the_default(exporter: Exporter) -> None:
    """Without a wish a scraper gets text 0.0.4 that a strict client can parse."""
    answer = exporter.get("/metrics", headers={"accept": ""})
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert {family.name for family in text(answer.text)} >= {"media_viewers", "media_jobs"}


def test_openmetrics_is_served_to_those_who_ask(exporter: Exporter) -> None:
    """OpenMetrics is served on request, ends in EOF, and parses strictly."""
    answer = exporter.get("/metrics", headers={"accept": "application/openmetrics-text"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("# EOF\n")
    assert {family.name for family in openmetrics(answer.text)} >= {"media_viewers", "media_jobs"}


def test_gzip_is_one_member_with_the_same_bytes(exporter: Exporter) -> None:
    """The compressed page is one gzip member that holds vendor data, own metrics and all."""
    with httpx.stream(
        "GET",
        f"{exporter.url}/metrics",
        headers={"accept-encoding": "gzip"},
        trust_env=False,
    ) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        raw = b"".join(answer.iter_raw())
    assert int(answer.headers["content-length"]) == len(raw)
    assert b"media_exporter_build_info" in gzip.decompress(raw)


def test_identity_is_served_when_gzip_is_refused(exporter: Exporter) -> None:
    """`gzip;q=0` means no gzip."""
    answer = exporter.get("/metrics", headers={"accept-encoding": "gzip;q=0"})
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize(
    ("query", "accounts"),
    [
        ("account=live", {"live"}),
        ("provider=wowza", {"vod"}),
        ("account=live&account=studio", {"live", "studio"}),
        ("provider=millicast&provider=livepeer", {"live", "studio"}),
        ("provider=millicast&account=live", {"live"}),
    ],
)
def test_the_page_can_be_narrowed(exporter: Exporter, query: str, accounts: set[str]) -> None:
    """`account` and `provider` leave only what belongs to the named ones."""
    families = list(text(exporter.get(f"/metrics?{query}").text))
    found = {sample.labels.get("account") for one in families for sample in one.samples}
    assert found == accounts


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("account=nobody", "unknown account: 'nobody'; known: live, processing, studio, vod\n"),
        ("account=", "unknown account: ''; known: live, processing, studio, vod\n"),
        (
            "account=live&provider=cloud",
            "unknown provider: 'cloud'; known: dolby_media, livepeer, millicast, wowza\n",
        ),
        (
            "account=live&account=vod&provider=livepeer",
            "account and provider exclude each other: live is of millicast, vod is of wowza\n",
        ),
    ],
)
def test_a_filter_that_selects_nothing_is_told_with_what_there_is(
    exporter: Exporter, query: str, said: str
) -> None:
    """A name that is not configured is an error, not an empty page."""
    answer = exporter.get(f"/metrics?{query}")
    assert (answer.status_code, answer.text) == (400, said)


def test_the_configuration_is_shown_and_not_saved(exporter: Exporter) -> None:
    """Browsers show plain text and save YAML."""
    answer = exporter.get("/config")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "accounts:" in answer.text


def test_head_has_no_body(exporter: Exporter) -> None:
    """HEAD tells the length and sends nothing."""
    answer = httpx.head(f"{exporter.url}/metrics", trust_env=False)
    assert answer.status_code == 200
    assert int(answer.headers["content-length"]) > 1000
    assert answer.content == b""


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/healthy", "/config", "/api/v1/status"])
def test_other_methods_are_refused(exporter: Exporter, path: str) -> None:
    """Pages are only read: anything but GET and HEAD is 405 and says what is allowed."""
    answer = httpx.post(exporter.url + path, trust_env=False)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"


def test_reloading_is_off_by_default(exporter: Exporter) -> None:
    """`/-/reload` is 403 unless the lifecycle API was switched on."""
    assert httpx.post(f"{exporter.url}/-/reload", trust_env=False).status_code == 403


def test_unknown_paths_are_404(exporter: Exporter) -> None:
    """What is not there is 404."""
    assert exporter.get("/metric").status_code == 404


def test_health_and_readiness(exporter: Exporter) -> None:
    """Both answer 200 once everything was polled."""
    assert exporter.get("/-/healthy").status_code == 200
    assert exporter.get("/-/ready").status_code == 200


def test_status_tells_how_each_feed_stands(exporter: Exporter) -> None:
    """The JSON status has every account and feed with its last success."""
    status = json.loads(exporter.get("/api/v1/status").text)
    feeds = {
        (account["name"], feed["name"]): feed
        for account in status["accounts"]
        for feed in account["feeds"]
    }
    assert ("live", "streams") in feeds
    assert all(feed["state"] == "ok" and feed["last_success"] for feed in feeds.values())


def test_the_landing_page_links_to_the_rest(exporter: Exporter) -> None:
    """The page for people names every account and links to the metrics."""
    page = exporter.get("/").text
    assert 'href="/metrics"' in page
    for account in ("live", "processing", "vod", "studio"):
        assert account in page


def test_own_metrics_are_live(exporter: Exporter) -> None:
    """The process's own metrics move between polls."""

    def seconds() -> float:
        page = text(exporter.get("/metrics").text)
        return next(
            sample.value
            for family in page
            for sample in family.samples
            if sample.name == "process_cpu_seconds_total"
        )

    before = seconds()
    eventually(lambda: seconds() > before, "processor time grows on the page")


def test_a_planted_credential_appears_nowhere(exporter: Exporter, emulators: Emulators) -> None:
    """No log, page, metric or error shows the credential, even when a vendor echoes it."""
    emulators.faults.set("livepeer", "401")
    folder = exporter.config.parent
    try:
        with Exporter(exporter.config, "--ledger.path", str(folder / "other.db")) as second:
            eventually(
                lambda: (
                    'provider="livepeer",account="studio",feed="usage",reason="auth"} 1'
                    in second.get("/metrics").text
                    if second.answers("/metrics")
                    else None
                ),
                "the refused credential is counted",
            )
            for one in (exporter, second):
                for path in ("/", "/metrics", "/config", "/api/v1/status", "/-/ready", "/nothing"):
                    answer = one.get(path)
                    assert SECRET not in answer.text
                    assert SECRET not in str(answer.headers)
    finally:
        emulators.faults.clear()
    for file in folder.iterdir():
        if file.name != "credential":
            assert SECRET.encode() not in file.read_bytes(), file
