"""Every key as data, for the reader, the documentation and the JSON schema.

A new section needs an entry in `SECTIONS`, its dataclass in `settings`, and a field of `Config`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from exporter.config import durations
from exporter.config.kinds import (
    Amount,
    Choice,
    Count,
    DatabaseUrl,
    Day,
    Duration,
    File,
    Flag,
    Kind,
    Labels,
    Many,
    Number,
    Text,
    Url,
)
from exporter.config.settings import LedgerSettings, Limits, Polling, RemoteWrite
from exporter.model import BearerToken, ClientCredentials, Option, Provider
from exporter.model.contracts import COMMITMENT, UNITS
from exporter.model.measures import CATALOGUE


@dataclass(frozen=True, slots=True)
class Field:
    """One key. `into` is the name of its setting where that differs.

    `default` is written as in the file. None means that there is no fixed default; `default_help`
    then says in Markdown what is used instead.
    """

    key: str
    kind: Kind | Many
    help: str
    default: str | None = None
    default_help: str = ""
    into: str = ""
    required: bool = False


def _unchanged(values: dict[str, Any], given: frozenset[str]) -> dict[str, str]:  # noqa: ARG001
    return {}


@dataclass(frozen=True, slots=True)
class Section:
    """A mapping at the top level, read into `settings(**values)`.

    `settle` is called with all values once each is valid by itself, and with the keys that were
    given; it may change defaults, and returns a fault for each key that contradicts another.
    The settings of an `optional` section are None when the file does not have it.
    """

    key: str
    settings: Callable[..., object]
    help: str
    fields: tuple[Field, ...]
    settle: Callable[[dict[str, Any], frozenset[str]], dict[str, str]] = field(default=_unchanged)
    optional: bool = False


_VARIABLE = Text("the name of an environment variable", "[A-Za-z_][A-Za-z0-9_]*", secret=True)

SHORT_CADENCE_SECONDS = 120
"""Below this cadence the default delay is a fifteenth of it, instead of a minute."""


def _settle_polling(values: dict[str, Any], given: frozenset[str]) -> dict[str, str]:
    cadence = values["cadence_seconds"]
    if "delay" not in given and cadence < SHORT_CADENCE_SECONDS:
        values["delay_seconds"] = cadence // 15
    if values["delay_seconds"] >= cadence:
        found = durations.written(values["delay_seconds"])
        limit = durations.written(cadence)
        return {"delay": f"expected less than the cadence, which is {limit}; found {found}"}
    return {}


def _second(given: frozenset[str], *keys: str) -> dict[str, str]:
    """A fault for each of these keys that is given beside another one."""
    first, *others = [key for key in keys if key in given] or [""]
    return dict.fromkeys(others, f"a second source, beside {first}; keep one")


def _settle_ledger(values: dict[str, Any], given: frozenset[str]) -> dict[str, str]:
    faults = _second(given, "password_file", "password_env")
    if "url" not in given:
        return faults | dict.fromkeys(
            given & {"password_file", "password_env"},
            "incomplete without url, the database that it is for",
        )
    if "path" in given:
        faults["path"] = "a second place, beside url; keep one"
    values["path"] = None
    return faults


def _settle_remote_write(
    values: dict[str, Any],  # noqa: ARG001
    given: frozenset[str],
) -> dict[str, str]:
    faults = {
        **_second(given, "credentials_file", "credentials_env"),
        **_second(given, "password_file", "password_env"),
    }
    passwords = given & {"password_file", "password_env"}
    if "username" in given:
        if given & {"credentials_file", "credentials_env"}:
            faults["username"] = "a second way to sign in, beside credentials; keep one"
        elif not passwords:
            faults["username"] = "incomplete without password_file or password_env"
    elif passwords:
        faults[min(passwords)] = "incomplete without username"
    return faults


SECTIONS = (
    Section(
        "polling",
        Polling,
        "When and how vendors are asked; the same for every account.",
        (
            Field(
                "cadence",
                Duration("1s", "1d", "15m"),
                "Time between two polls. They start at its multiples in UTC, plus `delay`, plus"
                " an offset that differs between accounts, of at most a twentieth of it."
                " Vendors publish at :00, :15, :30 and :45.",
                "15m",
                into="cadence_seconds",
            ),
            Field(
                "delay",
                Duration("0s", "1d", "60s"),
                "How long after a multiple of the cadence polls start, so that the vendor has"
                " published. Less than the cadence; when it is not given and the cadence is"
                " under 2m, a fifteenth of that.",
                "60s",
                into="delay_seconds",
            ),
            Field(
                "history",
                Duration("1s", "10y", "7d", words=("month", "max")),
                "How far back the very first poll of a feed or a stream reaches: `month` for the"
                " beginning of the current month (UTC), so that the month to date is whole; `max`"
                " for everything that the vendor keeps. Time of which the vendor no longer has"
                " hours is asked for in days.",
                "month",
            ),
            Field(
                "timeout",
                Duration("1ms", "1h", "30s", fractions=True),
                "Time that one HTTP request may take.",
                "30s",
                into="timeout_seconds",
            ),
            Field(
                "concurrency",
                Count(1, 1000),
                "Requests of one account in flight at the same time.",
                "8",
            ),
            Field(
                "requests_per_second",
                Number(1000, "0.5"),
                "No account makes more requests a second than this, retries and requests for"
                " tokens included; they are spaced evenly. What has no turn before a poll ends"
                " fails as `timeout`.",
                default_help="no limit",
            ),
        ),
        _settle_polling,
    ),
    Section(
        "ledger",
        LedgerSettings,
        "What was counted is remembered here. Deleting it starts every counter anew.",
        (
            Field(
                "path",
                File(),
                "The SQLite database; created when missing.",
                "./usage.db",
            ),
            Field(
                "url",
                DatabaseUrl(),
                "A PostgreSQL database instead of `path`, such as"
                " `postgresql://usage@db.example.com/usage`; needs the extra `postgres`. See"
                " [scaling](scaling.md).",
            ),
            Field("password_file", File(secret=True), "File that holds the database's password."),
            Field("password_env", _VARIABLE, "Environment variable that holds it."),
            Field(
                "lease",
                Duration("1s", "1h", "2m"),
                "With `url`: how long an account stays with a replica that is not heard of.",
                "2m",
                into="lease_seconds",
            ),
            Field(
                "retention",
                Duration("3d", "100y", "400d"),
                "Closed buckets older than this are compacted: deleted, and kept in the totals. Not"
                " under 3d, since vendors still revise the last two days.",
                "400d",
                into="retention_seconds",
            ),
        ),
        _settle_ledger,
    ),
    Section(
        "limits",
        Limits,
        "Bounds on what a vendor can make of an account.",
        (
            Field(
                "streams",
                Count(1, 10_000_000),
                'Streams of an account beyond this many are summed under `stream="__other__"`.',
                "10000",
            ),
            Field(
                "labels",
                Count(1, 10_000_000),
                "Devices, browsers, and countries by stream of an account beyond this many of each"
                ' are summed under `device`, `browser` or `country="__other__"`.',
                "100000",
            ),
        ),
    ),
    Section(
        "remote_write",
        RemoteWrite,
        "Pushes final buckets at their true time to Prometheus, Mimir, VictoriaMetrics or Thanos;"
        " left out, nothing is pushed. See [history](history.md).",
        (
            Field("url", Url(), "The receiver's remote write endpoint.", required=True),
            Field("credentials_file", File(secret=True), "File that holds a bearer token."),
            Field("credentials_env", _VARIABLE, "Environment variable that holds it."),
            Field("username", Text("1 to 256 printable characters"), "For basic authentication."),
            Field("password_file", File(secret=True), "File that holds the password."),
            Field("password_env", _VARIABLE, "Environment variable that holds it."),
            Field("labels", Labels(), "Added to every series pushed.", "{}"),
            Field(
                "timeout",
                Duration("1ms", "1h", "30s", fractions=True),
                "Time that one push may take.",
                "30s",
                into="timeout_seconds",
            ),
        ),
        _settle_remote_write,
        optional=True,
    ),
)

_CHARGEABLE = tuple(
    one.name
    for one in CATALOGUE
    if one.type == "counter" and not one.name.startswith("media_lifetime_")
)
"""Counters whose usage has a time of its own; lifetime totals have none."""

_UNITS = tuple(unit for sizes in UNITS.values() for unit in sizes)

LABEL_VALUES = Many(Text("text"), empty=False)

CONTRACT = (
    Field(
        "accounts",
        Many(Text("the name of an account"), empty=False),
        "Whose terms these are; each account is billed by itself.",
        required=True,
    ),
    Field(
        "currency",
        Text("a currency of ISO 4217, such as EUR", "[A-Z]{3}"),
        "The currency of all amounts; nothing is converted.",
        required=True,
    ),
    Field(
        "from",
        Day(),
        "The day (UTC) from which these terms hold, until later terms of the same account.",
        into="start",
        required=True,
    ),
    Field(
        "until",
        Day(),
        "The day on which the contract ends: the first on which it does not hold.",
        into="end",
    ),
    Field("budget", Amount(), "What you mean to spend a month."),
    Field("commitment", Amount(), "The least that is billed a month."),
    Field("charges", Many(Text("a charge")), "The lines of the bill.", required=True),
)
"""The keys of an entry of `billing`."""

CHARGE_NAME = Field(
    "name",
    Text(
        f"1 to 128 printable characters other than `{COMMITMENT}`",
        rf"(?!{COMMITMENT}$)[^\x00-\x1f\x7f]{{1,128}}",
    ),
    "The `charge` label; unique within the entry.",
    required=True,
)

CHARGE = (
    CHARGE_NAME,
    Field("fee", Amount(), "An amount a month; such a charge has no other keys."),
    Field(
        "measure",
        Choice(_CHARGEABLE, "the name of a counter of vendor data (see metrics.md)"),
        "The counter that is charged.",
    ),
    Field("where", Labels(), "Lists of values by label: only series with one of them are counted."),
    Field("unit", Choice(_UNITS), "What prices and included amounts are counted in."),
    Field("included", Amount("above 0"), "Units a month that cost nothing: the quota."),
    Field(
        "tiers",
        Many(Text("a tier")),
        "Prices of the units after the included ones. Without them the charge is a quota alone.",
    ),
)
"""The keys of a charge."""

TIER = (
    Field(
        "to",
        Amount("above 0"),
        "Up to this many units, counted after the included ones, cost"
        " `price`; the last tier has no end.",
    ),
    Field("price", Amount(), "Of one unit.", required=True),
)
"""The keys of a tier."""

BILLING_HELP = (
    "What accounts pay their vendors; left out, no costs or quotas are shown. See"
    " [billing](billing.md)."
)

ACCOUNTS = Field(
    "accounts", Many(Text("an account"), empty=False), "What is polled.", required=True
)

NAME = Field(
    "name",
    Text("1 to 128 printable characters", r"[^\x00-\x1f\x7f]{1,128}"),
    "The `account` label; unique.",
    required=True,
)

_SOURCES: Mapping[str, tuple[Kind, str]] = {
    "file": (File(secret=True), "File that holds"),
    "env": (_VARIABLE, "Environment variable that holds"),
}

_STEMS = {
    "credentials": "the API token",
    "app_key": "the app's key",
    "app_secret": "the app's secret",
}


def stems(way: BearerToken | ClientCredentials) -> tuple[str, ...]:
    """What a way of authentication needs: keys without their `_file` or `_env`."""
    return ("credentials",) if isinstance(way, BearerToken) else ("app_key", "app_secret")


def sources(stem: str) -> tuple[str, ...]:
    """The keys that can say where `stem` is read from; an account has one of them."""
    return tuple(f"{stem}_{source}" for source in _SOURCES)


def credential_keys(provider: Provider) -> tuple[str, ...]:
    """Every key for a credential of the provider."""
    return tuple(
        key for way in provider.authentication for stem in stems(way) for key in sources(stem)
    )


def credential_combinations(provider: Provider) -> tuple[tuple[str, ...], ...]:
    """The sets of keys of which an account has exactly one."""
    return tuple(
        keys
        for way in provider.authentication
        for keys in product(*(sources(stem) for stem in stems(way)))
    )


def option_default(option: Option) -> str | bool | tuple[str, ...]:
    """The option's default; if it has none, the empty value of its type."""
    if option.default == "" and option.type != "string":
        return () if option.type == "strings" else False
    return option.default


def account_fields(provider: Provider) -> tuple[Field, ...]:
    """The keys of an account with the provider."""
    urls = [
        Field("url", Url(), "The vendor's API.", provider.url),
        Field("auth_url", Url(), "Where its tokens are fetched.", provider.auth_url),
    ]
    credentials = []
    for key in credential_keys(provider):
        stem, _, source = key.rpartition("_")
        kind, holds = _SOURCES[source]
        credentials.append(Field(key, kind, f"{holds} {_STEMS[stem]}."))
    return (
        NAME,
        Field("provider", Choice((provider.name,)), "The vendor.", required=True),
        *urls[: 1 if provider.auth_url is None else 2],
        *credentials,
        Field(
            "feeds",
            Many(Choice(provider.feed_names), empty=False),
            "What is polled.",
            default_help=_code(provider.default_feeds),
        ),
        *(
            Field(option.key, _option_kind(option), option.help, default_help=_written(option))
            for option in provider.options
        ),
    )


def _option_kind(option: Option) -> Kind | Many:
    text: Kind = Choice(option.choices) if option.choices else Text("text")
    kinds: Mapping[str, Kind | Many] = {
        "string": text,
        "strings": Many(text),
        "boolean": Flag(),
    }
    return kinds[option.type]


def _written(option: Option) -> str:
    default = option_default(option)
    return f"`{str(default).lower()}`" if isinstance(default, bool) else _code(default)


def _code(default: str | tuple[str, ...]) -> str:
    written = default if isinstance(default, str) else f"[{', '.join(default)}]"
    return f"`{written}`" if written else ""
