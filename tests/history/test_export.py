"""Raw buckets in files that other programs read."""

import csv
import io
import json
import subprocess
import sys
from datetime import UTC, datetime

import pyarrow.parquet
import pytest

from exporter.cli.flags import parse
from exporter.history import export
from exporter.history.reader import Choice, reading
from exporter.ledger.sqlite import offline
from exporter.model import DAY
from exporter.model.errors import ExporterError
from exporter.model.measures import DELIVERED_BYTES, STREAM_DELIVERED_BYTES, VIEWING_SECONDS
from tests.history.ledgers import Notebook, hour

pytestmark = pytest.mark.sockets


@pytest.fixture
def notebook(tmp_path):
    notebook = Notebook(tmp_path, stream_limit=1)
    notebook.poll(
        [
            (DELIVERED_BYTES, ("live",), 0, 2**53),
            (VIEWING_SECONDS, ("all",), 0, 1500),
            (STREAM_DELIVERED_BYTES, ("live", "a"), 1, 1),
            (STREAM_DELIVERED_BYTES, ("live", 'beyond "it", é'), 1, 2),
            (DELIVERED_BYTES, ("live",), 4, 7),
        ],
        at=5,
    )
    yield notebook
    notebook.close()


def written(notebook, format, choice=Choice()):  # noqa: B008 -- frozen
    output = io.BytesIO()
    with reading(notebook.path) as connection:
        export.write(export.rows(connection, choice), format, output)
    return output.getvalue()


def iso(number):
    return datetime.fromtimestamp(hour(number), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def expected(measure, labels, number, value, final=True):
    return {
        "provider": "millicast",
        "account": "live",
        "measure": measure.name,
        "labels": labels,
        "start": iso(number),
        "end": iso(number + 1),
        "value": value,
        "final": final,
    }


SETTLED = [
    expected(DELIVERED_BYTES, {"kind": "live"}, 0, 2**53),
    expected(VIEWING_SECONDS, {"kind": "all"}, 0, 1.5),
    expected(STREAM_DELIVERED_BYTES, {"kind": "live", "stream": "a"}, 1, 1),
    expected(STREAM_DELIVERED_BYTES, {"kind": "live", "stream": 'beyond "it", é'}, 1, 2),
]
OPEN = expected(DELIVERED_BYTES, {"kind": "live"}, 4, 7, final=False)


def test_lines_of_json_hold_each_final_bucket_as_the_vendor_gave_it(notebook):
    """Streams beyond the limit by their own names, values in the metric's unit, exact."""
    lines = written(notebook, "jsonl").decode().splitlines()
    assert [json.loads(line) for line in lines] == SETTLED


def test_open_buckets_are_marked_when_they_are_asked_for(notebook):
    """A bill must not be checked against them."""
    lines = written(notebook, "jsonl", Choice(unsettled=True)).decode().splitlines()
    assert [json.loads(line) for line in lines] == [*SETTLED, OPEN]


def test_only_buckets_that_lie_in_the_window_are_there(notebook):
    """Entirely: the parts of one are nobody's knowledge."""
    notebook.poll([(VIEWING_SECONDS, ("vod",), 0, 1)], at=60, width=DAY)
    lines = written(notebook, "jsonl", Choice(hour(1), hour(2))).decode().splitlines()
    assert [json.loads(line) for line in lines] == SETTLED[2:]


def test_csv_holds_the_same(notebook):
    """With labels as JSON."""
    rows = list(csv.DictReader(io.StringIO(written(notebook, "csv").decode())))
    assert list(rows[0]) == list(export.COLUMNS)
    assert [
        {
            **row,
            "labels": json.loads(row["labels"]),
            "value": float(row["value"]),
            "final": row["final"] == "true",
        }
        for row in rows
    ] == SETTLED
    assert rows[0]["value"] == str(2**53)


def test_parquet_holds_the_same(notebook):
    """With labels as a map and instants as instants."""
    table = pyarrow.parquet.read_table(io.BytesIO(written(notebook, "parquet")))
    assert [
        {
            **row,
            "labels": dict(row["labels"]),
            "start": row["start"].strftime("%Y-%m-%dT%H:%M:%SZ"),
            "end": row["end"].strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        for row in table.to_pylist()
    ] == SETTLED


def test_pages_of_the_ledger_join_without_a_seam(notebook, monkeypatch):
    """However few rows are read at a time."""
    whole = written(notebook, "jsonl", Choice(unsettled=True))
    monkeypatch.setattr(offline, "PAGE_ROWS", 1)
    assert written(notebook, "jsonl", Choice(unsettled=True)) == whole


def test_parquet_without_its_library_says_what_to_install(monkeypatch):
    """In one line."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ExporterError, match="-m pip install 'pyarrow>=17'"):
        export.load_arrow()


def test_the_command_writes_to_standard_output(notebook):
    """As a pipe needs it."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "exporter", "export", "--format", "jsonl"),
            *("--ledger.path", str(notebook.path), "--account", "live"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [json.loads(line) for line in done.stdout.splitlines()] == SETTLED


def test_output_into_a_folder_is_refused_in_one_line(notebook, tmp_path):
    """With exit code 1 and without a traceback."""
    command = [sys.executable, "-m", "exporter", "export", "--format", "csv"]
    done = subprocess.run(
        [*command, "--ledger.path", str(notebook.path), "--output", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = f"media-usage-exporter: --output {tmp_path}: Is a directory\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


def test_every_format_can_be_asked_for():
    """The command line and the writers know the same ones."""
    for name in export.FORMATS:
        assert parse(["export", "--format", name], {}).format == name
    with pytest.raises(SystemExit):
        parse(["export", "--format", "xlsx"], {})
