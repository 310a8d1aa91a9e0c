"""The command line: what can be typed, with the environment variable for each flag.

A flag beats its variable, which beats the default.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from exporter import __version__
from exporter.cli.logs import FORMATS, LEVELS

PREFIX = "MEDIA_USAGE_EXPORTER_"
DEFAULT_PORT = 10032
EMULATOR_PORT = 10033


def variable(flag: str) -> str:
    """The environment variable of `--config.file`: MEDIA_USAGE_EXPORTER_CONFIG_FILE."""
    return PREFIX + flag.removeprefix("--").replace(".", "_").replace("-", "_").upper()


class _Parser(argparse.ArgumentParser):
    """Adds each flag with its environment variable as the default, and says so in its help."""

    environment: Mapping[str, str] = os.environ

    def flag(self, name: str, help: str, default: str, **options: object) -> None:
        """A flag with a value; several values in the variable are parted by white space."""
        value = self.environment.get(variable(name), default)
        repeated = options.get("action") == "append"
        self.add_argument(
            name,
            dest=_destination(name),
            help=f"{help} (default: {default or 'none'}; {variable(name)})",
            default=value.split() if repeated else value,
            **options,  # type: ignore[arg-type]
        )

    def switch(self, name: str, help: str) -> None:
        """A flag without a value; its variable is 1, true, yes or on."""
        value = self.environment.get(variable(name), "").lower()
        self.add_argument(
            name,
            dest=_destination(name),
            help=f"{help} ({variable(name)})",
            action=argparse.BooleanOptionalAction,
            default=value in ("1", "true", "yes", "on"),
        )


def _destination(flag: str) -> str:
    return flag.removeprefix("--").replace(".", "_").replace("-", "_")


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> argparse.Namespace:
    """The command and its flags; exits with 2 and usage on stderr when they are wrong."""
    _Parser.environment = environment
    parser = _parser()
    words = list(arguments)
    known = _subparsers(parser).choices
    # `serve` is what is meant when no command is named, also before its flags.
    if not words or (words[0] not in known and words[0] not in ("-h", "--help", "--version")):
        words.insert(0, "serve")
    options = parser.parse_args(words)
    for name, choices in (("log_level", LEVELS), ("log_format", FORMATS)):
        # argparse checks what is typed, not what comes from a variable.
        if getattr(options, name, choices[0]) not in choices:
            flag = f"--{name.replace('_', '.')}"
            parser.error(
                f"{variable(flag)}: {getattr(options, name)!r} is none of {', '.join(choices)}"
            )
    return _last_wins(options, words)


def _last_wins(options: argparse.Namespace, words: Sequence[str]) -> argparse.Namespace:
    """Take a repeatable flag's default away where the flag itself was given."""
    for name in ("web_listen_address", "fault"):
        values = getattr(options, name, None)
        flag = "--web.listen-address" if name == "web_listen_address" else "--fault"
        given = sum(1 for word in words if word == flag or word.startswith(f"{flag}="))
        if values is not None and given:
            setattr(options, name, values[-given:])
    return options


def commands() -> dict[str, tuple[str, Sequence[argparse.Action]]]:
    """Each command's help and its flags, as they are with no variable set; for the documentation."""
    _Parser.environment = {}
    subparsers = _subparsers(_parser())
    helps = {action.dest: action.help or "" for action in subparsers._choices_actions}
    return {
        name: (helps[name], [one for one in parser._actions if one.option_strings])
        for name, parser in subparsers.choices.items()
    }


def _subparsers(parser: argparse.ArgumentParser) -> argparse._SubParsersAction[_Parser]:
    return next(one for one in parser._actions if isinstance(one, argparse._SubParsersAction))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="media-usage-exporter",
        description="Prometheus exporter of live video and media processing usage.",
        epilog="Without a command it serves. Each flag can be set by the variable in its help.",
    )
    parser.add_argument(
        "--version", action="version", version=f"media-usage-exporter {__version__}"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)

    serve = commands.add_parser(
        "serve", help="poll and serve until SIGTERM or SIGINT (the default)"
    )
    _add_config(serve)
    _add_ledger(serve)
    _add_web(serve, f":{DEFAULT_PORT}")
    _add_log(serve)
    serve.add_argument("--version", action="version", version=f"media-usage-exporter {__version__}")

    check = commands.add_parser("check-config", help="check the configuration, say what it polls")
    _add_config(check)
    check.flag("--web.config.file", "web configuration to check, too", "")
    check.add_argument(
        "--online",
        action="store_true",
        help="also try each credential once, and say what it may do",
    )

    once = commands.add_parser("once", help="poll everything once, metrics on stdout")
    _add_config(once)
    _add_ledger(once)
    _add_log(once, level="warn")

    backfill = commands.add_parser(
        "backfill", help="the ledger's history as OpenMetrics, for promtool"
    )
    _add_history(backfill)
    backfill.add_argument(
        "--label",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="label to add to each series, such as the job and instance of the scrape; repeatable",
    )
    export = commands.add_parser("export", help="the ledger's raw buckets, for a warehouse")
    export.add_argument(
        "--format", required=True, choices=("csv", "jsonl", "parquet"), help="form of the buckets"
    )
    _add_history(export)

    demo = commands.add_parser("demo", help="everything on this machine: no account, no network")
    _add_web(demo, f"127.0.0.1:{DEFAULT_PORT}")
    _add_log(demo)
    demo.add_argument("--seed", type=int, default=1, help="another world (default: 1)")

    emulate = commands.add_parser("emulate", help="only the emulated vendors, to test against")
    emulate.add_argument(
        "--listen-address",
        default=f"127.0.0.1:{EMULATOR_PORT}",
        help=f"where to listen (default: 127.0.0.1:{EMULATOR_PORT})",
    )
    emulate.add_argument("--seed", type=int, default=1, help="another world (default: 1)")
    emulate.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="PROVIDER:KIND[:TIMES]",
        help="a fault to begin with; may be repeated",
    )
    _add_log(emulate)

    health = commands.add_parser("healthcheck", help="ask a running exporter whether it is healthy")
    _add_listen_address(health, f":{DEFAULT_PORT}")
    health.flag("--web.config.file", "the web configuration that it runs with", "")
    return parser


def _add_config(parser: _Parser) -> None:
    parser.flag("--config.file", "configuration file", "config.yaml", type=Path)


def _add_ledger(parser: _Parser) -> None:
    parser.flag("--ledger.path", "where the ledger is, instead of ledger.path", "")


def _add_listen_address(parser: _Parser, address: str) -> None:
    parser.flag(
        "--web.listen-address",
        "address to listen on; may be repeated",
        address,
        action="append",
        metavar="ADDRESS",
    )


def _add_history(parser: _Parser) -> None:
    _add_config(parser)
    _add_ledger(parser)
    when = "ISO 8601 date or time (UTC unless it says otherwise) or Unix seconds"
    parser.add_argument("--from", dest="start", metavar="TIME", help=f"beginning; {when}")
    parser.add_argument("--to", dest="end", metavar="TIME", help=f"end; {when}")
    for name in ("account", "metric"):
        parser.add_argument(
            f"--{name}",
            action="append",
            default=[],
            metavar=name.upper(),
            help=f"only this {name}; may be repeated",
        )
    parser.add_argument(
        "--unsettled",
        action="store_true",
        help="also closed buckets that the vendor may still change",
    )
    parser.add_argument(
        "--output", default="-", metavar="FILE", help="where to write (default: -; that is stdout)"
    )


def _add_web(parser: _Parser, address: str) -> None:
    _add_listen_address(parser, address)
    parser.flag("--web.telemetry-path", "path of the metrics", "/metrics")
    parser.flag("--web.config.file", "TLS and passwords, in Prometheus' format", "")
    parser.flag("--web.max-requests", "scrapes answered at a time; more get 503", "40", type=int)
    parser.switch("--web.enable-lifecycle", "allow POST /-/reload")
    parser.switch("--web.created-timestamps", "_created samples in OpenMetrics")


def _add_log(parser: _Parser, level: str = "info") -> None:
    parser.flag("--log.level", "least severity to log", level, choices=LEVELS)
    parser.flag("--log.format", "form of log lines", "logfmt", choices=FORMATS)
