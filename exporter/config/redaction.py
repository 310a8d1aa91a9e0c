"""The running configuration as it is shown to people, without secrets."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import yaml

from exporter.config import durations, fields
from exporter.config.kinds import Duration, Labels
from exporter.config.settings import Account, AppCredential, Config
from exporter.credentials import CredentialSource, FileCredential
from exporter.model.contracts import Charge, Contract


def redacted(config: Config) -> str:
    """`config` as YAML, every default written out, which `load` reads as the same again.

    It says where credentials come from, never what they are.
    """
    document: dict[str, object] = {
        section.key: _section(section, getattr(config, section.key))
        for section in fields.SECTIONS
        if getattr(config, section.key) is not None
    }
    billing = [
        _contract(account.name, contract)
        for account in config.accounts
        for contract in account.contracts
    ]
    if billing:
        document["billing"] = billing
    document["accounts"] = [_account(account) for account in config.accounts]
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=1000)
    return text


def _section(section: fields.Section, settings: object) -> dict[str, object]:
    values = [(item, getattr(settings, item.into or item.key)) for item in section.fields]
    return {item.key: _written(item, value) for item, value in values if value is not None}


def _written(item: fields.Field, value: object) -> object:
    if isinstance(item.kind, Duration):
        return durations.written(value) if isinstance(value, int | float) else value
    if isinstance(item.kind, Labels):
        return dict(value) if isinstance(value, tuple) else {}
    return str(value) if isinstance(value, Path) else value


def _account(account: Account) -> dict[str, object]:
    shown: dict[str, object] = {
        "name": account.name,
        "provider": account.provider.name,
        "url": _without_secrets(account.url),
    }
    if account.auth_url is not None:
        shown["auth_url"] = _without_secrets(account.auth_url)
    if isinstance(account.credential, AppCredential):
        shown |= _source("app_key", account.credential.key)
        shown |= _source("app_secret", account.credential.secret)
    else:
        shown |= _source("credentials", account.credential.token)
    shown["feeds"] = list(account.feeds)
    for key, value in account.options.items():
        if value != "":  # the default, which cannot be written in a file
            shown[key] = list(value) if isinstance(value, tuple) else value
    return shown


def _contract(account: str, contract: Contract) -> dict[str, object]:
    shown: dict[str, object] = {
        "accounts": [account],
        "currency": contract.currency,
        "from": _day(contract.start),
    }
    if contract.last and contract.end is not None:
        shown["until"] = _day(contract.end)
    for key, amount in (("budget", contract.budget), ("commitment", contract.commitment)):
        if amount is not None:
            shown[key] = _amount(amount)
    shown["charges"] = [_charge(charge) for charge in contract.charges]
    return shown


def _charge(charge: Charge) -> dict[str, object]:
    shown: dict[str, object] = {"name": charge.name}
    if charge.fee is not None:
        shown["fee"] = _amount(charge.fee)
    if charge.metered is None:
        return shown
    metered = charge.metered
    shown |= {"measure": metered.measure.name, "unit": metered.unit}
    if metered.where:
        shown["where"] = {label: list(values) for label, values in metered.where}
    if metered.included is not None:
        shown["included"] = _amount(metered.included)
    if metered.tiers:
        shown["tiers"] = [
            {
                **({} if tier.to is None else {"to": _amount(tier.to)}),
                "price": _amount(tier.price),
            }
            for tier in metered.tiers
        ]
    return shown


def _amount(amount: Decimal) -> str:
    return format(amount, "f")


def _day(instant: int) -> str:
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%d")


def _source(stem: str, source: CredentialSource) -> dict[str, object]:
    if isinstance(source, FileCredential):
        return {f"{stem}_file": str(source.path)}
    return {f"{stem}_env": source.name}


def _without_secrets(url: str) -> str:
    """The URL without user and query. Those in files have none; a provider's own might."""
    address = urlsplit(url)
    host = address.netloc.rpartition("@")[2]
    return urlunsplit((address.scheme, host, address.path, "", ""))
