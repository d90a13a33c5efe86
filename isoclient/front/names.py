"""What to call an app."""

from __future__ import annotations

import sys
from types import FunctionType, ModuleType

__all__ = ["name_of_app"]


def name_of_app(app: object) -> str:
    """A short name: where it can be imported from, as far as that can be seen. None of the app's code runs.

    Example:
        >>> name_of_app("shop.main:app"), name_of_app(name_of_app), name_of_app([])
        ('shop.main:app', 'isoclient.front.names:name_of_app', 'builtins:list')
    """
    if isinstance(app, str):
        return app
    if isinstance(app, type | FunctionType):
        return f"{app.__module__}:{app.__qualname__}"
    return _attribute(app) or f"{type(app).__module__}:{type(app).__qualname__}"


def _attribute(app: object) -> str | None:
    """The module that has it, and as what; rather one that is not of the tests, which import it from there."""
    found = [
        f"{name}:{attribute}"
        for name, module in list(sys.modules.items())
        if type(module) is ModuleType
        for attribute, value in list(vars(module).items())
        if value is app
    ]
    return min(found, key=_is_of_tests, default=None)


def _is_of_tests(place: str) -> bool:
    module = place.partition(":")[0].rpartition(".")[2]
    return module.startswith(("test_", "conftest", "__main__")) or module.endswith("_test")
