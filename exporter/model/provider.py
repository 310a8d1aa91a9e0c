"""The interfaces of providers and feeds: which requests a feed makes, and how it reads answers.

Everything here is data or pure functions: no clock, no network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from exporter.model.calendar import Span, Step, Window
from exporter.model.errors import PollError
from exporter.model.facts import Event, Item, Level, Measure, Usage


@dataclass(frozen=True, slots=True)
class Resolution:
    """A bucket width that a feed can be asked for.

    `reach` is how far back (seconds) this step is used: the vendor's retention, or less where this
    step would take too many requests; None for no limit. `longest` is the longest window (seconds)
    of one request.
    """

    step: Step
    reach: int | None
    longest: int


@dataclass(frozen=True, slots=True)
class Ask:
    """What a feed is asked for in one poll, at the instant `now`; it may take several requests.

    `spans` is empty for feeds that have only levels. `streams` are the names to break down, for
    feeds that need them.
    """

    now: int
    spans: tuple[Span, ...] = ()
    streams: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """One GET below the account's URL. Equal `path` and `params` are the same request.

    The other fields are needed to read the answer: the span that was asked for and the subjects
    (stream names, ids) of the request.
    """

    path: str
    params: tuple[tuple[str, str], ...] = ()
    span: Span | None = None
    subjects: tuple[str, ...] = ()

    @property
    def identity(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """Equal for equal requests."""
        return self.path, self.params


@dataclass(frozen=True, slots=True)
class Answer:
    """The facts of one response.

    `items` are the rows of a list whose entries have ids; `usage`, `levels` and `events` are for
    rows without. `follow` are requests that the response makes necessary: the next page, or details
    of what it lists. `streams` are the stream names in it. `newest` is the end of the newest bucket
    that the vendor has filled, where usage does not show it. `remarks` are logged for the operator,
    each once.
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

    The only state that a feed may keep is what it learned about the vendor's API (such as which of
    two routes answers).
    """

    @property
    def name(self) -> str:
        """The feed's name in the configuration."""

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Every metric that this feed can have."""

    @property
    def resolutions(self) -> tuple[Resolution, ...]:
        """Finest first; empty for a feed that has only levels.

        A fine one may come last again, for a part of the time of a coarse bucket.
        """

    @property
    def settling(self) -> int:
        """Settling time: for so many seconds a closed bucket is requested again at every poll."""

    @property
    def needs_streams(self) -> bool:
        """Whether `Ask.streams` has to name the streams."""

    @property
    def discovers(self) -> bool:
        """Whether its answers list stream names (discovery)."""

    def requests(self, ask: Ask) -> Iterable[Request]:
        """The first requests for `ask`, before any paging; equal asks have equal requests."""

    def parse(self, request: Request, body: bytes, ask: Ask) -> Answer:
        """Read one response's body.

        Raises SchemaError (or msgspec's decoding errors, which are treated alike) when it is not
        what the vendor documents; then nothing of the poll is recorded.
        """

    def refused(self, request: Request, error: PollError) -> Sequence[Request] | None:
        """Requests to make instead after `error`; () to skip this one, None to raise the error."""


@runtime_checkable
class Totals(Protocol):
    """A feed that can also be asked for the vendor's own total of a longer window.

    The total is compared with the sum of the feed's buckets.
    """

    def totals(self, window: Window) -> Iterable[Request]:
        """The requests for the total of `window`, which begins and ends with a day."""

    def read_totals(self, request: Request, body: bytes, *, now: int) -> Answer:
        """The total as usage, and the requests for further pages; raises as `parse` does."""


@runtime_checkable
class Configured(Protocol):
    """A feed about ids that the configuration names.

    Each id has a baseline of its own: its total when it is first polled is where its counters
    start. `Ask.streams` names the ids to ask for.
    """

    @property
    def subjects(self) -> tuple[str, ...]:
        """The ids, each of them the `stream` label of its series."""


@runtime_checkable
class StreamBreakdown(Protocol):
    """A feed by stream, where another feed has the account's amounts of the same measures.

    In hours in which the account's amount equals the sum of the streams' amounts, streams that
    were not asked for had no further usage.
    """

    @property
    def measure_pairs(self) -> tuple[tuple[Measure, Measure], ...]:
        """Pairs of an account's measure and the measure by stream whose sum it is."""


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
    """A vendor: its URLs, its ways to sign in, its options and its feeds."""

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
        """The `reason` of an error answer where the status alone is not enough, else None."""

    def retries(self, status: int) -> int | None:
        """How often a status is retried where that differs from the default, else None."""
