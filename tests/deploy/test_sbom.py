"""The bill of materials against the locks and the schema."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import exporter
from tools import packages, sbom

pytestmark = pytest.mark.sockets

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.fixture(scope="module")
def bill():
    return json.loads(sbom.text())


@pytest.fixture(scope="module")
def components(bill):
    """The components by their names."""
    return {component["name"]: component for component in bill["components"]}


def test_the_bill_holds_the_version_and_the_hashes_of_each_lock_that_is_shipped(components):
    found = {}
    for lock in packages.LOCKS:
        text = (ROOT / f"requirements/{lock}.txt").read_text("utf-8")
        for name, version, rest in re.findall(r"^([\w.-]+)==(\S+)(.*(?:\n .*)*)", text, re.M):
            if "win32" in rest.partition("\n")[0]:
                continue  # psycopg's clock on Windows, where none of this is shipped
            found[name] = (version, set(re.findall(r"sha256:(\w{64})", rest)))
    billed = {
        name: (
            component["version"],
            {
                one["content"]
                for reference in component["externalReferences"]
                for one in reference["hashes"]
            },
        )
        for name, component in components.items()
    }
    assert billed == found
    assert "cramjam" in billed
    assert "pyarrow" not in billed


def test_the_bill_is_of_the_exporter_and_says_what_it_needs_itself(bill, components):
    root = bill["metadata"]["component"]
    assert (root["name"], root["version"]) == (PROJECT["name"], exporter.__version__)
    (needs,) = [one for one in bill["dependencies"] if one["ref"] == root["bom-ref"]]
    extras = [
        needed
        for extra in packages.LOCKS
        if extra != "runtime"
        for needed in PROJECT["optional-dependencies"][extra]
    ]
    direct = [
        canonicalize_name(Requirement(text).name) for text in (*PROJECT["dependencies"], *extras)
    ]
    # A library's own extra is needed by whoever asks for it.
    direct += map(canonicalize_name, ("psycopg-binary", "typing-extensions"))
    assert set(needs["dependsOn"]) == {components[name]["purl"] for name in direct}


def test_the_bill_says_who_brought_what_nobody_asked_for(bill, components):
    needs = {one["ref"]: set(one.get("dependsOn", ())) for one in bill["dependencies"]}
    assert components["certifi"]["purl"] in needs[components["httpx"]["purl"]]
    reached = set().union(*needs.values())
    assert {component["purl"] for component in components.values()} <= reached


def test_the_bill_names_a_licence_for_each_distribution(components):
    assert [name for name, component in components.items() if not component.get("licenses")] == []


def test_the_bill_is_the_same_at_each_writing(bill, tmp_path):
    command = [sys.executable, "-m", "tools.sbom", tmp_path]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    (written,) = tmp_path.iterdir()
    assert written.name == f"media-usage-exporter-{exporter.__version__}.cdx.json"
    assert json.loads(written.read_text("utf-8")) == bill
