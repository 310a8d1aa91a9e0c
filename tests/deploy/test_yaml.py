"""Every YAML file that is shipped for a deployment is tidy."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FOLDERS = [ROOT / "deploy" / name for name in ("compose", "kubernetes", "packages", "systemd")]
FOLDERS.append(ROOT / ".github")
CHART = ROOT / "deploy/helm/media-usage-exporter"
WRITTEN = [CHART / name for name in ("Chart.yaml", "ci", "values.yaml")]  # what is not a template
RULES = """
extends: default
ignore: [prometheusrule.yaml]  # generated: an alert's text is one line there
rules:
  braces: {max-spaces-inside: 0}
  document-start: disable
  indentation: {spaces: 2, indent-sequences: true}
  line-length: {max: 110}
  truthy: {check-keys: false}  # a workflow's `on`
"""


@pytest.mark.sockets
def test_yaml_files_are_tidy():
    command = [sys.executable, "-m", "yamllint", "--strict", "--format=parsable"]
    linted = subprocess.run(
        [*command, "-d", RULES, *FOLDERS, *WRITTEN], capture_output=True, text=True
    )
    assert linted.stdout == ""
    assert linted.returncode == 0, linted.stderr
