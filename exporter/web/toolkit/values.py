"""Values as the toolkit's strict YAML has them: null is absent, text needs no quotes.

No fault shows a key or a value that may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

import yaml

from exporter.config import nodes
from exporter.config.file_reader import Entry, Notes, below
from exporter.config.kinds import nearest

Entries: TypeAlias = Mapping[str, Entry]
Version: TypeAlias = tuple[int, int, int] | None

_TRUE = ("true", "yes", "on", "y")
_FALSE = ("false", "no", "off", "n")
_SECRETIVE = re.compile(r"\$|-----|.{65}", re.DOTALL)


def version(path: Path) -> Version:
    """Changes whenever the file is written or replaced; None while it is not there."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


class Values:
    """One reading. Values that are at fault are noted and read as if they had not been given.

    `versions` are those of every file that had a part in it, from before it was read.
    """

    def __init__(self, path: Path, versions: dict[Path, Version]) -> None:
        self.path = path
        self.versions = versions
        self.faults = Notes(path)
        self.warnings = Notes(path)

    def fault(self, node: yaml.Node, key: str, text: str) -> None:
        self.faults.add(node, key, text)

    def section(self, given: Entries, name: str, where: str = "") -> Entries:
        return self.entries(given[name].value, where or name) if name in given else {}

    def entries(self, node: yaml.Node, where: str) -> Entries:
        """A mapping's entries by key. Of one that is no mapping, or null, there are none."""
        if is_null(node):
            return {}
        shown = where or "the whole file"
        if not isinstance(node, yaml.MappingNode):
            self.fault(node, shown, f"expected keys and values; found {nodes.kind(node)}")
            return {}
        entries: dict[str, Entry] = {}
        for key_node, value in node.value:
            key = nodes.scalar(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                text = f"expected text as a key; found {nodes.kind(key_node)}"
                self.fault(key_node, shown, text)
            elif nodes.tag(key_node) == "merge":
                self.fault(key_node, shown, "merge keys (<<) are not supported")
            elif key in entries:
                text = f"already given at line {nodes.line(entries[key].key)}"
                self.fault(key_node, named(where, key), text)
            else:
                entries[key] = Entry(key_node, value)
        return entries

    def known(self, given: Entries, known: Iterable[str], where: str) -> None:
        known = tuple(known)
        for key, entry in given.items():
            if key not in known:
                near = nearest(key, known) or f"; the keys here are {', '.join(known)}"
                self.fault(entry.key, named(where, key), f"unknown key{near}")

    def says(self, given: Entries, name: str) -> bool:
        """Whether a key has a value, be it a wrong one."""
        if name not in given or is_null(given[name].value):
            return False
        node = given[name].value
        return not isinstance(node, yaml.ScalarNode) or nodes.scalar(node) != ""

    def text(self, given: Entries, name: str, where: str) -> str | None:
        """The characters of a value: numbers and the like need no quotes. None if there is none."""
        if name not in given or is_null(given[name].value):
            return None
        node = given[name].value
        if not isinstance(node, yaml.ScalarNode):
            self.fault(node, named(where, name), f"expected text; found {nodes.kind(node)}")
            return None
        return nodes.scalar(node)

    def flag(self, given: Entries, name: str, where: str, default: bool) -> bool:
        if name not in given or is_null(given[name].value):
            return default
        node = given[name].value
        word = nodes.scalar(node).lower()
        # PyYAML knows yes, no, on and off, but not y and n.
        plain = nodes.tag(node) == "bool" or (
            len(word) == 1 and isinstance(node, yaml.ScalarNode) and not node.style
        )
        if not plain or word not in _TRUE + _FALSE:
            text = f"expected true or false; found {nodes.found(node)}"
            self.fault(node, f"{where}.{name}", text)
            return default
        return word in _TRUE

    def words(self, given: Entries, name: str, where: str) -> list[str] | None:
        """A list of texts; None where none is given."""
        if name not in given or is_null(given[name].value):
            return None
        node = given[name].value
        if not isinstance(node, yaml.SequenceNode):
            self.fault(node, f"{where}.{name}", f"expected a list; found {nodes.kind(node)}")
            return None
        for number, item in enumerate(node.value):
            if not isinstance(item, yaml.ScalarNode) or is_null(item):
                text = f"expected text; found {nodes.kind(item)}"
                self.fault(item, f"{where}.{name}[{number}]", text)
        return [nodes.scalar(item) for item in node.value]


def is_null(node: yaml.Node) -> bool:
    return nodes.tag(node) == "null"


def named(where: str, key: str) -> str:
    """As `below`, but a key that may be a value is not shown: `name:hash` lacks only a blank."""
    return below(where, "(not shown)" if _SECRETIVE.search(key) else key)
