"""The release workflow: by its schema, by an audit, and by what it may do; and what it asks for."""

import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
import yaml

import exporter
from tools import release

pytestmark = pytest.mark.sockets

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github/workflows/release.yml"
TEXT = WORKFLOW.read_text("utf-8")
JOBS = yaml.safe_load(TEXT)["jobs"]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
CHANGELOG = f"""\
# Changelog

## [Unreleased]

## [{exporter.__version__}] - 2026-11-26

### Added

- This.

## [0.0.1] - 2026-01-01

- That.
"""


def steps():
    return [step for job in JOBS.values() for step in job["steps"]]


def needed(name):
    """All the jobs that have to succeed before this one begins."""
    direct = JOBS[name].get("needs", [])
    direct = {direct} if isinstance(direct, str) else set(direct)
    return direct.union(*map(needed, direct))


def test_the_workflow_follows_the_schema():
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
    checked = subprocess.run(
        [*command, "vendor.github-workflows", WORKFLOW], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout


def test_an_audit_finds_nothing_unsafe():
    zizmor = Path(sys.executable).with_name("zizmor")
    audited = subprocess.run(
        [zizmor, "--offline", "--no-progress", WORKFLOW], capture_output=True, text=True
    )
    assert audited.returncode == 0, audited.stdout


def test_every_action_is_named_by_its_commit_with_its_version_beside_it():
    uses = re.findall(r"uses: (.+)$", TEXT, re.MULTILINE)
    assert len(uses) == sum("uses" in step for step in steps())
    for action in uses:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", action)
    assert len({action.split("@")[0] for action in uses}) == len(set(uses))


def test_whatever_is_run_can_be_run_on_any_machine():
    (phony,) = re.findall(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)
    for command in filter(None, (step.get("run") for step in steps())):
        word, *rest = command.split()
        assert word in {"make", "gh", ".ci/run"}
        if word == "make":
            words = [one for one in rest if re.fullmatch(r"[a-z]+", one)]
            assert words
            assert set(words) <= set(phony.split())


def test_the_workflow_starts_with_a_tag_of_a_version_and_holds_no_stored_secret():
    # YAML 1.1 reads `on` as a truth value.
    assert yaml.safe_load(TEXT)[True] == {"push": {"tags": ["v*"]}}
    assert "secrets." not in TEXT


def test_a_job_may_do_what_it_has_to_and_no_more():
    assert yaml.safe_load(TEXT)["permissions"] == {}
    read = {"contents": "read"}
    attest = {"id-token": "write", "attestations": "write"}
    assert {name: job["permissions"] for name, job in JOBS.items()} == {
        "check": read,
        "distributions": read,
        "packages": read,
        "image": read | attest | {"packages": "write"},
        "index": {"id-token": "write"},
        "files": attest | {"contents": "write"},
    }


def test_nothing_is_published_that_was_not_checked_and_built_before():
    for name in JOBS.keys() - {"check"}:
        assert "check" in needed(name)
    assert needed("index") == {"check", "distributions", "packages", "image"}
    assert needed("files") == needed("index") | {"index"}
    for name in ("index", "files"):
        assert JOBS[name]["environment"] == "release"


def test_the_image_is_built_for_both_platforms_and_told_what_its_labels_say():
    (build,) = [step for step in JOBS["image"]["steps"] if "build-push" in step.get("uses", "")]
    assert build["with"]["platforms"] == "linux/amd64,linux/arm64"
    given = re.findall(r"^(\w+)=", build["with"]["build-args"], re.MULTILINE)
    dockerfile = (ROOT / build["with"]["file"]).read_text("utf-8")
    labels = set(re.findall(r'image\.[\w.]+="\$\{(\w+)\}"', dockerfile))
    assert set(given) == labels - {"RUNTIME_IMAGE"}
    outputs = set(re.findall(r"steps\.facts\.outputs\.(\w+)", TEXT))
    assert outputs == release.facts().keys()


def test_the_facts_of_the_image_are_the_same_at_each_build(capsys):
    assert release.main(["facts"]) == 0
    facts = dict(line.split("=", 1) for line in capsys.readouterr().out.splitlines())
    assert facts == release.facts()
    assert facts["version"] == exporter.__version__
    datetime.strptime(facts["created"], "%Y-%m-%dT%H:%M:%S%z")


def test_the_notes_are_the_section_of_the_version_and_of_no_other():
    assert release.notes(CHANGELOG) == "### Added\n\n- This.\n"


def test_a_version_without_its_section_in_the_changelog_is_not_released():
    with pytest.raises(release.ReleaseError, match=r"expected the heading ## \["):
        release.check(f"v{exporter.__version__}", CHANGELOG.replace(" - 2026-11-26", ""))
    release.check(f"v{exporter.__version__}", CHANGELOG)


def test_a_tag_that_is_not_the_version_of_the_code_is_not_released(capsys):
    assert release.main(["check", "v9.9.9"]) == 1
    expected = f"tag: expected v{exporter.__version__}, the version in exporter; found v9.9.9\n"
    assert capsys.readouterr().err == expected
