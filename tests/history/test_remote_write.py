"""Settled buckets reach a receiver once, at their true time, whatever happens in between."""

from __future__ import annotations

import base64
import shutil
import sys

import httpx
import pytest

from exporter.config import RemoteWrite
from exporter.exposition.telemetry import RemoteWriteTelemetry
from exporter.history import remote_write
from exporter.history.remote_write import Queue, RemoteWriter, Unreachable, series_name
from exporter.history.write_request import encoder
from exporter.ledger import Ledger
from exporter.ledger.leases import AccountKey
from exporter.ledger.thread import Worker
from exporter.model import DAY, HOUR
from exporter.model.errors import CredentialError, ExporterError
from exporter.model.measures import DELIVERED_BYTES, JOBS, STREAM_DELIVERED_BYTES, VIEWING_SECONDS
from tests.history.ledgers import Notebook, hour
from tests.history.receiving import Receiver

LIVE = ("live",)
URL = "http://receiver.example/api/v1/write"


def settings(**changes) -> RemoteWrite:
    nothing = dict.fromkeys(
        ("credentials_file", "credentials_env", "username", "password_file", "password_env")
    )
    values = {"url": URL, **nothing, "labels": (), "timeout_seconds": 5.0, **changes}
    return RemoteWrite(**values)


@pytest.fixture
def notebook(tmp_path):
    notebook = Notebook(tmp_path, stream_limit=2)
    yield notebook
    notebook.close()


@pytest.fixture
def receiver():
    return Receiver()


@pytest.fixture
def open_writer(notebook, receiver):
    workers = []

    def open_writer(ledger: Ledger | None = None, pushes=lambda _: True, **changes) -> RemoteWriter:
        worker = Worker()
        workers.append(worker)
        return RemoteWriter(
            settings(**changes),
            ledger or notebook.ledger,
            worker,
            RemoteWriteTelemetry(receiver="receiver.example"),
            lambda: notebook.now,
            transport=receiver.transport,
            pushes=pushes,
        )

    yield open_writer
    for worker in workers:
        worker.close()


def delivered(*amounts, first=0):
    return [(DELIVERED_BYTES, LIVE, first + at, amount) for at, amount in enumerate(amounts)]


def shown(writer, name, **labels):
    return writer.telemetry.metrics.registry.get_sample_value(name, labels)


def labels(name, **more):
    pairs = {"__name__": name, "account": "live", "provider": "millicast", **more}
    return tuple(sorted(pairs.items()))


HOURLY = labels("media_delivered_bytes_hourly", kind="live")


async def test_settled_buckets_are_pushed_at_their_ends(notebook, receiver, open_writer):
    """Under a name that says how wide they are, in the metric's unit."""
    notebook.poll([*delivered(5, 0, 7), (VIEWING_SECONDS, ("all",), 0, 1500)], at=6)
    notebook.poll([(JOBS, ("/a",), 0, 9)], at=30, width=DAY)
    await open_writer().push()
    assert receiver.values() == {
        (HOURLY, hour(1)): 5,
        (HOURLY, hour(3)): 7,
        (labels("media_viewing_seconds_hourly", kind="all"), hour(1)): 1.5,
        (labels("media_jobs_daily", path="/a"), hour(24)): 9,
    }


async def test_only_what_this_replica_holds_is_pushed(notebook, receiver, open_writer):
    """Another pushes the rest; what it takes over later is pushed from where that has come to."""
    notebook.poll([*delivered(5, 0, 7)], at=6)
    held: set[AccountKey] = set()
    writer = open_writer(pushes=held.__contains__)
    await writer.push()
    assert receiver.values() == {}
    held.add(AccountKey("millicast", "live"))
    await writer.push()
    assert receiver.values() == {(HOURLY, hour(1)): 5, (HOURLY, hour(3)): 7}


async def test_what_was_pushed_is_not_pushed_again(notebook, receiver, open_writer):
    """By this process, nor by the next; what settles later is pushed then."""
    notebook.poll(delivered(5, 7, 1, 1), at=6)
    await open_writer().push()
    notebook.poll(delivered(5, 7, 1, 1), at=7)
    await open_writer().push()
    writer = open_writer()
    await writer.push()
    assert receiver.values() == {
        (HOURLY, hour(1)): 5,
        (HOURLY, hour(2)): 7,
        (HOURLY, hour(3)): 1,
        (HOURLY, hour(4)): 1,
    }
    assert shown(writer, "media_exporter_remote_write_samples_total") == 0


async def test_the_request_is_as_the_protocol_wants_it(notebook, receiver, open_writer):
    """Headers, labels in order of their names, the configured ones among them."""
    notebook.poll(delivered(5), at=6)
    await open_writer(labels=(("Cluster", "eu"), ("zone", "b"))).push()
    (request,) = receiver.requests
    assert request.headers["Content-Type"] == "application/x-protobuf"
    assert request.headers["Content-Encoding"] == "snappy"
    assert request.headers["X-Prometheus-Remote-Write-Version"] == "0.1.0"
    ((found, at, value),) = receiver.samples
    assert found == labels("media_delivered_bytes_hourly", kind="live", Cluster="eu", zone="b")
    assert list(found) == sorted(found)
    assert (at, value) == (hour(1) * 1000, 5)


async def test_streams_beyond_the_limit_are_pushed_as_one(notebook, receiver, open_writer):
    """As they are shown on a scrape."""
    rows = [(STREAM_DELIVERED_BYTES, ("live", name), 0, 1) for name in ("a", "b", "c", "d")]
    notebook.poll(rows, at=6)
    await open_writer().push()
    name = "media_stream_delivered_bytes_hourly"
    assert receiver.values() == {
        (labels(name, kind="live", stream="a"), hour(1)): 1,
        (labels(name, kind="live", stream="b"), hour(1)): 1,
        (labels(name, kind="live", stream="__other__"), hour(1)): 2,
    }


@pytest.mark.parametrize(
    "fault",
    [
        httpx.Response(503),
        httpx.Response(500, text="internal error"),
        httpx.Response(429, headers={"Retry-After": "120"}),
        httpx.Response(401),
        httpx.Response(404),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("late"),
    ],
    ids=lambda fault: str(getattr(fault, "status_code", type(fault).__name__)),
)
async def test_a_receiver_that_is_out_of_order_gets_everything_later(
    notebook, receiver, open_writer, fault
):
    """Nothing is dropped, however long it lasts and whoever is at fault."""
    notebook.poll(delivered(5, 7), at=6)
    receiver.answers += [fault, fault]
    writer = open_writer()
    with pytest.raises(Unreachable):
        await writer.push()
    with pytest.raises(Unreachable) as caught:
        await writer.push()
    if isinstance(fault, httpx.Response) and fault.status_code == 429:
        assert caught.value.wait == 120
    assert receiver.samples == []
    await writer.push()
    assert receiver.values() == {(HOURLY, hour(1)): 5, (HOURLY, hour(2)): 7}
    assert shown(writer, "media_exporter_remote_write_samples_total") == 2


async def test_waiting_grows_and_heeds_what_the_receiver_asks_for(notebook, receiver, open_writer):
    """Within bounds; after success it is as short as at first."""
    notebook.poll(delivered(5), at=6)
    receiver.answers += [
        httpx.Response(503),
        httpx.Response(503),
        httpx.Response(429, headers={"Retry-After": "77"}),
        httpx.Response(503, headers={"Retry-After": "99999"}),
    ]
    writer = open_writer()
    waits = []

    async def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 5:
            raise InterruptedError

    writer.sleep = sleep
    with pytest.raises(InterruptedError):
        await writer.run()
    assert waits == [1, 2, 77, 300, remote_write.LOOK_SECONDS]
    assert receiver.values() == {(HOURLY, hour(1)): 5}
    assert shown(writer, "media_exporter_remote_write_failures_total") == 4


@pytest.mark.parametrize("status", [400, 500], ids=["Prometheus 3", "Prometheus 2.42"])
async def test_samples_that_are_too_old_are_counted_and_left(
    notebook, receiver, open_writer, status
):
    """All others of the same request are taken, and no more is asked than it takes."""
    notebook.poll(delivered(*range(1, 101)), at=200)
    receiver.oldest, receiver.old_status = hour(64), status
    writer = open_writer()
    await writer.push()
    assert receiver.values() == {(HOURLY, hour(n)): n for n in range(64, 101)}
    assert shown(writer, "media_exporter_remote_write_samples_total") == 37
    name = "media_exporter_remote_write_samples_rejected_total"
    assert shown(writer, name, reason="too_old") == 63
    assert len(receiver.requests) < 25
    requests = len(receiver.requests)
    await writer.push()
    assert len(receiver.requests) == requests


async def test_one_sample_that_is_refused_takes_no_other_along(notebook, receiver, open_writer):
    """A receiver refuses a whole request for it."""
    notebook.poll(delivered(*range(1, 65)), at=200)
    receiver.refuses = lambda sample: sample[2] == 17
    writer = open_writer()
    await writer.push()
    assert receiver.values() == {(HOURLY, hour(n)): n for n in range(1, 65) if n != 17}
    name = "media_exporter_remote_write_samples_rejected_total"
    assert shown(writer, name, reason="invalid") == 1


async def test_a_crash_between_push_and_cursor_repeats_the_very_same_samples(
    notebook, receiver, open_writer, tmp_path
):
    """Which a receiver takes for one; what came before the batch is not repeated."""
    notebook.poll(delivered(1, 2), at=6)
    await open_writer().push()
    notebook.poll(delivered(3, 4, first=2), at=8)
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in notebook.path.parent.glob("usage.db*"):
        shutil.copy(file, copy)
    await open_writer().push()
    before = list(receiver.samples)
    ledger = Ledger.open(copy / "usage.db", clock=lambda: notebook.now, hold_seconds=1)
    await open_writer(ledger).push()
    ledger.close()
    assert receiver.samples[len(before) :] == before[2:]


async def test_a_bucket_that_comes_after_it_had_settled_is_pushed_late(
    notebook, receiver, open_writer
):
    """There was no sample at its time yet."""
    notebook.poll(delivered(5, 0, 7), at=6)
    writer = open_writer()
    await writer.push()
    notebook.poll(delivered(6, first=1), at=8)
    await writer.push()
    assert receiver.values()[HOURLY, hour(2)] == 6
    await writer.push()
    assert len(receiver.values()) == 3


async def test_the_late_bucket_of_a_stream_beyond_the_limit_is_not_pushed(
    notebook, receiver, open_writer
):
    """The sum that it belongs to has a sample at that time already."""
    name = "media_stream_delivered_bytes_hourly"
    rows = [(STREAM_DELIVERED_BYTES, ("live", stream), 0, 1) for stream in ("a", "b", "c", "d")]
    notebook.poll(rows[:3], at=6)
    writer = open_writer()
    await writer.push()
    assert len(notebook.poll(rows, at=8)) == 1
    await writer.push()
    other = labels(name, kind="live", stream="__other__")
    assert receiver.values()[other, hour(1)] == 1


async def test_a_settled_bucket_that_changes_is_not_pushed_again(notebook, receiver, open_writer):
    """No receiver replaces a sample; people are told how to."""
    notebook.poll(delivered(5, 7), at=6)
    writer = open_writer()
    await writer.push()
    assert notebook.poll(delivered(4, 7), at=8)
    await writer.push()
    assert receiver.values() == {(HOURLY, hour(1)): 5, (HOURLY, hour(2)): 7}


async def test_much_history_goes_in_requests_of_bounded_size(
    notebook, receiver, open_writer, monkeypatch
):
    """And nothing is lost or doubled at their seams, nor when one of them fails."""
    monkeypatch.setattr(remote_write, "BATCH_SAMPLES", 10)
    rows = [
        (STREAM_DELIVERED_BYTES, ("live", stream), number, number + 1)
        for number in range(100)
        for stream in ("a", "b")
    ]
    notebook.poll(rows, at=110)
    batch = Queue(notebook.ledger, ()).next()
    assert batch is not None
    assert len(batch.samples) == 10
    writer = open_writer()
    await writer.push()
    assert len(receiver.values()) == 200
    assert len(receiver.requests) == 20
    assert shown(
        writer,
        "media_exporter_remote_write_cursor_timestamp_seconds",
        receiver="receiver.example",
    ) == hour(107)


async def test_it_signs_in_as_configured(notebook, receiver, open_writer, monkeypatch, tmp_path):
    """With a bearer token, or a name and a password; a token that is rotated is read anew."""
    monkeypatch.setenv("TOKEN", "secret")
    notebook.poll(delivered(1), at=6)
    await open_writer(credentials_env="TOKEN").push()
    assert receiver.requests[-1].headers["Authorization"] == "Bearer secret"
    file = tmp_path / "password"
    file.write_text("pass:word")
    notebook.poll(delivered(1, first=2), at=8)
    await open_writer(username="me", password_file=file).push()
    scheme, _, pair = receiver.requests[-1].headers["Authorization"].partition(" ")
    assert (scheme, base64.b64decode(pair)) == ("Basic", b"me:pass:word")
    with pytest.raises(CredentialError):
        open_writer(credentials_file=tmp_path / "none")


def test_an_empty_history_is_skipped_at_once(notebook):
    """A feed without buckets does not take a look at every hour since 1970."""
    notebook.poll(at=6)
    queue = Queue(notebook.ledger, ())
    batch = queue.next()
    assert batch is not None
    assert (batch.until, batch.samples) == (hour(3), ())
    queue.pushed(batch)
    assert queue.next() is None
    assert queue.cursor() == hour(3)


@pytest.mark.parametrize("module", ["cramjam", "google.protobuf"])
def test_without_its_libraries_it_says_what_to_install(monkeypatch, module):
    """In one line."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ExporterError, match=r"-m pip install 'cramjam>=2.9' 'protobuf>=5.29'"):
        encoder()


def test_a_series_is_named_after_the_width_of_its_buckets():
    """An hour's value and a day's are not to be added up unawares."""
    assert series_name(DELIVERED_BYTES, HOUR) == "media_delivered_bytes_hourly"
    assert series_name(DELIVERED_BYTES, DAY) == "media_delivered_bytes_daily"
    assert series_name(DELIVERED_BYTES, 30 * DAY) == "media_delivered_bytes_monthly"
