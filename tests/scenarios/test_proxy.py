"""Vendors behind the proxy that the environment names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.emulators.app import Emulators
from tests.support.processes import vendors

pytestmark = pytest.mark.sockets


def once(folder: Path, **environment: str) -> str:
    """What a single poll of a vendor that no name server knows shows, and complains of."""
    (folder / "credential").write_text("demo")
    config = folder / "config.yaml"
    config.write_text(
        "accounts:\n"
        "  - {name: studio, provider: livepeer, credentials_file: credential, feeds: [usage],\n"
        '     url: "http://vendor.invalid/livepeer/api"}\n'
    )
    inherited = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    done = subprocess.run(
        [sys.executable, "-m", "exporter", "once", "--config.file", str(config)],
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_vendors_are_asked_through_the_proxy_of_the_environment(tmp_path: Path, variable: str):
    """The emulators take the place of a proxy: they answer for any host."""
    with vendors(Emulators()) as address:
        said = once(tmp_path, **{variable: f"http://{address}"})
    assert "media_transcoded_seconds_total{" in said
    assert 'poll_success{provider="livepeer",account="studio",feed="usage"} 1' in said


def test_a_host_under_no_proxy_is_asked_directly(tmp_path: Path):
    with vendors(Emulators()) as address:
        said = once(tmp_path, http_proxy=f"http://{address}", no_proxy="vendor.invalid")
    assert "media_transcoded_seconds_total{" not in said
    assert 'reason="network"' in said
