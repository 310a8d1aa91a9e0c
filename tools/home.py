"""Where this repository is published: one setting, `Source` under `[project.urls]` in pyproject.toml.

Runbooks' links in the rules, units, packages and the image name that address. They are read where
nothing can be looked up, so each has it written out; ``python -m tools.home URL`` (`make home
URL=…`) changes all of them at once, and a test holds them to the setting.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

ROOT = Path(__file__).parent.parent

SHIPPED: Final = (
    ".github",
    "CONTRIBUTING.md",
    "README.md",
    "deploy",
    "docs",
    "grafana",
    "mixin.libsonnet",
    "pyproject.toml",
    "tests/rules/alerts",
)
"""Files and folders in which the address may stand."""


def home(root: Path = ROOT) -> str:
    """The address of the repository, without a slash at its end."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    return str(project["urls"]["Source"])


def naming(root: Path, text: str) -> Iterator[Path]:
    """The shipped files that hold `text`."""
    for name in SHIPPED:
        top = root / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and text.encode() in path.read_bytes():
                yield path


def move(root: Path, address: str) -> list[Path]:
    """Write `address` wherever the old one stands; the files that have changed."""
    old, new = home(root), address.rstrip("/")
    path = urlsplit(new).path.strip("/")
    if not re.fullmatch(r"https://[^\s/?#]+/[\w./-]+", new):
        raise ValueError(f"{address!r}: expected a repository, such as https://github.com/you/name")
    slug = urlsplit(old).path.strip("/")
    moved = list(naming(root, slug))
    for file in moved:
        text = file.read_text("utf-8").replace(old, new)
        file.write_text(re.sub(rf"(--repo ){re.escape(slug)}\b", rf"\g<1>{path}", text), "utf-8")
    return moved


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print(f"{home()}\nmake home URL=… changes it", file=sys.stderr)
        return 2
    try:
        moved = move(ROOT, arguments[0])
    except ValueError as error:
        print(f"home: {error}", file=sys.stderr)
        return 1
    for path in moved:
        print(f"{path.relative_to(ROOT)}: written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
