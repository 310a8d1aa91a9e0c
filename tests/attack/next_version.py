"""The program as its next version could be: run as `python -m tests.attack.next_version serve …`.

That version calls the column `series.exposed` of the ledger on PostgreSQL `shown`. Its step has both
parts: before older replicas are gone, each column follows the other one; afterwards, the old one
is taken away. The modules that read and write the ledger are the program's own, with the name of
the column replaced in their statements.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

OLD_COLUMN = "exposed"
NEW_COLUMN = "shown"
TABLES_OF = "exporter.ledger.postgres"

BEFORE = (
    "ALTER TABLE series ADD COLUMN shown bigint",
    "UPDATE series SET shown = exposed",
    """CREATE FUNCTION keep_shown() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF TG_OP = 'INSERT' THEN
            NEW.shown := coalesce(NEW.shown, NEW.exposed);
            NEW.exposed := NEW.shown;
        ELSIF NEW.shown IS DISTINCT FROM OLD.shown THEN
            NEW.exposed := NEW.shown;
        ELSE
            NEW.shown := NEW.exposed;
        END IF;
        RETURN NEW;
    END $$""",
    "CREATE TRIGGER keep_shown BEFORE INSERT OR UPDATE ON series"
    " FOR EACH ROW EXECUTE FUNCTION keep_shown()",
)
AFTER = (
    "DROP TRIGGER keep_shown ON series",
    "DROP FUNCTION keep_shown",
    "ALTER TABLE series DROP COLUMN exposed, ALTER COLUMN shown SET NOT NULL",
)


class _Renamed(ast.NodeTransformer):
    """Replaces the column's name in all texts; attributes and arguments keep theirs."""

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        if isinstance(node.value, str):
            node.value = node.value.replace(OLD_COLUMN, NEW_COLUMN)
        return node


class _Loader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        tree = _Renamed().visit(ast.parse(self.get_data(path), path))
        return compile(tree, path, "exec", dont_inherit=True)


class _SchemaLoader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        module.STEPS = (*module.STEPS, module.Step(BEFORE, AFTER))  # type: ignore[attr-defined]


class _Finder(MetaPathFinder):
    """Finds the ledger's modules; all others are found as ever."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not name.startswith(f"{TABLES_OF}."):
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is not None and spec.origin is not None:
            loader = _SchemaLoader if name == f"{TABLES_OF}.schema" else _Loader
            spec.loader = loader(name, spec.origin)
        return spec


if __name__ == "__main__":
    assert not any(name.startswith(TABLES_OF) for name in sys.modules)
    sys.meta_path.insert(0, _Finder())
    from exporter.cli.main import main

    sys.exit(main())
