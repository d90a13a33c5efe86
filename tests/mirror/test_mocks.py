"""Mocks of the test's: what the app does with them is recorded on them, wherever the app runs."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import queue
import re
import threading
from collections.abc import Callable
from typing import Any
from unittest import mock
from unittest.mock import ANY, AsyncMock, MagicMock, Mock, NonCallableMock, PropertyMock, call, create_autospec, seal

import pytest

from isoclient import IsolationWarning, StandIn
from tests.conftest import Cell, MakeClient
from tests.mirror.mocked import Till, app_of, charge

pytestmark = [pytest.mark.backends("asyncio"), pytest.mark.modes("fork", "forkserver", "spawn", "thread")]


# -- calls


def use(root: Any) -> None:
    root(1, two=2)
    root.child.grandchild("three")
    root().made.here(4)
    with root.context as entered:
        entered.inside(5)
    root["key"] = root.other
    root.attribute.child.child.child()


def test_calls_are_recorded_with_all_that_is_made_on_the_fly(make_client: MakeClient) -> None:
    there, here = MagicMock(), MagicMock()
    make_client(app_of(use, there)).get("/")
    use(here)
    assert [repr(each) for each in there.mock_calls[:-2]] == [repr(each) for each in here.mock_calls[:-2]]
    assert there.method_calls == here.method_calls
    assert there.call_args_list == [call(1, two=2), call()]
    assert there.call_count == 2
    there.child.grandchild.assert_called_once_with("three")
    there.return_value.made.here.assert_called_once_with(4)
    there.context.__enter__.return_value.inside.assert_called_once_with(5)
    there.__setitem__.assert_called_once_with("key", there.other)


async def awaiting(function: Any) -> Any:
    await function(1)
    function(2).close()
    return await function.child(three=3)


@pytest.mark.rest("forkserver", "spawn")
def test_awaits_are_recorded_apart_from_calls(make_client: MakeClient) -> None:
    function = AsyncMock(return_value=7)
    function.child.side_effect = [8]
    client = make_client(app_of(awaiting, function))
    assert client.get("/").text == "8"
    assert function.call_args_list == [call(1), call(2)]
    function.assert_awaited_once_with(1)
    assert function.child.await_args_list == [call(three=3)]
    assert function.mock_calls == [call(1), call(2), call.child(three=3)]


KINDS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "Mock": (Mock, lambda it: it(1)),
    "spec": (lambda: Mock(spec=Till), lambda it: it.open(1)),
    "spec_set": (lambda: MagicMock(spec_set=Till()), lambda it: it.open(1, by="ada")),
    "async method of a spec": (lambda: MagicMock(spec=Till), lambda it: it.print("text")),
    "NonCallableMock": (NonCallableMock, lambda it: it.open(1).well()),
    "autospecced function": (lambda: create_autospec(charge), lambda it: it("gold", amount=2)),
    "autospecced class": (lambda: create_autospec(Till), lambda it: it().open(1)),
    "autospecced instance": (lambda: create_autospec(Till, instance=True), lambda it: it.open(1, by="ada")),
    "autospecced coroutine function": (lambda: create_autospec(Till.print), lambda it: it(None, "text")),
    "sealed": (lambda: sealed(Mock()), lambda it: it.known(1)),
    "wraps": (lambda: Mock(wraps=Till()), lambda it: it.open(3)),
    "with attached mocks": (lambda: attached(), lambda it: it.first(it.second(1))),
    "name": (lambda: Mock(name="till"), lambda it: it.known(1)),
    "magic configured": (lambda: counted(), lambda it: (len(it), list(it))),
    "a subclass": (lambda: Counting(), lambda it: it.known(1)),
    "return value of another": (lambda: Mock(return_value=Mock(name="inner")), lambda it: it().known(1)),
}


class Counting(MagicMock):
    def known(self, number: int) -> Any:
        return self.really_known(number)


def sealed(it: Any) -> Any:
    it.known.return_value = 5
    seal(it)
    return it


def attached() -> Any:
    manager = Mock()
    manager.attach_mock(Mock(return_value=3), "first")
    manager.attach_mock(create_autospec(charge), "second")
    return manager


def counted() -> Any:
    it = MagicMock()
    it.__len__.return_value = 4
    it.__iter__.return_value = [1, 2]
    return it


def without_ids(obj: object) -> str:
    return re.sub(" id='[0-9]*'", "", repr(obj))


@pytest.mark.rest("forkserver", "spawn")
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_mock_records(make_client: MakeClient, kind: str) -> None:
    make, act = KINDS[kind]
    there, here = make(), make()
    answer = make_client(app_of(act, there)).get("/").text
    result = act(here)
    result = asyncio.run(result) if inspect.iscoroutine(result) else result
    assert without_ids(there.mock_calls) == without_ids(here.mock_calls) != "[]"
    assert without_ids(there.method_calls) == without_ids(here.method_calls)
    assert re.sub(" id='[0-9]*'", "", answer) == without_ids(result)


@pytest.mark.rest("forkserver", "spawn")
def test_a_property_records(make_client: MakeClient) -> None:
    brand, till = PropertyMock(return_value="Anker"), Mock()
    type(till).brand = brand
    assert make_client(app_of(lambda: till.brand)).get("/").text == "'Anker'"
    brand.assert_called_once_with()


@pytest.mark.modes("fork", "thread")
def test_what_is_patched_before_the_fork_records(make_client: MakeClient) -> None:
    with mock.patch(f"{__name__}.charge", autospec=True, return_value="paid") as charged:
        client = make_client(app_of(lambda: charge("gold")))
        assert client.get("/").text == "'paid'"
        charged.assert_called_once_with("gold")


@pytest.mark.rest("forkserver", "spawn")
def test_what_was_not_called_is_not(make_client: MakeClient) -> None:
    called, other = Mock(), Mock()
    client = make_client(app_of(lambda: (called(), other)[0] and None))
    other.assert_not_called()
    client.get("/")
    other.assert_not_called()
    with pytest.raises(AssertionError, match="Expected 'mock' to not have been called"):
        called.assert_not_called()


@pytest.mark.rest("forkserver", "spawn")
def test_calls_are_there_in_order_and_once(make_client: MakeClient) -> None:
    manager = Mock()
    client = make_client(app_of(lambda: (manager.a(1), manager.b(2), manager.a(3))))
    for _ in range(3):
        client.get("/")
    assert manager.mock_calls == [call.a(1), call.b(2), call.a(3)] * 3


# -- what they do


@pytest.mark.rest("forkserver", "spawn")
def test_a_side_effect_goes_on_where_it_was(make_client: MakeClient) -> None:
    """Also in the next copy of the app, and in the test."""
    function, awaited = Mock(side_effect=range(10)), AsyncMock(side_effect=iter("abcdef"))

    async def act() -> Any:
        return function(), await awaited()

    client = make_client(app_of(act))
    assert client.get("/").text == "(0, 'a')"
    assert client.get("/").text == "(1, 'b')"
    client.restart()
    assert client.get("/").text == "(2, 'c')"
    assert function() == 3
    client.restart()
    assert client.get("/").text == "(4, 'd')"


@pytest.mark.rest("forkserver", "spawn")
def test_an_effect_takes_place_once(make_client: MakeClient, cell: Cell) -> None:
    happened: list[int] = []

    function = Mock(side_effect=happened.append)

    def act() -> Any:
        function(1)
        return happened

    client = make_client(app_of(act))
    assert client.get("/").text == "[1]"
    assert happened == ([] if cell.is_fresh else [1])
    function.assert_called_once_with(1)


class Refused(Exception):
    """One that no copy can be made of by its arguments."""

    def __init__(self, card: str, *, amount: int) -> None:
        super().__init__(f"{card} for {amount}")
        self.amount = amount


@pytest.mark.rest("forkserver", "spawn")
def test_an_exception_is_raised_there(make_client: MakeClient) -> None:
    function = Mock(side_effect=Refused("gold", amount=3))
    client = make_client(app_of(function))
    assert client.get("/").text == repr(Refused("gold", amount=3))
    function.side_effect = Refused("silver", amount=4)
    assert client.get("/").text == repr(Refused("silver", amount=4))
    assert function.call_count == 2


def test_what_the_test_sets_holds_in_the_app(make_client: MakeClient) -> None:
    root = MagicMock()
    function = create_autospec(charge)
    root.deep.return_value = 1
    client = make_client(
        app_of(lambda: (root(), root.deep(), root.made().later(), root.plain, len(root), function("gold")))
    )
    root.return_value = function.return_value = root.plain = 0
    root.made.return_value.later.return_value = 0
    assert client.get("/").text == "(0, 1, 0, 0, 0, 0)"
    root.return_value = {"a": [1]}
    root.deep.side_effect = [2, 3]
    root.made.return_value.later.return_value = 4
    root.configure_mock(plain="five")
    root.__len__.return_value = 6
    function.return_value = 7
    assert client.get("/").text == "({'a': [1]}, 2, 4, 'five', 6, 7)"
    root.deep.side_effect = None
    root.plain = Mock(return_value=8)
    function.side_effect = lambda card: card.upper()
    answer = client.get("/").text
    assert "({'a': [1]}, 1, 4, <Mock name='mock.plain'" in answer
    assert "'GOLD'" in answer
    root.reset_mock(return_value=True)
    assert "MagicMock" in client.get("/").text
    assert root.deep.call_count == 1
    assert function.call_count == 4


@pytest.mark.rest("forkserver", "spawn")
def test_what_the_test_deletes_is_gone_in_the_app(make_client: MakeClient) -> None:
    root = Mock()
    client = make_client(app_of(lambda: hasattr(root, "maybe")))
    assert client.get("/").text == "True"
    del root.maybe
    assert client.get("/").text == "False"


def test_what_the_app_sets_on_one_is_set_on_the_tests(make_client: MakeClient) -> None:
    """As by an app that changes a record, and saves it."""

    def act() -> None:
        user.name = "ada"
        user.friends = ["bob"]
        del user.password
        user.save()

    user = Mock()
    user.password = "secret"
    make_client(app_of(act)).get("/")
    assert (user.name, user.friends) == ("ada", ["bob"])
    assert not hasattr(user, "password")
    user.save.assert_called_once_with()


@pytest.mark.rest("forkserver", "spawn")
def test_resetting_one_begins_anew(make_client: MakeClient) -> None:
    root = Mock()
    client = make_client(app_of(lambda: root.child(1)))
    client.get("/")
    root.reset_mock()
    root.child.assert_not_called()
    client.get("/")
    root.child.assert_called_once_with(1)


class Unloadable:
    def __reduce__(self) -> Any:
        return int, ("no number",)


@pytest.mark.modes("fork", "spawn")
@pytest.mark.parametrize("make", [threading.Lock, Unloadable], ids=["not sendable", "not loadable"])
def test_what_cant_be_carried_over_is_told(make_client: MakeClient, make: Callable[[], object]) -> None:
    function = Mock(name="function", return_value=1)
    client = make_client(app_of(function))
    assert client.get("/").text == "1"
    function.return_value = make()
    with pytest.warns(IsolationWarning, match="return_value of <Mock name='function' id=.*stays as it was") as warned:
        assert client.get("/").text == "1"
    assert warned[0].filename == __file__


# -- arguments


@pytest.mark.rest("forkserver", "spawn")
def test_arguments_are_what_they_were_at_the_call(make_client: MakeClient, cell: Cell) -> None:
    function, other = Mock(), Mock()

    def act() -> None:
        items = [1]
        function(items, mock.sentinel.thing, other, [other.child], charge, Till)
        items.append(2)

    make_client(app_of(act)).get("/")
    items = [1] if cell.isolated else [1, 2]
    function.assert_called_once_with(items, mock.sentinel.thing, other, [other.child], charge, Till)


class Book:
    def __init__(self, title: str) -> None:
        self.title = title


OF_MODULE = Book("of the module")


@pytest.fixture
def of_fixture() -> Any:
    return queue.Queue()


@pytest.mark.modes("fork", "thread")
def test_what_is_equal_to_itself_alone_is_the_tests_own(make_client: MakeClient, of_fixture: Any) -> None:
    function, book, books = Mock(), Book("tea"), [Book("milk")]

    def callback() -> None:
        pass

    def act() -> None:
        function(book, [of_fixture, {"milk": books[0]}], callback, OF_MODULE, key=books[0])
        function(Book("made there"))

    make_client(app_of(act)).get("/")
    first, second = function.call_args_list
    assert first == mock.call(book, [of_fixture, {"milk": books[0]}], callback, OF_MODULE, key=books[0])
    assert second.args[0].title == "made there"


@pytest.mark.modes("fork")
def test_what_the_app_has_changed_is_as_it_was_at_the_call(make_client: MakeClient) -> None:
    function = Mock()

    def act() -> None:
        OF_MODULE.title = "another"
        function(OF_MODULE)

    make_client(app_of(act)).get("/")
    assert (OF_MODULE.title, function.call_args.args[0].title) == ("of the module", "another")


@pytest.mark.modes("fork", "spawn")
def test_what_cant_cross_is_named(make_client: MakeClient) -> None:
    function = Mock()

    def act() -> None:
        function(threading.Lock(), 2, [itertools.count(), Mock(name="made there")], key=threading.current_thread())

    make_client(app_of(act)).get("/")
    function.assert_called_once_with(ANY, 2, [ANY, ANY], key=ANY)
    (lock, _, (_, made)), kwargs = function.call_args
    assert isinstance(lock, StandIn)
    assert "lock object at" in repr(lock)
    assert "<Mock name='made there' id=" in repr(made)
    assert "Thread" in repr(kwargs["key"])
