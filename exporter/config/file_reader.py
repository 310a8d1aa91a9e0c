"""Reads the values of a YAML file: each fault is noted with its line, and reading goes on.

Both the configuration and the web configuration are read by it. It works on YAML nodes, because
pydantic, which lists every error, no longer knows the lines, and msgspec stops at the first error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from exporter.config import nodes
from exporter.config.fields import Field
from exporter.config.kinds import Many, Readable, Unfit, nearest
from exporter.config.notes import Notes

MISSING: Any = object()
"""In place of a value that was not given and has no default, or that is at fault."""

T = TypeVar("T")

_CREDENTIAL = re.compile("secret|token|passw|credential|key|jwt|auth|bearer", re.IGNORECASE)
_MAY_BE_A_VALUE = re.compile(r"\$|-----|.{65}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of a mapping and its value."""

    key: yaml.Node
    value: yaml.Node


class FileReader:
    """What all parts of one file are read with; it collects the faults and the warnings."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.faults = Notes(path)
        self.warnings = Notes(path)

    def entries(self, node: yaml.Node, where: str) -> dict[str, Entry] | None:
        """A mapping's entries by key; a repeated key is a fault. None when it is no mapping.

        `where` is the mapping's own key, empty for the whole file.
        """
        shown = where or "the whole file"
        if not isinstance(node, yaml.MappingNode):
            self.faults.add(node, shown, f"expected keys and values; found {nodes.kind(node)}")
            return None
        entries: dict[str, Entry] = {}
        for key_node, value in node.value:
            key = nodes.scalar(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                text = f"expected text as a key; found {nodes.kind(key_node)}"
                self.faults.add(key_node, shown, text)
            elif nodes.tag(key_node) == "merge":
                self.faults.add(key_node, shown, "merge keys (<<) are not supported")
            elif key in entries:
                text = f"already given at line {nodes.line(entries[key].key)}"
                self.faults.add(key_node, below(where, key), text)
            else:
                entries[key] = Entry(key_node, value)
        return entries

    def section(
        self, entries: Mapping[str, Entry], key: str, where: str = ""
    ) -> dict[str, Entry] | None:
        """The entries of the mapping that is the value of `key`; None when it is no mapping.

        A section without a value has no entries: each of its lines may be commented out.
        """
        if not is_given(entries, key):
            return {}
        return self.entries(entries[key].value, below(where, key))

    def unknown(self, entries: Mapping[str, Entry], known: Iterable[str], where: str) -> None:
        """Note the keys that are not `known`; their values are never quoted."""
        known = tuple(known)
        for key, entry in entries.items():
            if key in known:
                continue
            misplaced = is_credential(key) and not key.lower().endswith(("_file", "_env"))
            if "credentials_file" in known and misplaced:
                text = (
                    "unknown key; credentials are not written into this file: name the file that"
                    " holds it with credentials_file, or its environment variable with"
                    " credentials_env"
                )
            else:
                near = nearest(key, known) or f"; the keys here are {', '.join(known)}"
                text = f"unknown key{near}"
            self.faults.add(entry.key, below(where, key), text)

    def field(self, item: Field, entries: Mapping[str, Entry], where: str, at: yaml.Node) -> Any:
        """The value of a key or its default; MISSING when there is neither, or a fault.

        `at` is the mapping, on which the absence of a required key is noted.
        """
        key = below(where, item.key)
        if item.key in entries:
            return self._value(item.kind, entries[item.key].value, key)
        if item.required:
            self.faults.add(at, key, "missing")
        if item.default is None:
            return MISSING
        # A default is written as in a file, hence read as from one.
        return self._value(item.kind, nodes.compose(item.default), key)

    def value(
        self, kind: Readable[T], entries: Mapping[str, Entry], key: str, where: str
    ) -> T | None:
        """The value of a key; None when it is not given, is null, or is at fault."""
        if not is_given(entries, key):
            return None
        return self.read(kind, entries[key].value, below(where, key))

    def items(
        self, kind: Readable[T], entries: Mapping[str, Entry], key: str, where: str
    ) -> tuple[T, ...] | None:
        """The values of a list without its repetitions, otherwise as `value`."""
        if not is_given(entries, key):
            return None
        lines = self._items(kind, entries[key].value, below(where, key), repeatable=True)
        return None if lines is None else tuple(lines)

    def read(self, kind: Readable[T], node: yaml.Node, key: str) -> T | None:
        """What a node says, as `value`; here null is a value like others."""
        value = self._value(kind, node, key)
        return None if value is MISSING else value

    def _value(self, kind: Readable[Any] | Many, node: yaml.Node, key: str) -> Any:
        if isinstance(kind, Many):
            return self._many(kind, node, key)
        try:
            value = kind.read(node)
        except Unfit as error:
            self.faults.add(node, key, str(error))
            return MISSING
        # Relative paths in the file start at the folder of the file.
        return self.path.parent.absolute() / value if isinstance(value, Path) else value

    def _many(self, many: Many, node: yaml.Node, key: str) -> Any:
        lines = self._items(many.kind, node, key, repeatable=False)
        if lines is None:
            return MISSING
        if not node.value and not many.empty:
            text = "expected at least one; leave the key out for the default"
            self.faults.add(node, key, text)
        return tuple(lines)

    def _items(
        self, kind: Readable[Any], node: yaml.Node, key: str, *, repeatable: bool
    ) -> dict[Any, int] | None:
        """The values in a list, each with the line of its first occurrence."""
        if not isinstance(node, yaml.SequenceNode):
            expected = f"expected a list; each entry {kind.expected}"
            self.faults.add(node, key, f"{expected}; found {nodes.kind(node)}")
            return None
        lines: dict[Any, int] = {}
        for number, item in enumerate(node.value):
            where = f"{key}[{number}]"
            value = self._value(kind, item, where)
            if value is MISSING:
                continue
            if value in lines and not repeatable:
                text = f"{nodes.quoted(str(value))} is already in the list at line {lines[value]}"
                self.faults.add(item, where, text)
            lines.setdefault(value, nodes.line(item))
        return lines


def is_given(entries: Mapping[str, Entry], key: str) -> bool:
    """Whether a key is there with a value that is not null."""
    return key in entries and nodes.tag(entries[key].value) != "null"


def below(where: str, key: str) -> str:
    """The full name of a key, as messages show it.

    A key that may be a secret is not shown: `name:hash`, without a space after the colon, is a
    key.
    """
    shown = "(not shown)" if _MAY_BE_A_VALUE.search(key) else nodes.shown(key)
    return f"{where}.{shown}" if where else shown


def is_credential(key: str) -> bool:
    """Whether a key looks like one for a credential, or for the place of one."""
    return _CREDENTIAL.search(key) is not None
