"""What `backfill` writes is what the counters were, at the end of each bucket."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from exporter.history.backfill import backfill
from exporter.history.reader import Choice, HistoryError, instant
from exporter.ledger.sqlite.offline import reading
from exporter.model import DAY, HOUR, LIFETIME_WIDTH, Event, Window
from exporter.model.measures import (
    DELIVERED_BYTES,
    JOB_QUEUE_SECONDS,
    LIFETIME_VIEWS,
    RECEIVED_BYTES,
    STREAM_DELIVERED_BYTES,
    VIEWING_SECONDS,
)
from tests.history.ledgers import BEGAN, Notebook, hour, lines
from tests.support.components import promtool

pytestmark = pytest.mark.sockets

LIVE = ("live",)
SERIES = 'media_delivered_bytes_total{provider="millicast",account="live",kind="live"}'


@pytest.fixture
def notebook(tmp_path):
    notebook = Notebook(tmp_path)
    yield notebook
    notebook.close()


def delivered(*amounts):
    return [(DELIVERED_BYTES, LIVE, number, amount) for number, amount in enumerate(amounts)]


def test_each_buckets_end_has_the_total_up_to_there(notebook):
    """From the total before the first bucket on, hours without a bucket included."""
    notebook.poll(delivered(5, 7, 0, 0, 1), at=8)
    assert notebook.backfilled() == [
        f"{SERIES} 0 {hour(0)}",
        f"{SERIES} 5 {hour(1)}",
        f"{SERIES} 12 {hour(2)}",
        f"{SERIES} 12 {hour(3)}",
        f"{SERIES} 12 {hour(4)}",
        f"{SERIES} 13 {hour(5)}",
        "# EOF",
    ]


def test_only_settled_buckets_are_written_unless_others_are_asked_for(notebook):
    """The open hour is never written: its end has not come."""
    notebook.poll(delivered(1, 2, 3, 4, 5), at=4)
    assert notebook.backfilled()[-2:] == [f"{SERIES} 1 {hour(1)}", "# EOF"]
    assert notebook.backfilled(Choice(unsettled=True))[-2:] == [f"{SERIES} 10 {hour(4)}", "# EOF"]


def test_a_window_begins_with_the_total_from_before_it(notebook):
    """So that the increase of its first hour is there, and that of a window before joins it."""
    notebook.poll(delivered(5, 7, 0, 2, 1), at=8)
    assert notebook.backfilled(Choice(hour(2), hour(4))) == [
        f"{SERIES} 12 {hour(2)}",
        f"{SERIES} 12 {hour(3)}",
        f"{SERIES} 14 {hour(4)}",
        "# EOF",
    ]


def test_what_was_folded_into_the_totals_is_where_history_begins(notebook):
    """The first sample is the total of all that came before."""
    notebook.poll(delivered(*range(1, 31)), at=80)
    notebook.ledger.compact(notebook.book, "account", BEGAN + DAY)
    written = notebook.backfilled()
    assert written[0] == f"{SERIES} {sum(range(1, 25))} {hour(24)}"
    assert written[1] == f"{SERIES} {sum(range(1, 26))} {hour(25)}"


def test_within_a_wider_bucket_nothing_is_claimed(notebook):
    """A day of which the vendor gave no hours has a total at its end alone."""
    notebook.poll([(DELIVERED_BYTES, LIVE, 0, 3)], at=1)
    notebook.poll([(DELIVERED_BYTES, LIVE, 24, 240)], at=60, width=DAY)
    notebook.poll([(DELIVERED_BYTES, LIVE, 48, 1)], at=60)
    instants = [int(line.rsplit(" ", 1)[1]) for line in notebook.backfilled()[:-1]]
    assert [at for at in instants if hour(24) < at <= hour(48)] == [hour(48)]
    assert f"{SERIES} 243 {hour(48)}" in notebook.backfilled()


def test_a_bucket_after_an_open_gap_waits_until_the_gap_is_filled(notebook):
    """A total that lacks an outage's hours was never the truth."""
    notebook.poll(delivered(1, 1, 1), at=8)
    notebook.poll([(DELIVERED_BYTES, LIVE, 50, 9)], at=60, gap=Window(hour(5), hour(40)))
    assert notebook.backfilled()[-2:] == [f"{SERIES} 3 {hour(5)}", "# EOF"]
    notebook.poll([(DELIVERED_BYTES, LIVE, 7, 10)], at=60, filled=Window(hour(5), hour(40)))
    assert notebook.backfilled()[-2:] == [f"{SERIES} 22 {hour(57)}", "# EOF"]


def test_streams_beyond_the_limit_are_summed_as_on_a_scrape(tmp_path):
    """No stream is written that a scrape never showed, and the sum is exact."""
    notebook = Notebook(tmp_path, stream_limit=1)
    for number in range(3):
        notebook.poll(
            [
                (STREAM_DELIVERED_BYTES, ("live", name), number, amount + number)
                for name, amount in (("a", 1), ("b", 10), ("c", 100))
            ],
            at=number + 6,
        )
    notebook.close()
    start = 'media_stream_delivered_bytes_total{provider="millicast",account="live",kind="live"'
    assert [line for line in notebook.backfilled() if line.endswith(f" {hour(3)}")] == [
        f'{start},stream="__other__"}} 336 {hour(3)}',
        f'{start},stream="a"}} 6 {hour(3)}',
    ]


def bounded(bound):
    return f',le="{float(bound)}"'


def test_a_histogram_has_all_its_buckets_at_each_instant(notebook):
    """As a scrape would have shown them, in the metric's unit."""
    timing = (JOB_QUEUE_SECONDS, ("/media/enhance",), 1500)
    notebook.poll(
        events=[Event(id="a", since=BEGAN, at=hour(1) + 1, counts=(), timings=(timing,))], at=6
    )
    start = (
        'media_job_queue_seconds{}{{provider="millicast",account="live",path="/media/enhance"{}}}'
    )
    at_end = [line for line in notebook.backfilled() if line.endswith(f" {hour(2)}")]
    assert [line.rsplit(" ", 1)[0] for line in at_end] == [
        *(
            f"{start.format('_bucket', bounded(bound))} {int(bound >= 1.5)}"
            for bound in JOB_QUEUE_SECONDS.buckets
        ),
        start.format("_bucket", ',le="+Inf"') + " 1",
        start.format("_count", "") + " 1",
        start.format("_sum", "") + " 1.5",
    ]


def test_a_total_of_all_times_has_no_history(notebook):
    """Only its present is known."""
    notebook.now = BEGAN
    notebook.poll([(LIFETIME_VIEWS, ("id",), -BEGAN // HOUR, 5)], at=6, width=LIFETIME_WIDTH)
    assert notebook.backfilled() == ["# EOF"]


def test_what_is_chosen_is_what_is_written(notebook):
    """By account and by metric."""
    notebook.poll([*delivered(1), (RECEIVED_BYTES, LIVE, 0, 2)], at=6)
    received = notebook.backfilled(Choice(metrics=("media_received_bytes_total",)))
    assert all(line.startswith(("media_received_bytes_total{", "# EOF")) for line in received)
    assert notebook.backfilled(Choice(accounts=("live",))) == notebook.backfilled()


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (Choice(accounts=("life",)), "--account life: not in the ledger, which has live"),
        (
            Choice(metrics=("media_delivered_bytes",)),
            "--metric media_delivered_bytes: no counter or histogram of that name;"
            " did you mean media_delivered_bytes_total?",
        ),
        (Choice(metrics=("media_viewers",)), "--metric media_viewers: no counter or histogram"),
    ],
)
def test_a_choice_of_nothing_is_a_mistake_that_is_named(notebook, choice, said):
    """An empty document would look like an empty history."""
    with pytest.raises(HistoryError) as caught:
        notebook.backfilled(choice)
    assert str(caught.value).startswith(said)


def test_the_document_is_openmetrics_with_families_together_and_series_sorted(notebook):
    """promtool and a strict parser read it; seconds are written as on a scrape."""
    rows = [
        (measure, labels, number, amount)
        for number, amount in ((0, 1500), (1, 250))
        for measure, labels in (
            (VIEWING_SECONDS, ("all",)),
            (STREAM_DELIVERED_BYTES, ("live", "z")),
            (STREAM_DELIVERED_BYTES, ("live", 'a "b"\n\\')),
            (DELIVERED_BYTES, LIVE),
        )
    ]
    notebook.poll(rows, at=6)
    text = notebook.document()
    assert text.endswith("# EOF\n")
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families) == 3
    values = {
        (sample.name, sample.labels.get("stream")): sample.value
        for family in families
        for sample in family.samples
    }
    assert values["media_viewing_seconds_total", None] == 1.75
    assert values["media_stream_delivered_bytes_total", 'a "b"\n\\'] == 1750


def test_the_ledger_is_read_while_the_exporter_writes_to_it_and_after_it_was_killed(notebook):
    """A document is made of one state of the ledger; nobody waits for anybody."""
    notebook.poll(delivered(1, 2, 3), at=6)
    with reading(notebook.path) as connection:
        chunks = backfill(connection, Choice(), now=notebook.now)
        first = next(chunks)
        notebook.poll(delivered(1, 2, 3, 100), at=7)
        assert f"{SERIES} 6 {hour(3)}" in first + "".join(chunks)
        connection.connection.execute("PRAGMA query_only").fetchone()
    assert f"{SERIES} 106 {hour(4)}" in notebook.backfilled()


def test_memory_stays_flat_however_long_the_history_is(tmp_path):
    """Ten times the hours take no more memory."""
    peaks = []
    for hours in (500, 5000):
        (tmp_path / str(hours)).mkdir()
        notebook = Notebook(tmp_path / str(hours))
        rows = [
            (STREAM_DELIVERED_BYTES, ("live", f"{stream}"), number, 1)
            for number in range(hours)
            for stream in range(10)
        ]
        notebook.poll(rows, at=hours + 6)
        notebook.close()
        with reading(notebook.path) as connection:
            tracemalloc.start()
            size = sum(len(chunk) for chunk in backfill(connection, Choice(), now=notebook.now))
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert size > hours * 10 * 50
    assert peaks[1] < 1.5 * peaks[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-31", BEGAN),
        ("2026-03-31T01:00", BEGAN + HOUR),
        ("2026-03-31T01:00:00Z", BEGAN + HOUR),
        ("2026-03-31 02:00+01:00", BEGAN + HOUR),
        (str(BEGAN), BEGAN),
        (f"{BEGAN}.5", BEGAN),
    ],
)
def test_a_time_is_a_date_or_a_time_or_unix_seconds(text, expected):
    """Without a zone it is UTC."""
    assert instant(text) == expected


def run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "exporter", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_writes_a_file_that_promtool_makes_blocks_of(notebook, tmp_path):
    """And says nothing on a pipe that is no terminal."""
    notebook.poll(delivered(5, 7, 1), at=8)
    done = run(
        *("backfill", "--ledger.path", "usage.db", "--from", "2026-03-31", "--output", "x.om"),
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert lines((tmp_path / "x.om").read_text())[2:] == notebook.backfilled()
    made = subprocess.run(
        [promtool(), "tsdb", "create-blocks-from", "openmetrics", "x.om", "blocks"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    assert list((tmp_path / "blocks").iterdir())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from", "yesterday"], "--from: 'yesterday' is neither a date or time"),
        (["--from", "2026-04-02", "--to", "2026-04-01"], "--to 2026-04-01: not after --from"),
        (["--ledger.path", "none.db"], "ledger none.db: there is no such file"),
        (["--ledger.path", "text.db"], "ledger text.db: it cannot be read"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, arguments, said):
    """With exit code 1 and without a traceback."""
    (tmp_path / "text.db").write_text("this is no database at all, whatever its name may say")
    done = run("backfill", *arguments, cwd=tmp_path, MEDIA_USAGE_EXPORTER_LEDGER_PATH="none.db")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"media-usage-exporter: {said}"), done.stderr
    assert len(lines(done.stderr)) == 1


def test_labels_of_the_scrape_can_be_added(notebook):
    """With the job and instance that a scrape adds, past and present are one series."""
    notebook.poll(delivered(5), at=5)
    labels = (("job", "media-usage-exporter"), ("instance", "localhost:10032"))
    own = SERIES.partition("{")[2]
    scrape = 'job="media-usage-exporter",instance="localhost:10032"'
    expected = f"media_delivered_bytes_total{{{scrape},{own}"
    document = notebook.backfilled(Choice(labels=labels))
    shown = [line for line in document if not line.startswith("#")]
    assert shown
    assert all(line.startswith(expected) for line in shown)


@pytest.mark.parametrize("text", ["job", "=x", "1a=x", "account=x", "le=1", "__name__=x"])
def test_a_label_that_cannot_be_added_is_refused(text, tmp_path):
    """What is no label, or one that series have of their own, is told in one line."""
    result = run("backfill", "--ledger.path", "usage.db", "--label", text, cwd=tmp_path)
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert text in result.stderr
