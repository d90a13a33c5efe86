"""The name in a module by which something in the test's process is held."""

from __future__ import annotations

import asyncio
import sys
from itertools import islice
from types import ModuleType

import pytest

from isoclient.plugin.holders import held_things


class Part:
    def __init__(self, part: object) -> None:
        self.part = part


def holders(*wanted: object, **held: object) -> list[str | None]:
    """Whose each is, if a module of somebody's own has these names."""
    module = ModuleType("shop")
    vars(module).update(held)
    found = {id(thing): holder for thing, holder in held_things([module])}
    return [found.get(id(each)) for each in wanted]


def test_all_modules_of_somebodys_own_are_looked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    own, library = ModuleType("shop"), ModuleType("library")
    own.__file__, library.__file__ = "/srv/shop.py", f"{sys.prefix}/site-packages/library.py"
    own.pool, library.pool = pools = Part(None), Part(None)  # type: ignore[attr-defined]
    monkeypatch.setattr(sys, "modules", {"shop": own, "library": library})
    nearest = {id(thing): holder for thing, holder in islice(held_things(), 1)}
    assert [nearest.get(id(each)) for each in pools] == ["shop.pool", None]


def test_however_deep_it_is() -> None:
    thing: object = (wanted := Part(None))
    for _ in range(50):
        thing = Part([{"part": thing}])
    assert holders(wanted, pool=thing) == ["shop.pool"]


def test_the_nearest() -> None:
    wanted = Part(None)
    assert holders(wanted, far=Part([wanted]), near=wanted, farther=[[[wanted]]]) == ["shop.near"]


def test_nothing_is_held_by_what_all_refer_to() -> None:
    class Loop(asyncio.AbstractEventLoop):
        pass

    wanted = Part(None)
    loop = Loop()  # type: ignore[abstract]
    loop.handles = [wanted]  # type: ignore[attr-defined]
    library = ModuleType("library")
    library.part = wanted  # type: ignore[attr-defined]
    assert holders(wanted, loop=loop, library=library) == [None]


def test_nothing_is_asked_that_lies() -> None:
    class Liar:
        @property  # type: ignore[misc]
        def __class__(self) -> type:
            raise RuntimeError

    wanted = Part(None)
    liar = Liar()
    liar.part = wanted  # type: ignore[attr-defined]
    assert holders(wanted, liar=liar) == ["shop.liar"]
