"""The command line's start and end: the command that runs, and the only exit codes.

0 done, 1 it failed and said why in one line, 2 wrong usage.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from types import SimpleNamespace

import click

from exporter.cli import flags
from exporter.model.errors import ConfigError, ExporterError

MODULES = {
    "serve": "serve",
    "check-config": "check_config",
    "once": "once",
    "backfill": "history",
    "export": "history",
    "demo": "demo",
    "emulate": "emulate",
    "healthcheck": "healthcheck",
}
"""Where the function `command` of each is."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    chosen = flags.parse(sys.argv[1:] if arguments is None else arguments, os.environ)
    # Imported only now, and only this one: a healthcheck runs every few seconds.
    module = import_module(f"exporter.cli.{MODULES[chosen.command]}")
    command: Callable[[SimpleNamespace], int] = module.command
    try:
        return command(chosen)
    except ConfigError as error:
        # Each begins with file and line, so that an editor can jump there.
        click.echo("\n".join(error.faults), err=True)
    except ExporterError as error:
        flags.complain(str(error))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has left: nothing to tell and nobody to tell it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        flags.complain(str(error))
    return 1
