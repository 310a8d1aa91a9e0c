"""Two invented vendors, so that tests of the configuration outlive changes to the real ones."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from exporter.model import BearerToken, ClientCredentials, Feed, Option, Options


@dataclass(frozen=True)
class Vendor:
    """As much of a `Provider` as a configuration knows of."""

    name: str
    url: str
    authentication: tuple[BearerToken | ClientCredentials, ...]
    feed_names: tuple[str, ...]
    default_feeds: tuple[str, ...]
    auth_url: str | None = None
    options: tuple[Option, ...] = ()

    @property
    def headers(self) -> Mapping[str, str]:
        return {}

    def feeds(self, names: Iterable[str], options: Options) -> tuple[Feed, ...]:
        return ()

    def classify(self, status: int, body: bytes) -> str | None:
        return None

    def retries(self, status: int) -> int | None:
        return None


ACME = Vendor(
    name="acme",
    url="https://api.acme.example",
    authentication=(BearerToken(),),
    feed_names=("account", "streams", "countries"),
    default_feeds=("account", "streams"),
    options=(
        Option("streams", "strings", "Streams to break down."),
        Option("discover", "boolean", "Find more.", default=True),
        Option("api_version", "string", "The API.", default="v2", choices=("v1", "v2")),
        Option("region", "string", "Where."),
    ),
)

APPS = Vendor(
    name="apps",
    url="https://api.apps.example",
    authentication=(ClientCredentials("/token"), BearerToken()),
    feed_names=("jobs",),
    default_feeds=("jobs",),
    auth_url="https://login.apps.example",
)

VENDORS = {"acme": ACME, "apps": APPS}
