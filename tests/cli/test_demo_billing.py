"""The demo's contracts, read as a configuration and priced by what the emulators deliver."""

from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pytest

from exporter import providers
from exporter.billing.pricing import in_force
from exporter.cli import demo
from exporter.config import load
from exporter.model import Step

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
