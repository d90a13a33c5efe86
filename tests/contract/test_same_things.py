"""What both processes have is itself, whichever way it crosses: as an argument, in a patch, an exception, a state.

So what the app does with it afterwards the test sees in that, too. The objects are equal by what they hold: a copy of
one would pass for it until then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock, create_autospec

import pytest

from tests.conftest import Receive, Scope, Send

if TYPE_CHECKING:
    from pytest_mock import MockerFixture

    from tests.conftest import MakeClient

pytestmark = [pytest.mark.modes("thread", "fork"), pytest.mark.backends("asyncio")]

NOBODY = SimpleNamespace(user=None)


@dataclass
class User:
    name: str


@dataclass
class Holder:
    user: Any


@dataclass
class Event:
    """As one of an application would be: of no test's class, and not followed."""

    text: str


Event.__module__ = "shop.events"


@pytest.fixture
def user() -> User:
    return User("ada")


def app_of(act: Callable[[], object]) -> Any:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            act()
            await send({"type": "lifespan.shutdown.complete"})
            return
        text = str(act())
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": text.encode()})

    return app


# -- mocks


def test_arguments(make_client: MakeClient, user: User) -> None:
    function, items = Mock(), [1]

    def act() -> None:
        function(user, [user, items], key={"items": items})
        user.name = "bob"
        items.append(2)

    make_client(app_of(act)).get("/")
    (first, (second, third)), options = function.call_args
    assert first is second is user
    assert third is options["key"]["items"] is items
    assert (first, third) == (User("bob"), [1, 2])


def test_arguments_of_awaited_and_autospecced_ones(make_client: MakeClient, user: User) -> None:
    def save(who: User) -> None: ...

    function = create_autospec(save)

    def act() -> None:
        function(user)
        user.name = "bob"

    make_client(app_of(act)).get("/")
    function.assert_called_once_with(User("bob"))
    assert function.call_args.args[0] is user


def test_arguments_at_the_end_of_the_app(make_client: MakeClient, user: User) -> None:
    function = Mock()

    def act() -> None:
        function(user)
        user.name = "bob"

    with make_client(app_of(act)) as client:
        assert client.pid
    function.assert_called_once_with(User("bob"))
    assert function.call_args.args[0] is user


def test_what_a_spy_returns(make_client: MakeClient, mocker: MockerFixture, user: User) -> None:
    class Users:
        def get(self) -> User:
            return user

    users = Users()
    spy = mocker.spy(users, "get")

    def act() -> None:
        users.get().name = "bob"

    make_client(app_of(act)).get("/")
    assert spy.spy_return is user
    assert user.name == "bob"


def test_what_the_app_sets_on_a_mock(make_client: MakeClient, user: User) -> None:
    mock = Mock()

    def act() -> None:
        mock.current = user
        mock.get.return_value = user
        user.name = "bob"

    make_client(app_of(act)).get("/")
    assert mock.current is mock.get() is user
    assert user.name == "bob"


def test_what_the_test_sets_on_a_mock_later(make_client: MakeClient, user: User) -> None:
    mock = Mock()
    mock.get.return_value = User("of the beginning")

    def act() -> None:
        mock.get().name = "bob"

    client = make_client(app_of(act))
    client.get("/")
    assert user.name == "ada"
    mock.get.return_value = user
    client.get("/")
    assert user.name == "bob"


# -- what is patched and overridden


def test_what_is_patched_in_later(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, user: User) -> None:
    items: list[str] = []

    def act() -> None:
        if NOBODY.user is not None:
            who, what = NOBODY.user()
            who.name = "bob"
            what.append("tea")

    client = make_client(app_of(act))
    client.get("/")
    monkeypatch.setattr(NOBODY, "user", lambda: (user, items))
    client.get("/")
    assert (user, items) == (User("bob"), ["tea"])
    user.name = "eve"
    items.clear()
    client.get("/")
    assert (user, items) == (User("bob"), ["tea"])


def test_a_variable_that_an_override_counts_in(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0

    def act() -> int:
        return count if NOBODY.user is None else NOBODY.user()

    client = make_client(app_of(act))
    assert client.get("/").text == "0"

    def override() -> int:
        nonlocal count
        count += 1
        return count

    monkeypatch.setattr(NOBODY, "user", override)
    assert [client.get("/").text, client.get("/").text] == ["1", "2"]
    assert count == 2


def current_name() -> str:
    return "" if NOBODY.user is None else NOBODY.user().user.text


def test_what_leads_to_something_that_is_not_alike_crosses_as_it_is(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, event: Event
) -> None:
    """A copy has that as it is; what the app has itself would have it as it was."""
    holder = Holder(event)
    event.text = "begun"
    client = make_client(app_of(current_name))
    client.get("/")
    event.text = "changed"
    monkeypatch.setattr(NOBODY, "user", lambda: holder)
    assert client.get("/").text == "changed"


@pytest.fixture(scope="module")
def event() -> Event:
    """Of a wider scope: it stays apart."""
    return Event("")


def test_what_was_withheld_crosses_as_it_is(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the app had nothing to do with has not been told of all that has come into it."""
    days: list[date] = []
    client = make_client(app_of(lambda: "" if NOBODY.user is None else NOBODY.user()[0]))
    client.get("/")
    days.append(date(2024, 2, 29))
    client.get("/")
    monkeypatch.setattr(NOBODY, "user", lambda: days)
    assert client.get("/").text == "2024-02-29"


# -- what the app tells


@pytest.mark.parametrize("plain", [True, False], ids=["attributes", "arguments"])
def test_what_an_exception_refers_to(make_client: MakeClient, user: User, plain: bool) -> None:
    items: list[int] = []

    def act() -> None:
        error = LookupError("no such") if plain else LookupError(user, items)
        vars(error).update({"user": user, "items": items} if plain else {})
        try:
            raise error
        finally:
            user.name = "bob"
            items.append(1)

    with pytest.raises(LookupError) as raised:
        make_client(app_of(act)).get("/")
    told = vars(raised.value).values() if plain else raised.value.args
    assert [each is known for each, known in zip(told, (user, items), strict=True)] == [True, True]
    assert (user, items) == (User("bob"), [1])


def test_what_is_in_the_state(make_client: MakeClient, user: User) -> None:
    items: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            scope["state"].update(user=user, items=items)
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        scope["state"]["user"].name = "bob"
        scope["state"]["items"].append("tea")
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    with make_client(app) as client:
        client.get("/")
        state = client.app_state
        assert state["user"] is user
        assert state["items"] is items
    assert (user, items) == (User("bob"), ["tea"])


def test_what_a_template_got(make_client: MakeClient, user: User) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        info = {"template": "a", "context": {"user": user}}
        await send({"type": "http.response.debug", "info": info})
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})
        user.name = "bob"

    response: Any = make_client(app).get("/")
    assert response.context["user"] is user
