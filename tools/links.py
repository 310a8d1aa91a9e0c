"""Every link of every Markdown page, held to what it points at; nothing is asked of the network.

``python -m tools.links`` names each link whose file or heading is not there, each address that is
none, and each page of docs/ to which no links lead from README.md, and then fails.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).parent.parent
START = "README.md"
BUILT = frozenset({"build", "dist", "node_modules"})
"""Folders beside the sources that hold no pages of this repository; so do hidden ones."""

_FENCE = re.compile(
    r"^ {0,3}(`{3,}|~{3,})[^\n]*\n.*?^ {0,3}\1[`~]*[ \t]*$", re.MULTILINE | re.DOTALL
)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_INLINE = re.compile(
    r"\]\(\s*(?:<([^>\n]*)>|([^\s()]*(?:\([^\s()]*\)[^\s()]*)*))(\s+\"[^\"]*\")?\s*\)"
)
_REFERENCE = re.compile(r"^ {0,3}\[([^\]]+)\]:\s*<?(\S+?)>?(?:\s+\"[^\"]*\")?\s*$", re.MULTILINE)
_USED = re.compile(r"\[([^\[\]]+)\]\[([^\[\]]*)\]")
_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.+?)(?:[ \t]+#+)?[ \t]*$", re.MULTILINE)
_ANCHOR = re.compile(r"<a\s[^>]*\b(?:id|name)=\"([^\"]+)\"")
_SCHEMES = frozenset({"http", "https", "mailto"})


@dataclass(frozen=True, slots=True)
class Page:
    """What a page says of itself: its links as (line, target), and the headings to link to."""

    links: tuple[tuple[int, str], ...]
    anchors: frozenset[str]
    undefined: tuple[tuple[int, str], ...] = ()
    """References as (line, name) that the page uses and does not define."""


def read(text: str) -> Page:
    """A page from its Markdown. What stands in code and in comments is no link."""
    prose = _COMMENT.sub(_blank, _FENCE.sub(_blank, text))
    bare = _CODE.sub(_blank, prose)
    found = [(match.start(), match[1] or match[2]) for match in _INLINE.finditer(bare)]
    references = {match[1].lower(): match for match in _REFERENCE.finditer(bare)}
    found += [(match.start(), match[2]) for match in references.values()]
    undefined = [
        (_line(bare, match.start()), name)
        for match in _USED.finditer(bare)
        if (name := match[2] or match[1]).lower() not in references
    ]
    links = tuple((_line(bare, position), target) for position, target in sorted(found))
    return Page(links, frozenset((*_headings(prose), *_ANCHOR.findall(bare))), tuple(undefined))


def pages(root: Path) -> dict[Path, Page]:
    """Every page below `root`, by its path from there."""
    return {
        path: read((root / path).read_text(encoding="utf-8"))
        for path in sorted(one.relative_to(root) for one in root.rglob("*.md"))
        if not any(part.startswith(".") or part in BUILT for part in path.parts)
    }


def faults(root: Path) -> list[str]:
    """One line for each fault: page, line, link, and what is wrong with it."""
    found = pages(root)
    lines = [
        f"{path}:{line}: {target or '()'}: {why}"
        for path, page in found.items()
        for line, target, why in _of_page(root, path, page, found)
    ]
    lines += [f"{path}: no link leads here from {START}" for path in unreachable(root, found)]
    return lines


def unreachable(root: Path, found: Mapping[Path, Page]) -> list[Path]:
    """The pages of docs/ that nobody finds who begins at README.md and follows links to pages."""
    reached: set[Path] = set()
    waiting = [Path(START)]
    while waiting:
        path = waiting.pop()
        if path in reached or path not in found:
            continue
        reached.add(path)
        waiting += _neighbours(root, path, found[path])
    return [path for path in found if path.parts[0] == "docs" and path not in reached]


def _of_page(
    root: Path, path: Path, page: Page, found: Mapping[Path, Page]
) -> Iterator[tuple[int, str, str]]:
    for line, target in page.links:
        why = _why_not(root, path, target, found)
        if why:
            yield line, target, why
    for line, name in page.undefined:
        yield line, f"[{name}]", "the page does not say where that leads"


def _why_not(root: Path, path: Path, target: str, found: Mapping[Path, Page]) -> str:
    """What is wrong with a link; empty when nothing is."""
    try:
        address = urlsplit(target)
    except ValueError as error:
        return f"not an address: {error}"
    if address.scheme or address.netloc:
        if address.scheme not in _SCHEMES:
            return f"expected one of {', '.join(sorted(_SCHEMES))}, or a path in this repository"
        if address.scheme == "mailto":
            return "" if "@" in address.path else "expected an e-mail address"
        return "" if re.fullmatch(r"[\w.-]+(:\d+)?", address.netloc) else "expected a host"
    if not target or target.startswith("/"):
        return "expected a path from this page's folder"
    file = _file(root, path, target)
    if file is None or not (root / file).exists():
        return "there is no such file"
    if address.fragment and file in found and unquote(address.fragment) not in found[file].anchors:
        return f"{file} has no such heading"
    return ""


def _neighbours(root: Path, path: Path, page: Page) -> Iterable[Path]:
    for _, target in page.links:
        file = None if "://" in target else _file(root, path, target)
        if file is not None:
            yield file


def _file(root: Path, page: Path, target: str) -> Path | None:
    """The file from `root` that a link on `page` points at; None where it leaves the repository."""
    path = unquote(target.partition("#")[0].partition("?")[0])
    file = (root / page.parent / path).resolve() if path else (root / page).resolve()
    return file.relative_to(root.resolve()) if file.is_relative_to(root.resolve()) else None


def _headings(prose: str) -> Iterator[str]:
    """The anchors that GitHub gives to headings: a second one of the same words has `-1` behind."""
    seen: dict[str, int] = {}
    for match in _HEADING.finditer(prose):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", match[1])
        slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        number = seen.get(slug, 0)
        seen[slug] = number + 1
        yield f"{slug}-{number}" if number else slug


def _blank(match: re.Match[str]) -> str:
    """The same number of lines with nothing in them."""
    return "\n" * match[0].count("\n")


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def main() -> int:
    """Exit code 1 if a link is wrong."""
    wrong = faults(ROOT)
    print("\n".join(wrong), end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
