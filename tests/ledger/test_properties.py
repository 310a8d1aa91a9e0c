"""No history makes a counter fall, and every counter equals what the vendor said last.

Hypothesis makes up histories: polls of several feeds in any order and width, restarts, other
limits, compaction. The decision is driven with dictionaries to hold what was decided, and the
whole ledger with SQLite and PostgreSQL, where any statement may fail and the process may be
killed. A plain model is told the same and must agree after every step.
"""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from exporter.ledger import OTHER_STREAM, Ledger, Poll
from exporter.ledger.place import Server
from exporter.ledger.postgres import PostgresLedger
from exporter.model import (
    DAY,
    HOUR,
    LIFETIME_START,
    LIFETIME_WIDTH,
    Event,
    Level,
    Step,
    Usage,
    Window,
    measures,
)
from exporter.model.errors import LedgerWriteError
from tests.ledger.databases import breaking
from tests.ledger.disk import HOLD_SECONDS, Clock, contents, copy_ledger, failing
from tests.ledger.holder import Holder
from tests.ledger.model import covers, truth

START = 1_704_067_200  # 2024-01-01, a month of 31 days before one of 29
REAPPEARS_AFTER = 1000
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # spares the disk
FEEDS = ("one", "two")
STREAMS = ("a", "b", "c", "d", "e")

_hours = [START + day * DAY + hour * HOUR for day in (0, 1, 30, 31, 59) for hour in (0, 1, 22, 23)]
BUCKETS = sorted(
    {(hour, HOUR) for hour in _hours}
    | {(Step.DAY.floor(hour), DAY) for hour in _hours}
    | {(Step.MONTH.floor(hour), Step.MONTH.width(Step.MONTH.floor(hour))) for hour in _hours}
)

buckets = some.sampled_from(BUCKETS)
amounts = some.one_of(some.just(0), some.integers(1, 9), some.integers(1, 2**53))


def labels_of(feed, stream):
    return ("all", f"{feed}-{stream}")


@some.composite
def usages(draw, feed):
    what = draw(some.integers(0, 9))
    amount = draw(amounts)
    if what == 0:
        measure, labels = measures.LIFETIME_VIEWS, (f"{feed}-{draw(some.sampled_from(STREAMS))}",)
        return Usage(measure, labels, LIFETIME_START, LIFETIME_WIDTH, amount)
    start, width = draw(buckets)
    if what < 4:
        measure = (measures.DELIVERED_BYTES, measures.RECEIVED_BYTES)[feed == "two"]
        return Usage(measure, ("live",), start, width, amount)
    measure = (measures.STREAM_VIEWS, measures.STREAM_DELIVERED_BYTES)[what % 2]
    return Usage(measure, labels_of(feed, draw(some.sampled_from(STREAMS))), start, width, amount)


@some.composite
def events(draw):
    number = draw(some.integers(0, 30))
    at = _hours[number % len(_hours)]
    path = "ab"[number % 2]
    return Event(
        id=f"job-{number}",
        since=at - 60 * (number % 5),
        at=at,
        counts=((measures.JOBS_FINISHED, (path, "success")),),
        timings=((measures.JOB_QUEUE_SECONDS, (path,), 700 * number),),
    )


@some.composite
def polls(draw):
    feed = draw(some.sampled_from(FEEDS))
    names = [f"{feed}-{stream}" for stream in STREAMS]
    some_names = some.lists(some.sampled_from(names), max_size=3, unique=True)
    title = draw(some.sampled_from(("Film", "Match")))
    described = Level(measures.STREAM_INFO, ("vod", names[0], title, "false"), 1)
    gap_start = START + DAY * draw(some.integers(0, 5))
    gap = Window(gap_start, gap_start + DAY * draw(some.integers(1, 3)))
    return {
        "feed": feed,
        "usage": tuple(draw(some.lists(usages(feed), max_size=12))),
        "events": tuple(draw(some.lists(events(), max_size=3))) if feed == "one" else (),
        "advances": draw(some.sampled_from((True, True, True, False))),
        "revisited": draw(some.booleans()),
        "unfinished": draw(some.sampled_from(({}, {"x": START + HOUR}))),
        "newest": draw(some.sampled_from((None, START + HOUR, START + DAY))),
        "gap": gap if draw(some.integers(0, 4)) == 0 else None,
        "filled": gap if draw(some.integers(0, 4)) == 0 else None,
        "streams": tuple(draw(some_names)) if draw(some.booleans()) else None,
        "began": draw(some.sampled_from((None, START, START + DAY))),
        "streams_began": draw(some.dictionaries(some.sampled_from(names), some.integers(0, 9))),
        "baseline_streams": frozenset(draw(some_names)),
        "listed": draw(some.booleans()),
        "discovered": tuple(draw(some_names)),
        "described": (described,) if draw(some.booleans()) else (),
        "named": tuple(draw(some_names)) if draw(some.booleans()) else (),
    }


@dataclass
class Counter:
    """What the model knows of one series."""

    base: int = 0
    buckets: dict = field(default_factory=dict)
    exposed: int = 0
    held: tuple[int, float] = (0, 0.0)
    folded: bool = False

    @property
    def truth(self):
        return self.base + truth(self.buckets)


@dataclass
class Model:
    """The ledger's promise in the plainest terms."""

    limit: int
    counters: dict = field(default_factory=dict)
    feed_of: dict = field(default_factory=dict)
    admitted: set = field(default_factory=set)
    folded: set = field(default_factory=set)
    told: set = field(default_factory=set)
    polled_at: dict = field(default_factory=dict)
    compacted_until: dict = field(default_factory=lambda: dict.fromkeys(FEEDS, 0))
    reappeared_until: dict = field(default_factory=lambda: dict.fromkeys(FEEDS, 0.0))

    def admit(self, stream):
        if stream in self.admitted or stream == OTHER_STREAM:
            return True
        if stream not in self.folded:
            within = len(self.admitted) < self.limit
            (self.admitted if within else self.folded).add(stream)
        return stream in self.admitted

    def truth(self, key):
        """A series' own truth, and that of the folded ones that it stands for."""
        measure, labels = key
        index = measure.stream_index
        total = self.counters[key].truth
        if index is not None and labels[index] == OTHER_STREAM:
            total += sum(
                one.truth
                for (other, names), one in self.counters.items()
                if one.folded and other is measure and other_key((other, names)) == key
            )
        return total

    def record(self, poll, now):
        feed = poll.feed
        fresh = set()

        def counter(measure, labels, *, since_ever=False):
            key = (measure, labels)
            if key in self.counters:
                return self.counters[key]
            index = measure.stream_index
            one = self.counters[key] = Counter()
            self.feed_of[key] = feed
            one.folded = index is not None and not self.admit(labels[index])
            stream = None if index is None else labels[index]
            first = self.polled_at.get(feed) is None or stream in poll.baseline_streams
            first = first or since_ever  # its past is where it begins
            if not first and not one.folded:
                one.held = (0, now + HOLD_SECONDS)
            fresh.add(key)
            if one.folded:
                counter(*other_key(key), since_ever=since_ever)
            return one

        for stream in poll.named:
            self.admit(stream)
        for row in poll.usage:
            if row.start >= self.compacted_until[feed] or row.width == LIFETIME_WIDTH:
                one = counter(row.measure, row.labels, since_ever=row.width == LIFETIME_WIDTH)
                one.buckets[row.start, row.width] = row.amount
        for event in poll.events:
            if event.id not in self.told and event.since >= poll.at - 93 * DAY:
                self.told.add(event.id)
                for measure, labels in event.counts:
                    counter(measure, labels).base += 1
                for measure, labels, amount in event.timings:
                    for bound in measure.buckets:
                        within = amount <= bound * 1000
                        counter(measure, (*labels, str(float(bound)))).base += within
                    counter(measure, (*labels, "+Inf")).base += 1
                    counter(measure, (*labels, "count")).base += 1
                    counter(measure, (*labels, "sum")).base += amount
        known = {key: one for key, one in self.counters.items() if key not in fresh}
        histograms = {
            histogram(key): one.held[1]
            for key, one in known.items()
            if histogram(key) is not None and one.held[1] > now
        }
        for key, one in self.counters.items():
            exposed = max(one.exposed, self.truth(key))
            # All series of a histogram are shown as of one moment.
            until = histograms.get(histogram(key), self.reappeared_until[feed])
            if exposed > one.exposed and key in known and until > now >= one.held[1]:
                one.held = (one.exposed, until)
            one.exposed = exposed
        if poll.advances:
            self.polled_at[feed] = poll.at

    def compact(self, feed, before):
        before -= before % DAY
        if before <= self.compacted_until[feed]:
            return
        self.compacted_until[feed] = before
        for key, one in self.counters.items():
            if self.feed_of[key] != feed:
                continue
            for bucket in [bucket for bucket in one.buckets if sum(bucket) <= before]:
                total = one.truth
                one.buckets.pop(bucket)
                one.base += total - one.truth

    def restart(self, now):
        for feed in FEEDS:
            polled_at = self.polled_at.get(feed)
            back = polled_at is not None and now - polled_at > REAPPEARS_AFTER
            self.reappeared_until[feed] = now + HOLD_SECONDS if back else 0.0

    def shown(self, key, now):
        one = self.counters[key]
        return one.held[0] if one.held[1] > now else one.exposed


def histogram(key):
    """The histogram that a series belongs to, if any."""
    measure, labels = key
    return (measure, labels[:-1]) if measure.type == "histogram" else None


def other_key(key):
    measure, labels = key
    index = measure.stream_index
    return measure, (*labels[:index], OTHER_STREAM, *labels[index + 1 :])


class Histories(RuleBasedStateMachine):
    """What the decision and the whole ledger are held to alike."""

    what: str
    attack: Any
    ledger: Any
    book: Any

    @initialize(limit=some.integers(0, 6))
    def begin(self, limit):
        self.attack.tried(self.what)
        self.clock = Clock(START + 60 * DAY + 0.5)
        self.model = Model(limit)
        self.seen = {}
        self.last = None
        self.open()

    def open(self):
        """Make `ledger` and `book`."""
        raise NotImplementedError

    def contents(self):
        return contents(self.book, self.clock())

    @rule(seconds=some.sampled_from((1, 30, 99, 100, 101, 900, 5000)))
    def wait(self, seconds):
        self.clock.now += seconds

    @rule(poll=polls())
    def record(self, poll):
        self.last = Poll(at=int(self.clock()), **poll)
        self.ledger.record(self.book, self.last)
        self.model.record(self.last, self.clock())

    @rule()
    def record_the_same_again(self):
        if self.last is None:
            return
        values = {key: (one.truth, one.exposed) for key, one in self.series().items()}
        recorded = self.ledger.record(self.book, self.last)
        self.model.record(self.last, self.clock())
        assert not recorded.changed
        assert values == {key: (one.truth, one.exposed) for key, one in self.series().items()}

    @rule(feed=some.sampled_from(FEEDS), days=some.integers(0, 62))
    def compact(self, feed, days):
        before = START + days * DAY + 3 * HOUR
        # What fills a gap is yet to be counted, so nothing is compacted from its beginning on.
        before = min([before, *(gap.start for gap in self.book.feeds[feed].gaps)])
        held = {key: (one.truth, one.exposed) for key, one in self.series().items()}
        if self.try_to_compact(feed, before):
            self.model.compact(feed, before)
        assert held == {key: (one.truth, one.exposed) for key, one in self.series().items()}

    def try_to_compact(self, feed, before):
        """Returns whether that was done."""
        self.ledger.compact(self.book, feed, before)
        return True

    def series(self):
        return {
            (measure, labels): one
            for measure, named in self.book.series.items()
            for labels, one in named.items()
        }

    @invariant()
    def agrees_with_the_model(self):
        if not hasattr(self, "book"):
            return
        now = self.clock()
        series = self.series()
        assert series.keys() == self.model.counters.keys()
        for key, one in series.items():
            self.attack.compared(one.truth, self.model.truth(key))
            assert one.truth == self.model.truth(key), key
            assert one.exposed == self.model.counters[key].exposed, key
            assert (one.into is not None) == self.model.counters[key].folded
            assert self.book.value(one, now) == self.model.shown(key, now), key
        assert self.book.admitted == self.model.admitted
        assert self.book.folded == self.model.folded

    @invariant()
    def no_counter_ever_fell(self):
        if not hasattr(self, "book"):
            return
        now = self.clock()
        for measure in self.book.series:
            for one in self.book.shown(measure):
                shown = self.book.value(one, now)
                assert shown >= self.seen.get((measure, one.labels), 0)
                self.seen[measure, one.labels] = shown

    @invariant()
    def shown_streams_add_up_to_all_streams(self):
        if not hasattr(self, "book"):
            return
        for measure, named in self.book.series.items():
            shown = sum(one.truth for one in self.book.shown(measure))
            own = sum(
                counter.truth
                for (other, _), counter in self.model.counters.items()
                if other is measure
            )
            assert shown == own
            assert len(named) >= sum(1 for _ in self.book.shown(measure))

    @invariant()
    def histograms_are_consistent(self):
        if not hasattr(self, "book"):
            return
        now = self.clock()
        named = self.book.series.get(measures.JOB_QUEUE_SECONDS, {})
        value = {labels: self.book.value(one, now) for labels, one in named.items()}
        for path in {labels[0] for labels in named}:
            counts = [
                value[path, str(float(bound))] for bound in measures.JOB_QUEUE_SECONDS.buckets
            ]
            assert counts == sorted(counts)
            assert counts[-1] <= value[path, "+Inf"] == value[path, "count"]


class Decisions(Histories):
    """The decision alone, on dictionaries."""

    what = "histories of the decision: any order, lateness, revision, restart"

    def open(self):
        self.ledger = Holder(self.clock, FEEDS)
        self.book = self.ledger.book(self.model.limit)

    @rule(limit=some.integers(0, 8))
    def restart(self, limit):
        self.model.limit = limit
        self.model.restart(self.clock())
        self.book = self.ledger.reopened(self.book, limit, reappears_after=REAPPEARS_AFTER)

    @invariant()
    def no_bucket_lies_under_a_wider_one(self):
        """Of one series; what stood there before was taken back."""
        if not hasattr(self, "book"):
            return
        for buckets in self.ledger.buckets.values():
            for wide, amounts in buckets.items():
                for narrow in buckets:
                    if wide[1] != LIFETIME_WIDTH and covers(wide, narrow):
                        assert not amounts.keys() & buckets[narrow].keys()


class Ledgers(Histories):
    """The whole ledger, on a disk that fails."""

    what = "histories of the ledger: any order, lateness, crash, restart, compaction"
    killed: Any

    def open(self):
        if not hasattr(self, "folder"):
            self.folder = tempfile.TemporaryDirectory(prefix="ledger-", dir=MEMORY)
            self.path = Path(self.folder.name) / "usage.db"
            self.killed = Path(self.folder.name) / "killed.db"
        self.ledger = self._open(self.path)
        self.book = self._book(self.ledger)

    def _open(self, path):
        ledger = Ledger.open(path, clock=self.clock, hold_seconds=HOLD_SECONDS)
        ledger.connection.execute("PRAGMA synchronous = OFF")  # nobody pulls the plug
        return ledger

    def _book(self, ledger):
        return ledger.book(
            "livepeer",
            "studio",
            feeds=FEEDS,
            stream_limit=self.model.limit,
            reappears_after=REAPPEARS_AFTER,
        )

    def failing(self, statement):
        """Let the `statement`-th statement fail from now on; 0: none."""
        return failing(self.ledger, statement=statement, copy_to=self.killed)

    def kill(self):
        """Keep what a process that is killed now leaves behind."""
        copy_ledger(self.path, self.killed)

    @rule(poll=polls(), statement=some.integers(1, 30))
    def fail_while_recording(self, poll, statement):
        before = self.contents()
        poll = Poll(at=int(self.clock()), **poll)
        with self.failing(statement) as disk:
            try:
                self.ledger.record(self.book, poll)
            except LedgerWriteError:
                assert disk.failed
        if not disk.failed:
            self.last = poll
            self.model.record(poll, self.clock())
            return
        assert self.contents() == before
        self.compare_with_disk(self.killed, before)

    @rule()
    def be_killed(self):
        self.kill()
        self.compare_with_disk(self.killed, self.contents())

    @rule(limit=some.integers(0, 8))
    def restart(self, limit):
        before = self.contents()
        self.ledger.close()
        self.model.limit = limit
        self.model.restart(self.clock())
        self.open()
        assert self.contents() == before

    def compare_with_disk(self, path, expected):
        ledger = self._open(path)
        try:
            assert contents(self._book(ledger), self.clock()) == expected
        finally:
            ledger.close()

    @rule(statement=some.integers(1, 5))
    def let_the_next_compaction_fail(self, statement):
        self.failing_statement = statement

    failing_statement = 0

    def try_to_compact(self, feed, before):
        statement, self.failing_statement = self.failing_statement, 0
        with self.failing(statement) as disk:
            try:
                self.ledger.compact(self.book, feed, before)
            except LedgerWriteError:
                assert disk.failed
        return not disk.failed

    def teardown(self):
        if hasattr(self, "ledger"):
            self.ledger.close()
            self.folder.cleanup()


class Databases(Ledgers):
    """The same on a server whose connections break; what others see is what a kill leaves."""

    what = "histories of the ledger on PostgreSQL: any order, lateness, broken connections, restart"
    server: Any

    def open(self):
        if not hasattr(self, "place"):
            self.place = self.killed = Server(self.server.url(self.server.ledger()))
        self.ledger = self._open(self.place)
        self.book = self._book(self.ledger)

    def _open(self, path):
        return PostgresLedger.open(path, clock=self.clock, hold_seconds=HOLD_SECONDS)

    def failing(self, statement):
        return breaking(self.ledger, self.server, statement=statement)

    def kill(self):
        """Nothing is to be done."""

    def teardown(self):
        if hasattr(self, "ledger"):
            self.ledger.close()


QUIET = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large)


def count_exactly(machine, attack, *, histories, steps, **attributes):
    run_state_machine_as_test(
        type(machine.__name__, (machine,), {"attack": attack, **attributes}),
        settings=settings(
            max_examples=histories,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=QUIET,
        ),
    )


@pytest.mark.timeout(900)  # seconds on an idle machine, minutes on one that does much else
@pytest.mark.parametrize("machine", [Decisions, Ledgers])
def test_every_history_is_counted_exactly(attack, machine):
    count_exactly(machine, attack, histories=100, steps=20)


@pytest.mark.sockets
@pytest.mark.timeout(900)
def test_histories_on_postgresql_are_counted_exactly(attack, postgres):
    count_exactly(Databases, attack, histories=8, steps=15, server=postgres)


@pytest.mark.soak
@pytest.mark.sockets
@pytest.mark.timeout(0)
def test_five_hundred_histories_on_postgresql_are_counted_exactly(attack, postgres):
    count_exactly(Databases, attack, histories=500, steps=30, server=postgres)


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("machine", [Decisions, Ledgers])
@pytest.mark.parametrize("part", range(10))
def test_ten_thousand_histories_are_counted_exactly(attack, machine, part):
    """In ten parts: Hypothesis remembers what it tried, all at once in two gigabytes."""
    count_exactly(machine, attack, histories=1_000, steps=30)


words = some.dictionaries(some.sampled_from(BUCKETS), some.integers(0, 2**40), min_size=1)


@some.composite
def tellings(draw):
    """The newest word on some buckets, and polls that end with it, in any order and often."""
    newest = draw(words)
    earlier = some.tuples(some.sampled_from(sorted(newest)), some.integers(0, 2**40))
    told = draw(some.lists(earlier, max_size=20))
    told += draw(some.permutations(sorted(newest.items())))
    told += draw(some.lists(some.sampled_from(sorted(newest.items())), max_size=5))
    polls = []
    while told:
        size = draw(some.integers(1, len(told)))
        polls.append(told[:size])
        told = told[size:]
    return newest, polls


@settings(deadline=None, suppress_health_check=QUIET)
@given(tellings(), some.booleans())
def test_only_the_newest_word_on_each_bucket_counts(telling, restarts):
    """Whatever was said before it, in whatever order and in however many polls."""
    newest, polls = telling
    clock = Clock(START + 60 * DAY)
    holder = Holder(clock, FEEDS)
    book = holder.book(10)
    shown = 0
    for told in polls:
        usage = [
            Usage(measures.DELIVERED_BYTES, ("live",), start, width, amount)
            for (start, width), amount in told
        ]
        holder.record(book, Poll(feed="one", at=int(clock()), usage=usage))
        one = book.series[measures.DELIVERED_BYTES]["live",]
        assert one.exposed == max(shown, one.truth), "it does not fall, nor run ahead"
        shown = one.exposed
        clock.now += 900
        if restarts:
            book = holder.reopened(book, 10, reappears_after=REAPPEARS_AFTER)
    assert book.series[measures.DELIVERED_BYTES]["live",].truth == truth(newest)
