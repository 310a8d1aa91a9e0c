"""The providers. Every module here is one; `PROVIDER` in it is its Provider."""

from __future__ import annotations

import importlib
import pkgutil

from exporter.model import Provider


def load() -> dict[str, Provider]:
    """All providers by name, from the modules of this package."""
    modules = (
        importlib.import_module(f"{__name__}.{module.name}")
        for module in pkgutil.iter_modules(__path__)
    )
    providers: list[Provider] = [module.PROVIDER for module in modules]
    return {provider.name: provider for provider in providers}
