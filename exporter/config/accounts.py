"""Reading `accounts`, whose keys depend on the provider."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from exporter.config import fields, nodes
from exporter.config.fields import Field
from exporter.config.file_reader import MISSING, Entry, FileReader, below, is_credential
from exporter.config.kinds import Choice
from exporter.config.settings import Account, AppCredential, BearerCredential
from exporter.credentials import CredentialSource, EnvironmentCredential, FileCredential
from exporter.model import Provider

Table = Mapping[str, Field]


def read(
    reader: FileReader, node: yaml.Node, providers: Mapping[str, Provider]
) -> tuple[Account, ...]:
    """The accounts in a list; those with faults are left out."""
    if not isinstance(node, yaml.SequenceNode):
        reader.faults.add(node, "accounts", f"expected a list; found {nodes.kind(node)}")
        return ()
    if not node.value:
        reader.faults.add(node, "accounts", "expected at least one account; found none")
    tables = {
        name: {item.key: item for item in fields.account_fields(provider)}
        for name, provider in providers.items()
    }
    lines: dict[str, int] = {}
    accounts = []
    for number, item in enumerate(node.value):
        where = f"accounts[{number}]"
        before = len(reader.faults)
        entries = reader.entries(item, where)
        if entries is None:
            continue
        named = Field("provider", Choice(tuple(providers)), "", required=True)
        name = reader.field(named, entries, where, item)
        if name is MISSING:
            table = _shared(tables.values())
            known = dict.fromkeys(key for theirs in tables.values() for key in theirs)
        else:
            table = tables[name]
            known = dict.fromkeys(table)
        values = _values(reader, item, entries, table, tables, known, where)
        _unique(reader, entries, values["name"], lines, where)
        if name is MISSING:
            continue
        provider = providers[name]
        credential = _credential(reader, item, entries, values, provider, where)
        if len(reader.faults) == before and credential is not None:
            accounts.append(_account(provider, values, credential))
    return tuple(accounts)


def _account(
    provider: Provider,
    values: Mapping[str, Any],
    credential: BearerCredential | AppCredential,
) -> Account:
    feeds = values["feeds"]
    options = {
        option.key: fields.option_default(option)
        if values[option.key] is MISSING
        else values[option.key]
        for option in provider.options
    }
    return Account(
        name=values["name"],
        provider=provider,
        url=values["url"],
        auth_url=values.get("auth_url"),
        credential=credential,
        feeds=provider.default_feeds if feeds is MISSING else feeds,
        options=options,
    )


def _values(
    reader: FileReader,
    node: yaml.Node,
    entries: Mapping[str, Entry],
    table: Table,
    tables: Mapping[str, Table],
    known: Mapping[str, None],
    where: str,
) -> dict[str, Any]:
    """The value of every key in `table` but `provider`."""
    unknown = {}
    for key, entry in entries.items():
        owners = [name for name, theirs in tables.items() if key in theirs]
        if owners and key not in known:
            text = f"only for accounts of {' and '.join(owners)}"
            reader.faults.add(entry.key, below(where, key), text)
        elif key not in known:
            unknown[key] = entry
    reader.unknown(unknown, known, where)
    values = {
        key: reader.field(item, entries, where, node)
        for key, item in table.items()
        if key != "provider"
    }
    for key in ("url", "auth_url"):
        if values.get(key, MISSING) is not MISSING and key in entries and _is_exposed(values[key]):
            text = "plain http; everybody on the way can read the credential"
            reader.warnings.add(entries[key].value, below(where, key), text)
    return values


def _shared(tables: Iterable[Table]) -> Table:
    """The keys that mean the same for every provider that has them."""
    shared: dict[str, Field] = {}
    differing = set()
    for table in tables:
        for key, item in table.items():
            if shared.setdefault(key, item).kind != item.kind:
                differing.add(key)
    return {key: item for key, item in shared.items() if key not in differing}


def _unique(
    reader: FileReader, entries: Mapping[str, Entry], name: Any, lines: dict[str, int], where: str
) -> None:
    if name is MISSING:
        return
    node = entries["name"].value
    if name in lines:
        text = f"{nodes.quoted(name)} is already the name of the account at line {lines[name]}"
        reader.faults.add(node, f"{where}.name", text)
    lines.setdefault(name, nodes.line(node))


def _credential(
    reader: FileReader,
    node: yaml.Node,
    entries: Mapping[str, Entry],
    values: Mapping[str, Any],
    provider: Provider,
    where: str,
) -> BearerCredential | AppCredential | None:
    """The credential of the account; a fault when it is not exactly one."""
    ways = [fields.stems(way) for way in provider.authentication]
    given = {
        way: [key for stem in way for key in fields.sources(stem) if key in entries] for way in ways
    }
    begun = [way for way in ways if given[way]]
    if not begun:
        if any(is_credential(key) and key not in values for key in entries):
            return None  # a misspelt key, for which a fault is noted already
        choices = ", or ".join(
            " with ".join(" or ".join(fields.sources(stem)) for stem in way) for way in ways
        )
        reader.faults.add(node, where, f"no credential; give {choices}")
        return None
    way = begun[0]
    for other in begun[1:]:
        key = given[other][0]
        text = f"a second way to sign in, beside {given[way][0]}; keep one"
        reader.faults.add(entries[key].key, f"{where}.{key}", text)
    found: list[CredentialSource] = []
    for stem in way:
        keys = [key for key in fields.sources(stem) if key in entries]
        if not keys:
            missing = " or ".join(fields.sources(stem))
            reader.faults.add(node, where, f"{given[way][0]} is incomplete without {missing}")
        elif len(keys) > 1:
            text = f"a second source, beside {keys[0]}; keep one"
            reader.faults.add(entries[keys[1]].key, f"{where}.{keys[1]}", text)
        elif isinstance(value := values[keys[0]], Path):
            found.append(FileCredential(value))
        elif value is not MISSING:
            found.append(EnvironmentCredential(value))
    if len(found) < len(way):
        return None
    return BearerCredential(*found) if len(way) == 1 else AppCredential(*found)


def _is_exposed(url: str) -> bool:
    """Whether a credential for `url` crosses a network unencrypted."""
    address = urlsplit(url)
    host = address.hostname or ""
    if address.scheme == "https" or host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True
