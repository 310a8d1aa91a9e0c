"""From a file to a `Config`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from exporter.config import accounts, billing, fields, nodes
from exporter.config.fields import Section
from exporter.config.file_reader import MISSING, Entry, FileReader
from exporter.config.settings import Config
from exporter.model import Provider
from exporter.model.errors import ConfigError


def load(path: Path, providers: Mapping[str, Provider]) -> Config:
    """Read a configuration; ConfigError names every fault in it, in the order of lines.

    Credentials are not read, only where they come from. Relative paths in the file are
    relative to the folder that it is in.
    """
    root = nodes.read(path)
    reader = FileReader(path)
    entries = reader.entries(root, "")
    if entries is None:
        raise ConfigError(reader.faults.in_order())
    known = [*(section.key for section in fields.SECTIONS), "billing", fields.ACCOUNTS.key]
    reader.unknown(entries, known, "")
    settings = {
        section.key: _section(reader, section, entries, root) for section in fields.SECTIONS
    }
    if fields.ACCOUNTS.key in entries:
        read = accounts.read(reader, entries[fields.ACCOUNTS.key].value, providers)
    else:
        read = ()
        reader.faults.add(root, fields.ACCOUNTS.key, "missing")
    if "billing" in entries:
        read = billing.read(reader, entries["billing"].value, read)
    if reader.faults:
        raise ConfigError(reader.faults.in_order())
    warnings = tuple(reader.warnings.in_order())
    return Config(**settings, accounts=read, path=path, warnings=warnings)


def _section(
    reader: FileReader, section: Section, sections: Mapping[str, Entry], root: yaml.Node
) -> Any:
    entries = reader.section(sections, section.key)
    if entries is None:
        return MISSING
    if section.optional and not entries:
        return None
    reader.unknown(entries, [item.key for item in section.fields], section.key)
    at = sections[section.key].key if section.key in sections else root
    before = len(reader.faults)
    values = {
        item.into or item.key: reader.field(item, entries, section.key, at)
        for item in section.fields
    }
    if len(reader.faults) > before:
        return MISSING
    # What has no default and was not given is None.
    values = {key: None if value is MISSING else value for key, value in values.items()}
    for key, text in section.settle(values, frozenset(entries)).items():
        reader.faults.add(entries[key].value, f"{section.key}.{key}", text)
    return section.settings(**values)
