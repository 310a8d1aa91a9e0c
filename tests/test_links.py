from __future__ import annotations

from pathlib import Path

import pytest

from tools import links


@pytest.fixture
def wrong(tmp_path: Path):
    """Writes pages, and gives what is wrong with their links."""

    def write(**texts: str) -> list[str]:
        for name, text in {"README": "", **texts}.items():
            path = tmp_path / f"{name.replace('__', '/')}.md"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return links.faults(tmp_path)

    return write


def test_every_link_of_this_repository_leads_somewhere_and_every_page_is_found():
    assert links.faults(links.ROOT) == []


def test_the_pages_of_this_repository_are_read():
    """Or nothing could be wrong with them."""
    found = links.pages(links.ROOT)
    assert {Path("README.md"), Path("CONTRIBUTING.md"), Path("docs/billing.md")} <= found.keys()
    assert sum(len(page.links) for page in found.values()) > 100


def test_a_link_to_a_file_that_is_not_there_is_named_with_its_line(wrong):
    assert wrong(README="One\n\nSee [the page](docs/a.md).\n") == [
        "README.md:3: docs/a.md: there is no such file"
    ]


def test_a_link_is_followed_from_the_folder_of_its_page(wrong):
    assert wrong(README="[a](docs/a.md)", docs__a="[up](../README.md)") == []
    assert wrong(README="[a](docs/a.md)", docs__a="[up](README.md)") == [
        "docs/a.md:1: README.md: there is no such file"
    ]


def test_a_link_to_a_heading_that_is_not_there_is_named(wrong):
    text = "# One `two`, *three*\n\n## Same\n\n## Same\n\n"
    right = "[x](#one-two-three) [x](#same) [x](#same-1) [x](README.md#same)"
    assert wrong(README=text + right) == []
    assert wrong(README=text + "[x](#same-2)") == [
        "README.md:7: #same-2: README.md has no such heading"
    ]


def test_a_heading_is_looked_for_on_the_page_that_the_link_names(wrong):
    assert wrong(README="# Here\n\n[a](docs/a.md#here)", docs__a="# There") == [
        "README.md:3: docs/a.md#here: docs/a.md has no such heading"
    ]


def test_links_in_code_and_in_comments_are_none(wrong):
    text = "```md\n[a](no.md)\n# No\n```\n`[b](no.md)` ``[c](no.md) ` ``\n<!-- [d](no.md) -->\n"
    assert wrong(README=text) == []
    assert wrong(README=text + "[e](#no)") == ["README.md:7: #no: README.md has no such heading"]


def test_text_in_code_may_be_the_text_of_a_link(wrong):
    assert wrong(README="[`a`](no.md)") == ["README.md:1: no.md: there is no such file"]


def test_pictures_and_links_with_titles_are_links(wrong):
    assert wrong(README='![p](no.png) [t](no.md "Title") [s](<no way.md>)') == [
        "README.md:1: no.png: there is no such file",
        "README.md:1: no.md: there is no such file",
        "README.md:1: no way.md: there is no such file",
    ]


def test_references_are_links_and_have_to_be_defined(wrong):
    assert wrong(README="[a][one] and [b][two]\n\n[one]: no.md\n") == [
        "README.md:3: no.md: there is no such file",
        "README.md:1: [two]: the page does not say where that leads",
    ]


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("https:///path", "expected a host"),
        ("https://exa$mple.org/", "expected a host"),
        ("https://[1::2", "not an address: Invalid IPv6 URL"),
        ("htp://example.org", "expected one of http, https, mailto, or a path in this repository"),
        ("mailto:nobody", "expected an e-mail address"),
        ("/docs/a.md", "expected a path from this page's folder"),
        ("../other/a.md", "there is no such file"),
    ],
)
def test_an_address_without_the_form_of_one_is_named(wrong, target: str, why: str):
    assert wrong(README=f"[x]({target})") == [f"README.md:1: {target}: {why}"]


def test_an_address_with_the_form_of_one_is_not_asked_for(wrong):
    text = "[x](https://example.invalid:8080/a_(b)?c#d) [x](mailto:a@example.invalid)"
    assert wrong(README=text) == []


def test_a_page_of_the_documentation_that_no_page_leads_to_is_named(wrong):
    pages = {"README": "[a](docs/a.md) [folder](docs/)", "docs__a": "[b](b.md#x)", "docs__b": "# x"}
    assert wrong(**pages) == []
    assert wrong(**pages, docs__c="[c](c.md)") == ["docs/c.md: no link leads here from README.md"]


def test_a_wrong_link_is_printed_and_fails_the_check(wrong, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(links, "ROOT", tmp_path)
    wrong()
    assert links.main() == 0
    wrong(README="[x](no.md)")
    assert links.main() == 1
    assert capsys.readouterr().out == "README.md:1: no.md: there is no such file\n"
