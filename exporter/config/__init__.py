"""The configuration file: `load` reads it, the dataclasses hold it, `redacted` shows it.

durations    how lengths of time are written
nodes        the nodes of a YAML file, with their lines
notes        the faults and warnings of a file
kinds        the kinds of value
fields       every key, as data
file_reader  reads values by their kinds, and notes faults
accounts     reads the accounts, whose keys depend on the provider
config_file  reads the file into a `Config`
"""

from exporter.config.config_file import load
from exporter.config.redaction import redacted
from exporter.config.settings import (
    Account,
    AppCredential,
    BearerCredential,
    Config,
    History,
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
    "History",
    "LedgerSettings",
    "Limits",
    "Polling",
    "RemoteWrite",
    "load",
    "redacted",
]
