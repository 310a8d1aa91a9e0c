"""SQL stands in one place."""

import ast
import re
from pathlib import Path

import exporter

ROOT = Path(exporter.__file__).parent
STATEMENT = re.compile(
    r"\b(SELECT\b.+\bFROM|INSERT( OR \w+)? INTO|UPDATE \w+ SET|DELETE FROM|CREATE( TEMP)? TABLE"
    r"|BEGIN IMMEDIATE|PRAGMA)\b",
    re.DOTALL,
)


def statements(path):
    """The text constants of a module that hold SQL."""
    tree = ast.parse(path.read_text())
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and STATEMENT.search(node.value)
    ]


def test_no_module_but_those_of_the_two_databases_holds_sql():
    found = {path.relative_to(ROOT) for path in ROOT.rglob("*.py") if statements(path)}
    homes = {Path("ledger/sqlite"), Path("ledger/postgres")}
    assert {path.parent for path in found} == homes
