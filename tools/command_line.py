"""The reference of the command line, from the parser that reads it."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

from exporter.cli.flags import PREFIX, commands

_HEAD = f"""# Command line

<!-- Made from exporter/cli/flags.py by `make generate`. -->

`media-usage-exporter COMMAND [FLAG …]`; without a command it is `serve`. A flag beats its environment
variable, which beats the default. Variables of flags that may be repeated hold several values, parted
by white space; those of switches are `1`, `true`, `yes` or `on`. All begin with `{PREFIX}`.

Exit codes: 0 done, 1 failed and said why, 2 wrong usage.
"""


def documentation() -> str:
    """`docs/command-line.md`."""
    return "\n".join((_HEAD, *_sections()))


def _sections() -> Iterator[str]:
    for name, (what, flags) in commands().items():
        yield f"## `{name}`\n"
        yield f"{what[:1].upper()}{what[1:]}.\n"
        rows = [_row(flag) for flag in flags if flag.dest not in ("help", "version")]
        yield "| flag | default | variable | what it is |"
        yield "|---|---|---|---|"
        yield from rows
        yield ""


def _row(flag: argparse.Action) -> str:
    # Some versions of Python add this to a switch.
    said = (flag.help or "").removesuffix(" (default: %(default)s)")
    variable = re.search(rf"{PREFIX}(\w+)", said)
    default = re.search(r"default: ([^;)]*)", said)
    meaning = re.sub(r" \((default: [^)]*|\w+)\)$", "", said)
    if flag.choices:
        meaning = f"{meaning}{': ' if meaning else ''}{', '.join(map(str, flag.choices))}"
    written = ", ".join(f"`{word}`" for word in flag.option_strings)
    cells = (
        written,
        f"`{default[1]}`" if default and default[1] != "none" else "",
        f"`…{variable[1]}`" if variable else "",
        meaning.replace("|", "\\|"),
    )
    return f"| {' | '.join(cells)} |"
