"""What the test changes when the app runs already is so in the app before it is asked for anything; and is undone."""

from __future__ import annotations

import functools
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest

from isoclient import IsolationWarning
from tests.conftest import MakeClient, Receive, Scope, Send

pytestmark = pytest.mark.backends("asyncio")

HERE = sys.modules[__name__]


def price(item: str) -> str:
    return f"{item} costs 5"


class Gateway:
    url = "https://pay.example"

    def charge(self, amount: int) -> str:
        return f"charged {amount} at {self.url}"

    @staticmethod
    def currency() -> str:
        return "EUR"


def current_user() -> str:
    return "nobody"


SETTINGS: dict[str, Any] = {"debug": False}
gateway = Gateway()
spare_gateway = Gateway()
LIMIT: int | None = 3


class Router:
    def __init__(self) -> None:
        self.dependency_overrides: dict[Any, Any] = {}
        self.routes: list[str] = ["/price"]


class App:
    """An app with the attributes that tests change."""

    def __init__(self) -> None:
        self.dependency_overrides: dict[Any, Any] = {}
        self.router = Router()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": repr(LOOKS[scope["path"]](self)).encode()})


app = App()

LOOKS: dict[str, Callable[[App], object]] = {
    "/price": lambda app: price("tea"),
    "/charge": lambda app: gateway.charge(4),
    "/currency": lambda app: gateway.currency(),
    "/settings": lambda app: SETTINGS,
    "/spare": lambda app: gateway is spare_gateway,
    "/limit": lambda app: globals().get("LIMIT", "gone"),
    "/user": lambda app: app.dependency_overrides.get(current_user, current_user)(),
    "/user-of-router": lambda app: app.router.dependency_overrides.get(current_user, current_user)(),
    "/routes": lambda app: app.router.routes,
    "/env": lambda app: os.environ.get("TEA"),
    "/cwd": lambda app: os.getcwd(),
    "/path": lambda app: "/shelf" in sys.path,
}

Get = Callable[[str], Any]


@pytest.fixture
def get(make_client: MakeClient) -> Get:
    """What the app finds; it runs already."""
    client = make_client(app)
    found = client.get

    def get(path: str) -> Any:
        return eval(found(path).text)  # a repr() of plain values

    assert get("/limit") == 3
    return get


@pytest.mark.modes("fork", "forkserver", "spawn", "thread")
class TestMonkeypatch:
    def test_attributes(self, get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(HERE, "price", lambda item: f"{item} is free")
            patch.setattr(f"{__name__}.LIMIT", None)
            assert (get("/price"), get("/limit")) == ("tea is free", None)
            patch.delattr(HERE, "LIMIT")
            assert get("/limit") == "gone"
        assert (get("/price"), get("/limit")) == ("tea costs 5", 3)

    @pytest.mark.rest("forkserver", "spawn")
    def test_what_calls_the_original(self, get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
        original = price

        @functools.wraps(original)
        def twice(item: str) -> str:
            return original(item) * 2

        monkeypatch.setattr(HERE, "price", twice)
        assert get("/price") == "tea costs 5" * 2
        monkeypatch.setattr(HERE, "price", original)
        assert get("/price") == "tea costs 5"

    @pytest.mark.rest("forkserver", "spawn")
    def test_attributes_of_classes_and_objects(self, get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Gateway, "url", "nowhere")
        monkeypatch.setattr(Gateway, "currency", staticmethod(lambda: "USD"))
        assert (get("/charge"), get("/currency")) == ("charged 4 at nowhere", "USD")
        with monkeypatch.context() as patch:
            patch.setattr(gateway, "charge", lambda amount: f"{amount} for free")
            assert get("/charge") == "4 for free"
        assert get("/charge") == "charged 4 at nowhere"
        monkeypatch.undo()
        assert (get("/charge"), get("/currency")) == ("charged 4 at https://pay.example", "EUR")

    @pytest.mark.rest("forkserver", "spawn")
    def test_items(self, get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(SETTINGS, "region", "eu")
        monkeypatch.setitem(SETTINGS, "debug", True)
        assert get("/settings") == {"debug": True, "region": "eu"}
        monkeypatch.delitem(SETTINGS, "debug")
        assert get("/settings") == {"region": "eu"}
        monkeypatch.undo()
        assert get("/settings") == {"debug": False}

    @pytest.mark.rest("forkserver", "spawn")
    def test_the_surroundings(
        self, get: Get, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = os.getcwd()
        monkeypatch.setenv("TEA", "green")
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend("/shelf")
        assert (get("/env"), get("/cwd"), get("/path")) == ("green", str(tmp_path), True)
        monkeypatch.delenv("TEA")
        assert get("/env") is None
        monkeypatch.undo()
        assert (get("/env"), get("/cwd"), get("/path")) == (None, before, False)
        os.environ["TEA"] = "black"
        try:
            assert get("/env") == "black"
        finally:
            del os.environ["TEA"]
        assert get("/env") is None


@pytest.mark.modes("fork", "forkserver", "spawn", "thread")
class TestMock:
    def test_every_form(self, get: Get) -> None:
        def free(item: str) -> str:
            return f"{item} is free"

        with mock.patch(f"{__name__}.price", free):
            assert get("/price") == "tea is free"
            with mock.patch.object(HERE, "price", "sold out".format):
                assert get("/price") == "sold out"
            assert get("/price") == "tea is free"
        assert get("/price") == "tea costs 5"

        with mock.patch.multiple(HERE, price=free, LIMIT=7):
            assert (get("/price"), get("/limit")) == ("tea is free", 7)
        assert (get("/price"), get("/limit")) == ("tea costs 5", 3)

        patcher = mock.patch(f"{__name__}.LIMIT", 8)
        patcher.start()
        assert get("/limit") == 8
        patcher.stop()
        assert get("/limit") == 3

        @mock.patch.object(Gateway, "url", "elsewhere")
        def decorated() -> None:
            assert get("/charge") == "charged 4 at elsewhere"

        decorated()
        assert get("/charge") == "charged 4 at https://pay.example"

    @pytest.mark.rest("forkserver", "spawn")
    def test_dicts(self, get: Get) -> None:
        with mock.patch.dict(SETTINGS, {"region": "eu"}, clear=True):
            assert get("/settings") == {"region": "eu"}
            SETTINGS["by hand"] = 1
            assert get("/settings") == {"region": "eu", "by hand": 1}
        assert get("/settings") == {"debug": False}
        with mock.patch.dict(f"{__name__}.SETTINGS", debug=True), mock.patch.dict(os.environ, {"TEA": "white"}):
            assert (get("/settings"), get("/env")) == ({"debug": True}, "white")
        assert (get("/settings"), get("/env")) == ({"debug": False}, None)

    @pytest.mark.rest("forkserver", "spawn")
    def test_they_end_in_any_order(self, get: Get) -> None:
        first, second = mock.patch.object(HERE, "LIMIT", 1), mock.patch.object(HERE, "LIMIT", 2)
        first.start()
        second.start()
        assert get("/limit") == 2
        first.stop()
        assert get("/limit") == 3
        second.stop()
        assert get("/limit") == 1
        globals()["LIMIT"] = 3


@pytest.mark.rest("forkserver", "spawn")
@pytest.mark.modes("fork", "forkserver", "spawn", "thread")
def test_one_place_that_is_changed_in_two_ways(get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SETTINGS, "debug", 1)
    with mock.patch.dict(SETTINGS, debug=2):
        assert get("/settings") == {"debug": 2}
    assert get("/settings") == {"debug": 1}
    monkeypatch.undo()
    assert get("/settings") == {"debug": False}


@pytest.mark.rest("forkserver", "spawn")
@pytest.mark.modes("fork", "forkserver", "spawn", "thread")
def test_overrides_by_hand(get: Get) -> None:
    app.dependency_overrides[current_user] = lambda: "ada"
    assert get("/user") == "ada"
    app.dependency_overrides = {}
    assert get("/user") == "nobody"
    app.dependency_overrides = {current_user: lambda: "bob"}
    assert get("/user") == "bob"
    app.dependency_overrides.clear()
    assert get("/user") == "nobody"


@pytest.mark.modes("fork", "forkserver", "thread")
def test_overrides_of_a_router(get: Get) -> None:
    app.router.dependency_overrides[current_user] = lambda: "ada"
    assert get("/user-of-router") == "ada"
    app.router.dependency_overrides.clear()
    assert get("/user-of-router") == "nobody"


@pytest.mark.modes("fork", "forkserver", "spawn", "thread")
def test_an_object_that_both_have_is_itself(get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HERE, "gateway", spare_gateway)
    assert get("/spare") is True
    monkeypatch.undo()
    assert get("/spare") is False


@pytest.mark.modes("fork", "forkserver", "spawn", "thread")
def test_what_was_changed_before_the_start_is_undone_there_too(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_client(app)
    with monkeypatch.context() as patch, mock.patch.dict(SETTINGS, {"region": "eu"}):
        patch.setattr(HERE, "price", lambda item: f"{item} is free")
        app.dependency_overrides[current_user] = lambda: "ada"
        assert client.get("/price").text == "'tea is free'"
        assert client.get("/settings").text == "{'debug': False, 'region': 'eu'}"
        assert client.get("/user").text == "'ada'"
    app.dependency_overrides.clear()
    assert client.get("/price").text == "'tea costs 5'"
    assert client.get("/settings").text == "{'debug': False}"
    assert client.get("/user").text == "'nobody'"


@pytest.mark.rest("forkserver", "spawn")
@pytest.mark.modes("fork", "forkserver", "spawn")
def test_an_exception_of_a_class_that_has_crossed(get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    class SoldOut(Exception):
        pass

    def sold_out(item: str) -> str:
        raise SoldOut(item)

    monkeypatch.setattr(HERE, "price", sold_out)
    for _ in range(2):
        with pytest.raises(SoldOut):
            get("/price")


@pytest.mark.modes("fork", "thread")
def test_a_key_that_only_the_app_has(make_client: MakeClient) -> None:
    """As a dependency that a fixture defines along with the app."""

    def user() -> str:
        return "nobody"

    class Local(App):
        def __init__(self) -> None:
            super().__init__()
            self.routes = [{"depends": (user,)}]

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            known = self.routes[0]["depends"][0]
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": self.dependency_overrides.get(known, known)().encode()})

    app = Local()
    client = make_client(app)
    assert client.get("/").text == "nobody"
    app.dependency_overrides[user] = lambda: "ada"
    assert client.get("/").text == "ada"
    del app.dependency_overrides[user]
    assert client.get("/").text == "nobody"


@pytest.mark.modes("fork", "forkserver", "spawn")
class TestWhatIsTold:
    @pytest.mark.rest("forkserver", "spawn")
    def test_a_value_that_can_not_cross(self, get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
        import threading

        lock = threading.Lock()
        monkeypatch.setattr(HERE, "price", lambda item: f"{item} {lock}")
        line = sys._getframe().f_lineno - 1
        with pytest.warns(IsolationWarning, match=rf"monkeypatch of .*\.price \(test_changes.py:{line}\)") as told:
            assert get("/price") == "tea costs 5"
        assert "closure variable 'lock': cannot pickle '_thread.lock' object" in str(told[0].message)
        assert (told[0].filename, told[0].lineno) == (__file__, line)
        assert get("/price") == "tea costs 5"
        monkeypatch.undo()
        assert get("/price") == "tea costs 5"

    @pytest.mark.rest("forkserver", "spawn")
    def test_the_rest_is_carried_over(self, get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
        import threading

        monkeypatch.setattr(HERE, "LIMIT", 9)
        monkeypatch.setattr(HERE, "price", threading.Lock())
        with pytest.warns(IsolationWarning, match="price"):
            assert get("/limit") == 9

    def test_what_nobody_finds(self, get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
        class Shelf:
            tea = "green"

        shelf = Shelf()
        monkeypatch.setattr(shelf, "tea", "black")
        with pytest.warns(IsolationWarning, match="not to be found from a module or the app"):
            get("/limit")

    def test_routes(self, get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
        app.router.routes.append("/late")
        with pytest.warns(IsolationWarning, match=r"a change of the app's routes \(test_changes.py:\d+\) is not seen"):
            assert get("/routes") == ["/price"]
        assert get("/routes") == ["/price"]  # it is told once
        app.router.routes.remove("/late")
        assert get("/routes") == ["/price"]  # and not that it is as it was
        monkeypatch.setattr(app.router, "routes", ["/other"])
        assert get("/routes") == ["/other"]

    @pytest.mark.rest("forkserver", "spawn")
    def test_it_can_be_an_error(self, get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
        import threading

        monkeypatch.setattr(HERE, "price", threading.Lock())
        monkeypatch.setattr(HERE, "LIMIT", 9)
        with warnings.catch_warnings():
            warnings.simplefilter("error", IsolationWarning)
            with pytest.raises(IsolationWarning):
                get("/limit")
        assert get("/limit") == 9


@pytest.mark.rest("forkserver", "spawn")
@pytest.mark.modes("fork", "forkserver", "spawn")
def test_it_is_told_where_it_is_another_there(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def make_other() -> None:
        HERE.gateway = 7  # type: ignore[attr-defined]

    client = make_client(app)
    client.call(make_other)
    monkeypatch.setattr(gateway, "url", "here")
    with pytest.warns(IsolationWarning, match=r"gateway is of another kind there: int, and not Gateway"):
        client.get("/limit")


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    app.dependency_overrides = {}


def test_threads_send_at_once_only_what_is_told(make_client: MakeClient) -> None:
    """Whichever thread is first to tell of a change: the others wait until it is told."""
    from concurrent.futures import ThreadPoolExecutor

    client = make_client(app)
    client.get("/limit")

    def ask(_: int) -> object:
        return client.call(lambda: LIMIT)

    with ThreadPoolExecutor(8) as pool:
        for number in range(20):
            with mock.patch.object(HERE, "LIMIT", number):
                assert set(pool.map(ask, range(8))) == {number}
