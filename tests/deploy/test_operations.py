"""docs/operations.md, docs/install.md and SECURITY.md against what they speak of."""

import re
import sqlite3
from pathlib import Path
from urllib.parse import urlsplit

import click
import pytest
import yaml

from exporter import providers
from exporter.cli import flags
from exporter.ledger import Ledger, Poll
from exporter.model import HOUR, Usage, measures
from exporter.model.errors import LedgerError

pytestmark = pytest.mark.sockets

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs/operations.md"
TEXT = PAGE.read_text("utf-8")
SECURITY = ROOT / "SECURITY.md"
PAGES = [PAGE, PAGE.with_name("install.md"), SECURITY]
NOW = 1_704_067_200


def open_ledger(path):
    return Ledger.open(path, clock=lambda: NOW, hold_seconds=0)


def open_book(ledger):
    return ledger.book("millicast", "studio", feeds=("usage",), stream_limit=10)


def record(ledger, hours, streams=("a",)):
    usage = [
        Usage(measures.STREAM_DELIVERED_BYTES, ("live", stream), NOW - hour * HOUR, HOUR, 10**10)
        for hour in range(hours, 0, -1)
        for stream in streams
    ]
    book = open_book(ledger)
    ledger.record(book, Poll(feed="usage", at=NOW, usage=usage))


def totals(ledger):
    book = open_book(ledger)
    return [one.truth for series in book.series.values() for one in series.values()]


def test_every_alert_has_a_line_and_no_line_is_without_its_alert():
    alerts = [
        rule["alert"]
        for file in sorted((ROOT / "deploy/prometheus/rules").glob("*.yml"))
        for group in yaml.safe_load(file.read_text("utf-8"))["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]
    rows = re.findall(r"^\| \[(\w+)\]\(runbooks/(\w+)\.md\) \| \S.* \|$", TEXT, re.MULTILINE)
    assert [name for name, _ in rows] == alerts
    assert all(name == page for name, page in rows)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_link_into_a_page_names_one_of_its_headings(page):
    for target, anchor in re.findall(r"\]\(([^)#]*)#([^)]+)\)", page.read_text("utf-8")):
        text = (page.parent / target if target else page).read_text("utf-8")
        headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in headings}
        assert anchor in anchors, f"{target}#{anchor}"


def test_the_readme_leads_to_what_it_exposes_and_each_of_its_paths_is_weighed_there():
    readme = (ROOT / "README.md").read_text("utf-8")
    assert "](SECURITY.md)" in readme
    table = readme[readme.index("## HTTP") : readme.index("## Alerts")]
    paths = set(re.findall(r"`(?:POST )?(/[\w/-]*)`", table))
    exposed = SECURITY.read_text("utf-8").partition("## What it exposes")[2]
    assert {"/metrics", "/-/reload"} < paths
    assert paths == set(re.findall(r"`(?:POST )?(/[\w/-]*)`", exposed))


def test_what_listens_where_unless_told_otherwise_is_said():
    assert flags.parse(["serve"], {}).web_listen_address == (f":{flags.DEFAULT_PORT}",)
    said = f"`serve` listens on port {flags.DEFAULT_PORT}, on all addresses"
    assert said in SECURITY.read_text("utf-8")


@pytest.fixture
def explained(capsys):
    """All that the program says of its commands, flags and variables."""
    for command in (["--help"], ["serve", "--help"], ["check-config", "--help"]):
        with pytest.raises(SystemExit):
            flags.parse(command, {})
    return capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_flag_command_and_variable_exists(page, explained):
    text = page.read_text("utf-8")
    words = set(re.findall(r"[\w.-]+", explained))
    named = re.findall(r"--(?:config|ledger|log|web)\.[a-z.-]*[a-z]", text)
    variables = re.findall(rf"{flags.PREFIX}\w+", text)
    known = {
        flag.envvar
        for command in flags.COMMANDS.commands.values()
        for flag in command.params
        if isinstance(flag, click.Option)
    }
    assert set(named) <= words
    assert set(variables) <= known
    for command in set(re.findall(r"media-usage-exporter ([a-z][a-z-]+)\b(?! /)", text)):
        assert re.search(rf"^ +{command}( |$)", explained, re.MULTILINE), command


def test_a_firewall_can_be_made_from_it():
    assert f"| {flags.DEFAULT_PORT} |" in TEXT
    assert f"| {flags.EMULATOR_PORT} |" in TEXT
    for vendor in providers.load().values():
        for url in filter(None, (vendor.url, vendor.auth_url)):
            assert f"`{urlsplit(url).hostname}`" in TEXT


def vacuum(statement):
    """A way to copy a ledger, out of a statement on the page."""

    def copy(connection, to):
        connection.execute(re.sub(r"'.*'", f"'{to}'", statement.replace("\\'", "'")))

    return copy


def backup(connection, to):
    """What `.backup` is in the sqlite3 program."""
    assert ".backup '" in TEXT
    with sqlite3.connect(to) as copy:
        connection.backup(copy)
    copy.close()


STATEMENTS = re.findall(r"VACUUM INTO \\?'\S+?'(?=[\")'])", TEXT)


@pytest.mark.parametrize("copy", [backup, *map(vacuum, STATEMENTS)])
def test_a_backup_taken_while_the_exporter_runs_restores_the_totals(copy, tmp_path):
    assert len(STATEMENTS) == 2
    ledger = open_ledger(tmp_path / "usage.db")
    record(ledger, hours=48)
    before = totals(ledger)
    connection = sqlite3.connect(tmp_path / "usage.db")
    copy(connection, tmp_path / "copy.db")
    connection.close()
    record(ledger, hours=96)
    assert totals(ledger) != before
    ledger.close()

    restored = open_ledger(tmp_path / "copy.db")
    assert totals(restored) == before
    restored.close()


def test_a_second_exporter_is_refused_and_a_lock_file_left_behind_is_not_a_lock(tmp_path):
    ledger = open_ledger(tmp_path / "usage.db")
    with pytest.raises(LedgerError, match="another exporter is writing to it"):
        open_ledger(tmp_path / "usage.db")
    beside = {path.name for path in tmp_path.iterdir()}
    assert beside == {"usage.db", "usage.db-wal", "usage.db-shm", "usage.db.lock"}
    ledger.close()
    assert (tmp_path / "usage.db.lock").exists()
    open_ledger(tmp_path / "usage.db").close()


def test_a_bucket_takes_what_the_disk_estimate_says(tmp_path):
    ledger = open_ledger(tmp_path / "usage.db")
    streams = [f"stream {number}" for number in range(10)]
    record(ledger, hours=2000, streams=streams)
    ledger.close()
    said = re.search(r"A bucket with traffic takes about (\d+) bytes", TEXT)
    assert said is not None
    size = (tmp_path / "usage.db").stat().st_size
    assert size / (2000 * len(streams)) == pytest.approx(int(said[1]), rel=0.2)
