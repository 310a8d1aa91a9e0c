"""A YAML file as a tree of nodes, which have their lines.

PyYAML constructs no objects from the nodes, so `!!python/…` tags have no effect. Messages about
syntax errors never quote the file, because the error may be in a credential.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from exporter.model.errors import ConfigError

if TYPE_CHECKING:
    Loader = yaml.SafeLoader
else:
    Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAX_FILE_BYTES = 2**20
MAX_DEPTH = 32
"""Levels of nesting. libyaml's composer recurses in C: 100,000 levels would crash the process."""
MAX_ALIASES = 100
"""Few enough that aliases of aliases cannot expand into more than a file may hold."""

_TAG = "tag:yaml.org,2002:"
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BREAKS = re.compile("\r\n|[\n\r\x85\u2028\u2029]")

_PROBLEMS = (
    ("mapping values are not allowed", "a colon where none can be; check quotes and indentation"),
    ("cannot start any token", "a character that cannot start a value; put the value in quotes"),
    ("undefined alias", "an alias (*) without its anchor (&); put the value in quotes"),
    ("found unknown escape", "an unknown escape; single quotes take backslashes as they are"),
    ("end of stream", "a quote that is not closed"),
    ("could not find expected ':'", "a line without its colon; a blank has to follow it"),
    ("expected ',' or", "a bracket that is not closed"),
    ("another document", "a second document begins; the file has to hold a single one"),
    ("expected key", "not indented as what it belongs to, or text behind a closing quote"),
    ("expected '-'", "not indented as the list it belongs to, or an entry without its dash"),
    ("block end", "not indented as what it belongs to, or text behind a closing quote"),
)
"""Parts of libyaml's messages, and what is said instead."""

_OPEN = ("':'", "',' or", "end of stream")
"""For these problems the line where something was opened is reported, not where it ends."""


def read(path: Path) -> yaml.Node:
    """The root of the document in the file; ConfigError when there is not exactly one."""
    text = _text(path)
    _check(path, text)
    try:
        return compose(text)
    except yaml.MarkedYAMLError as error:
        raise _syntax(path, text, error) from None
    except EOFError:
        raise ConfigError([f"{path}:1: the file is empty"]) from None


def compose(text: str) -> yaml.Node:
    """The root of the document in `text`; EOFError when there is none, or PyYAML's errors."""
    root: yaml.Node | None = yaml.compose(text, Loader=Loader)
    if root is None:
        raise EOFError
    return root


def line(node: yaml.Node) -> int:
    """The line on which the node begins, counted from 1."""
    number: int = node.start_mark.line
    return number + 1


def tag(node: yaml.Node) -> str:
    """`str`, `int`, `float`, `bool`, `null`, `timestamp`, `seq`, `map`, or a tag of its own."""
    name: str = node.tag
    return name.removeprefix(_TAG)


def scalar(node: yaml.Node) -> str:
    """The characters of a scalar, whatever its type; those of other nodes are none."""
    text: str = node.value if isinstance(node, yaml.ScalarNode) else ""
    return text


def kind(node: yaml.Node) -> str:
    """What a node is, in words that reveal nothing of its content."""
    names = {
        "str": "text",
        "int": "a number",
        "float": "a number",
        "bool": "true or false",
        "null": "nothing",
        "timestamp": "a date",
        "seq": "a list",
        "map": "keys and values",
    }
    return names.get(tag(node), "a value with a tag (!)")


def found(node: yaml.Node) -> str:
    """The beginning of a scalar, in quotes if it is text; what the node is if it is no scalar."""
    if not isinstance(node, yaml.ScalarNode) or tag(node) == "null":
        return kind(node)
    return quoted(scalar(node)) if tag(node) == "str" else shown(scalar(node))


def shown(text: str) -> str:
    """`text` on one line, and not too long."""
    if len(text) > 60:
        text = text[:59] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def quoted(text: str) -> str:
    """As `shown`, in quotes."""
    return f'"{shown(text)}"'


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror or 'cannot be read'}"]) from error
    except ValueError as error:
        raise ConfigError([f"{str(path)!r}: not a path"]) from error
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError([f"{path}: larger than {MAX_FILE_BYTES // 2**20} MiB"])
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        # `from None`: the error holds the whole file.
        raise ConfigError([f"{path}:{number}: not UTF-8"]) from None


def _check(path: Path, text: str) -> None:
    """Refuse what the composer could not handle: characters, deep nesting, many aliases."""
    if forbidden := _FORBIDDEN.search(text):
        number = len(_BREAKS.findall(text, 0, forbidden.start())) + 1
        code = f"U+{ord(forbidden[0]):04X}"
        raise ConfigError([f"{path}:{number}: the character {code}, which YAML does not allow"])
    depth = aliases = 0
    try:
        for event in yaml.parse(text, Loader=Loader):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            elif isinstance(event, yaml.AliasEvent):
                aliases += 1
            if depth > MAX_DEPTH or aliases > MAX_ALIASES:
                limit = f"{MAX_DEPTH} levels" if depth > MAX_DEPTH else f"{MAX_ALIASES} aliases"
                number = event.start_mark.line + 1 if event.start_mark else 1
                raise ConfigError([f"{path}:{number}: more than {limit}"])
    except yaml.MarkedYAMLError as error:
        raise _syntax(path, text, error) from None


def _syntax(path: Path, text: str, error: yaml.MarkedYAMLError) -> ConfigError:
    lines = _BREAKS.split(text)
    problem = error.problem or "not YAML"
    mark = error.problem_mark
    if error.context_mark is not None and any(part in problem for part in _OPEN):
        mark = error.context_mark
    index = min(mark.line, len(lines) - 1) if mark is not None else 0
    indentation = re.match(r"\s*", lines[index])
    if "cannot start any token" in problem and indentation and "\t" in indentation[0]:
        said = "a tab; YAML is indented with spaces"
    else:
        said = next(
            (words for part, words in _PROBLEMS if part in problem),
            # PyYAML's own loader quotes names out of the file, libyaml quotes only punctuation.
            re.sub(r"(['\"])[\w!-].*\1", "something", problem).replace("\n", " "),
        )
    return ConfigError([f"{path}:{index + 1}: not valid YAML: {said}"])
