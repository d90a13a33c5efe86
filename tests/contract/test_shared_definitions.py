"""What functions and classes lead to that a test defines for itself: in-process, and in a fork of its own."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial, partialmethod, wraps
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from tests.conftest import Cell, MakeClient, Receive, Scope, Send

pytestmark = pytest.mark.modes("thread", "fork")

App = Callable[..., Any]


def app_that(does: Callable[[], object]) -> App:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        result = does()
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": str(result).encode()})

    return app


def test_a_variable_that_a_method_sets(make_client: MakeClient) -> None:
    is_closed = False

    class File:
        def close(self) -> None:
            nonlocal is_closed
            is_closed = True

    make_client(app_that(lambda: File().close())).get("/")
    assert is_closed


def test_one_that_the_app_itself_sets(make_client: MakeClient) -> None:
    path = None

    class Application:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal path
            path = scope["path"]
            await app_that(str)(scope, receive, send)

    make_client(Application()).get("/tea")
    assert path == "/tea"


WAYS: list[Callable[..., Any]] = [
    *(staticmethod, classmethod, property, cached_property),
    lambda function: partialmethod(function, 1),
    lambda function: staticmethod(lru_cache(partial(function, 1))),
]


@pytest.mark.parametrize("way", WAYS)
def test_whatever_a_method_is_wrapped_in(make_client: MakeClient, way: Callable[..., Any]) -> None:
    def make_class() -> Any:
        """No variable of the test has what the class has."""
        calls = 0

        class Noted:
            @way
            def note(*args: object) -> int:
                nonlocal calls
                calls += 1
                return calls

            def calls(self) -> int:
                return calls

        class Derived(Noted):
            pass

        return Derived

    kind = make_class()

    def call() -> object:
        noted = kind().note
        return noted() if callable(noted) else noted

    client = make_client(app_that(call))
    client.get("/")
    assert kind().calls() == 1


@pytest.mark.parametrize("wrap", [partial, lru_cache, lambda function: wraps(function)(partial(function))])
def test_what_stands_for_a_function(make_client: MakeClient, wrap: Callable[..., Any]) -> None:
    def make() -> Any:
        count = 0

        def counted(step: int) -> int:
            nonlocal count
            count += step
            return count

        return wrap(counted)

    counted = make()
    make_client(app_that(lambda: counted(1))).get("/")
    assert counted(2) == 3


def test_arguments(make_client: MakeClient) -> None:
    def note(noted: list[str], more: list[str] = [], *, last: list[str] = []) -> list[int]:  # noqa: B006
        for each in (noted, more, last):
            each.append("tea")
        return [len(noted), len(more), len(last)]

    into = partial(note, [])
    client = make_client(app_that(into))
    client.get("/")
    assert into() == [2, 2, 2]
    assert client.get("/").text == "[3, 3, 3]"


def test_attributes_of_functions(make_client: MakeClient) -> None:
    def pay() -> int:
        pay.count += 1  # type: ignore[attr-defined]
        return pay.count  # type: ignore[attr-defined, no-any-return]

    pay.count = 0  # type: ignore[attr-defined]
    client = make_client(app_that(pay))
    client.get("/")
    assert pay() == 2
    assert client.get("/").text == "3"


def test_an_object_whose_class_no_variable_has(make_client: MakeClient) -> None:
    def make() -> Any:
        count = 0

        class Counter:
            def count(self) -> int:
                nonlocal count
                count += 1
                return count

        return Counter()

    counter = make()
    method = make().count
    make_client(app_that(lambda: (counter.count(), method()))).get("/")
    assert (counter.count(), method()) == (2, 2)


def test_a_default_factory(make_client: MakeClient) -> None:
    def make() -> Any:
        made = 0

        def make_number() -> int:
            nonlocal made
            made += 1
            return made

        @dataclass
        class Order:
            number: int = field(default_factory=make_number)

        return Order

    order = make()
    make_client(app_that(order)).get("/")
    assert order().number == 2


@pytest.mark.parametrize("base", [object, ABC])
def test_what_a_class_has(make_client: MakeClient, base: type) -> None:
    """Its containers, and what is plain in it; also where the app is of that class."""

    class Bought:
        last: str | None = None

    class Shop(Bought, base):  # type: ignore[misc]
        orders: list[str] = []  # noqa: RUF012
        count = 0

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            Shop.orders.append(scope["path"])
            Shop.count += 1
            Bought.last = scope["path"]
            Shop.is_open = True
            await app_that(lambda: Shop.count)(scope, receive, send)

    client = make_client(Shop())
    client.get("/tea")
    assert (Shop.orders, Shop.count, Shop.last) == (["/tea"], 1, "/tea")
    assert Shop.is_open
    Shop.orders.clear()
    Shop.count = 10
    del Shop.is_open
    assert client.get("/rum").text == "11"
    assert (Shop.orders, Shop.is_open) == (["/rum"], True)


def test_objects_that_a_class_keeps(make_client: MakeClient) -> None:
    class Task:
        all: list[Task] = []  # noqa: RUF012

        def __init__(self) -> None:
            self.all.append(self)

    make_client(app_that(Task)).get("/")
    [task] = Task.all
    assert type(task) is Task


def test_what_is_patched_in_a_class(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is carried over, as ever, and it is the test's very own that the test has."""
    large, limit = 10**10, 10**20

    class Shop:
        limit = large

        def name(self) -> str:
            return "shop"

    client = make_client(app_that(lambda: (Shop.limit, Shop().name())))
    assert client.get("/").text == f"({large}, 'shop')"

    def name(self: Shop) -> str:
        return "pub"

    monkeypatch.setattr(Shop, "limit", limit)
    monkeypatch.setattr(Shop, "name", name)
    for _ in range(2):
        assert client.get("/").text == f"({limit}, 'pub')"
        assert Shop.limit is limit
        assert Shop.name is name
    monkeypatch.undo()
    assert client.get("/").text == f"({large}, 'shop')"
    assert Shop.limit is large


class OfModule:
    count = 0
    orders: list[str] = []  # noqa: RUF012


def make_class() -> Any:
    made = 0

    class Made:
        orders: list[str] = []  # noqa: RUF012

        def number(self) -> int:
            nonlocal made
            made += 1
            return made

    return Made


Made = make_class()


@pytest.fixture(scope="module")
def wide() -> Any:
    return make_class()()


@pytest.mark.modes("fork")
def test_classes_of_modules_and_of_wider_fixtures_stay_apart(make_client: MakeClient, wide: Any) -> None:
    mine, made, another = OfModule(), Made(), type(wide)()

    def note() -> tuple[int, ...]:
        OfModule.count += 1
        for each in (mine, made, another):
            each.orders.append("tea")
        return made.number(), another.number()

    numbers = made.number(), another.number()
    following = numbers[0] + 1, numbers[1] + 1
    client = make_client(app_that(note))
    assert client.get("/").text == str(following)
    assert (OfModule.count, OfModule.orders, Made.orders, wide.orders) == (0, [], [], [])
    assert (made.number(), another.number()) == following


class Named(NamedTuple):
    orders: list[str]


class Slotted:
    __slots__ = ("last", "orders")

    def __init__(self) -> None:
        self.orders: list[str] = []
        self.last: str | None = None


def test_objects_without_a_dict(make_client: MakeClient) -> None:
    """A tuple with names, and one that has slots."""
    named, slotted = Named([]), Slotted()

    def note() -> str | None:
        named.orders.append("tea")
        slotted.orders.append("rum")
        slotted.last = f"{slotted.last}+"
        return slotted.last

    client = make_client(app_that(note))
    client.get("/")
    assert (named.orders, slotted.orders, slotted.last) == (["tea"], ["rum"], "None+")
    slotted.last = "new"
    assert client.get("/").content == b"new+"


@pytest.mark.modes("fork")
def test_what_a_metaclass_makes_of_a_class_stays_apart(make_client: MakeClient) -> None:
    """As what a library keeps in its models: it is the variables of their methods that the test has made."""
    calls = 0

    class Meta(type): ...

    class Model(metaclass=Meta):
        fields: list[str] = []  # noqa: RUF012
        count = 0

        def save(self) -> None:
            nonlocal calls
            calls += 1
            Model.count += 1
            self.fields.append("name")

    make_client(app_that(lambda: Model().save())).get("/")
    assert (calls, Model.count, Model.fields) == (1, 0, [])


@pytest.mark.parametrize("module", [__name__, "a_library"])
def test_a_class_that_is_compared_by_its_metaclass(make_client: MakeClient, module: str) -> None:
    class Meta(type):
        def __eq__(cls, other: object) -> Any:
            return ["a condition of a query"]

        __hash__ = type.__hash__

    class Row(metaclass=Meta):
        def __init__(self) -> None:
            self.columns: list[int] = []

    Row.__module__ = module
    row = Row()
    make_client(app_that(lambda: row.columns.append(1))).get("/")
    assert row.columns == [1]


def test_slots_of_what_is_made_in_c_are_left_alone(make_client: MakeClient, capfd: pytest.CaptureFixture[str]) -> None:
    class Later(partial[None]):
        pass

    calls: list[int] = []
    later = Later(calls.append, 1)
    make_client(app_that(lambda: later())).get("/")
    assert calls == [1]
    assert capfd.readouterr().err == ""


def test_a_slot_that_hides_another(make_client: MakeClient) -> None:
    class Base:
        __slots__ = ("count",)

    class Derived(Base):
        __slots__ = ("count",)
        count: int

        def add(self) -> None:
            self.count += 1

    thing = Derived()
    thing.count = 1
    make_client(app_that(thing.add)).get("/")
    assert thing.count == 2


@dataclass(slots=True)
class Guest:
    name: str
    tags: list[str]
    kept: Any = None


def test_slots_of_a_dataclass(make_client: MakeClient) -> None:
    guest = Guest("ada", [])

    def meet() -> str:
        seen, guest.name = guest.name, "bob"
        guest.tags.append("tea")
        guest.kept = {"name": seen}
        return seen

    client = make_client(app_that(meet))
    assert client.get("/").text == "ada"
    assert guest == Guest("bob", ["tea"], {"name": "ada"})
    guest.name = "eve"
    assert client.get("/").text == "eve"
    assert guest.tags == ["tea", "tea"]


def test_a_slot_that_cannot_cross_keeps_what_it_is(make_client: MakeClient, cell: Cell) -> None:
    guest = Guest("ada", [])

    def rename() -> None:
        guest.name, guest.kept = "bob", iter(lambda: 0, 1)

    make_client(app_that(rename)).get("/")
    assert guest.name == "bob"
    assert (guest.kept is None) == cell.isolated
