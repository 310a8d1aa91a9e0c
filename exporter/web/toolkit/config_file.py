"""The file of `--web.config.file`, read strictly: all faults are found in one reading.

No fault shows a hash, a key or any other value that may be a secret.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from exporter.config import nodes
from exporter.config.file_reader import Entry, FileReader, below, is_given
from exporter.config.kinds import Choice, Count, Flag, nearest
from exporter.credentials import FileVersion, Secret, file_version
from exporter.model.errors import ConfigError
from exporter.web.toolkit.kinds import BcryptHash, GoDuration, HeaderText
from exporter.web.toolkit.settings import RateLimit, WebConfig
from exporter.web.toolkit.tls_section import TlsSection

SECTIONS = ("tls_server_config", "http_server_config", "basic_auth_users", "rate_limit")
HTTP_KEYS = ("http2", "headers")
RATE_KEYS = ("interval", "burst")

HEADERS: Mapping[str, HeaderText | Choice] = {
    "Strict-Transport-Security": HeaderText(),
    "X-Content-Type-Options": Choice(("nosniff",)),
    "X-Frame-Options": Choice(("deny", "sameorigin")),
    "X-XSS-Protection": HeaderText(),
    "Content-Security-Policy": HeaderText(),
}
"""Those that may be set, with the values that are allowed."""


@dataclass(slots=True)
class Outcome:
    """What came of reading the file.

    `config` is None where there are `faults`. `empty` tells that the file holds nothing but
    comments, which is a configuration of defaults. `versions` has every file that was read, also
    when there are faults.
    """

    config: WebConfig | None = None
    empty: bool = False
    faults: list[str] = field(default_factory=list)
    versions: dict[Path, FileVersion] = field(default_factory=dict)


def load(path: Path) -> WebConfig:
    """The configuration in the file; ConfigError with every fault in it."""
    outcome = read(path)
    if outcome.config is None:
        raise ConfigError(outcome.faults)
    return outcome.config


def read(path: Path) -> Outcome:
    """The configuration in the file, or every fault in it."""
    # Taken before the file is read: a change during the reading is then noticed afterwards.
    outcome = Outcome(versions={path: file_version(path)})
    try:
        root = nodes.read(path)
    except ConfigError as error:
        if _says_nothing(path):
            outcome.config, outcome.empty = WebConfig(path), True
        else:
            outcome.faults = error.faults
        return outcome
    reader = FileReader(path)
    sections = {} if nodes.tag(root) == "null" else reader.entries(root, "") or {}
    reader.unknown(sections, SECTIONS, "")
    tls = TlsSection(reader, sections, outcome.versions).context()
    config = _config(reader, sections, tls)
    outcome.faults = reader.faults.in_order()
    if not outcome.faults:
        outcome.config = config
    return outcome


def _says_nothing(path: Path) -> bool:
    """Whether the file holds nothing but comments."""
    try:
        with path.open("rb") as file:
            lines = file.read(nodes.MAX_FILE_BYTES).decode("utf-8-sig").splitlines()
    except (OSError, ValueError):
        return False
    return all(re.fullmatch(r"\s*(#.*)?|---|\.\.\.", line) for line in lines)


def _config(
    reader: FileReader, sections: Mapping[str, Entry], tls: ssl.SSLContext | None
) -> WebConfig:
    return WebConfig(
        path=reader.path,
        tls=tls,
        headers=_headers(reader, sections),
        users=_users(reader, sections),
        rate_limit=_rate_limit(reader, sections),
        warnings=tuple(reader.warnings.in_order()),
    )


def _headers(reader: FileReader, sections: Mapping[str, Entry]) -> tuple[tuple[bytes, bytes], ...]:
    where = "http_server_config"
    given = reader.section(sections, where) or {}
    reader.unknown(given, HTTP_KEYS, where)
    reader.value(Flag(letters=True), given, "http2", where)  # HTTP/1.1 is served either way
    found = []
    for name, entry in (reader.section(given, "headers", where) or {}).items():
        key = below(f"{where}.headers", name)
        if name not in HEADERS:
            near = nearest(name, HEADERS) or f"; only {', '.join(HEADERS)} can be"
            reader.faults.add(entry.key, key, f"cannot be set{near}")
            continue
        kind = HEADERS[name]
        if isinstance(kind, HeaderText) and nodes.tag(entry.value) == "null":
            continue
        if value := reader.read(kind, entry.value, key):
            found.append((name.encode(), value.encode()))
    return tuple(found)


def _users(reader: FileReader, sections: Mapping[str, Entry]) -> dict[bytes, Secret]:
    users = {}
    for name, entry in (reader.section(sections, "basic_auth_users") or {}).items():
        key = below("basic_auth_users", name)
        if ":" in name:
            reader.faults.add(entry.key, key, "a name with a colon in it cannot be sent")
        hashed = reader.read(BcryptHash(), entry.value, key)
        if hashed is not None:
            users[name.encode()] = hashed
    return users


def _rate_limit(reader: FileReader, sections: Mapping[str, Entry]) -> RateLimit | None:
    where = "rate_limit"
    given = reader.section(sections, where) or {}
    reader.unknown(given, RATE_KEYS, where)
    interval = reader.value(GoDuration(), given, "interval", where)
    burst = reader.value(Count(0, 999_999_999), given, "burst", where)
    if not interval or (burst is None and is_given(given, "burst")):
        return None
    if not burst:
        node = given["burst"].value if "burst" in given else given["interval"].key
        text = "expected at least 1: 0 would refuse every request"
        reader.faults.add(node, f"{where}.burst", text)
    return RateLimit(interval, burst or 0)
