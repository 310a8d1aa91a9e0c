"""The shape of a provider: the feeds that it offers, what they ask, and what they answer.

Everything here is data or pure: no clock, no network.
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
    """A step in which a feed can be asked for its buckets.

    `reach` is how far back (seconds) this step is used, None for as far as there is anything:
    the vendor's retention, or less where finer questions would cost too many requests.
    `longest` is the longest window (seconds) one request may span.
    """

    step: Step
    reach: int | None
    longest: int


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
