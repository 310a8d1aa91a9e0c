"""What of the configuration may be shown."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from exporter import config
from tests.config.vendors import VENDORS

VALID = sorted((Path(__file__).parent / "valid").glob("*.yaml"))


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_the_shown_configuration_reads_as_the_running_one(path, tmp_path):
    """Nothing is missing from it, so it can be trusted and even be used."""
    running = config.load(path, VENDORS)
    shown = tmp_path / "config.yaml"
    shown.write_text(config.redacted(running))
    assert config.load(shown, VENDORS) == replace(running, path=shown)


def test_where_credentials_are_is_shown_and_what_they_are_is_not(tmp_path, monkeypatch):
    """Neither a file's content nor a variable's value gets into it."""
    monkeypatch.setenv("TOKEN", "verysecret")
    (tmp_path / "token").write_text("verysecret")
    path = tmp_path / "config.yaml"
    path.write_text(
        "accounts:\n"
        "- {name: a, provider: acme, credentials_env: TOKEN}\n"
        "- {name: b, provider: acme, credentials_file: token}\n"
    )
    shown = config.redacted(config.load(path, VENDORS))
    first, second = yaml.safe_load(shown)["accounts"]
    assert first["credentials_env"] == "TOKEN"
    assert second["credentials_file"] == str(tmp_path / "token")
    assert "verysecret" not in shown


def test_users_and_queries_of_addresses_are_not_shown():
    """Files cannot hold them, but whoever builds a `Config` can."""
    running = config.load(VALID[0], VENDORS)
    secret = "https://verysecret:verysecret@api.example:1/v1?key=verysecret#verysecret"
    accounts = tuple(replace(account, url=secret, auth_url=secret) for account in running.accounts)
    shown = config.redacted(replace(running, accounts=accounts))
    assert "verysecret" not in shown
    assert yaml.safe_load(shown)["accounts"][0]["url"] == "https://api.example:1/v1"
