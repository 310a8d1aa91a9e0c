"""The demo's contracts, read as a configuration and priced by what the emulators deliver."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter import providers
from exporter.billing.pricing import in_force
from exporter.cli import demo
from exporter.config import load
from exporter.model import Step
from tests.support import components
from tests.support.processes import eventually, free_port

NOON = [int(datetime(2026, 11, day, 12, tzinfo=UTC).timestamp()) for day in (11, 20, 30)]


@pytest.mark.parametrize("seed", [1, 7])
@pytest.mark.parametrize("now", NOON)
def test_of_each_quota_between_40_and_120_percent_is_used(now: int, seed: int, tmp_path: Path):
    emulated = demo.emulators(seed=seed, publish_seconds=30)
    file = tmp_path / "config.yaml"
    (tmp_path / "credential").write_text("demo")
    text = demo.configuration(
        "127.0.0.1:9", tmp_path, emulated, cadence_seconds=30, every_feed=True
    )
    file.write_text(text + demo.billing(emulated, now))
    config = load(file, providers.load())
    month = Step.MONTH.floor(now)
    seen = set()
    for account in config.accounts:
        vendor = emulated.vendors[account.provider.name]
        amounts = vendor.truth(month, now, now=now)
        contract = in_force(account.contracts, now)
        assert contract is not None
        assert contract.budget
        for charge in contract.charges:
            metered = charge.metered
            if metered is None or metered.included is None:
                continue
            parts = sum(
                amount
                for (name, labels), amount in amounts.items()
                if name == metered.measure.name
                and all(dict(labels)[key] in values for key, values in metered.where)
            )
            used = Fraction(parts) / metered.unit_parts / Fraction(metered.included)
            assert 0.4 <= used <= 1.2, (account.name, charge.name, float(used))
            seen.add(account.name)
    assert seen == {account.name for account in config.accounts}
    ends = [account.contracts[-1].end for account in config.accounts if account.contracts[-1].last]
    assert ends
    assert all(end is not None and 0 < end - now < 61 * 86400 for end in ends)


SHOWN = {
    "media_month_to_date_cost",
    "media_month_forecast_cost",
    "media_month_to_date_charged_units",
    "media_included_units",
    "media_included_used_ratio",
    "media_price",
    "media_budget",
    "media_month_to_date_complete",
}


@pytest.mark.sockets
@pytest.mark.timeout(240)
def test_the_demo_shows_cost_and_quota_of_a_whole_month_for_every_account():
    """Also on the last day of a long month, whose beginning is as far away as it can be."""
    address = f"127.0.0.1:{free_port()}"
    clock = {"LD_PRELOAD": str(components.faketime()), "FAKETIME": "@2026-10-31 21:00:00"}
    with subprocess.Popen(
        [sys.executable, "-m", "exporter", "demo", "--web.listen-address", address],
        env=os.environ | clock | {"TZ": "UTC"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:

            def shown() -> dict[str, dict[str, list[float]]] | None:
                """Values by account and metric, once the months of all accounts are whole."""
                assert process.poll() is None
                try:
                    text = httpx.get(f"http://{address}/metrics", trust_env=False, timeout=30).text
                except httpx.TransportError:
                    return None
                found: dict[str, dict[str, list[float]]] = {}
                for family in text_string_to_metric_families(text):
                    for sample in family.samples:
                        account = found.setdefault(sample.labels.get("account", ""), {})
                        account.setdefault(sample.name, []).append(sample.value)
                found.pop("")
                whole = [one.get("media_month_to_date_complete") == [1] for one in found.values()]
                return found if whole and all(whole) else None

            found = eventually(shown, "the months of all accounts are whole", patience=120)
        finally:
            process.terminate()
    assert process.returncode == 0
    assert set(found) == {"live", "vod", "studio", "processing"}
    for account, metrics in found.items():
        assert SHOWN - metrics.keys() == set(), account
        assert max(metrics["media_month_to_date_cost"]) > 0, account
        assert max(metrics["media_included_used_ratio"]) > 0.4, account
