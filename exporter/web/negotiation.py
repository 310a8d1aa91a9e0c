"""Content negotiation by RFC 9110, sections 12.5.1 (Accept) and 12.5.3 (Accept-Encoding)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from exporter.exposition import Format

_TEXTS = {
    Format.TEXT: ("text", "plain", "0.0.4"),
    Format.OPENMETRICS: ("application", "openmetrics-text", "1.0.0"),
}
_PROTOBUF = ("application", "vnd.google.protobuf")
_MESSAGE = "io.prometheus.client.MetricFamily"
ESCAPINGS = frozenset(("allow-utf-8", "underscores", "dots", "values"))
"""How a scraper may want names escaped. Every name here is the same in all of them."""

MAX_HEADER_LENGTH = 4096
"""Characters of a header that are read; scrapers send far fewer."""


@dataclass(frozen=True, slots=True)
class _Range:
    type: str
    subtype: str
    version: str | None
    quality: float
    escaping: str
    is_protobuf: bool

    def specificity(self, format: Format) -> int:
        """How specific the range is for that format; 0 where it does not match.

        Protobuf is only for those who ask for it in full: it is no answer to `*/*`.
        """
        if format is Format.PROTOBUF:
            return 4 if self.is_protobuf else 0
        kind, subtype, version = _TEXTS[format]
        if (self.type, self.subtype) == ("*", "*"):
            return 1
        if self.type != kind:
            return 0
        if self.subtype == "*":
            return 2
        if self.subtype != subtype or self.version not in (None, version):
            return 0
        return 3 if self.version is None else 4


def choose_format(accept: str, formats: Iterable[Format] = Format) -> tuple[Format, str]:
    """The one of `formats` with the highest quality, and its escaping; text 0.0.4 if none is acceptable.

    Of two with equal quality, the one with the more specific range, then text. The escaping is one
    of `ESCAPINGS`, or empty where none was asked for; text 0.0.4 knows none.
    """
    ranges = [_range(part) for part in accept[:MAX_HEADER_LENGTH].split(",")]
    best = (0.0, 0, Format.TEXT, "")
    for offered in formats:
        matches = [(one.specificity(offered), one.quality, one.escaping) for one in ranges if one]
        # The most specific range that matches decides, not the one with the highest quality.
        specificity, quality, escaping = max(
            matches, key=lambda match: match[:2], default=(0, 0.0, "")
        )
        if specificity and quality > 0 and (quality, specificity) > best[:2]:
            best = (quality, specificity, offered, escaping)
    _, _, chosen, escaping = best
    return chosen, escaping if chosen is not Format.TEXT else ""


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether the client accepts gzip: by name or by `*`, and not with q=0."""
    qualities: dict[str, float] = {}
    for part in accept_encoding[:MAX_HEADER_LENGTH].split(","):
        coding, _, parameters = part.partition(";")
        qualities[coding.strip().lower()] = _quality(parameters.split(";"))
    return qualities.get("gzip", qualities.get("x-gzip", qualities.get("*", 0.0))) > 0


def _range(part: str) -> _Range | None:
    media, *parameters = part.split(";")
    kind, slash, subtype = media.strip().lower().partition("/")
    if not slash:
        return None
    version = None
    escaping = proto = encoding = ""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        name, value = name.strip().lower(), value.strip().strip('"')
        if name == "version":
            version = value
        elif name == "escaping" and value in ESCAPINGS:
            escaping = value
        elif name == "proto":
            proto = value
        elif name == "encoding":
            encoding = value
    is_protobuf = (kind, subtype, proto, encoding) == (*_PROTOBUF, _MESSAGE, "delimited")
    return _Range(kind, subtype, version, _quality(parameters), escaping, is_protobuf)


def _quality(parameters: list[str]) -> float:
    """The value of `q`; 1 where there is none, 0 where it is not valid."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                quality = float(value.strip())
            except ValueError:
                return 0.0
            return quality if 0 <= quality <= 1 else 0.0
    return 1.0
