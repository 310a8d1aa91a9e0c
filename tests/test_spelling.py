"""What `make check` has codespell look at."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.sockets

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
(CHECKED,) = re.findall(r"^\t\$\(BIN\)/codespell (.+)$", MAKEFILE, re.MULTILINE)
WRONG = "recieve"  # codespell:ignore recieve


def codespell(folder: Path) -> tuple[int, str]:
    """Its exit code and what it says of a folder with this repository's settings."""
    done = subprocess.run(
        [sys.executable, "-m", "codespell_lib", *CHECKED.split()],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout


def test_no_word_of_this_repository_is_misspelt():
    assert codespell(ROOT) == (0, "")


@pytest.mark.parametrize("name", ["docs/a.md", "exporter/web/a.py", "tests/web/a.py", ".ci/run"])
def test_a_misspelt_word_is_found_in_pages_code_and_comments(tmp_path: Path, name: str):
    for path in ("pyproject.toml", "tools/spelling.txt"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"# They {WRONG} bytes.\n")
    code, said = codespell(tmp_path)
    assert code != 0
    assert f"{name}:1: {WRONG} ==> receive" in said
