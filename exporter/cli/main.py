"""The command line's start and end: the command that runs, and the only exit codes.

0 done, 1 it failed and said why in one line, 2 wrong usage.
"""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from types import SimpleNamespace

import click

from exporter.cli import flags

MODULES = {
    "serve": "serve",
    "check-config": "check_config",
    "once": "once",
    "backfill": "history",
    "export": "history",
    "ledger": "ledger",
    "demo": "demo",
    "emulate": "emulate",
    "healthcheck": "healthcheck",
}
"""Where the function `command` of each is."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    try:
        chosen = flags.parse(sys.argv[1:] if arguments is None else arguments, os.environ)
        # Imported only now, and only this one: a healthcheck runs every few seconds.
        gc.disable()  # modules are no garbage, and to look at them takes a tenth of importing them
        try:
            module = import_module(f"exporter.cli.{MODULES[chosen.command.partition(' ')[0]]}")
        finally:
            gc.enable()
        command: Callable[[SimpleNamespace], int] = module.command
        return command(chosen)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has left: nothing to tell and nobody to tell it to.
        _drop_output()
    except OSError as error:
        flags.complain(_told(error))
        if error.errno in _UNWRITTEN:
            _drop_output()
    except Exception as error:
        # Imported only now, with the model that it stands in: most runs need neither.
        from exporter.model.errors import ConfigError, ExporterError

        if isinstance(error, ConfigError):
            # Each begins with file and line, so that an editor can jump there.
            click.echo("\n".join(error.faults), err=True)
        elif isinstance(error, ExporterError):
            flags.complain(str(error))
        else:
            raise
    return 1


_UNWRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What writing fails with where there is no space, or no device any more."""


def _told(error: OSError) -> str:
    """In words. Only standard output is written to without a name."""
    why = error.strerror or str(error)
    if error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {why}"
    return f"cannot write to standard output: {why}" if error.errno in _UNWRITTEN else why


def _drop_output() -> None:
    """Let what is still to be written go nowhere, or Python complains of it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
