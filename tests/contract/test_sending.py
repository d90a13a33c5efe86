"""Apps that are given as objects, on their way to a fresh interpreter."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from isoclient import AppStartupError, IsolationWarning, ObjectNotLoadable, ObjectNotSendable

if TYPE_CHECKING:
    from tests.conftest import MakeClient, Receive, Scope, Send

pytestmark = [pytest.mark.modes("forkserver", "spawn"), pytest.mark.backends("asyncio")]

SOURCE = """
import threading

imported = True
lock = threading.Lock()


class App:
    def __init__(self, **parts):
        self.greeting = "hello"
        self.parts = parts

    async def __call__(self, scope, receive, send):
        text = self.parts["dependency"]() if "dependency" in self.parts else self.greeting
        same = "the module's" if globals().get("app") is self else "a copy"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": f"{text}, {same}".encode()})


def from_the_module():
    return "from the module"
"""

Import = Callable[[str], Any]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Import:
    """Makes the module that has the app: the source above, with more below it."""

    def make(more: str) -> Any:
        (tmp_path / "shop_to_send.py").write_text(SOURCE + more)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "shop_to_send", raising=False)
        return import_module("shop_to_send")

    return make


def from_the_test() -> str:
    return "from the test"


def test_an_app_that_can_be_sent_has_its_state_and_is_the_one_of_its_module(
    make_client: MakeClient, shop: Import
) -> None:
    module = shop("app = App()")
    module.app.greeting = "changed"
    module.app.parts["dependency"] = lambda: "from a lambda"

    client = make_client(module.app)

    assert client.get("/").text == "from a lambda, the module's"
    assert client.call(lambda: module.app.greeting) == "changed"
    assert client.call(lambda: sys.modules["shop_to_send"].app.greeting) == "changed"


def test_an_app_that_only_its_module_can_make_is_imported_there(make_client: MakeClient, shop: Import) -> None:
    module = shop("app = App(guard=threading.Lock())")

    client = make_client(module.app)

    assert client.get("/").text == "hello, the module's"
    assert client.call(lambda: module.app.greeting) == "hello"


def test_a_part_that_only_its_module_can_make_is_imported_there(make_client: MakeClient, shop: Import) -> None:
    module = shop("app = None")

    client = make_client(module.App(guard=module.lock, dependency=lambda: "sent"))

    assert client.get("/").text == "sent, a copy"
    assert client.call(lambda app: app.parts["guard"] is sys.modules["shop_to_send"].lock, client.app)


def test_an_argument_that_only_its_module_can_make_means_the_one_over_there(
    make_client: MakeClient, shop: Import
) -> None:
    module = shop("app = App()")

    client = make_client(module.app)

    assert client.call(lambda given: given is sys.modules["shop_to_send"].lock, module.lock)
    with pytest.raises(ObjectNotSendable, match="lock"):
        client.call(lambda: sys.modules["shop_to_send"].lock)  # the test's own would pass for it


@pytest.mark.parametrize("double", [from_the_test, lambda: "a test's", mock.Mock()], ids=["function", "lambda", "mock"])
def test_what_a_test_has_put_into_an_app_is_not_lost_in_silence(
    make_client: MakeClient, shop: Import, double: object
) -> None:
    module = shop("app = App(guard=threading.Lock())")
    module.app.parts["dependency"] = double

    with pytest.raises(ObjectNotSendable, match=r"lock.*shop_to_send:app could be imported, but without") as caught:
        make_client(module.app).get("/")
    assert 'TestClient("shop_to_send:app")' in caught.value.__notes__[0]


def test_a_module_that_a_fresh_interpreter_would_not_find(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_hand: Any = ModuleType("made_by_hand")
    monkeypatch.setitem(sys.modules, "made_by_hand", by_hand)
    by_hand.app = make_plain_app(guard=threading.Lock())

    with pytest.raises(
        ObjectNotSendable, match=r"lock.*have 'made_by_hand:app' where a fresh interpreter can import it"
    ):
        make_client(by_hand.app).get("/")
    by_hand.app = make_plain_app()
    with pytest.warns(IsolationWarning, match=r"sys\.modules\['made_by_hand'\].*is not seen by the app"):
        assert make_client(by_hand.app).get("/").text == "plain"  # which needs no module


def make_plain_app(**parts: object) -> Any:
    class App:
        def __init__(self) -> None:
            self.parts = parts

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"plain"})

    return App()


def test_a_module_that_has_no_such_app_there(
    make_client: MakeClient, shop: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = shop("")
    module.app = module.App()
    assert make_client(module.app).get("/").text == "hello, a copy"
    module.app = module.App(guard=threading.Lock())

    with pytest.raises(AppStartupError, match="has no attribute 'app'"):
        make_client(module.app).get("/")


def test_a_module_that_is_given_such_an_app_there(
    make_client: MakeClient, shop: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = shop("")
    monkeypatch.setattr(module, "app", module.App(), raising=False)

    assert make_client(module.app).get("/").text == "hello, the module's"


# -- what is said of those that can't be sent


class LoadsBadly:
    def __init__(self, how: str) -> None:
        self.how = how

    def __setstate__(self, state: Any) -> None:
        if state["how"] == "recursion":
            self.__setstate__(state)
        raise LookupError("no configuration")


@pytest.mark.parametrize("how", ["recursion", "lookup"])
def test_an_app_that_cannot_be_rebuilt_is_told_of_briefly_and_with_advice(make_client: MakeClient, how: str) -> None:
    with pytest.raises(AppStartupError) as caught:
        make_client(make_plain_app(bad=LoadsBadly(how))).get("/")

    cause = caught.value.__cause__
    assert isinstance(cause, ObjectNotLoadable)
    assert any('start_method="fork"' in note for note in cause.__notes__)
    text = "".join(traceback.format_exception(cause))
    assert len(text.splitlines()) < 40
    assert "in __setstate__" in text
    assert "pickle.py" not in text
    assert "isoclient/" not in text


@pytest.mark.parametrize("part", [threading.Lock(), LoadsBadly], ids=["lock", "recursion"])
def test_an_app_that_cannot_be_sent_is_told_of_briefly_and_with_advice(make_client: MakeClient, part: object) -> None:
    class Endless:
        def __reduce__(self) -> Any:
            return self.__reduce__()

    with pytest.raises(ObjectNotSendable) as caught:
        make_client(make_plain_app(bad=Endless() if isinstance(part, type) else part)).get("/")

    assert 'TestClient("package.module:app")' in caught.value.__notes__[0]  # and not the name of its class
    text = "".join(traceback.format_exception(caught.value))
    assert len(text.splitlines()) < 40
    assert "pickle.py" not in text
