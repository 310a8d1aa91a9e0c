"""What a release says of itself: whether a tag fits the code, its notes, the facts of its image.

``python -m tools.release check v1.2.3``, ``notes`` or ``facts``. A release is refused when its tag,
the version of the code and the changelog do not say the same.
"""

from __future__ import annotations

import argparse
import re
import sys
from datetime import UTC, datetime

import exporter
from tools.packages import ROOT, commit_time


class ReleaseError(Exception):
    """Why this is no release, in one line."""


def check(tag: str, changelog: str) -> None:
    """Whether `tag` releases the version of the code, as the changelog has it."""
    expected = f"v{exporter.__version__}"
    if tag != expected:
        raise ReleaseError(f"tag: expected {expected}, the version in exporter; found {tag}")
    notes(changelog)


def notes(changelog: str) -> str:
    """The changelog's section of this version, without its heading."""
    version = re.escape(exporter.__version__)
    heading = re.compile(rf"^## \[{version}\] - \d{{4}}-\d\d-\d\d$", re.MULTILINE)
    found = heading.search(changelog)
    if found is None:
        what = f"## [{exporter.__version__}] - YYYY-MM-DD"
        raise ReleaseError(f"CHANGELOG.md: expected the heading {what}; found none")
    section, *_ = re.split(r"^## ", changelog[found.end() :], maxsplit=1, flags=re.MULTILINE)
    return section.strip() + "\n"


def facts() -> dict[str, str]:
    """The image's version, and the instant of its commit: the same image for the same commit."""
    created = datetime.fromtimestamp(int(commit_time()), UTC)
    return {"version": exporter.__version__, "created": f"{created:%Y-%m-%dT%H:%M:%SZ}"}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.release", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check").add_argument("tag")
    commands.add_parser("notes")
    commands.add_parser("facts")
    chosen = parser.parse_args(arguments)
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    try:
        if chosen.command == "check":
            check(chosen.tag, changelog)
        elif chosen.command == "notes":
            print(notes(changelog), end="")
        else:
            print("".join(f"{name}={value}\n" for name, value in facts().items()), end="")
    except ReleaseError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
