"""The configuration file: `load` reads it, the dataclasses hold it, `redacted` shows it.

durations   how lengths of time are written
nodes       YAML that knows its lines
notes       what is wrong in a file, and where
kinds       the kinds of value
fields      every key, as data
file_reader reads values and notes faults
accounts    the accounts, whose keys depend on the provider
config_file from a path to a `Config`
"""

from exporter.config.config_file import load
from exporter.config.redaction import redacted
from exporter.config.settings import (
    Account,
    AppCredential,
    BearerCredential,
    Config,
    LedgerSettings,
    Limits,
    Polling,
    RemoteWrite,
)

__all__ = [
    "Account",
    "AppCredential",
    "BearerCredential",
    "Config",
    "LedgerSettings",
    "Limits",
    "Polling",
    "RemoteWrite",
    "load",
    "redacted",
]
