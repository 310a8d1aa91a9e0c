"""Libraries that are missing are named with a command that installs them."""

import shlex
import sys
import tomllib
from pathlib import Path

import pytest

from exporter.model import extras

ROOT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def test_the_extras_are_those_of_the_distribution():
    declared = PROJECT["optional-dependencies"]
    assert {name: tuple(libraries) for name, libraries in declared.items()} == extras.EXTRAS


@pytest.mark.parametrize("extra", extras.EXTRAS)
def test_the_command_installs_into_the_very_python_that_runs(extra, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/opt/my tools/python")
    words = shlex.split(extras.install(extra))
    assert words == ["/opt/my tools/python", "-m", "pip", "install", *extras.EXTRAS[extra]]
