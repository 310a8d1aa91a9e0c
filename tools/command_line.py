"""The reference of the command line, from the declarations that read it."""

from __future__ import annotations

from collections.abc import Iterator

import click

from exporter.cli.flags import COMMANDS, PREFIX

_HEAD = f"""# Command line

<!-- Made from exporter/cli/flags.py by `make generate`. -->

`media-usage-exporter COMMAND [FLAG …]`; without a command it is `serve`. Names are written in full. A flag
beats its environment variable, which beats the default. Variables of flags that may be repeated hold
several values, parted by white space; those of switches are `1`, `true`, `yes` or `on`, or their
opposites. A variable that is set but empty is refused. All begin with `{PREFIX}`.

Exit codes: 0 done, 1 failed and said why, 2 wrong usage.
"""


def documentation() -> str:
    """`docs/command-line.md`."""
    return "\n".join((_HEAD, *_sections()))


def _sections() -> Iterator[str]:
    for name, command in _commands(COMMANDS):
        yield f"## `{name}`\n"
        yield f"{command.help}.\n"
        yield "| flag | default | variable | what it is |"
        yield "|---|---|---|---|"
        for flag in command.params:
            if isinstance(flag, click.Option) and flag.name != "version":
                yield _row(flag)
        yield ""


def _commands(group: click.Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """All commands by what is typed, those within another one, too."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, f"{before}{name} ")
        else:
            yield before + name, command


def _row(flag: click.Option) -> str:
    info = flag.to_info_dict()
    default = info["default"]
    if flag.multiple:
        default = " ".join(default or ())
    choices = ", ".join(info["type"].get("choices", ()))
    cells = (
        ", ".join(f"`{word}`" for word in (*flag.opts, *flag.secondary_opts)),
        f"`{default}`" if default else "",
        f"`…{str(flag.envvar).removeprefix(PREFIX)}`" if flag.envvar else "",
        f"{flag.help}{': ' if choices else ''}{choices}".replace("|", "\\|"),
    )
    return f"| {' | '.join(cells)} |"
