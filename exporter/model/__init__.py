"""What a vendor can say, in the exporter's own terms, and the shape of a vendor's plug-in.

Three kinds of fact come out of a provider: `Usage` (a total over a bucket of time), `Level`
(true now) and `Event` (a finished job). Everything here is data or pure arithmetic.

Instants are whole Unix seconds, UTC. Windows are half-open. Amounts are whole numbers of the
measure's smallest part (a byte, a view, a millisecond), so that sums are exact in any order.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol, runtime_checkable

import msgspec

from exporter.model.errors import PollError

MINUTE = 60
HOUR = 3600
DAY = 24 * HOUR

LIFETIME_START = 0
LIFETIME_WIDTH = 2**32
"""The one bucket of a total that the vendor keeps since ever; it ends in the year 2106."""

LARGEST_AMOUNT = 2**53
"""A bucket's amount above this is a broken answer: JSON numbers are not exact beyond it."""


@dataclass(frozen=True, slots=True, eq=False)
class Measure:
    """One metric family of vendor data; instances are compared by identity.

    `labels` come after `provider` and `account`. `resolution` is how many parts one unit is
    recorded in: 1 for bytes and counts, 1000 for seconds (milliseconds).

    `identity` is for gauges that describe a thing: so many of the first labels say which thing.
    The ledger keeps the newest description of each. `limited` is the label that becomes
    `__other__` where an account has more combinations of labels than it may have; "" for none.
    """

    name: str
    type: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str
    resolution: int = 1
    buckets: tuple[float, ...] = ()
    identity: int = 0
    limited: str = ""

    @property
    def stream_index(self) -> int | None:
        """Where in `labels` the stream stands, if it does."""
        return self.labels.index("stream") if "stream" in self.labels else None


class Usage(msgspec.Struct, frozen=True, gc=False):
    """So much of `measure` in the bucket that starts at `start` and lasts `width` seconds."""

    measure: Measure
    labels: tuple[str, ...]
    start: int
    width: int
    amount: int


class Level(msgspec.Struct, frozen=True, gc=False):
    """`measure` stands at `value` (in whole units of the metric) now.

    `merge` is what becomes of several levels with equal labels in one poll of a feed: their
    sum, or the greatest or the least where a sum would say nothing (unique viewers, means,
    instants).
    """

    measure: Measure
    labels: tuple[str, ...]
    value: int | float
    merge: Literal["sum", "greatest", "least"] = "sum"

    @property
    def additive(self) -> bool:
        """Whether two of them may be summed into one."""
        return self.merge == "sum"


class Event(msgspec.Struct, frozen=True, gc=False):
    """Something that happens once, known by `id`: it counts once however often it is told.

    `counts` adds one to each counter; `timings` puts an amount into each histogram.
    `since` is the earliest instant that leads a vendor to tell of it again (a job's
    submission), `at` when it happened.
    """

    id: str
    since: int
    at: int
    counts: tuple[tuple[Measure, tuple[str, ...]], ...]
    timings: tuple[tuple[Measure, tuple[str, ...], int], ...] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """Half-open: `start` belongs to it, `end` does not."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise ValueError(f"an empty window: {self.start} to {self.end}")


class Step(enum.Enum):
    """The widths of bucket that vendors offer, as steps of the UTC calendar."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"

    def floor(self, instant: int) -> int:
        """The start of the step that holds `instant`."""
        if self is Step.HOUR:
            return instant - instant % HOUR
        if self is Step.DAY:
            return instant - instant % DAY
        date = datetime.fromtimestamp(instant, UTC)
        return int(datetime(date.year, date.month, 1, tzinfo=UTC).timestamp())

    def after(self, start: int) -> int:
        """The start of the step that follows the one starting at `start`."""
        if self is Step.HOUR:
            return start + HOUR
        if self is Step.DAY:
            return start + DAY
        return self.floor(start + 31 * DAY)

    def ceil(self, instant: int) -> int:
        """`instant` itself when a step starts there, else the start of the next one."""
        start = self.floor(instant)
        return start if start == instant else self.after(start)

    def width(self, start: int) -> int:
        """Seconds in the step that starts at `start` (28 to 31 days for a month)."""
        return self.after(start) - start


@dataclass(frozen=True, slots=True)
class Resolution:
    """A step in which a feed can be asked for its buckets.

    `reach` is how far back (seconds) this step is used, None for as far as there is anything:
    the vendor's retention, or less where finer questions would cost too many requests.
    `longest` is the longest window (seconds) one request may span.
    """

    step: Step
    reach: int | None
    longest: int


@dataclass(frozen=True, slots=True)
class Span:
    """A window to ask for in buckets of `step`; both ends lie on step boundaries."""

    window: Window
    step: Step


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to a feed: what to ask for, and when it is asked.

    `spans` is empty for feeds of levels only. `streams` are the names to break down, in
    feeds that need them.
    """

    now: int
    spans: tuple[Span, ...] = ()
    streams: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """One GET below the account's URL. Equal `path` and `params` are the same request.

    The other fields are what the answer will be read with: the span that was asked for and
    the subjects (stream names, ids) it is about.
    """

    path: str
    params: tuple[tuple[str, str], ...] = ()
    span: Span | None = None
    subjects: tuple[str, ...] = ()

    @property
    def identity(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """What makes two requests the same one."""
        return self.path, self.params


class Item(msgspec.Struct, frozen=True, gc=False):
    """One thing that the vendor lists, a stream or a job, and what its row says.

    Lists may shift while their pages are read, so that one thing stands on two of them. Of two
    items with one `id` in the answers to one span, the later stands. `unfinished` is for a job
    that has not ended: the instant of its submission, from which on it has to be listed again.
    """

    id: str
    usage: tuple[Usage, ...] = ()
    levels: tuple[Level, ...] = ()
    events: tuple[Event, ...] = ()
    unfinished: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What one response said.

    `items` are the rows that stand for a thing with an id; all else is for rows that do not.
    `follow` are requests that it makes necessary: the next page, or details of what it lists.
    `streams` are names that it brought to light. `newest` is the end of the newest bucket that
    the vendor has filled, where usage does not show it. `remarks` are things an operator should
    read once.
    """

    usage: Sequence[Usage] = ()
    levels: Sequence[Level] = ()
    events: Sequence[Event] = ()
    items: Sequence[Item] = ()
    follow: Sequence[Request] = ()
    streams: Sequence[str] = ()
    newest: int | None = None
    remarks: Sequence[str] = ()


class Feed(Protocol):
    """One family of a vendor's endpoints, polled for one account. Pure: no clock, no network.

    A feed may remember what it found out about the vendor (which of two routes answers),
    nothing else.
    """

    @property
    def name(self) -> str:
        """The feed's name in the configuration."""

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Every metric this feed can give."""

    @property
    def resolutions(self) -> tuple[Resolution, ...]:
        """Finest first; empty for a feed that has only levels.

        A fine one may come last again, for time of which a coarse bucket holds too much.
        """

    @property
    def settling(self) -> int:
        """Seconds for which a closed bucket is asked for again at every poll."""

    @property
    def needs_streams(self) -> bool:
        """Whether `Ask.streams` has to name what is to be broken down."""

    @property
    def discovers(self) -> bool:
        """Whether its answers bring stream names to light."""

    def requests(self, ask: Ask) -> Iterable[Request]:
        """The requests that `ask` takes, before any paging; equal asks give equal requests."""

    def parse(self, request: Request, body: bytes, ask: Ask) -> Answer:
        """Read one response's body.

        Raises SchemaError (or msgspec's decoding errors, which mean the same) when it is not
        what the vendor documents; nothing of it is recorded then.
        """

    def refused(self, request: Request, error: PollError) -> Sequence[Request] | None:
        """What to ask instead after `error`; None to let the error stand, () to go without."""


@runtime_checkable
class Totals(Protocol):
    """What a feed may have besides: the vendor's own total of a longer window.

    It is held against what the feed's buckets add up to.
    """

    def totals(self, window: Window) -> Iterable[Request]:
        """The requests for the total of `window`, which begins and ends with a day."""

    def read_totals(self, request: Request, body: bytes, *, now: int) -> Answer:
        """The total as usage, and the requests for further pages; raises as `parse` does."""


@runtime_checkable
class Configured(Protocol):
    """What a feed has besides when the configuration names what it is asked about, by id.

    Each id has a beginning of its own: what an id came to before it was configured is where its
    counters start. `Ask.streams` names those to ask for.
    """

    @property
    def subjects(self) -> tuple[str, ...]:
        """The ids, each of them the `stream` label of its series."""


@runtime_checkable
class Parts(Protocol):
    """What a feed by stream has besides when another feed gives the account's own totals.

    Where these are equal hour by hour, the streams that were not asked for had nothing.
    """

    @property
    def parts(self) -> tuple[tuple[Measure, Measure], ...]:
        """Pairs of an account's measure and the streams' measure that adds up to it."""


@dataclass(frozen=True, slots=True)
class BearerToken:
    """`Authorization: Bearer` with the account's credential as it is."""


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """A token fetched with an app's key and secret (OAuth 2 client credentials, Basic).

    `path` is below the account's `auth_url`.
    """

    path: str


@dataclass(frozen=True, slots=True)
class Option:
    """A key that accounts of one provider may have in the configuration."""

    key: str
    type: Literal["string", "strings", "boolean"]
    help: str
    default: str | bool | tuple[str, ...] = ""
    choices: tuple[str, ...] = ()


Options = Mapping[str, str | bool | tuple[str, ...]]
"""An account's provider-specific settings, every option present."""


class Provider(Protocol):
    """A vendor: where it is, how to sign in, what it can be asked."""

    @property
    def name(self) -> str:
        """The `provider` label."""

    @property
    def url(self) -> str:
        """The vendor's own base URL."""

    @property
    def auth_url(self) -> str | None:
        """The base URL of its token service, where that is another host."""

    @property
    def authentication(self) -> tuple[BearerToken | ClientCredentials, ...]:
        """The ways to sign in that an account may choose from."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers that every request carries."""

    @property
    def options(self) -> tuple[Option, ...]:
        """The configuration keys that only this provider has."""

    @property
    def feed_names(self) -> tuple[str, ...]:
        """Every feed, in the order of the documentation."""

    @property
    def default_feeds(self) -> tuple[str, ...]:
        """The feeds polled when the account names none."""

    def feeds(self, names: Iterable[str], options: Options) -> tuple[Feed, ...]:
        """The named feeds for one account."""

    def classify(self, status: int, body: bytes) -> str | None:
        """The `reason` of an error answer where the status alone would mislead, else None."""

    def retries(self, status: int) -> int | None:
        """How often a status is retried where that differs from the usual, else None."""
