"""What Prometheus' own tool says of the shipped rules: it checks them and runs their cases."""

import subprocess
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.rules.rulefiles import ROOT, RULE_FILES, alerts, rules
from tests.support.components import promtool

pytestmark = pytest.mark.sockets

CASES = Path(__file__).parent
ALERT_CASES = tuple(sorted((CASES / "alerts").glob("*.yml")))
RECORDING_CASES = tuple(sorted((CASES / "recording").glob("*.yml")))


def run(*arguments: str | Path) -> str:
    done = subprocess.run(
        [promtool(), *arguments], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_rules_have_no_lint():
    """Every rule file is valid and free of what promtool warns of."""
    run("check", "rules", "--lint=all", "--lint-fatal", *RULE_FILES)


def test_the_example_configuration_loads_every_rule():
    """prometheus.yml is valid, and reads exactly the shipped rule files."""
    path = ROOT / "deploy" / "prometheus" / "prometheus.yml"
    run("check", "config", path)
    named = {path.parent / name for name in yaml.safe_load(path.read_text())["rule_files"]}
    assert named == set(RULE_FILES) == set((path.parent / "rules").iterdir())


@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", [*RECORDING_CASES, *ALERT_CASES], ids=lambda path: path.stem)
def test_cases_hold(path: Path):
    """Alerts fire, resolve and keep silent, and recorded numbers are right, in every case."""
    run("test", "rules", path)


@pytest.mark.parametrize("name", [alert.name for alert in alerts()])
def test_every_alert_has_its_cases(name: str):
    """There is a case in which it fires, one in which it resolves and one in which it is silent."""
    checks = [
        sorted(
            (_seconds(check["eval_time"]), bool(check["exp_alerts"]))
            for check in group["alert_rule_test"]
            if check["alertname"] == name
        )
        for group in _groups(CASES / "alerts" / f"{name}.yml")
        if group["input_series"]
    ]
    histories = [[state for state, _ in groupby(firing for _, firing in each)] for each in checks]
    assert [False, True, False] in [history[-3:] for history in histories] or [True, False] in [
        history[-2:] for history in histories
    ], "no case in which it fires and resolves"
    assert [False] in histories, "no case in which it is silent"


def test_cases_are_about_alerts_that_exist():
    """One file for each alert, and no others."""
    assert {path.stem for path in ALERT_CASES} == {alert.name for alert in alerts()}


def test_every_recorded_series_has_a_number():
    """What is recorded is tested with numbers; thresholds are numbers themselves."""
    tested = {
        check["expr"].partition("{")[0]
        for path in RECORDING_CASES
        for group in _groups(path)
        for check in group["promql_expr_test"]
    }
    recorded = {
        rule.name for rule in rules() if not rule.alert and rule.group != "media-usage-thresholds"
    }
    assert recorded <= tested


def _groups(path: Path) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = yaml.safe_load(path.read_text())["tests"]
    return groups


def _seconds(text: str) -> int:
    units = {"d": 86400, "h": 3600, "m": 60, "s": 1}
    total, digits = 0, ""
    for letter in text:
        if letter.isdigit():
            digits += letter
        else:
            total, digits = total + int(digits) * units[letter], ""
    return total
