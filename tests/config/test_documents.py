"""The example, the documentation and the JSON schema agree with what is read."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter import config, providers
from exporter.config import fields
from exporter.model.errors import ConfigError
from tests.config.test_load import INVALID, VALID
from tests.config.vendors import VENDORS
from tools import configuration

ROOT = Path(__file__).parent.parent.parent

BEYOND_SCHEMAS = {
    "billing_charge_is_nothing",
    "billing_charge_twice",
    "billing_ends_before_it_begins",
    "billing_label_unknown",
    "billing_overlap",
    "billing_tier_without_end",
    "billing_tiers_out_of_order",
    "billing_unit_of_another_kind",
    "cadence_too_long",
    "count_is_octal",
    "delay_not_under_cadence",
    "delay_not_under_default_cadence",
    "duplicate_key",
    "duration_has_fractions",
    "duration_is_huge",
    "ledger_lease_too_long",
    "ledger_password_twice",
    "ledger_password_without_url",
    "ledger_path_beside_url",
    "merge_key",
    "name_is_blank",
    "name_twice",
    "remote_write_two_sources",
    "remote_write_without_password",
    "requests_per_second_is_not_a_number",
    "requests_per_second_is_octal",
    "requests_per_second_is_sexagesimal",
    "retention_too_short",
    "url_with_bad_address",
    "url_with_bad_port",
}
"""Mistakes that a JSON schema does not see: lengths of time, keys that contradict each other,
and what YAML itself swallows."""


@pytest.fixture(scope="module")
def validator():
    """The schema for the invented vendors."""
    schema = configuration.schema(VENDORS)
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


class EditorsLoader(yaml.SafeLoader):
    """Reads what an editor sees: days are text to JSON schemas."""

    yaml_implicit_resolvers = {  # noqa: RUF012 -- PyYAML's own way
        first: [(tag, pattern) for tag, pattern in found if not tag.endswith(":timestamp")]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def read(path):
    loader = EditorsLoader if path.stem.startswith("billing") else yaml.SafeLoader
    return yaml.load(path.read_text(), Loader=loader)


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_the_schema_accepts_what_is_read(validator, path):
    """An editor does not complain of a file that is right."""
    assert list(validator.iter_errors(read(path))) == []


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_the_schema_refuses_what_is_refused(validator, path):
    """An editor shows every mistake that a schema can know of."""
    try:
        document = read(path)
    except (yaml.YAMLError, ValueError):
        return  # an editor needs no schema to complain
    assert validator.is_valid(document) == (path.stem in BEYOND_SCHEMAS)


WORDS = st.sampled_from(
    ["1s", "1m", "1h30m", "10d", "1500ms", "max", "0", 0, 1, 15, 0.5, 1e-5, True, ""]
)
LISTS = st.lists(st.sampled_from(["account", "streams", "jobs", "é", "15", 15]), max_size=2)
URLS = ["http://x", "HTTPS://x", "https://x:1/y/", "https://x/@", "x", "http://é"]
CREDENTIALS = {"acme": ["credentials_env"], "apps": ["app_key_file", "app_secret_env"]}
ACCOUNTS = st.sampled_from([*VENDORS]).flatmap(
    lambda provider: st.fixed_dictionaries(
        {
            "name": st.text(min_size=1, max_size=3),
            "provider": st.just(provider),
            **{key: st.just("TOKEN") for key in CREDENTIALS[provider]},
        },
        optional={
            "credentials_file": st.just("token"),
            "url": st.sampled_from(URLS),
            "feeds": LISTS,
            "streams": LISTS,
            "region": st.text(max_size=3),
        },
    )
)
PLAUSIBLE = st.fixed_dictionaries(
    {"accounts": st.lists(ACCOUNTS, min_size=1, max_size=1)},
    optional={
        section.key: st.none()
        | st.dictionaries(st.sampled_from([item.key for item in section.fields]), WORDS, max_size=1)
        for section in fields.SECTIONS
    },
)


@settings(deadline=None, max_examples=400)
@given(document=PLAUSIBLE)
def test_the_schema_never_refuses_what_is_read(validator, tmp_path_factory, document):
    """Whatever the reader takes, the schema takes."""
    path = tmp_path_factory.getbasetemp() / "generated.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    try:
        config.load(path, VENDORS)
    except ConfigError:
        return
    assert validator.is_valid(yaml.safe_load(path.read_text(encoding="utf-8")))


def test_the_example_is_right_and_shows_the_defaults(tmp_path):
    """What it says without being asked is what holds without it."""
    example = config.load(ROOT / "config.yaml", providers.load())
    smallest = tmp_path / "config.yaml"
    smallest.write_text("accounts: [{name: a, provider: acme, credentials_env: TOKEN}]\n")
    defaults = config.load(smallest, VENDORS)
    assert example.warnings == ()
    assert example.polling == defaults.polling
    assert example.limits == defaults.limits
    assert example.ledger.retention_seconds == defaults.ledger.retention_seconds
    assert defaults.ledger.path is not None
    assert example.ledger.path == ROOT / defaults.ledger.path.name
    for account in example.accounts:
        assert account.url == account.provider.url
        assert account.auth_url == account.provider.auth_url
        assert account.feeds == account.provider.default_feeds


def test_the_example_shows_every_key():
    """All sections with all keys, all providers with all of their options.

    Keys without a default are in comments, as what they say would not hold without them.
    """
    vendors = providers.load()
    text = (ROOT / "config.yaml").read_text(encoding="utf-8")
    document = yaml.safe_load(re.sub("(?m)^  # (or )?(?=[a-z_]+: )", "  ", text))
    for section in fields.SECTIONS:
        if not section.optional:
            assert list(document[section.key]) == [item.key for item in section.fields]
    accounts = {account["provider"]: account for account in document["accounts"]}
    assert set(accounts) == set(vendors)
    for name, vendor in vendors.items():
        assert {option.key for option in vendor.options} <= set(accounts[name])


def test_what_is_in_comments_in_the_example_is_right(tmp_path):
    """Whoever takes away the sign in front of a key has a configuration."""
    text = (ROOT / "config.yaml").read_text(encoding="utf-8")
    uncommented = tmp_path / "config.yaml"
    uncommented.write_text(re.sub("(?m)^  # (?=[a-z_]+: )", "  ", text), encoding="utf-8")
    assert config.load(uncommented, providers.load()).polling.requests_per_second is not None


def test_the_other_place_of_the_ledger_in_the_example_is_right(tmp_path):
    """A key behind `or` takes the place of one that stands above it."""
    text = (ROOT / "config.yaml").read_text(encoding="utf-8")
    changed = tmp_path / "config.yaml"
    for key in ("password_file", "password_env"):
        other = re.sub("(?m)^  path: .*", "", text)
        changed.write_text(re.sub(f"(?m)^  # or (?=(url|{key}): )", "  ", other), encoding="utf-8")
        ledger = config.load(changed, providers.load()).ledger
        assert ledger.path is None
        assert ledger.url is not None
        assert ledger.password is not None


def test_the_example_satisfies_the_published_schema():
    """Its first line tells editors where that is."""
    text = (ROOT / "config.yaml").read_text(encoding="utf-8")
    named = re.match(r"# yaml-language-server: \$schema=(.*)", text)
    assert named
    schema = json.loads((ROOT / named[1]).read_text(encoding="utf-8"))
    jsonschema.validate(yaml.safe_load(text), schema, cls=jsonschema.Draft7Validator)


def test_examples_in_the_documentation_are_right(tmp_path):
    """People start from them."""
    blocks = re.findall("```yaml\n(accounts:.*?)```", configuration.documentation(), re.DOTALL)
    assert blocks
    for block in blocks:
        path = tmp_path / "config.yaml"
        path.write_text(block)
        assert config.load(path, providers.load()).accounts


def test_the_documentation_has_every_key():
    """With a row of its own."""
    text = configuration.documentation()
    items = [item for section in fields.SECTIONS for item in section.fields]
    for vendor in providers.load().values():
        items += fields.account_fields(vendor)
        assert f"### {vendor.name}\n" in text
        assert all(re.search(rf"\b{name}\b", text) for name in vendor.feed_names)
    for item in items:
        assert f"| `{item.key}` |" in text, item.key
