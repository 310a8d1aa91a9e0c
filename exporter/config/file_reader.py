"""One reading of one file: values are read where they stand, faults are noted, reading goes on.

By hand, over YAML nodes: pydantic lists every error but has lost the lines by then, msgspec
stops at the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from exporter.config import nodes
from exporter.config.fields import Field
from exporter.config.kinds import Kind, Many, Unfit, nearest

MISSING: Any = object()
"""In place of a value that was not given and has no default, or that is at fault."""

_CREDENTIAL = re.compile("secret|token|passw|credential|key|jwt|auth|bearer", re.IGNORECASE)


@dataclass(slots=True)
class Notes:
    """Remarks on places in a file, a line each: `FILE:LINE: KEY: TEXT`."""

    path: Path
    _notes: list[tuple[int, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._notes)

    def add(self, node: yaml.Node, key: str, text: str) -> None:
        line = nodes.line(node)
        self._notes.append((line, f"{self.path}:{line}: {key}: {text}"))

    def in_order(self) -> list[str]:
        """By line, and as they were added within one."""
        return [text for _, text in sorted(self._notes, key=lambda note: note[0])]


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of a mapping and its value."""

    key: yaml.Node
    value: yaml.Node


class FileReader:
    """What all parts of a file are read with. Relative paths are put below the file's folder."""

    def __init__(self, path: Path) -> None:
        self._folder = path.parent.absolute()
        self.faults = Notes(path)
        self.warnings = Notes(path)

    def entries(self, node: yaml.Node, where: str) -> dict[str, Entry] | None:
        """A mapping's entries by key; a repeated one is a fault. None when it is no mapping.

        `where` is the mapping's own key, empty for the whole file.
        """
        if not isinstance(node, yaml.MappingNode):
            text = f"expected keys and values; found {nodes.kind(node)}"
            self.faults.add(node, where or "the whole file", text)
            return None
        entries: dict[str, Entry] = {}
        for key_node, value in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                text = f"expected text as a key; found {nodes.kind(key_node)}"
                self.faults.add(key_node, where or "the whole file", text)
                continue
            key = nodes.scalar(key_node)
            if key in entries:
                text = f"already given at line {nodes.line(entries[key].key)}"
                self.faults.add(key_node, below(where, key), text)
            else:
                entries[key] = Entry(key_node, value)
        return entries

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

    def _value(self, kind: Kind | Many, node: yaml.Node, key: str) -> Any:
        if isinstance(kind, Many):
            return self._many(kind, node, key)
        try:
            value = kind.read(node)
        except Unfit as error:
            self.faults.add(node, key, str(error))
            return MISSING
        return self._folder / value if isinstance(value, Path) else value

    def _many(self, kind: Many, node: yaml.Node, key: str) -> Any:
        if not isinstance(node, yaml.SequenceNode):
            self.faults.add(node, key, f"expected {kind.expected}; found {nodes.kind(node)}")
            return MISSING
        if not node.value and not kind.empty:
            text = "expected at least one; leave the key out for the default"
            self.faults.add(node, key, text)
        lines: dict[object, int] = {}
        for number, item in enumerate(node.value):
            where = f"{key}[{number}]"
            value = self._value(kind.kind, item, where)
            if value is MISSING:
                continue
            if value in lines:
                text = f"{nodes.quoted(str(value))} is already in the list at line {lines[value]}"
                self.faults.add(item, where, text)
            lines.setdefault(value, nodes.line(item))
        return tuple(lines)


def below(where: str, key: str) -> str:
    """The full name of a key, fit to be shown."""
    shown = nodes.shown(key)
    return f"{where}.{shown}" if where else shown


def is_credential(key: str) -> bool:
    """Whether a key looks as if its value were a credential, or said where one is."""
    return _CREDENTIAL.search(key) is not None
