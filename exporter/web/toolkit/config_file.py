"""The file of `--web.config.file`, read strictly: everything that is wrong with it, at once.

No fault shows a hash, a key or any other value that may be one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt
import yaml

from exporter.config import nodes
from exporter.config.kinds import nearest
from exporter.credentials import Secret
from exporter.model.errors import ConfigError
from exporter.web.toolkit.settings import RateLimit, WebConfig
from exporter.web.toolkit.tls_section import TlsSection
from exporter.web.toolkit.values import Entries, Values, Version, named, version

SECTIONS = ("tls_server_config", "http_server_config", "basic_auth_users", "rate_limit")
HTTP_KEYS = ("http2", "headers")
RATE_KEYS = ("interval", "burst")

HEADERS: Mapping[str, tuple[str, ...]] = {
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
    "Content-Security-Policy": (),
}
"""Those that may be set, with the values that are allowed; none named: any."""

_HASH = re.compile(r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$([./A-Za-z0-9]{22})[./A-Za-z0-9]{31}")
_DURATION = re.compile(r"\+?(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+")
_PART = re.compile(r"([\d.]+)(ns|us|µs|μs|ms|s|m|h)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}


@dataclass(slots=True)
class Outcome:
    """What came of reading; `versions` of all files that had a part in it, even in failing.

    `empty` when the file says nothing at all, which is a configuration of defaults.
    """

    config: WebConfig | None = None
    empty: bool = False
    faults: list[str] = field(default_factory=list)
    versions: dict[Path, Version] = field(default_factory=dict)


def load(path: Path) -> WebConfig:
    """The configuration in the file; ConfigError with every fault in it."""
    outcome = read(path)
    if outcome.config is None:
        raise ConfigError(outcome.faults)
    return outcome.config


def read(path: Path) -> Outcome:
    """The configuration in the file, or every fault in it."""
    outcome = Outcome(versions={path: version(path)})
    try:
        root = nodes.read(path)
    except ConfigError as error:
        if _says_nothing(path):
            outcome.config, outcome.empty = WebConfig(path), True
        else:
            outcome.faults = error.faults
        return outcome
    values = Values(path, outcome.versions)
    config = _Reader(values).config(root)
    outcome.faults = values.faults.in_order()
    if not outcome.faults:
        outcome.config = config
    return outcome


def _says_nothing(path: Path) -> bool:
    """Whether the file holds nothing but comments."""
    try:
        with path.open("rb") as file:
            lines = file.read(nodes.LARGEST_FILE).decode("utf-8-sig").splitlines()
    except (OSError, ValueError):
        return False
    return all(re.fullmatch(r"\s*(#.*)?|---|\.\.\.", line) for line in lines)


class _Reader:
    def __init__(self, values: Values) -> None:
        self._values = values

    def config(self, root: yaml.Node) -> WebConfig:
        sections = self._values.entries(root, "")
        self._values.known(sections, SECTIONS, "")
        context = TlsSection(self._values).context(sections)
        headers = self._http(self._values.section(sections, "http_server_config"))
        users = self._users(self._values.section(sections, "basic_auth_users"))
        rate_limit = self._rate_limit(self._values.section(sections, "rate_limit"))
        return WebConfig(
            self._values.path,
            context,
            users,
            headers,
            rate_limit,
            tuple(self._values.warnings.in_order()),
        )

    def _http(self, given: Entries) -> tuple[tuple[bytes, bytes], ...]:
        where = "http_server_config"
        self._values.known(given, HTTP_KEYS, where)
        self._values.flag(given, "http2", where, True)  # what is served is HTTP/1.1 either way
        where = f"{where}.headers"
        headers = self._values.section(given, "headers", where)
        found = []
        for name, entry in headers.items():
            if name not in HEADERS:
                near = nearest(name, HEADERS) or f"; only {', '.join(HEADERS)} can be"
                self._values.fault(entry.key, named(where, name), f"cannot be set{near}")
                continue
            value = self._values.text(headers, name, where)
            allowed = HEADERS[name]
            if name in headers and allowed and value not in allowed:
                text = f"expected {' or '.join(allowed)}; found {nodes.found(entry.value)}"
                self._values.fault(entry.value, f"{where}.{name}", text)
                continue
            value = re.sub(r"\s*[\r\n]\s*", " ", value or "").strip()
            if not all(char.isprintable() or char == "\t" for char in value):
                self._values.fault(
                    entry.value, f"{where}.{name}", "holds characters no header can carry"
                )
            elif value:
                found.append((name.encode(), value.encode()))
        return tuple(found)

    def _users(self, given: Entries) -> dict[bytes, Secret]:
        users = {}
        for name, entry in given.items():
            key = named("basic_auth_users", name)
            hashed = self._values.text(given, name, "basic_auth_users") or ""
            if ":" in name:
                self._values.fault(entry.key, key, "a name with a colon in it cannot be sent")
            if isinstance(entry.value, yaml.ScalarNode) and not _is_hash(hashed):
                text = "not a bcrypt hash; expected $2y$, $2a$ or $2b$, a cost of 04 to 31, $, and"
                self._values.fault(
                    entry.value, key, f"{text} 53 characters, with nothing after them"
                )
            users[name.encode()] = Secret(hashed)
        return users

    def _rate_limit(self, given: Entries) -> RateLimit | None:
        where = "rate_limit"
        self._values.known(given, RATE_KEYS, where)
        interval = self._interval(given)
        burst = 0
        if self._values.says(given, "burst"):
            node = given["burst"].value
            if nodes.tag(node) == "int" and re.fullmatch(r"[0-9]{1,9}", nodes.scalar(node)):
                burst = int(nodes.scalar(node))
            else:
                text = f"expected a whole number; found {nodes.found(node)}"
                self._values.fault(node, f"{where}.burst", text)
                return None
        if not interval:
            return None
        if not burst:
            node = given["burst"].value if "burst" in given else given["interval"].key
            self._values.fault(
                node, f"{where}.burst", "expected at least 1: 0 would refuse every request"
            )
        return RateLimit(interval, burst)

    def _interval(self, given: Entries) -> float:
        text = self._values.text(given, "interval", "rate_limit")
        if not text or text == "0":
            return 0
        if not _DURATION.fullmatch(text):
            node = given["interval"].value
            expected = "expected a duration with its unit, such as 1s or 500ms"
            self._values.fault(
                node, "rate_limit.interval", f"{expected}; found {nodes.found(node)}"
            )
            return 0
        return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def _is_hash(text: str) -> bool:
    """Whether bcrypt can compare with `text`; its own check of the salt costs one cheap round."""
    parts = _HASH.fullmatch(text)
    if parts is None:
        return False
    try:
        bcrypt.hashpw(b"", f"$2b$04${parts[2]}".encode())
    except ValueError:
        return False
    return True
