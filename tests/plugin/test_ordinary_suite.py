"""An ordinary suite of a FastAPI app, as its users write it, passes with ``--isolated`` as it does without."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Suite = Callable[..., pytest.RunResult]

PAYMENTS = """def charge(amount, currency):
    raise RuntimeError("real money")

class Gateway:
    url = "https://pay.example"
    async def balance(self):
        raise RuntimeError("real money")
"""

SHOP = """import os
from fastapi import Depends, FastAPI, HTTPException
import payments

app = FastAPI()
app.state.banner = "welcome"
SETTINGS = {"currency": "EUR", "debug": False}
FREE_SHIPPING_FROM = 50

class Repo:
    def get(self, item):
        raise RuntimeError("no database in tests")

def get_repo():
    return Repo()

def current_user():
    raise HTTPException(401)

@app.get("/me")
def me(user=Depends(current_user)):
    return {"user": user}

@app.get("/items/{item}")
def item(item: str, repo=Depends(get_repo)):
    return repo.get(item)

@app.get("/region")
def region():
    return {"region": os.environ.get("SHOP_REGION", "none"), "key": os.environ.get("SHOP_KEY")}

@app.get("/settings")
def settings():
    return SETTINGS

@app.get("/shipping/{total}")
def shipping(total: int):
    return {"free": total >= FREE_SHIPPING_FROM}

@app.get("/banner")
def banner():
    return {"banner": app.state.banner}

@app.post("/pay/{amount}")
def pay(amount: int):
    return {"receipt": payments.charge(amount, SETTINGS["currency"])}

@app.get("/balance")
async def balance():
    return {"balance": await payments.Gateway().balance()}
"""

TESTS = """from unittest import mock
import pytest
CLIENT
import payments
import shop
from shop import app, current_user, get_repo


@pytest.fixture(scope="module")
def client():
    with TestClient(app) as client:
        yield client


@pytest.fixture
def as_ada():
    app.dependency_overrides[current_user] = lambda: "ada"
    yield
    app.dependency_overrides.clear()


def test_anonymous(client):
    assert client.get("/me").status_code == 401


def test_logged_in(client, as_ada):
    assert client.get("/me").json() == {"user": "ada"}


def test_anonymous_again(client):
    assert client.get("/me").status_code == 401


def test_overridden_with_a_class(client):
    class FakeRepo:
        def get(self, item):
            return {"item": item, "stock": 3}

    app.dependency_overrides[get_repo] = FakeRepo
    try:
        assert client.get("/items/tea").json() == {"item": "tea", "stock": 3}
    finally:
        app.dependency_overrides = {}


def test_setenv(client, monkeypatch):
    monkeypatch.setenv("SHOP_REGION", "eu")
    monkeypatch.setenv("SHOP_KEY", "secret")
    assert client.get("/region").json() == {"region": "eu", "key": "secret"}
    monkeypatch.delenv("SHOP_REGION")
    assert client.get("/region").json()["region"] == "none"


def test_env_is_clean(client):
    assert client.get("/region").json() == {"region": "none", "key": None}


def test_setitem(client, monkeypatch):
    monkeypatch.setitem(shop.SETTINGS, "debug", True)
    monkeypatch.delitem(shop.SETTINGS, "currency")
    assert client.get("/settings").json() == {"debug": True}


def test_settings_are_back(client):
    assert client.get("/settings").json() == {"currency": "EUR", "debug": False}


def test_setattr(client, monkeypatch):
    assert client.get("/shipping/49").json() == {"free": False}
    monkeypatch.setattr("shop.FREE_SHIPPING_FROM", 20)
    assert client.get("/shipping/49").json() == {"free": True}


def test_state(client):
    app.state.banner = "closed"
    assert client.get("/banner").json() == {"banner": "closed"}
    app.state.banner = "welcome"
    assert client.get("/banner").json() == {"banner": "welcome"}


def test_patched_with_a_function(client):
    with mock.patch("payments.charge", lambda amount, currency: f"{amount} {currency}"):
        assert client.post("/pay/5").json() == {"receipt": "5 EUR"}
    with pytest.raises(RuntimeError, match="real money"):
        client.post("/pay/5")


@mock.patch("payments.charge", return_value="paid")
def test_patched_with_a_mock(charge, client):
    assert client.post("/pay/7").json() == {"receipt": "paid"}
    charge.assert_called_once_with(7, "EUR")


@mock.patch.dict(shop.SETTINGS, {"currency": "USD"})
@mock.patch("payments.charge")
def test_patched_dict(charge, client):
    charge.side_effect = lambda amount, currency: currency
    assert client.post("/pay/7").json() == {"receipt": "USD"}
    assert charge.call_count == 1


def test_async_mock(client):
    with mock.patch.object(payments.Gateway, "balance", autospec=True) as balance:
        balance.return_value = 12
        assert client.get("/balance").json() == {"balance": 12}
    balance.assert_awaited_once()


def test_not_called(client):
    with mock.patch("payments.charge") as charge:
        client.get("/settings")
    charge.assert_not_called()


def test_declined(client, as_ada, monkeypatch):
    class Declined(Exception):
        pass

    def declined(amount, currency):
        raise Declined(amount)

    monkeypatch.setattr(payments, "charge", declined)
    with pytest.raises(Declined):
        client.post("/pay/3")
"""

CLIENTS = {
    "isoclient": "from isoclient import TestClient",
    "starlette": "from fastapi.testclient import TestClient",
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--isolated",),
        pytest.param(("--isolated=client",), marks=pytest.mark.rest),
        pytest.param(("--isolated", "-n2"), marks=pytest.mark.rest),  # test_xdist.py and test_reports.py have workers
        pytest.param(("--isolated", "-prandomly", "--randomly-seed=2"), marks=pytest.mark.rest),
        pytest.param(("--isolated", "--isolated-start-method=forkserver"), marks=pytest.mark.rest),
    ],
)
def test_every_test_passes(suite: Suite, pytester: pytest.Pytester, client: str, options: tuple[str, ...]) -> None:
    pytester.makepyfile(payments=PAYMENTS, shop=SHOP)
    result = suite(TESTS.replace("CLIENT", CLIENTS[client]), "-Wignore::DeprecationWarning", *options)
    result.assert_outcomes(passed=16)
