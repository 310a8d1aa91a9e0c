"""From flags to what they name: the configuration, sockets, options of the web server."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from exporter import providers
from exporter.cli.flags import PROGRAM
from exporter.cli.systemd import activated_sockets
from exporter.config import AppCredential, BearerCredential, Config, LedgerSettings, load
from exporter.credentials import CredentialSource, FileCredential
from exporter.ledger.place import Place, place_of
from exporter.model.errors import ConfigError, ServeError
from exporter.web.listen import listen
from exporter.web.server import WebOptions
from exporter.web.toolkit import WebSecurity

TAKEN_PATHS = ("/", "/-/healthy", "/-/ready", "/-/reload", "/config")


def configuration(chosen: SimpleNamespace) -> Config:
    """The configuration file, with the flag for the ledger's place put in.

    The flag's variable, which images set, counts only in place of `ledger.path`.
    """
    if "config_file" not in chosen.typed and not chosen.config_file.exists():
        raise ConfigError(
            [
                f"{chosen.config_file}: No such file or directory; name the configuration with"
                f" --config.file, or try `{PROGRAM} demo`, which needs none"
            ]
        )
    config = load(chosen.config_file, providers.load())
    path = getattr(chosen, "ledger_path", None)
    if path and (config.ledger.url is None or "ledger_path" in chosen.typed):
        file = LedgerSettings(Path(path).absolute(), config.ledger.retention_seconds)
        config = replace(config, ledger=file)
    return config


def warnings(config: Config) -> list[str]:
    """Lines about what works and is better otherwise: the file's, and what it refers to."""
    return [
        *config.warnings,
        *(
            f"credential file {file.path}: every user of this machine can read it;"
            " expected mode 0600 or 0400"
            for file in _credential_files(config)
            if file.exposed()
        ),
    ]


def _credential_files(config: Config) -> list[FileCredential]:
    """Each once, in the order of the configuration."""
    sources: list[CredentialSource | None] = []
    for account in config.accounts:
        match account.credential:
            case AppCredential(key=key, secret=secret):
                sources += [key, secret]
            case BearerCredential(token=token):
                sources.append(token)
    sources.append(config.ledger.password)
    if config.remote_write is not None:
        sources += [config.remote_write.token, config.remote_write.password]
    return list(dict.fromkeys(one for one in sources if isinstance(one, FileCredential)))


def ledger_place(chosen: SimpleNamespace) -> Place:
    """Where the ledger is; a path that is typed needs no configuration."""
    path = chosen.ledger_path
    if path and "ledger_path" in chosen.typed:
        return Path(path)
    try:
        settings = configuration(chosen).ledger
    except ConfigError:
        if path:
            return Path(path)
        raise
    return place_of(settings.path, settings.url, settings.password)


def listeners(chosen: SimpleNamespace) -> list[socket.socket]:
    """A socket for each address; ServeError, and none, when one of them cannot be had.

    With `--web.systemd-socket`, the sockets that systemd listens on already.
    """
    if chosen.web_systemd_socket:
        return activated_sockets(os.environ, os.getpid())
    opened: list[socket.socket] = []
    try:
        opened.extend(map(listen, chosen.web_listen_address))
    except ServeError:
        for listener in opened:
            listener.close()
        raise
    return opened


def web_options(chosen: SimpleNamespace) -> WebOptions:
    """What the flags that begin with `--web.` say; ServeError for a path of no use."""
    path: str = chosen.web_telemetry_path
    plain = path.isascii() and path.isprintable() and not set(" ?#") & set(path)
    if not path.startswith("/") or path in TAKEN_PATHS or not plain:
        raise ServeError(
            f"--web.telemetry-path {path}: expected a path of its own, such as /metrics"
        )
    file = chosen.web_config_file
    return WebOptions(
        telemetry_path=path,
        max_requests=chosen.web_max_requests,
        lifecycle=chosen.web_enable_lifecycle,
        created_timestamps=chosen.web_created_timestamps,
        process_metrics=not chosen.web_disable_exporter_metrics,
        security=WebSecurity.open(Path(file)) if file else None,
    )
