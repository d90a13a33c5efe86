"""Pictures of a process and the lines that things come from, without any app."""

from __future__ import annotations

import gc
import importlib.util
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from isoclient.leaks.found import Found
from isoclient.leaks.kind import Subject
from isoclient.leaks.module_globals import Globals
from isoclient.leaks.origins import ISOCLIENT, Origin, Origins
from isoclient.leaks.pictures import Pictures
from isoclient.leaks.shapes import items_of


class Things:
    """A kind of things that a test makes; each has the number of the call that has made it, or None."""

    there: dict[str, int | None]

    def __init__(self, subject: Subject) -> None:
        pass

    def before(self) -> set[str]:
        return set(self.there)

    def after(self, before: set[str]) -> Iterator[Found]:
        for name, call in self.there.items():
            if name not in before:
                yield Found("file", name, None if call is None else Origin("shop.py", 1, call), name)


@pytest.fixture
def things(monkeypatch: pytest.MonkeyPatch) -> dict[str, int | None]:
    there: dict[str, int | None] = {"before": 0}
    monkeypatch.setattr(Things, "there", there, raising=False)
    return there


def names(found: list[Found]) -> list[str]:
    return [one.what for one in found]


def test_what_an_open_call_has_made_is_its_own(things: dict[str, int | None]) -> None:
    pictures = Pictures(Subject(), [Things])
    things.update(of_one=1, of_two=2, of_nobody=None)
    assert names(pictures.look(is_held=False, open_calls={1}, is_serving=True)) == ["of_two"]
    assert names(pictures.look(is_held=False, open_calls={1})) == ["of_two", "of_nobody"]
    assert names(pictures.look(is_held=False)) == ["of_one", "of_two", "of_nobody"]


def test_what_the_startup_has_made_is_held_until_the_shutdown(things: dict[str, int | None]) -> None:
    pictures = Pictures(Subject(), [Things])
    things["of_the_startup"] = None
    pictures.hold()
    things["of_a_request"] = 2
    assert names(pictures.look(is_held=True)) == ["of_a_request"]
    assert names(pictures.look(is_held=False)) == ["of_the_startup", "of_a_request"]


def test_what_has_been_told_is_not_told_again(things: dict[str, int | None]) -> None:
    pictures = Pictures(Subject(), [Things])
    pictures.hold()
    things["one"] = 1
    found = pictures.look(is_held=True)
    pictures.go_on(found)
    assert pictures.look(is_held=True) == []
    things["two"] = 2
    assert names(pictures.look(is_held=True)) == ["two"]
    assert names(pictures.look(is_held=False)) == ["two"]  # nor after the shutdown
    pictures.go_on(pictures.look(is_held=False))
    assert pictures.look(is_held=False) == []


# -- lines


def run(source: str, path: str, **names: Any) -> Any:
    """The function ``do`` of a file."""
    exec(compile(source, path, "exec"), names)
    return names["do"]


INSTALLED = "/venv/lib/python3/site-packages/pool.py"


def test_the_line_is_the_innermost_one() -> None:
    here = run("def do():\n    return here()", "/srv/shop/mail.py", here=Origins().here)
    assert run("def do(): return here()", "/srv/shop/main.py", here=here)().where == "/srv/shop/mail.py:2"


def test_of_an_installed_package_it_is_the_line_that_has_called_it() -> None:
    here = run("def do():\n    return here()", INSTALLED, here=Origins().here)
    assert run("def do():\n\n    return here()", "/srv/shop.py", here=here)().where == "/srv/shop.py:3"


def test_middleware_calls_all_of_the_app_and_so_is_not_that_line() -> None:
    here = run("def do():\n    return here()", INSTALLED, here=Origins().here)
    middleware = run("def do(scope, receive, send):\n    return here()", "/srv/shop.py", here=here)
    # What calls it here is this file, as the innermost code of one's own that is no middleware.
    assert middleware(None, None, None).file == __file__


def test_what_isoclient_does_is_nobody_elses() -> None:
    import isoclient

    ours = str(Path(isoclient.__file__).parent / "server" / "some.py")
    here = run("def do(): return here()", ours, here=Origins().here)
    assert run("def do(): return here()", "/srv/shop.py", here=here)() is ISOCLIENT


# -- globals

SHOP = """
is_open = False
visitors = []


class Shop:
    def __init__(self):
        self.prices = {}


shop = Shop()


def open_it():
    global is_open
    is_open = True
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    file = tmp_path / "small_shop.py"
    file.write_text(SHOP)
    module = ModuleType("small_shop")
    module.__file__ = str(file)
    exec(compile(SHOP, str(file), "exec"), vars(module))
    monkeypatch.setitem(sys.modules, "small_shop", module)
    return module


def changes(shop: Any, subject: Subject, before: Any) -> list[tuple[str, str]]:
    return [
        (found.what, found.origin.where.removeprefix(shop.__file__) if found.origin else "")
        for found in Globals(subject).after(before)
        if "small_shop" in found.what
    ]


def test_globals_that_have_changed_are_told_with_their_line(shop: Any) -> None:
    subject = Subject()
    before = Globals(subject).before()
    assert changes(shop, subject, before) == []
    shop.open_it()
    shop.visitors.append("ada")
    shop.shop.prices["tea"] = 3
    assert changes(shop, subject, before) == [
        ("small_shop.is_open = True (was False)", ":16"),
        ("small_shop.visitors: 1 item (was 0)", ":3"),
        ("small_shop.shop.prices: 1 item (was 0)", ":11"),
    ]


def test_what_the_test_has_put_there_is_no_change_of_the_app(shop: Any) -> None:
    subject = Subject(is_of_the_test=lambda owner, key: owner is shop or owner is shop.visitors)
    before = Globals(subject).before()
    shop.is_open = True
    shop.visitors.append("ada")
    assert changes(shop, subject, before) == []


def test_an_import_is_no_change_nor_is_an_equal_value(shop: Any) -> None:
    shop.name = "".join(["te", "a"])
    subject = Subject()
    before = Globals(subject).before()
    shop.sys = sys
    shop.name = "".join(["t", "ea"])
    assert changes(shop, subject, before) == []


def test_a_proxy_in_the_place_of_something_is_not_asked_what_it_is(shop: Any) -> None:
    def refuse(*_: object) -> Any:
        raise AssertionError("it has been asked")

    lazy = type("Lazy", (), {"__class__": property(refuse), "__getattr__": refuse})
    shop.settings = lazy()
    subject = Subject()
    before = Globals(subject).before()
    shop.open_it()
    shop.current = lazy()
    assert [line for what, line in changes(shop, subject, before) if "is_open" in what] == [":16"]


def test_a_module_that_is_yet_to_be_loaded_stays_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lazy_shop.py").write_text("import sys\nsys.lazy_shop = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    spec = importlib.util.find_spec("lazy_shop")
    assert spec is not None
    assert spec.loader is not None
    spec.loader = loader = importlib.util.LazyLoader(spec.loader)
    monkeypatch.setitem(sys.modules, "lazy_shop", module := importlib.util.module_from_spec(spec))
    loader.exec_module(module)
    monkeypatch.setitem(globals(), "lazy", module)  # what imports it has it, too
    Globals(Subject()).before()
    assert not hasattr(sys, "lazy_shop")


def test_a_class_that_has_been_looked_at_is_not_kept() -> None:
    class Items(list[int]):
        pass

    assert items_of(Items([1])) == (True, 1, {0: 1})
    reference = weakref.ref(Items)
    del Items
    gc.collect()
    assert reference() is None
