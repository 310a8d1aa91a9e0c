"""The kinds of value in a web configuration, in addition to those of `exporter.config.kinds`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import bcrypt
import yaml

from exporter.config import nodes
from exporter.config.kinds import Choice, Unfit, nearest, unfit
from exporter.credentials import Secret
from exporter.web.toolkit import tls

_HASH = re.compile(r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$([./A-Za-z0-9]{22})[./A-Za-z0-9]{31}")
_DURATION = re.compile(r"\+?(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+")
_PART = re.compile(r"([\d.]+)(ns|us|µs|μs|ms|s|m|h)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class PlainText:
    """The characters of a scalar: numbers and the like need no quotes."""

    expected: ClassVar[str] = "text"

    def read(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode) or nodes.tag(node) == "null":
            raise unfit(self, node, secret=True)
        return nodes.scalar(node)


@dataclass(frozen=True, slots=True)
class SupportedChoice:
    """A choice some of whose values are not supported here; `unsupported` has the reasons."""

    choice: Choice
    unsupported: Mapping[str, str]

    @property
    def expected(self) -> str:
        return self.choice.expected

    def read(self, node: yaml.Node) -> str:
        text = nodes.scalar(node)
        if text in self.unsupported:
            raise Unfit(f"{text} is not supported: {self.unsupported[text]}")
        return self.choice.read(node)


@dataclass(frozen=True, slots=True)
class CipherSuite:
    """A suite up to TLS 1.2 by its name in Go; read into its name in OpenSSL."""

    expected: ClassVar[str] = "a cipher suite"

    def read(self, node: yaml.Node) -> str:
        name = PlainText().read(node)
        if name in tls.TLS13_CIPHER_SUITES:
            raise Unfit(
                f"{name} is a suite of TLS 1.3, which Python leaves to OpenSSL:"
                " it is on anyway, leave it out"
            )
        if name not in tls.CIPHER_SUITES:
            raise Unfit(f"unknown cipher suite{nearest(name, tls.CIPHER_SUITES)}")
        return tls.CIPHER_SUITES[name]


@dataclass(frozen=True, slots=True)
class HeaderText:
    """Any value that a header can have; line breaks become spaces."""

    expected: ClassVar[str] = "text"

    def read(self, node: yaml.Node) -> str:
        value = re.sub(r"\s*[\r\n]\s*", " ", PlainText().read(node)).strip()
        if not all(char.isprintable() or char == "\t" for char in value):
            raise Unfit("holds characters no header can carry")
        return value


@dataclass(frozen=True, slots=True)
class BcryptHash:
    """A hash that bcrypt can compare passwords with."""

    expected: ClassVar[str] = (
        "$2y$, $2a$ or $2b$, a cost of 04 to 31, $, and 53 characters, with nothing after them"
    )

    def read(self, node: yaml.Node) -> Secret:
        text = nodes.scalar(node) if nodes.tag(node) == "null" else PlainText().read(node)
        parts = _HASH.fullmatch(text)
        if parts is None or not _is_salt(parts[2]):
            raise Unfit(f"not a bcrypt hash; expected {self.expected}")
        return Secret(text)


def _is_salt(text: str) -> bool:
    """Whether bcrypt accepts the salt; checked by a hash of the lowest cost."""
    try:
        bcrypt.hashpw(b"", f"$2b$04${text}".encode())
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class GoDuration:
    """A length of time as Go writes it, read into seconds; 0 needs no unit and may be left out."""

    expected: ClassVar[str] = "a duration with its unit, such as 1s or 500ms"

    def read(self, node: yaml.Node) -> float:
        text = nodes.scalar(node)
        if isinstance(node, yaml.ScalarNode) and text in ("", "0"):
            return 0
        if not _DURATION.fullmatch(text):
            raise unfit(self, node)
        return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
