"""The running configuration as it is shown to people, without secrets."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import yaml

from exporter.config import durations, fields
from exporter.config.kinds import Duration, Labels
from exporter.config.settings import Account, AppCredential, Config
from exporter.credentials import CredentialSource, FileCredential


def redacted(config: Config) -> str:
    """`config` as YAML, every default written out, which `load` reads as the same again.

    It says where credentials come from, never what they are.
    """
    document: dict[str, object] = {
        section.key: _section(section, getattr(config, section.key))
        for section in fields.SECTIONS
        if getattr(config, section.key) is not None
    }
    document["accounts"] = [_account(account) for account in config.accounts]
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=1000)
    return text


def _section(section: fields.Section, settings: object) -> dict[str, object]:
    values = [(item, getattr(settings, item.into or item.key)) for item in section.fields]
    return {
        item.key: _written(item, value)
        for item, value in values
        if value is not None or isinstance(item.kind, Duration)
    }


def _written(item: fields.Field, value: object) -> object:
    if isinstance(item.kind, Duration):
        # Every None is a duration without a limit.
        return durations.written(value) if isinstance(value, int | float) else item.kind.unlimited
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


def _source(stem: str, source: CredentialSource) -> dict[str, object]:
    if isinstance(source, FileCredential):
        return {f"{stem}_file": str(source.path)}
    return {f"{stem}_env": source.name}


def _without_secrets(url: str) -> str:
    """The URL without user and query. Those in files have none; a provider's own might."""
    address = urlsplit(url)
    host = address.netloc.rpartition("@")[2]
    return urlunsplit((address.scheme, host, address.path, "", ""))
