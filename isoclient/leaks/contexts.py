"""The contexts of numbers: the seed of random, and what decimal calculates with."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextvars import copy_context
from typing import Any, Final

from isoclient.leaks.found import Found
from isoclient.leaks.kind import Subject
from isoclient.leaks.origins import ISOCLIENT

__all__ = ["DecimalContexts", "Seed"]

_PARTS: Final = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")


class Seed:
    """Whether random has been seeded. Numbers that were drawn are no leak."""

    def __init__(self, subject: Subject) -> None:
        self._origins = subject.origins

    def before(self) -> object:
        return self._origins.of("random", "")

    def after(self, before: object) -> Iterator[Found]:
        origin = self._origins.of("random", "")
        if origin is not None and origin is not before and origin is not ISOCLIENT:
            yield Found("random", "all that draws numbers gets the same ones", origin, "random")


class DecimalContexts:
    """That of new threads, and that which the calls of the app begin with."""

    def __init__(self, subject: Subject) -> None:
        self._origins = subject.origins

    def before(self) -> dict[str, dict[str, Any]]:
        decimal: Any = sys.modules.get("decimal")
        if decimal is None:
            return {}
        # In a copy: to ask for the context makes one, which all tasks would have in common from then on.
        present = copy_context().run(decimal.getcontext)
        return {"DefaultContext": _parts(decimal.DefaultContext), "getcontext()": _parts(present)}

    def after(self, before: dict[str, dict[str, Any]]) -> Iterator[Found]:
        now = self.before()
        for name, parts in before.items() if now else ():  # else the test has taken the module away
            for part, then in parts.items():
                is_due_to_default = now[name][part] == now["DefaultContext"][part] != before["DefaultContext"][part]
                if now[name][part] != then and not (is_due_to_default and name != "DefaultContext"):
                    what = f"{name}.{part} = {now[name][part]!r} (was {then!r})"
                    yield Found("decimal", what, self._origins.of("decimal", ""), (name, part))


def _parts(context: Any) -> dict[str, Any]:
    return {part: getattr(context, part) for part in _PARTS}
