"""What the packaging promises: reasons, pins, one version, one wheel that works."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import exporter

pytestmark = pytest.mark.sockets

ROOT = Path(__file__).parents[2]
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PROJECT = tomllib.loads(PYPROJECT)
RUNTIME = PROJECT["project"]["dependencies"]
EXTRAS = PROJECT["project"]["optional-dependencies"]
DEVELOPMENT = PROJECT["dependency-groups"]["dev"]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))

PIN = re.compile(r"^(?P<name>[\w.-]+)==(?P<version>[^\s;]+)(?: ; [^\\]+)? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}(?: \\)?$")


def pins(lock: str) -> dict[str, Version]:
    text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")
    found = filter(None, map(PIN.match, text.splitlines()))
    return {canonicalize_name(pin["name"]): Version(pin["version"]) for pin in found}


@pytest.mark.parametrize("dependency", [*RUNTIME, *DEVELOPMENT])
def test_a_dependency_says_beside_itself_why_it_is_there(dependency):
    (line,) = (
        line for line in PYPROJECT.splitlines() if line.strip().startswith(f'"{dependency}"')
    )
    assert re.search(r'",\s+# \w.{8,}', line), f"{dependency} gives no reason"


@pytest.mark.parametrize(
    ("lock", "dependencies"),
    [
        ("runtime.txt", RUNTIME),
        ("development.txt", RUNTIME + DEVELOPMENT),
        *((f"{extra}.txt", RUNTIME + needed) for extra, needed in EXTRAS.items()),
    ],
)
def test_a_lock_pins_a_version_that_pyproject_allows(lock, dependencies):
    pinned = pins(lock)
    for requirement in map(Requirement, dependencies):
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not in {lock}; run `make lock`"
        assert version in requirement.specifier, f"{lock} is outdated; run `make lock`"


@pytest.mark.parametrize("lock", ["runtime.txt", *(f"{extra}.txt" for extra in EXTRAS)])
def test_developers_run_the_very_versions_that_are_shipped(lock):
    assert pins(lock).items() <= pins("development.txt").items()


def test_make_lock_writes_the_lock_of_every_extra():
    (line,) = re.findall(r"^EXTRAS := (.+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert line.split() == sorted(EXTRAS)


@pytest.mark.soak
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("lock", ["runtime.txt", *(f"{extra}.txt" for extra in EXTRAS)])
def test_a_shipped_lock_holds_the_hashes_of_a_wheel_for_each_platform(lock, machine, tmp_path):
    platforms = [f"manylinux{name}_{machine}" for name in ("2014", "_2_17", "_2_28")]
    wanted = [f"--platform={platform}" for platform in platforms]
    command = [sys.executable, "-m", "pip", "--quiet", "download", "--dest", tmp_path, *wanted]
    locked = ["--require-hashes", "--only-binary=:all:", "-r", ROOT / "requirements" / lock]
    for version in ("3.11", "3.13"):
        subprocess.run([*command, f"--python-version={version}", *locked], check=True)
    assert any(machine in wheel.name for wheel in tmp_path.iterdir())


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_holds_pins_with_hashes_and_nothing_else(lock):
    hashes: dict[str, int] = {}
    name = ""
    for line in lock.read_text(encoding="utf-8").splitlines():
        if pin := PIN.match(line):
            name = pin["name"]
            hashes[name] = 0
        elif HASH.match(line):
            hashes[name] += 1
        else:
            assert line.startswith("    #"), f"neither a pin nor a hash: {line}"
        assert "://" not in line
    assert hashes
    assert all(hashes.values())


def test_the_version_is_said_once():
    assert "version" not in PROJECT["project"]
    source = ROOT / PROJECT["tool"]["hatch"]["version"]["path"]
    saying = [
        path
        for path in (ROOT / "exporter").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value == exporter.__version__
    ]
    assert saying == [source]


def test_the_installed_distribution_is_the_checkout():
    assert metadata.version("media-usage-exporter") == exporter.__version__
    (script,) = metadata.entry_points(group="console_scripts", name="media-usage-exporter")
    assert script.value == "exporter.cli.main:main"


def test_the_wheel_holds_the_whole_package_its_types_and_its_licence_and_no_more(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", tmp_path, ROOT],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    info = f"media_usage_exporter-{exporter.__version__}.dist-info"
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "exporter").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "exporter/web/landing/templates/page.html" in package
    assert package <= names
    assert "exporter/py.typed" in names
    assert f"{info}/licenses/LICENSE" in names
    assert {name.split("/")[0] for name in names} == {"exporter", info}


def test_an_unreleased_change_has_a_place_in_the_changelog():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## \[Unreleased\]$", changelog, re.MULTILINE)
