"""Renders the page; it needs nothing from another server, and no script but for times that move."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

from exporter import __version__
from exporter.polling.advice import ADVICE
from exporter.polling.status import AccountStatus, LeasesStatus
from exporter.web.landing.overview import overview
from exporter.web.landing.times import duration, utc
from exporter.web.landing.verdict import OWNERS, troubles, verdict


def landing_page(
    accounts: Sequence[AccountStatus],
    now: float,
    telemetry_path: str,
    problem: str | None = None,
    reload_failure: str | None = None,
    leases: LeasesStatus | None = None,
) -> str:
    """The whole document.

    `problem` is what is wrong with the process itself, `reload_failure` why the newest reload failed,
    `leases` is who holds which account where replicas share the ledger.
    """
    template = _templates().get_template("page.html")
    return template.render(
        accounts=accounts,
        now=now,
        telemetry_path=telemetry_path,
        verdict=verdict(accounts, problem=problem, reload_failure=reload_failure, leases=leases),
        leases=leases,
        overview=overview(accounts),
        troubles=troubles(accounts),
    )


@cache
def content_security_policy() -> str:
    """Allows only what the page uses: its own style and script, by hash, and its icon, a data URL."""
    return (
        f"default-src 'none'; style-src {_hash(_style())}; script-src {_hash(_script())}; "
        "img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("exporter.web.landing"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    templates.filters.update(duration=duration, utc=utc)
    templates.globals.update(
        advice=ADVICE, owners=OWNERS, style=_style(), script=_script(), version=__version__
    )
    return templates


@cache
def _style() -> str:
    return _file("style.css")


@cache
def _script() -> str:
    return _file("moving.js")


def _file(name: str) -> str:
    return files("exporter.web.landing").joinpath("templates", name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
