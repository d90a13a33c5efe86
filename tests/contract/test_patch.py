"""``client.patched("package.module.attribute", ...)``: a patch in the app's process; and HTTP's PATCH beside it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import ANY, call

import pytest

from isoclient import AppCrashed, ObjectNotSendable, StandIn, TestClient

if TYPE_CHECKING:
    from tests.conftest import Cell, MakeClient, Receive, Scope, Send

PAYMENTS = """
LIMIT = 100

def charge(amount, currency="EUR", **options):
    return f"charged {amount} {currency}"

async def charge_later(amount):
    return f"charged {amount} later"

class Gateway:
    fee = 1

    def __init__(self, name="live"):
        self.name = name

    def pay(self, amount):
        return f"{self.name} paid {amount + self.fee}"

    @staticmethod
    def ping():
        return "pong"
"""
SHOP = """
import threading
import patched_payments as payments

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise NotImplementedError
    match scope["path"]:
        case "/charge":
            text = payments.charge(5, currency="USD")
        case "/later":
            text = await payments.charge_later(7)
        case "/lock":
            text = payments.charge(threading.Lock(), note=[1, threading.Lock()])
        case "/pay":
            text = payments.Gateway().pay(3) + payments.Gateway.ping()
        case "/limit":
            text = payments.LIMIT
        case "/method":
            text = scope["method"] + str((await receive()).get("body"))
        case "/crash":
            raise SystemExit(1)
        case path:
            text = scope["method"] + str((await receive()).get("body")) + " " + path
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": str(text).encode()})
"""


@pytest.fixture
def client(make_client: MakeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    (tmp_path / "patched_payments.py").write_text(PAYMENTS)
    (tmp_path / "patched_shop.py").write_text(SHOP)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield make_client("patched_shop:app")
    for name in ("patched_payments", "patched_shop"):
        sys.modules.pop(name, None)


CHARGE = "patched_payments.charge"


def test_a_replacement(client: TestClient) -> None:
    rate = 2
    with client.patched(CHARGE, lambda amount, currency: f"{amount * rate} {currency}") as charge:
        assert not charge.called
        charge.assert_not_called()
        assert client.get("/charge").text == "10 USD"
        assert charge.calls == [call(5, currency="USD")]
        client.get("/charge")
        assert charge.call_count == 2
    assert client.get("/charge").text == "charged 5 USD"
    assert charge.calls == [call(5, currency="USD")] * 2
    assert charge.call_args == call(5, currency="USD")
    charge.assert_called_with(5, currency="USD")
    with pytest.raises(AssertionError, match=r"Expected '.*charge' to be called once\. Called 2 times"):
        charge.assert_called_once_with(5, currency="USD")
    with pytest.raises(AssertionError, match="Expected"):
        charge.assert_not_called()


def test_mocks(client: TestClient) -> None:
    with client.patched(CHARGE, return_value="nothing") as charge:
        assert client.get("/charge").text == "nothing"
    charge.assert_called_once_with(5, currency=ANY)
    charge.assert_called_once()
    charge.assert_any_call(5, currency="USD")
    charge.assert_has_calls([call(5, currency="USD")])
    with client.patched(CHARGE, side_effect=["first", LookupError("no more")]) as charge:
        assert client.get("/charge").text == "first"
        with pytest.raises(LookupError, match="no more"):
            client.get("/charge")
    assert charge.call_count == 2
    with client.patched(CHARGE) as charge:
        assert client.get("/charge").text.startswith("<MagicMock name='charge()'")
    charge.assert_called()
    with client.patched(CHARGE, autospec=True, return_value="as specified"):
        assert client.get("/charge").text == "as specified"


def test_what_is_awaited(client: TestClient) -> None:
    async def later(amount: int) -> str:
        return f"{amount} at last"

    with client.patched("patched_payments.charge_later", later) as charge:
        assert client.get("/later").text == "7 at last"
    charge.assert_called_once_with(7)
    with client.patched("patched_payments.charge_later", return_value="mocked") as charge:
        assert client.get("/later").text == "mocked"
    charge.assert_called_once_with(7)
    assert client.get("/later").text == "charged 7 later"


def test_attributes_of_classes_and_values(client: TestClient) -> None:
    with client.patched("patched_payments.Gateway.pay", lambda self, amount: f"{self.name} kept {amount} ") as pay:
        assert client.get("/pay").text == "live kept 3 pong"
    assert pay.calls[0].args[1] == 3
    with client.patched("patched_payments.Gateway.ping", return_value="?"):
        assert client.get("/pay").text == "live paid 4?"
    assert client.get("/pay").text == "live paid 4pong"
    with client.patched("patched_payments.LIMIT", 7) as limit:
        assert client.get("/limit").text == "7"
        with pytest.raises(TypeError, match=r"LIMIT was replaced by 7, whose calls are not recorded"):
            limit.calls  # noqa: B018
    assert client.get("/limit").text == "100"
    with client.patched("patched_payments.LIMIT", new=8), client.patched("patched_payments.LIMIT", 9):
        assert client.get("/limit").text == "9"
    assert client.get("/limit").text == "100"


def test_arguments_that_cannot_cross(client: TestClient, cell: Cell) -> None:
    with client.patched(CHARGE, return_value="locked") as charge:
        client.get("/lock")
        lock, note = charge.calls[0].args[0], charge.calls[0].kwargs["note"]
    assert isinstance(lock, StandIn if cell.isolated else type(threading.Lock()))
    assert repr(lock).startswith("<unlocked _thread.lock")
    assert note[0] == 1
    if cell.isolated:
        with pytest.raises(ObjectNotSendable, match="lock"), client.patched(CHARGE, return_value=threading.Lock()):
            pass
    assert client.get("/charge").text == "charged 5 USD"


def test_it_is_undone_when_the_block_fails(client: TestClient) -> None:
    with suppress(ZeroDivisionError), client.patched(CHARGE, return_value="patched") as charge:
        client.get("/charge")
        1 / 0  # noqa: B018
    assert charge.called
    assert client.get("/charge").text == "charged 5 USD"


def test_a_copy_that_starts_meanwhile_is_patched_too(client: TestClient) -> None:
    with client.patched(CHARGE, return_value="patched") as charge:
        assert client.get("/charge").text == "patched"
        client.restart()
        assert client.get("/charge").text == "patched"
        client.close()
        assert charge.call_count == 2
        assert client.get("/charge").text == "patched"
        with pytest.raises(AppCrashed):
            client.get("/crash")
        assert client.get("/charge").text == "patched"
    assert client.get("/charge").text == "charged 5 USD"
    assert charge.called


def crash_and_fail(client: TestClient) -> None:
    with client.patched(CHARGE, return_value="patched"):
        with pytest.raises(AppCrashed):
            client.get("/crash")
        raise LookupError("the test's")


def kill_and_fail(client: TestClient) -> None:
    with client.patched(CHARGE, return_value="patched"):
        os.kill(client.pid, signal.SIGKILL)
        raise LookupError("the test's")


def test_leaving_after_the_end_of_the_app(client: TestClient) -> None:
    with client.patched(CHARGE, return_value="patched"), pytest.raises(AppCrashed):
        client.get("/crash")
    with client.patched(CHARGE, return_value="patched"):
        client.get("/charge")
        client.close()
    with pytest.raises(LookupError, match=r"^the test's$"):
        crash_and_fail(client)
    assert client.get("/charge").text == "charged 5 USD"


@pytest.mark.modes("fork", "forkserver")
@pytest.mark.backends("asyncio")
def test_an_app_that_died_unseen(client: TestClient) -> None:
    with pytest.raises(LookupError, match=r"^the test's\n.*undoing the patch of patched_payments.charge failed too"):
        kill_and_fail(client)
    assert client.get("/charge").text == "charged 5 USD"


def test_it_can_be_entered_again(client: TestClient) -> None:
    patch = client.patched(CHARGE, return_value="patched")
    assert "not in force" in repr(patch)
    with patch:
        assert client.get("/charge").text == "patched"
        with pytest.raises(RuntimeError, match="in force already"), patch:
            pass
    with patch:
        assert client.get("/charge").text == "patched"
    assert patch.call_count == 2


def test_a_target_that_there_is_not(client: TestClient) -> None:
    with pytest.raises(ModuleNotFoundError, match="nowhere"), client.patched("nowhere.json", {"a": 1}):
        pass
    with pytest.raises(AttributeError, match="nothing"), client.patched("patched_payments.nothing", {"a": 1}):
        pass
    assert client.get("/charge").text == "charged 5 USD"


def test_what_does_not_go_together() -> None:
    client = TestClient("nowhere:app")
    with pytest.raises(TypeError, match="takes one replacement, not 2"):
        client.patched("a.b", 1, 2)
    with pytest.raises(TypeError, match="two replacements"):
        client.patched("a.b", 1, new=2)
    for name in ("/cart", "items", "http://testserver/items.json", "a..b", ""):
        with pytest.raises(TypeError, match=r"write \"package\.module\.attribute\".* HTTP PATCH is client\.patch\(\)"):
            client.patched(name, return_value=1)


@pytest.mark.modes("thread")
@pytest.mark.backends("asyncio")
def test_http_patch_is_a_request_as_any_other(client: TestClient) -> None:
    assert client.patch("/method").text == "PATCHb''"
    assert client.patch("/method", "body").text == "PATCHb'body'"
    assert client.patch("/method", data="body").text == "PATCHb'body'"
    assert client.patch("method", {"a": 1}).text == "PATCHb'a=1'"
    assert client.patch(url="/method", content=b"body").text == "PATCHb'body'"
    assert client.patch("http://testserver/method", json=[1]).text == "PATCHb'[1]'"
    assert client.patch("patched_payments.charge").text == "PATCHb'' /patched_payments.charge"
    assert client.patch("items.json", "body").text == "PATCHb'body' /items.json"


@pytest.mark.parametrize(
    ("args", "options", "what"),
    [
        (("shop.charge",), {"return_value": 1}, "return_value="),
        (("/cart",), {"side_effect": LookupError, "json": 1}, "side_effect="),
        (("shop.charge", lambda: None), {}, "function as its body"),
        (("shop.LIMIT", 7), {}, "int as its body"),
    ],
)
def test_patch_says_that_it_is_http(args: tuple[Any, ...], options: dict[str, Any], what: str) -> None:
    client = TestClient("nowhere:app")
    with pytest.raises(TypeError, match=rf"takes no {what}; .*client\.patched\('{args[0]}', \.\.\.\)"):
        client.patch(*args, **options)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_with_a_copy_for_each_request(backend: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": os.getcwd().encode()})

    with TestClient(app, isolated="request", backend=backend, timeout=30) as client:
        with client.patched("os.getcwd", return_value="/elsewhere") as getcwd:
            assert client.get("/").text == "/elsewhere"
            assert client.get("/").text == "/elsewhere"
            assert getcwd.call_count == 2
            with client.get("/", stream=True) as response:
                assert getcwd.call_count == 3
            assert response.status_code == 200
        assert getcwd.call_count == 3
        assert client.get("/").text == os.getcwd()
        with pytest.raises(AttributeError, match="nothing"), client.patched("os.nothing", 1):
            pass
        assert client.get("/").text == os.getcwd()
