"""The command line: what can be typed, with the environment variable for each flag.

A flag beats its variable, which beats the default. Only click and what is light is imported here,
because `--help`, `--version` and the healthcheck of a container should be quick.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from types import SimpleNamespace

import click
from click.core import ParameterSource
from click.types import OptionHelpExtra

from exporter.cli.logs import FORMATS, LEVELS
from exporter.cli.version import version

PROGRAM = "media-usage-exporter"
PREFIX = "MEDIA_USAGE_EXPORTER_"
DEFAULT_PORT = 10032
EMULATOR_PORT = 10033


def variable(flag: str) -> str:
    """The environment variable of `--config.file`: MEDIA_USAGE_EXPORTER_CONFIG_FILE."""
    return PREFIX + _name(flag).upper()


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> SimpleNamespace:
    """The command and its flags; exits with 2 and one line on stderr when they are wrong."""
    try:
        chosen = COMMANDS.main(list(arguments), PROGRAM, standalone_mode=False, obj=environment)
    except click.UsageError as error:
        where = PROGRAM if error.ctx is None else error.ctx.command_path
        # click lists choices one a line.
        click.echo(f"{where}: {' '.join(error.format_message().split())}", err=True)
        raise SystemExit(error.exit_code) from None
    if not isinstance(chosen, SimpleNamespace):  # help or version is printed, this is the code
        raise SystemExit(chosen)
    return chosen


def complain(line: str) -> None:
    """One line on stderr that says who says it."""
    click.echo(f"{PROGRAM}: {line}", err=True)


_NAMES = {"--from": "start", "--to": "end"}
"""`from` is no name in Python."""


def _name(flag: str) -> str:
    return flag.removeprefix("--").replace(".", "_").replace("-", "_")


class _Flag(click.Option):
    """A flag. One with a dot in its name can also be given by its variable.

    Several values in a variable are parted by white space.
    """

    def __init__(self, flag: str, help: str, default: object = None, **options: object) -> None:
        if default is not None:  # which click would take for a value that was given
            options["default"] = default
        if default is False:  # or click takes the word behind a flag without its opposite
            options["is_flag"] = True
        dotted = "." in flag
        switch = f"{flag}/--no-{flag[2:]}" if dotted and default is False else flag
        super().__init__(
            [switch, _NAMES.get(flag) or _name(flag)],
            help=f"{help}; may be repeated" if options.get("multiple") else help,
            envvar=variable(flag) if dotted else None,
            show_envvar=True,
            **options,  # type: ignore[arg-type]
        )

    def get_help_extra(self, ctx: click.Context) -> OptionHelpExtra:
        """Without the variable, which is long: the help's end says how all are named."""
        extra = super().get_help_extra(ctx)
        extra.pop("envvars", None)
        return extra

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """The variable's value in the environment that `parse` was given.

        click takes an empty variable for one that is not set. In a container it is more often one
        whose value got lost, and a default in its place would go unnoticed.
        """
        value: str | None = ctx.obj.get(self.envvar) if self.envvar else None
        if value is not None and not value.strip():
            why = "the variable is empty; set it to a value or unset it"
            raise click.BadParameter(why, ctx, self)
        return value


class _Emulate(click.Command):
    """Names the kinds of faults in its help."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from exporter.cli.demo import FAULT_KINDS  # not light

        # Left to click, names would be parted at their hyphens.
        lines = fill(", ".join(FAULT_KINDS), 76, break_on_hyphens=False)
        self.epilog = (
            f"Kinds of faults:\n\n\b\n{lines}\n\n"
            "A number behind a kind is for how many requests it lasts; without one, it lasts until the"
            " emulated vendors end. With token- before its name, a kind hits only requests for a token."
        )
        super().format_epilog(ctx, formatter)


class _Commands(click.Group):
    """`serve` is what is meant when no command is named; its flags are in the help of all."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ("-h", "--help", "--version")):
            args = ["serve", *args]
        return super().parse_args(ctx, args)

    def list_commands(self, _: click.Context) -> list[str]:
        """In the order in which they are declared."""
        return list(self.commands)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        flags = [flag for flag in self.commands["serve"].params if isinstance(flag, _Flag)]
        records = [flag.get_help_record(ctx) for flag in flags]
        with formatter.section("Flags of serve"):
            formatter.write_dl([record for record in records if record is not None])


def _command(
    name: str, help: str, *flags: _Flag, kind: type[click.Command] = click.Command
) -> click.Command:
    def chosen(**values: object) -> SimpleNamespace:
        """The values, and the names of those that were typed."""
        source = click.get_current_context().get_parameter_source
        typed = {one for one in values if source(one) is ParameterSource.COMMANDLINE}
        return SimpleNamespace(command=name, typed=frozenset(typed), **values)

    word = name.rpartition(" ")[2]
    return kind(word, params=list(flags), help=help, short_help=help, callback=chosen)


_ADDRESS: dict[str, object] = {"metavar": "ADDRESS"}
_FILE: dict[str, object] = {"metavar": "FILE"}
_MANY: dict[str, object] = {"multiple": True}
_NEEDED: dict[str, object] = {"metavar": "LEDGER", "required": True}


def _listen(address: str, help: str = "address to listen on") -> _Flag:
    return _Flag("--web.listen-address", help, (address,), **_ADDRESS, **_MANY)


def _web(address: str) -> tuple[_Flag, ...]:
    most = click.IntRange(min=1)
    return (
        _listen(address),
        _Flag("--web.telemetry-path", "path of the metrics", "/metrics"),
        _Flag("--web.config.file", "TLS and passwords, in Prometheus' format", **_FILE),
        _Flag("--web.max-requests", "scrapes answered at a time; more get 503", 40, type=most),
        _Flag("--web.enable-lifecycle", "allow POST /-/reload", False),
        _Flag(
            "--web.created-timestamps",
            "_created samples in OpenMetrics; protobuf without a hold at 0",
            False,
        ),
        _Flag("--web.disable-exporter-metrics", "leave out process_* and python_*", False),
        _Flag("--web.systemd-socket", "listen on systemd's sockets, not on addresses", False),
    )


def _log(level: str = "info") -> tuple[_Flag, ...]:
    return (
        _Flag("--log.level", "least severity to log", level, type=click.Choice(LEVELS)),
        _Flag("--log.format", "form of log lines", "logfmt", type=click.Choice(FORMATS)),
    )


_PATH = click.Path(path_type=Path)
_CONFIG = _Flag("--config.file", "configuration file", "config.yaml", type=_PATH, **_FILE)
_LEDGER = _Flag(
    "--ledger.path", "the ledger's file, instead of what the configuration names", **_FILE
)
_REPLICA = _Flag(
    "--replica.name", "name of this replica of a shared ledger; else the host's", metavar="NAME"
)
_SEED = _Flag("--seed", "another world", 1)
_TIME = "ISO 8601 date or time (UTC unless it says otherwise) or Unix seconds"
_HISTORY = (
    _CONFIG,
    _LEDGER,
    _Flag("--from", f"beginning; {_TIME}", metavar="TIME"),
    _Flag("--to", f"end; {_TIME}", metavar="TIME"),
    _Flag("--account", "only this account", **_MANY),
    _Flag("--metric", "only this metric", **_MANY),
    _Flag("--unsettled", "also closed buckets that the vendor may still change", False),
    _Flag("--output", "where to write; - is stdout", "-", **_FILE),
)
_FORMATS = click.Choice(("csv", "jsonl", "parquet", "focus", "focus-parquet"))
_LABEL = "label to add to each series, such as the job and instance of the scrape"


def _say_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        click.echo(version(PROGRAM))
        ctx.exit()


_VERSION = click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    help="Show the version and exit.",
    callback=_say_version,
)

COMMANDS = _Commands(
    PROGRAM,
    help="Prometheus exporter of live video and media processing usage.",
    epilog="Without a command it serves. Each flag with a dot in its name can also be set by a variable:"
    f" {variable('--config.file')} for --config.file, and so on.",
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "show_default": True,
    },
    commands=[
        _command(
            "serve",
            "Poll and serve until SIGTERM or SIGINT (the default)",
            *(_CONFIG, _LEDGER, _REPLICA, *_web(f":{DEFAULT_PORT}"), *_log()),
        ),
        _command(
            "check-config",
            "Check the configuration, say what it polls",
            _CONFIG,
            _LEDGER,
            _Flag("--web.config.file", "web configuration to check, too", **_FILE),
            _Flag("--strict", "fail on what serve would not start with", False),
            _Flag("--online", "also try each credential once, and say what it may do", False),
        ),
        _command(
            "once",
            "Poll everything once, metrics on stdout",
            *(_CONFIG, _LEDGER, *_log("warn")),
        ),
        _command(
            "backfill",
            "The ledger's history as OpenMetrics, for promtool",
            *_HISTORY,
            _Flag("--label", _LABEL, metavar="NAME=VALUE", **_MANY),
        ),
        _command(
            "export",
            "The ledger's raw buckets, or what they cost, for a warehouse",
            _Flag(
                "--format",
                "form of the buckets; focus is their cost as FOCUS 1.2",
                type=_FORMATS,
                required=True,
            ),
            *_HISTORY,
        ),
        click.Group(
            "ledger",
            help="Copy a ledger",
            no_args_is_help=False,
            commands=[
                _command(
                    "ledger copy",
                    "Copy a whole ledger from a file to a database, or the other way",
                    _Flag("--from", "the ledger, a file or a postgresql:// URL", **_NEEDED),
                    _Flag("--to", "where to, a new file or an empty database", **_NEEDED),
                    _Flag("--password-file", "file that holds the database's password", **_FILE),
                )
            ],
        ),
        _command(
            "demo",
            "Everything on this machine: no account, no network",
            *(*_web(f"127.0.0.1:{DEFAULT_PORT}"), *_log(), _SEED),
        ),
        _command(
            "emulate",
            "Only the emulated vendors, to test against",
            _Flag("--listen-address", "where to listen", f"127.0.0.1:{EMULATOR_PORT}", **_ADDRESS),
            _SEED,
            _Flag(
                "--fault", "a fault of a vendor's answers", metavar="PROVIDER:KIND[:TIMES]", **_MANY
            ),
            *_log(),
            kind=_Emulate,
        ),
        _command(
            "healthcheck",
            "Ask a running exporter whether it is healthy",
            _listen(f":{DEFAULT_PORT}", "address that it listens on; the first one is asked"),
            _Flag("--web.config.file", "the web configuration that it runs with", **_FILE),
        ),
    ],
)
for _one in (COMMANDS, COMMANDS.commands["serve"]):
    _VERSION(_one)
