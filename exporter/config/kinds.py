"""The kinds of value that keys take: how each is read, described and written as a JSON schema.

`read` raises `Unfit` with one line that says what was expected and what was found.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import ClassVar, Protocol, TypeVar
from urllib.parse import urlsplit

import yaml

from exporter.config import durations, nodes

T_co = TypeVar("T_co", covariant=True)


class Unfit(Exception):
    """A value is not of the kind that its key takes."""


class Readable(Protocol[T_co]):
    """A kind of value that can be read."""

    @property
    def expected(self) -> str:
        """What a value of this kind is, as in 'expected …'."""

    def read(self, node: yaml.Node) -> T_co:
        """The value; raises Unfit."""


class Kind(Readable[object], Protocol):
    """A kind of value that keys of the configuration take."""

    def schema(self) -> dict[str, object]:
        """A JSON schema that accepts at least what `read` does."""


@dataclass(frozen=True, slots=True)
class Many:
    """A list of one kind of scalar, without repetitions. `FileReader` reads it."""

    kind: Kind
    empty: bool = True

    @property
    def expected(self) -> str:
        return f"a list; each entry {self.kind.expected}"

    def schema(self) -> dict[str, object]:
        items = {"type": "array", "uniqueItems": True, "items": self.kind.schema()}
        return items if self.empty else {**items, "minItems": 1}


def unfit(kind: Readable[object], node: yaml.Node, *, secret: bool = False) -> Unfit:
    """The error that `node` is not of the kind; a secret's content is not shown."""
    found = nodes.kind(node) if secret else nodes.found(node)
    return Unfit(f"expected {kind.expected}; found {found}")


def text_of(kind: Readable[object], node: yaml.Node, *, secret: bool = False) -> str:
    """The text of a node; Unfit if YAML reads it as a number, a date, …"""
    if nodes.tag(node) == "str":
        return nodes.scalar(node)
    fault = unfit(kind, node, secret=secret)
    if not secret and nodes.kind(node) in {"a number", "a date", "true or false"}:
        fault = Unfit(f"{fault}, which is {nodes.kind(node)} to YAML unless quoted")
    raise fault


def nearest(word: str, words: Iterable[str]) -> str:
    """`; did you mean …?`, or nothing when no word is near."""
    known = {one.lower(): one for one in words}
    matches = difflib.get_close_matches(word[:100].lower(), known, n=1)
    return f"; did you mean {known[matches[0]]}?" if matches else ""


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time, read as seconds, a whole number of them unless `fractions`.

    `words` may stand in its place, and are read as they are.
    """

    least: str
    most: str
    example: str
    fractions: bool = False
    words: tuple[str, ...] = ()

    @property
    def expected(self) -> str:
        word = "".join(f", or {word}" for word in self.words)
        whole = "" if self.fractions else " of whole seconds"
        return f"a duration{whole} from {self.least} to {self.most}, such as {self.example}{word}"

    def read(self, node: yaml.Node) -> int | float | str:
        text = nodes.scalar(node)
        if text in self.words:
            return text
        if text.isdecimal() and text != "0":
            raise Unfit(f"{unfit(self, node)}, without a unit")
        if nodes.tag(node) != "str" and text != "0":
            raise unfit(self, node)
        try:
            length = durations.milliseconds(text)
        except ValueError:
            raise unfit(self, node) from None
        whole, rest = divmod(length, 1000)
        bounds = durations.milliseconds(self.least), durations.milliseconds(self.most)
        if not bounds[0] <= length <= bounds[1] or (rest and not self.fractions):
            raise unfit(self, node)
        return length / 1000 if self.fractions else whole

    def schema(self) -> dict[str, object]:
        text = {"type": "string", "pattern": f"^({durations.PATTERN})$"}
        others: list[object] = [{"enum": list(self.words)}] if self.words else []
        if durations.milliseconds(self.least) == 0:
            others.append({"enum": [0, "0"]})
        return {"anyOf": [text, *others]} if others else {**text}


@dataclass(frozen=True, slots=True)
class Count:
    """A whole number."""

    least: int
    most: int

    @property
    def expected(self) -> str:
        return f"a whole number from {self.least} to {self.most}"

    def read(self, node: yaml.Node) -> int:
        text = nodes.scalar(node)
        # Decimal digits only: YAML 1.1 reads 010 as 8, and 1:30 as 90.
        if nodes.tag(node) != "int" or re.fullmatch("0|[1-9][0-9]{0,18}", text) is None:
            raise unfit(self, node)
        if not self.least <= int(text) <= self.most:
            raise unfit(self, node)
        return int(text)

    def schema(self) -> dict[str, object]:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True, slots=True)
class Number:
    """A number above 0, which may have a fraction."""

    most: int
    example: str

    @property
    def expected(self) -> str:
        return f"a number above 0, at most {self.most}, such as {self.example}"

    def read(self, node: yaml.Node) -> float:
        text = nodes.scalar(node)
        # Decimal, as for `Count`; PyYAML writes very small numbers with an exponent.
        pattern = r"(?:0|[1-9][0-9]{0,18})(?:\.[0-9]{0,30}(?:[eE][-+][0-9]{1,3})?)?"
        if nodes.tag(node) not in ("int", "float") or re.fullmatch(pattern, text) is None:
            raise unfit(self, node)
        if not 0 < float(text) <= self.most:
            raise unfit(self, node)
        return float(text)

    def schema(self) -> dict[str, object]:
        return {"type": "number", "exclusiveMinimum": 0, "maximum": self.most}


@dataclass(frozen=True, slots=True)
class Amount:
    """A decimal number, not below 0, of money or of units; quoted or not, it is never a float."""

    least: str = "0"
    pattern: ClassVar[str] = r"(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,12})?"

    @property
    def expected(self) -> str:
        bound = "not below 0" if self.least == "0" else "above 0"
        return f'a decimal number {bound}, such as "0.05"'

    def read(self, node: yaml.Node) -> Decimal:
        text = nodes.scalar(node)
        if nodes.tag(node) not in ("str", "int", "float") or not re.fullmatch(self.pattern, text):
            raise unfit(self, node)
        if self.least != "0" and Decimal(text) == 0:
            raise unfit(self, node)
        return Decimal(text)

    def schema(self) -> dict[str, object]:
        text = {"type": "string", "pattern": f"^{self.pattern}$"}
        return {"anyOf": [text, {"type": "number", "minimum": 0}]}


@dataclass(frozen=True, slots=True)
class Day:
    """A day, read as the Unix seconds of its beginning in UTC."""

    @property
    def expected(self) -> str:
        return "a day, such as 2026-01-31"

    def read(self, node: yaml.Node) -> int:
        text = nodes.scalar(node)
        fits = re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text)
        if nodes.tag(node) not in ("str", "timestamp") or fits is None:
            raise unfit(self, node)
        try:
            return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
        except ValueError:
            raise unfit(self, node) from None

    def schema(self) -> dict[str, object]:
        return {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false; with `letters` also an unquoted y or n, which PyYAML takes for text."""

    letters: bool = False

    @property
    def expected(self) -> str:
        return "true or false"

    def read(self, node: yaml.Node) -> bool:
        # The words for true and false in YAML 1.1, as PyYAML knows them.
        words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
        word = nodes.scalar(node).lower()
        unquoted = isinstance(node, yaml.ScalarNode) and not node.style
        if self.letters and unquoted and word in ("y", "n"):
            return word == "y"
        if nodes.tag(node) != "bool" or word not in words:
            raise unfit(self, node)
        return words[word]

    def schema(self) -> dict[str, object]:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Text:
    """Printable text that `pattern` matches as a whole; a `secret` one is never quoted."""

    expected: str
    pattern: str = r"[^\x00-\x1f\x7f]+"
    secret: bool = False

    def read(self, node: yaml.Node) -> str:
        text = text_of(self, node, secret=self.secret)
        blank = not text.isprintable() or not text.strip()
        if blank or re.fullmatch(self.pattern, text) is None:
            raise unfit(self, node, secret=self.secret)
        return text

    def schema(self) -> dict[str, object]:
        return {"type": "string", "pattern": f"^{self.pattern}$"}


@dataclass(frozen=True, slots=True)
class File:
    """The path of a file, as it is written.

    With `secret`, messages do not quote the path: it may be the credential itself, pasted there.
    """

    secret: bool = False

    @property
    def expected(self) -> str:
        return "the path of a file"

    def read(self, node: yaml.Node) -> Path:
        return Path(Text(self.expected, secret=self.secret).read(node))

    def schema(self) -> dict[str, object]:
        return Text(self.expected).schema()


@dataclass(frozen=True, slots=True)
class Url:
    """The URL of an API, read without a final slash. Never quoted: it may hold a password."""

    pattern: ClassVar[str] = r"https?://[^\s/?#@]+(/[^\s?#]*)?"

    @property
    def expected(self) -> str:
        return "an http or https address without user, query or fragment"

    def read(self, node: yaml.Node) -> str:
        text = text_of(self, node, secret=True)
        if not text.isprintable():
            raise unfit(self, node, secret=True)
        if re.fullmatch(self.pattern, text) is None:
            parts = (("?", "a query"), ("#", "a fragment"), ("@", "a user or password"))
            named = [name for sign, name in parts if sign in text]
            if named and re.match("https?://", text):
                raise Unfit(f"expected {self.expected}; found one with {' and '.join(named)}")
            raise unfit(self, node, secret=True)
        try:
            address = urlsplit(text)
            valid = bool(address.hostname) and address.port != 0
        except ValueError:  # brackets that are not IPv6, a port that is not a number
            valid = False
        if not valid:
            raise Unfit(f"expected {self.expected}; its host or port is not valid")
        return text.rstrip("/")

    def schema(self) -> dict[str, object]:
        return {"type": "string", "format": "uri", "pattern": f"^{self.pattern}$"}


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """The URL of a PostgreSQL database, as libpq reads it. Never quoted: it may hold a password."""

    pattern: ClassVar[str] = (
        r"postgres(ql)?://(?![^#]*[?&](ssl)?password=)([^\s/?#@:]+@)?[^\s?#@]*(\?[^\s#]*)?"
    )

    @property
    def expected(self) -> str:
        return "a postgresql:// address without a password, such as postgresql://user@host/database"

    def read(self, node: yaml.Node) -> str:
        return self.checked(text_of(self, node, secret=True))

    def checked(self, text: str) -> str:
        """`text`, if it is such an address; else Unfit, which does not show it."""
        if re.fullmatch(self.pattern, text) and text.isprintable():
            return text
        signs = "[^/?#@]*:[^/?#]*@|.*[?&](ssl)?password="
        if re.match(f"postgres(ql)?://({signs})", text):
            raise Unfit(
                f"expected {self.expected}; found one with a password, which belongs into the file"
                " or the variable that password_file or password_env names"
            )
        raise Unfit(f"expected {self.expected}; found text that is none")

    def schema(self) -> dict[str, object]:
        return {"type": "string", "pattern": f"^{self.pattern}$"}


@dataclass(frozen=True, slots=True)
class Labels:
    """Label names with their values, read as sorted pairs."""

    name: ClassVar[str] = "[a-zA-Z_][a-zA-Z0-9_]*"

    @property
    def expected(self) -> str:
        return "label names (not `provider` or `account`) and their values, both text"

    def read(self, node: yaml.Node) -> tuple[tuple[str, str], ...]:
        if not isinstance(node, yaml.MappingNode):
            raise unfit(self, node)
        labels: dict[str, str] = {}
        for key, value in node.value:
            name = text_of(self, key)
            if re.fullmatch(self.name, name) is None or name in ("provider", "account"):
                raise Unfit(f"expected {self.expected}; found {nodes.quoted(name)} as a name")
            if name in labels:
                raise Unfit(f"the label {nodes.quoted(name)} is given twice")
            labels[name] = Text("text").read(value)
        return tuple(sorted(labels.items()))

    def schema(self) -> dict[str, object]:
        return {
            "type": "object",
            "propertyNames": {
                "pattern": f"^{self.name}$",
                "not": {"enum": ["provider", "account"]},
            },
            "additionalProperties": {"type": "string"},
        }


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some words. `what` says what they are where there are too many to list them."""

    choices: tuple[str, ...]
    what: str = ""

    @property
    def expected(self) -> str:
        if self.what:
            return self.what
        if len(self.choices) > 2:
            return "one of " + ", ".join(self.choices)
        return " or ".join(self.choices)

    def read(self, node: yaml.Node) -> str:
        text = text_of(self, node)
        if text not in self.choices:
            raise Unfit(f"{unfit(self, node)}{nearest(text, self.choices)}")
        return text

    def schema(self) -> dict[str, object]:
        return {"enum": list(self.choices)}
