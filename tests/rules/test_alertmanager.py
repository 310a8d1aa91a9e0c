"""The example routing says who is told of each alert, and which alerts silence others."""

import re
import subprocess

import pytest
import yaml

from tests.rules.rulefiles import ROOT, Rule, alerts, known, labels_of
from tests.support.components import amtool

pytestmark = pytest.mark.sockets

CONFIGURATION = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"


def ask(*arguments: str) -> str:
    done = subprocess.run(
        [amtool(), *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_the_configuration_is_valid():
    """The Alertmanager would start with it."""
    assert "SUCCESS" in ask("check-config", str(CONFIGURATION))


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ("alertname=MediaUsageExporterDown severity=critical", "pager"),
        ("alertname=MediaUsageFeedFailing severity=warning account=vod", "chat"),
        ("alertname=MediaUsageFeedFailing severity=warning account=studio-eu", "studio"),
        ("alertname=MediaUsageCredentialRejected severity=critical account=vod", "pager"),
        (
            "alertname=MediaUsageCredentialRejected severity=critical account=studio-eu",
            "studio,pager",
        ),
        ("alertname=MediaUsageStreamsFolded severity=info account=vod", "quiet"),
        ("alertname=MediaUsageStreamsFolded severity=info account=studio-eu", "quiet"),
        ("alertname=MediaUsageQuotaForecast severity=warning account=vod", "billing"),
        (
            "alertname=MediaUsageQuotaExceeded severity=critical account=studio-eu",
            "billing,studio,pager",
        ),
        ("alertname=MediaUsageIncludedForecast severity=warning account=vod", "billing"),
        ("alertname=MediaUsageIncludedExceeded severity=warning account=vod", "billing"),
        ("alertname=MediaUsageBudgetForecast severity=warning account=vod", "billing"),
        ("alertname=MediaUsageBudgetExceeded severity=critical account=vod", "billing,pager"),
        ("alertname=MediaUsageContractEnding severity=warning account=vod", "billing"),
    ],
)
def test_alerts_reach_those_who_care(labels: str, receivers: str):
    """By severity, by account, and matters of money by what they are about."""
    route = ["config", "routes", "test", f"--config.file={CONFIGURATION}"]
    assert ask(*route, *labels.split()) == receivers


@pytest.mark.parametrize(
    ("source", "silenced"),
    [
        (
            "MediaUsageExporterDown",
            {
                "MediaUsageConfigReloadFailed",
                "MediaUsageCredentialRejected",
                "MediaUsageFeedBacklogStuck",
                "MediaUsageFeedCorrectionsLarge",
                "MediaUsageFeedDataLate",
                "MediaUsageFeedDataLost",
                "MediaUsageFeedFailing",
                "MediaUsageFeedForbidden",
                "MediaUsageFeedNotPolled",
                "MediaUsageFeedRateLimited",
                "MediaUsageJobStuck",
                "MediaUsageJobsQueueing",
                "MediaUsageLedgerDiskFilling",
                "MediaUsageLedgerNearLimit",
                "MediaUsageLedgerNotWriting",
                "MediaUsageLedgerUnreachable",
                "MediaUsageStreamsFolded",
            },
        ),
        ("MediaUsageCredentialRejected", {"MediaUsageFeedFailing"}),
        ("MediaUsageFeedForbidden", {"MediaUsageFeedFailing"}),
        ("MediaUsageLedgerNotWriting", {"MediaUsageFeedFailing"}),
        ("MediaUsageFeedFailing", set()),
    ],
)
def test_a_cause_silences_its_consequences(source: str, silenced: set[str]):
    """And nothing else; both sides have the labels that must be equal."""
    by_name = {rule.name: rule for rule in alerts()}
    found = set()
    for inhibition in yaml.safe_load(CONFIGURATION.read_text())["inhibit_rules"]:
        if _matches(inhibition["source_matchers"], by_name[source]):
            targets = {n for n, r in by_name.items() if _matches(inhibition["target_matchers"], r)}
            found |= targets
            for name in (source, *targets):
                assert set(inhibition["equal"]) <= labels_of(by_name[name].tree, known()), name
    assert found - {source} == silenced


def _matches(matchers: list[str], rule: Rule) -> bool:
    labels = {"alertname": rule.name, **rule.labels}
    for matcher in matchers:
        ((name, operator, value),) = re.findall(r'^(\w+)(=~?)"(.*)"$', matcher)
        pattern = value if operator == "=~" else re.escape(value)
        if not re.fullmatch(pattern, labels.get(name, "")):
            return False
    return True
