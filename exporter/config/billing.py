"""Reading `billing`: the terms of accounts, each with its charges and their tiers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import zip_longest
from typing import Any

import yaml

from exporter.config import fields, nodes
from exporter.config.fields import Field
from exporter.config.file_reader import MISSING, Entry, FileReader, below
from exporter.config.kinds import nearest
from exporter.config.settings import Account
from exporter.model import Measure
from exporter.model.contracts import Charge, Contract, Metered, Tier, units_of
from exporter.model.measures import BY_NAME


@dataclass(frozen=True, slots=True)
class _Terms:
    """A contract, and where it stands."""

    contract: Contract
    node: yaml.Node
    where: str


def read(reader: FileReader, node: yaml.Node, accounts: Sequence[Account]) -> tuple[Account, ...]:
    """The accounts with their contracts; entries with faults are left out."""
    if nodes.tag(node) == "null":
        return tuple(accounts)
    if not isinstance(node, yaml.SequenceNode):
        reader.faults.add(node, "billing", f"expected a list; found {nodes.kind(node)}")
        return tuple(accounts)
    terms: dict[str, list[_Terms]] = {account.name: [] for account in accounts}
    for number, item in enumerate(node.value):
        where = f"billing[{number}]"
        entries = reader.entries(item, where)
        if entries is None:
            continue
        reader.unknown(entries, [one.key for one in fields.CONTRACT], where)
        before = len(reader.faults)
        values = {
            one.into or one.key: reader.field(one, entries, where, item)
            for one in fields.CONTRACT
            if one.key != "charges"
        }
        charges = _charges(reader, entries, item, where)
        names = values.pop("accounts")
        if names is not MISSING:
            _check_names(reader, entries["accounts"].value, terms, where)
        if values["end"] is not MISSING and MISSING is not values["start"] >= values["end"]:
            text = "expected a day after `from`"
            reader.faults.add(entries["until"].value, f"{where}.until", text)
        if len(reader.faults) > before:
            continue
        given = {key: value for key, value in values.items() if value is not MISSING}
        contract = Contract(**given, charges=charges, last="end" in given)
        for name in names:
            terms[name].append(_Terms(contract, entries["from"].value, where))
    return tuple(
        replace(account, contracts=_in_order(reader, account.name, terms[account.name]))
        for account in accounts
    )


def _check_names(
    reader: FileReader, names: yaml.Node, known: Mapping[str, object], where: str
) -> None:
    for position, node in enumerate(names.value):
        name = nodes.scalar(node)
        if name not in known:
            text = f"no account has this name: {nodes.quoted(name)}{nearest(name, known)}"
            reader.faults.add(node, f"{where}.accounts[{position}]", text)


def _in_order(reader: FileReader, account: str, terms: Iterable[_Terms]) -> tuple[Contract, ...]:
    """The contracts of one account, oldest first; each ends where the next begins."""
    ordered = sorted(terms, key=lambda one: one.contract.start)
    contracts: list[Contract] = []
    for one, after in zip_longest(ordered, ordered[1:]):
        contract = one.contract
        if after is not None:
            end = contract.end
            later = after.contract.start
            if later == contract.start or (end is not None and end > later):
                text = (
                    f"{nodes.quoted(account)} has other terms on that day already, from line"
                    f" {nodes.line(one.node)} on"
                )
                reader.faults.add(after.node, f"{after.where}.from", text)
            elif end is None or end == later:
                contract = replace(contract, end=later, last=False)
        contracts.append(contract)
    return tuple(contracts)


def _mappings(
    reader: FileReader, node: yaml.Node, where: str, what: str
) -> list[tuple[str, yaml.Node, Mapping[str, Entry]]]:
    """The mappings of a list of at least one, each with its full name and its node."""
    if not isinstance(node, yaml.SequenceNode) or not node.value:
        reader.faults.add(node, where, f"expected a list of at least one {what}")
        return []
    named = ((f"{where}[{number}]", item) for number, item in enumerate(node.value))
    read = [(here, item, reader.entries(item, here)) for here, item in named]
    return [(here, item, found) for here, item, found in read if found is not None]


def _charges(
    reader: FileReader, entries: Mapping[str, Entry], node: yaml.Node, where: str
) -> tuple[Charge, ...]:
    where = below(where, "charges")
    if "charges" not in entries:
        reader.faults.add(node, where, "missing")
        return ()
    found_charges = _mappings(reader, entries["charges"].value, where, "charge")
    charges: list[Charge] = []
    lines: dict[str, int] = {}
    for here, item, found in found_charges:
        reader.unknown(found, [one.key for one in fields.CHARGE], here)
        name = reader.field(fields.CHARGE_NAME, found, here, item)
        if name is not MISSING:
            if name in lines:
                text = f"{nodes.quoted(name)} is already a charge at line {lines[name]}"
                reader.faults.add(found["name"].value, f"{here}.name", text)
            lines.setdefault(name, nodes.line(item))
        before = len(reader.faults)
        charge = _charge(reader, found, item, here, name)
        if len(reader.faults) == before:
            charges.append(charge)
    return tuple(charges)


def _charge(
    reader: FileReader, entries: Mapping[str, Entry], node: yaml.Node, where: str, name: Any
) -> Charge:
    values: dict[str, Any] = {
        one.key: reader.field(one, entries, where, node)
        for one in fields.CHARGE
        if one.key not in ("name", "tiers", "where")
    }
    if "fee" in entries:
        for key in ("measure", "where", "unit", "included", "tiers"):
            if key in entries:
                reader.faults.add(entries[key].key, f"{where}.{key}", "a fee is not metered")
        return Charge(name, fee=values["fee"])
    for key in ("measure", "unit"):
        if key not in entries:
            reader.faults.add(node, f"{where}.{key}", "missing (or give a `fee`)")
    tiers = _tiers(reader, entries, where)
    if not ({"included", "tiers"} & entries.keys()):
        reader.faults.add(node, where, "expected `included`, `tiers` or both")
    measure = None if values["measure"] is MISSING else BY_NAME[values["measure"]]
    if measure is None or values["unit"] is MISSING:
        return Charge(name)
    units = units_of(measure)
    if values["unit"] not in units:
        text = f"expected one of {', '.join(units)} for {measure.name}"
        text = f"{text}; found {nodes.quoted(values['unit'])}"
        reader.faults.add(entries["unit"].value, f"{where}.unit", text)
    included = None if values["included"] is MISSING else values["included"]
    labels = _where(reader, entries, measure, where)
    return Charge(name, metered=Metered(measure, values["unit"], labels, included, tiers))


def _where(
    reader: FileReader, entries: Mapping[str, Entry], measure: Measure, where: str
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    labels: list[tuple[str, tuple[str, ...]]] = []
    found = reader.section(entries, "where", where) or {}
    where = f"{where}.where"
    for label, entry in found.items():
        if label not in measure.labels:
            text = f"{measure.name} has no such label"
            text += f"; it has {', '.join(measure.labels) or 'none'}"
            reader.faults.add(entry.key, below(where, label), text)
        values = reader.field(Field(label, fields.LABEL_VALUES, ""), found, where, entry.key)
        if values is not MISSING:
            labels.append((label, values))
    return tuple(sorted(labels))


def _tiers(reader: FileReader, entries: Mapping[str, Entry], where: str) -> tuple[Tier, ...]:
    if "tiers" not in entries:
        return ()
    where = f"{where}.tiers"
    found_tiers = _mappings(reader, entries["tiers"].value, where, "tier")
    tiers: list[Tier] = []
    reached = Decimal(0)
    for number, (here, item, found) in enumerate(found_tiers):
        reader.unknown(found, [one.key for one in fields.TIER], here)
        to, price = (reader.field(one, found, here, item) for one in fields.TIER)
        final = number == len(found_tiers) - 1
        if final and "to" in found:
            reader.faults.add(found["to"].key, f"{here}.to", "the last tier has no end")
        elif not final and "to" not in found:
            reader.faults.add(item, f"{here}.to", "missing: only the last tier has no end")
        elif to is not MISSING and to <= reached:
            text = f"expected more than {reached}, where the tier before ends; found {to}"
            reader.faults.add(found["to"].value, f"{here}.to", text)
        reached = reached if to is MISSING else max(reached, to)
        if price is not MISSING:
            tiers.append(Tier(price, None if to is MISSING else to))
    return tuple(tiers)
