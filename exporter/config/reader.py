"""From a file to a `Config`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from exporter.config import accounts, fields, nodes
from exporter.config.fields import Section
from exporter.config.reading import MISSING, Entry, Reading
from exporter.config.settings import Config
from exporter.model import Provider
from exporter.model.errors import ConfigError


def load(path: Path, providers: Mapping[str, Provider]) -> Config:
    """Read a configuration; ConfigError names every fault in it, in the order of lines.

    Credentials are not read, only where they come from. Relative paths in the file are
    relative to the folder that it is in.
    """
    root = nodes.read(path)
    reading = Reading(path)
    entries = reading.entries(root, "")
    if entries is None:
        raise ConfigError(reading.faults.in_order())
    known = [*(section.key for section in fields.SECTIONS), fields.ACCOUNTS.key]
    reading.unknown(entries, known, "")
    settings = {
        section.key: _section(reading, section, entries.get(section.key), root)
        for section in fields.SECTIONS
    }
    if fields.ACCOUNTS.key in entries:
        read = accounts.read(reading, entries[fields.ACCOUNTS.key].value, providers)
    else:
        read = ()
        reading.faults.add(root, fields.ACCOUNTS.key, "missing")
    if reading.faults:
        raise ConfigError(reading.faults.in_order())
    warnings = tuple(reading.warnings.in_order())
    return Config(**settings, accounts=read, path=path, warnings=warnings)


def _section(reading: Reading, section: Section, entry: Entry | None, root: yaml.Node) -> Any:
    entries: dict[str, Entry] | None = {}
    # One without a value is a section whose every line is commented out.
    if entry is not None and nodes.tag(entry.value) != "null":
        entries = reading.entries(entry.value, section.key)
    if entries is None:
        return MISSING
    if section.optional and (entry is None or not entries):
        return None
    reading.unknown(entries, [item.key for item in section.fields], section.key)
    at = root if entry is None else entry.key
    before = len(reading.faults)
    values = {
        item.into or item.key: reading.field(item, entries, section.key, at)
        for item in section.fields
    }
    if len(reading.faults) > before:
        return MISSING
    # What has no default and was not given is None.
    values = {key: None if value is MISSING else value for key, value in values.items()}
    for key, text in section.settle(values, frozenset(entries)).items():
        reading.faults.add(entries[key].value, f"{section.key}.{key}", text)
    return section.settings(**values)
