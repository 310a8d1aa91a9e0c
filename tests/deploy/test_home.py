"""The repository's address is set once, and no shipped link of it is dead."""

import re
import shutil

import pytest

from tools import home

NEW = "https://git.example.org/media/exporter"
RUNBOOK = re.compile(r"runbook_url: (\S+)")


@pytest.fixture
def copy(tmp_path):
    """The shipped files, somewhere else."""
    for name in home.SHIPPED:
        source, target = home.ROOT / name, tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
    return tmp_path


def test_every_link_into_the_repository_leads_to_a_file_of_it():
    address = home.home()
    links = [
        link
        for path in home.naming(home.ROOT, address)
        for link in re.findall(rf"{re.escape(address)}([^\s\"'#]*)", path.read_text("utf-8"))
    ]
    pages = {link.removeprefix("/blob/main/") for link in links if link.startswith("/blob/main/")}
    assert pages
    assert [page for page in sorted(pages) if not (home.ROOT / page).is_file()] == []
    assert {link for link in links if link and not link.startswith("/blob/main/")} <= {"/"}


def test_every_runbook_is_at_the_address_that_is_set():
    links = [
        link
        for path in home.naming(home.ROOT, "runbook_url: ")
        for link in RUNBOOK.findall(path.read_text("utf-8"))
        if link.startswith("http")
    ]
    assert len(links) > 50, "those of the rules, and of the operator's rules"
    assert [link for link in links if not link.startswith(f"{home.home()}/blob/main/")] == []


def test_one_command_moves_every_link(copy):
    old = home.home(copy)
    named = set(home.naming(copy, old))
    moved = home.move(copy, f"{NEW}/")
    assert named <= set(moved)
    assert home.home(copy) == NEW
    assert not list(home.naming(copy, old))
    assert not list(home.naming(copy, old.partition("//")[2].partition("/")[2]))
    assert set(home.naming(copy, NEW)) == named


def test_no_other_file_names_the_address():
    """The command would leave it as it is. Tests may, but for those of alerts."""
    slug = home.home().partition("//")[2].encode()
    tops = [
        top
        for top in home.ROOT.iterdir()
        if (top.name == ".github" or not top.name.startswith("."))
        and top.name not in {"tests", "build", "dist"}
    ]
    found = {
        path
        for top in tops
        for path in (top.rglob("*") if top.is_dir() else [top])
        if path.is_file() and path.suffix != ".pyc" and slug in path.read_bytes()
    }
    known = {home.ROOT / name for name in home.SHIPPED}
    assert [path for path in found if not known & {path, *path.parents}] == []


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        ("deploy/systemd/*.s*", "Documentation={}"),
        ("deploy/packages/nfpm.yaml", "homepage: {}"),
        ("deploy/docker/Dockerfile", "ARG SOURCE={}"),
    ],
)
def test_what_is_installed_says_where_it_is_from(pattern, line):
    paths = list(home.ROOT.glob(pattern))
    assert paths
    for path in paths:
        assert line.format(home.home()) in path.read_text("utf-8").splitlines(), path


@pytest.mark.parametrize("address", ["", "example.org/a", "https://example.org", "https://a b/c"])
def test_an_address_of_no_use_changes_nothing(copy, address):
    before = (copy / "pyproject.toml").read_text("utf-8")
    with pytest.raises(ValueError, match="expected a repository"):
        home.move(copy, address)
    assert (copy / "pyproject.toml").read_text("utf-8") == before
