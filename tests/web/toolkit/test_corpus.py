"""Every file here is judged by this program and by `promtool check web-config`.

`good` both accept; `bad` both refuse; `newer` uses keys that only newer promtools know; `refused`
is what only this program refuses, on purpose. Files that are refused end with their faults, on
lines with `#:`; those in `refused` begin with words of their row in the documentation.
"""

import subprocess
from pathlib import Path

import pytest
import trustme

from exporter.model.errors import ConfigError
from exporter.web import toolkit
from tests.support.components import promtool
from tests.web.toolkit import certificates

HERE = Path(__file__).parent
DOCUMENT = HERE.parents[2] / "docs/web-configuration.md"


def files(*folders):
    found = [path for folder in folders for path in sorted(HERE.glob(f"{folder}/*.yml"))]
    assert found
    return pytest.mark.parametrize(
        "path", found, ids=lambda path: f"{path.parent.name}/{path.stem}"
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("web")
    certificates.write(folder, ca=trustme.CA())
    return folder


@pytest.fixture
def file(folder, path):
    """The file of the corpus beside the certificates that it names."""
    file = folder / "web.yml"
    file.write_text(certificates.filled(path.read_text(), folder))
    return file


def complaint(file):
    """What promtool has against the file; empty when it accepts it."""
    done = subprocess.run(
        [promtool(), "check", "web-config", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 or "FAILED" in done.stdout + done.stderr
    return "" if done.returncode == 0 else (done.stdout + done.stderr).partition("FAILED: ")[2]


def only_too_new(complaint):
    """Whether promtool only lacks keys, which newer ones have; or has nothing against the file."""
    lines = [line for line in complaint.splitlines() if "unmarshal errors" not in line]
    return all("not found in type" in line for line in lines)


@files("good", "newer")
def test_a_good_file_is_accepted(file):
    toolkit.load(file)


@files("bad", "refused")
def test_every_fault_is_told_with_its_line_and_key(path, file):
    expected = [f"{file}:{line[3:]}" for line in path.read_text().splitlines() if line[:3] == "#: "]
    with pytest.raises(ConfigError) as caught:
        toolkit.load(file)
    assert caught.value.faults == [line.replace("<folder>", str(file.parent)) for line in expected]


@pytest.mark.sockets
@files("good")
def test_promtool_accepts_what_we_accept(file):
    assert complaint(file) == ""


@pytest.mark.sockets
@files("bad")
def test_promtool_refuses_what_we_refuse(file):
    assert complaint(file) != ""


@pytest.mark.sockets
@files("newer")
def test_promtool_accepts_what_is_new_once_it_knows_it(file):
    assert only_too_new(complaint(file))


@pytest.mark.sockets
@files("refused")
def test_what_only_we_refuse_is_documented(path, file):
    assert only_too_new(complaint(file)), "both refuse it: it belongs to the bad ones"
    words = path.read_text().splitlines()[0].removeprefix("# docs: ")
    table = DOCUMENT.read_text().partition("## What is refused")[2]
    assert any(words in line for line in table.splitlines() if line.startswith("| "))


@files("bad", "refused")
def test_no_fault_shows_what_may_be_a_secret(path, file):
    with pytest.raises(ConfigError) as caught:
        toolkit.load(file)
    shown = str(caught.value)
    for secret in ("Jt6X7q1kDPa8", "correct-horse", "nonsense", "BEGIN", "PRIVATE KEY-----"):
        assert secret not in shown
