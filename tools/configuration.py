"""What people and editors know about the configuration, made from its table of keys."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from exporter import providers
from exporter.config import fields
from exporter.config.fields import Field
from exporter.config.kinds import Choice, Many, Text, Url
from exporter.model import Provider

_BEFORE = """\
# Configuration

<!-- Made by `make generate` from exporter/config/fields.py and the providers. -->

One YAML file, by default `config.yaml` in the working directory; `--config.file` names another.
[config.yaml](../config.yaml) is a complete example. Editors that know the YAML language server
complete and check the file with [the JSON schema](../schema/config.schema.json) when it begins with

```yaml
# yaml-language-server: $schema=https://…/schema/config.schema.json
```

The smallest configuration that works:

```yaml
accounts:
  - name: studio
    provider: livepeer
    credentials_env: LIVEPEER_API_KEY
```

**Durations** are written as in Prometheus: `30s`, `15m`, `1h30m`, `400d`, with the units `y` (365
days), `w`, `d`, `h`, `m`, `s` and `ms`, from large to small. `0` needs no unit.

**Paths** that are relative start at the folder of the configuration file, not at the working
directory. A path given on the command line starts at the working directory.

**Credentials** are not written into the file; it says where they are. `…_file` keys name a file
with nothing in it but the credential, `…_env` keys an environment variable. `${NAME}` is not
expanded.

**Text that YAML takes for something else** needs quotes: `"123"`, `"no"`, `"15:00"`.

**Mistakes** are listed all at once, each with file, line and key, and nothing is started (or, at a
reload, changed) until there are none:

```text
config.yaml:7: polling.cadnce: unknown key; did you mean cadence?
config.yaml:12: accounts[1].name: "a" is already the name of the account at line 8
```

Unknown and repeated keys are mistakes, a section without any keys is not. Aliases (`*name`) work,
merge keys (`<<`) do not. Addresses with plain `http` that leave the machine are warned of.
"""

_ACCOUNTS = """
## accounts

A list of at least one account. What an account may have depends on its provider; these keys are
the same for all:
"""

_COMMON_KEYS = frozenset({"name", "provider", "url", "feeds"})


def documentation() -> str:
    """docs/configuration.md."""
    vendors = _in_order(providers.load())
    sections = (
        f"\n## {section.key}\n\n{section.help}\n\n{_table(section.fields)}"
        for section in fields.SECTIONS
    )
    billing = (
        f"\n## billing\n\n{fields.BILLING_HELP} A list; each entry has\n\n{_table(fields.CONTRACT)}"
        f"\nA charge has a `fee`, or what it counts:\n\n{_table(fields.CHARGE)}"
        f"\nA tier:\n\n{_table(fields.TIER)}"
    )
    accounts = f"{_ACCOUNTS}\n{_table(_common(vendor.name for vendor in vendors))}"
    return "".join([_BEFORE, *sections, billing, accounts, *map(_provider, vendors)])


def json_schema() -> str:
    """schema/config.schema.json."""
    return json.dumps(schema(providers.load()), indent=2, ensure_ascii=False) + "\n"


def schema(vendors: Mapping[str, Provider]) -> dict[str, object]:
    """The JSON schema of a configuration with accounts of `vendors`.

    It knows all that a schema can: not the lengths of durations, nor which names repeat.
    """
    ordered = _in_order(vendors)
    sections = {
        section.key: {
            "type": ["object", "null"],
            "description": section.help,
            "additionalProperties": False,
            "properties": {item.key: _property(item) for item in section.fields},
            **_required(section.fields),
        }
        for section in fields.SECTIONS
    }
    accounts = {
        "type": "array",
        "description": fields.ACCOUNTS.help,
        "minItems": 1,
        "items": {
            "type": "object",
            "required": ["name", "provider"],
            "properties": {
                "provider": {"description": "The vendor.", "enum": [v.name for v in ordered]}
            },
            "allOf": [_if_provider(vendor) for vendor in ordered],
        },
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "media-usage-exporter",
        "type": "object",
        "required": [fields.ACCOUNTS.key],
        "additionalProperties": False,
        "properties": {**sections, "billing": _billing(), fields.ACCOUNTS.key: accounts},
    }


def _billing() -> dict[str, object]:
    tiers = _list(_mapping(fields.TIER), "Prices of the units after the included ones.")
    labels = {"type": "object", "additionalProperties": fields.LABEL_VALUES.schema()}
    charge = _mapping(fields.CHARGE, tiers=tiers, where=labels)
    charges = _list(charge, "The lines of the bill.")
    entries = _list(_mapping(fields.CONTRACT, charges=charges), fields.BILLING_HELP)
    return {"anyOf": [{"type": "null"}, {**entries, "minItems": 0}]}


def _list(items: Mapping[str, object], description: str) -> dict[str, object]:
    return {"type": "array", "description": description, "minItems": 1, "items": items}


def _mapping(items: Iterable[Field], **others: Mapping[str, object]) -> dict[str, object]:
    items = tuple(items)
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [item.key for item in items if item.required],
        "properties": {item.key: others.get(item.key) or _property(item) for item in items},
    }


def _if_provider(vendor: Provider) -> dict[str, object]:
    items = fields.account_fields(vendor)
    keys = set(fields.credential_keys(vendor))
    return {
        "if": {"required": ["provider"], "properties": {"provider": {"const": vendor.name}}},
        "then": {
            "additionalProperties": False,
            "properties": {item.key: _property(item) for item in items},
            "oneOf": [
                {
                    "required": list(combination),
                    "properties": dict.fromkeys(sorted(keys - set(combination)), False),
                }
                for combination in fields.credential_combinations(vendor)
            ],
        },
    }


def _required(items: Iterable[Field]) -> dict[str, object]:
    required = [item.key for item in items if item.required]
    # A section without any keys is as good as none.
    return {"anyOf": [{"maxProperties": 0}, {"required": required}]} if required else {}


def _property(item: Field) -> dict[str, object]:
    described = {"description": _sentence(item.help), **item.kind.schema()}
    # Some defaults are numbers or mappings, yet every default is written as text.
    if item.default is not None:
        written = described.get("type") in ("integer", "object")
        described["default"] = json.loads(item.default) if written else item.default
    return described


def _provider(vendor: Provider) -> str:
    items = [item for item in fields.account_fields(vendor) if item.key not in _COMMON_KEYS]
    ways = [
        " and ".join(" or ".join(_code(fields.sources(stem))) for stem in fields.stems(way))
        for way in vendor.authentication
    ]
    feeds = ", ".join(
        f"**{name}**" if name in vendor.default_feeds else name for name in vendor.feed_names
    )
    return (
        f"\n### {vendor.name}\n\n"
        f"- `url` is `{vendor.url}` when it is not given.\n"
        f"- It signs in with {', or with '.join(ways)}.\n"
        f"- Its feeds, the default ones in bold: {feeds}.\n\n"
        f"{_table(items)}"
    )


def _common(names: Iterable[str]) -> list[Field]:
    return [
        fields.NAME,
        Field("provider", Choice(tuple(names)), "The vendor.", required=True),
        Field("url", Url(), "The vendor's API.", default_help="the vendor's own"),
        Field(
            "feeds",
            Many(Text("one of the provider's feeds"), empty=False),
            "What is polled.",
            default_help="the provider's default ones",
        ),
    ]


def _table(items: Iterable[Field]) -> str:
    rows = ["| key | value | default | |", "|---|---|---|---|"]
    for item in items:
        default = item.default_help if item.default is None else f"`{item.default}`"
        if item.required:
            default = "required"
        rows.append(f"| `{item.key}` | {item.kind.expected} | {default} | {_sentence(item.help)} |")
    return "\n".join(rows) + "\n"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _code(keys: Iterable[str]) -> list[str]:
    return [f"`{key}`" for key in keys]


def _in_order(vendors: Mapping[str, Provider]) -> list[Provider]:
    return [vendors[name] for name in sorted(vendors)]
