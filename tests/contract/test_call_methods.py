"""``client.call`` with a method: what it is bound to is the app's own, or a copy, and a copy is not to be changed."""

from __future__ import annotations

import functools
import os
import random
import re
import sys
from array import array
from collections import ChainMap, Counter, OrderedDict, UserList, defaultdict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from isoclient import TestClient
    from tests.conftest import Cell, MakeClient, Receive, Scope, Send

pytestmark = [pytest.mark.modes("fork", "forkserver", "spawn", "thread"), pytest.mark.backends("asyncio")]


class Repository:
    def __init__(self) -> None:
        self.names: list[str] = []

    def add(self, name: str) -> int:
        self.names.append(name)
        return len(self.names)


class App:
    def __init__(self) -> None:
        self.overrides: dict[str, int] = {}
        self.repository = Repository()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    def count(self) -> int:
        return len(self.overrides)


class Bag(list[object]):
    def put(self, item: object) -> None:
        self.append(item)


events: list[object] = []
repository = Repository()

METHODS: list[tuple[str, Callable[..., Any], tuple[object, ...]]] = [
    ("list", [0].append, (1,)),
    ("list", [0].__setitem__, (0, 1)),
    ("list", [3].__len__, ()),
    ("dict", {}.update, ({"k": 1},)),
    ("dict", {"k": 1}.get, ("k",)),
    ("dict", {}.__setitem__, ("k", 1)),
    ("set", {0}.add, (1,)),
    ("deque", deque([0]).append, (1,)),
    ("defaultdict", defaultdict(int).setdefault, ("k", 1)),
    ("OrderedDict", OrderedDict[str, int]().update, ({"k": 1},)),
    ("Counter", Counter("a").update, ("b",)),
    ("ChainMap", ChainMap[str, int]().__setitem__, ("k", 1)),
    ("bytearray", bytearray(b"0").extend, (b"1",)),
    ("array", array("i", [0]).append, (1,)),
    ("UserList", UserList([0]).append, (1,)),
    ("Bag", Bag().append, (1,)),
    ("Bag", Bag().put, (1,)),
    ("list", events.append, (1,)),
    ("list", functools.partial([0].append, 1), ()),
    ("dict", functools.partial(functools.partial({}.setdefault, "k"), 1), ()),
]


def what_is_said(client: TestClient, method: Callable[..., Any], args: tuple[object, ...]) -> str:
    try:
        return f"it returned {client.call(method, *args)!r}"
    except TypeError as error:
        return str(error)


@pytest.mark.rest("forkserver")
@pytest.mark.modes("fork", "forkserver")
def test_a_method_of_a_container_of_the_test_s(make_client: MakeClient) -> None:
    client = make_client(App())
    for kind, method, args in METHODS:
        said = what_is_said(client, method, args)
        words = rf"is bound to a {kind} in the memory of the test.*on a copy.*client\.call\(lambda:"
        assert re.search(words, said), (method, said)


@pytest.mark.rest("forkserver", "spawn")
def test_one_of_the_app_s_is_named(make_client: MakeClient, cell: Cell) -> None:
    app = App()
    client = make_client(app)
    if not cell.isolated:
        client.call(app.overrides.update, {"k": 1})
        client.call(app.repository.names.append, "Ada")
        assert app.overrides == {"k": 1}
        assert app.repository.names == ["Ada"]
        return

    with pytest.raises(TypeError, match=r"client\.call\(lambda: app\.overrides\.update\(\.\.\.\)\)$"):
        client.call(app.overrides.update, {"k": 1})
    with pytest.raises(TypeError, match=r"client\.call\(lambda: app\.repository\.names\.append\(\.\.\.\)\)$"):
        client.call(app.repository.names.append, "Ada")
    with pytest.raises(TypeError, match=r"client\.call\(lambda: events\.append\(\.\.\.\)\)$"):
        client.call(events.append, 1)
    client.call(lambda: app.overrides.update({"k": 1}))
    assert client.call(app.count) == 1  # the app is the one over there, and so are its methods


def test_one_of_a_module_s_is_called_over_there(make_client: MakeClient, cell: Cell) -> None:
    client = make_client(App())
    path = [*sys.path]
    try:
        assert client.call(os.environ.get, "ISOCLIENT_TEST_CALL") is None
        client.call(os.environ.__setitem__, "ISOCLIENT_TEST_CALL", "1")
        client.call(sys.path.append, "/nowhere")
        client.call(random.seed, 7)
        drawn = client.call(random.random)

        assert client.call(os.environ.get, "ISOCLIENT_TEST_CALL") == "1"
        assert client.call(lambda: (os.environ["ISOCLIENT_TEST_CALL"], sys.path[-1])) == ("1", "/nowhere")
        assert client.call(functools.partial(random.seed, 7)) is None
        assert client.call(random.random) == drawn == random.Random(7).random()
        assert ("ISOCLIENT_TEST_CALL" in os.environ) is not cell.isolated
    finally:
        sys.path[:] = path
        os.environ.pop("ISOCLIENT_TEST_CALL", None)


@pytest.mark.modes("fork")
def test_one_of_an_object_of_the_test_s_module_is_called_over_there(make_client: MakeClient) -> None:
    client = make_client(App())

    assert client.call(repository.add, "Ada") == 1
    assert client.call(repository.add, "Bob") == 2
    assert client.call(lambda: repository.names) == ["Ada", "Bob"]
    assert repository.names == []


@pytest.mark.rest("forkserver", "spawn")
def test_methods_of_what_is_no_container_are_called_as_ever(make_client: MakeClient) -> None:
    client = make_client(App())

    assert client.call("-".join, ["a", "b"]) == "a-b"
    assert client.call((1, 2).index, 2) == 1
    assert client.call(dict.fromkeys, ["k"], 1) == {"k": 1}
    assert client.call(Repository().add, "Ada") == 1
    assert client.call(sorted, [2, 1], key={1: 2, 2: 1}.get) == [2, 1]
