"""What is built can be installed by its hashes into an environment of its own, and runs there."""

import os
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

import pytest

import exporter

pytestmark = pytest.mark.sockets

ROOT = Path(__file__).parent.parent.parent
CONFIGURATION = """\
accounts:
  - name: studio
    provider: millicast
    credentials_env: MILLICAST_API_SECRET
"""


def run(*command, cwd):
    """Its output; in an environment without what developers have set for this program."""
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("MEDIA_USAGE_EXPORTER_", "PYTHON"))
    }
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment | {"MILLICAST_API_SECRET": "invented"},
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """The folder with an sdist, and with the wheel that was built out of it."""
    folder = tmp_path_factory.mktemp("distributions")
    build = [sys.executable, "-m", "build", "--no-isolation"]
    run(*build, "--outdir", folder, ROOT, cwd=folder)
    return folder


def test_the_sdist_builds_the_wheel_and_holds_tests_and_documentation_too(distributions):
    (wheel,) = distributions.glob("*.whl")
    (sdist,) = distributions.glob("*.tar.gz")
    version = exporter.__version__
    assert wheel.name == f"media_usage_exporter-{version}-py3-none-any.whl"
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "exporter/cli/main.py", "pyproject.toml"} <= names
    assert {"deploy/docker/Dockerfile", "docs/operations.md", "requirements/runtime.txt"} <= names
    assert "tests/deploy/test_installation.py" in names
    assert not {name for name in names if "/__pycache__/" in name or name.endswith(".db")}


@pytest.mark.soak
def test_a_wheel_installed_by_its_hashes_runs_outside_the_checkout(distributions, tmp_path):
    (wheel,) = distributions.glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    binaries = tmp_path / "venv/bin"
    pip = [binaries / "python", "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    run(*pip, "--require-hashes", "-r", ROOT / "requirements/runtime.txt", cwd=tmp_path)
    run(*pip, "--no-deps", wheel, cwd=tmp_path)
    run(binaries / "python", "-m", "pip", "check", cwd=tmp_path)
    (tmp_path / "config.yaml").write_text(CONFIGURATION)

    program = binaries / "media-usage-exporter"
    said = run(program, "--version", cwd=tmp_path)
    assert said.startswith(f"media-usage-exporter, version {exporter.__version__} (revision: ")
    assert "studio: millicast at " in run(program, "check-config", cwd=tmp_path)
    where = run(
        binaries / "python", "-c", "import exporter; print(exporter.__file__)", cwd=tmp_path
    )
    assert Path(where).is_relative_to(tmp_path)
