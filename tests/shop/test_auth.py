import logging
from collections.abc import Callable

import pytest
from bookshop.database import Database
from bookshop.dependencies import get_clock, get_current_user
from bookshop.main import app
from bookshop.models import User
from bookshop.security import check_password
from conftest import Customer

from isoclient import TestClient

NEW = {"email": "grace@example.org", "name": "Grace", "password": "long enough"}


def test_register_and_log_in(client: TestClient) -> None:
    response = client.post("/auth/register", json=NEW)
    assert response.status_code == 201
    assert response.json() == {"id": response.json()["id"], "email": NEW["email"], "name": "Grace", "is_admin": False}
    response = client.post("/auth/token", data={"username": NEW["email"], "password": NEW["password"]})
    assert response.status_code == 200
    token = response.json()["access_token"]
    me = client.get("/auth/me", headers={"authorization": f"Bearer {token}"})
    assert me.json()["name"] == "Grace"


def test_passwords_are_not_stored(client: TestClient, database: Database) -> None:
    user_id = client.post("/auth/register", json=NEW).json()["id"]
    with database.session() as session:
        user = session.get_one(User, user_id)
    assert NEW["password"] not in user.password
    assert check_password(NEW["password"], user.password)


def test_an_address_has_one_account(client: TestClient) -> None:
    client.post("/auth/register", json=NEW)
    response = client.post("/auth/register", json=NEW)
    assert response.status_code == 409
    assert response.json()["title"] == "grace@example.org has an account already"


@pytest.mark.parametrize(("field", "value"), [("email", "nobody"), ("name", ""), ("password", "short")])
def test_registration_is_checked(client: TestClient, field: str, value: str) -> None:
    response = client.post("/auth/register", json=NEW | {field: value})
    assert response.status_code == 422
    assert list(response.json()["fields"]) == [f"body.{field}"]


def test_a_wrong_password_is_refused_and_logged(
    client: TestClient, ada: Customer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="bookshop.auth"):
        response = client.post("/auth/token", data={"username": ada.email, "password": "guessed"})
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert ("bookshop.auth", logging.WARNING, "login of ada@example.org refused") in caplog.record_tuples


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer nonsense", "Basic YWRhOmFkYQ=="])
def test_without_a_token_nobody_is_let_in(client: TestClient, header: str | None) -> None:
    response = client.get("/auth/me", headers={"authorization": header} if header else {})
    assert response.status_code == 401
    assert response.json()["title"] == "bad token: it is not signed by this shop"


def test_a_token_expires(client_with: Callable[..., TestClient], ada: Customer) -> None:
    client = client_with({get_clock: lambda: lambda: 4e9 + 1})
    response = client.get("/auth/me", headers=ada.auth)
    assert (response.status_code, response.json()["title"]) == (401, "bad token: it has expired")


def test_the_token_of_a_removed_account_is_refused(client: TestClient, ada: Customer, database: Database) -> None:
    with database.session() as session:
        session.delete(session.get_one(User, ada.id))
        session.commit()
    assert client.get("/auth/me", headers=ada.auth).json()["title"] == "bad token: no such user"


def test_changing_the_password(client: TestClient, ada: Customer, password: str) -> None:
    new = {"old": password, "new": "battery staple"}
    assert client.put("/auth/me/password", json=new, headers=ada.auth).status_code == 204
    login = {"username": ada.email, "password": "battery staple"}
    assert client.post("/auth/token", data=login).status_code == 200
    assert client.put("/auth/me/password", json=new, headers=ada.auth).status_code == 403


def test_a_user_who_changes_while_the_shop_is_open(client_with: Callable[..., TestClient]) -> None:
    # Each request has a copy of the app as it is then; one that had been isolated as a whole would not see the second.
    client = client_with(isolated="request")
    for name in ("Ada", "Grace"):
        user = User(id=1, email="some@body.org", name=name, password="", is_admin=False)
        app.dependency_overrides[get_current_user] = lambda user=user: user
        assert client.get("/auth/me").json()["name"] == name


def test_an_overridden_user(client_with: Callable[..., TestClient]) -> None:
    somebody = User(id=5, email="some@body.org", name="Somebody", password="", is_admin=True)
    client = client_with({get_current_user: lambda: somebody})
    assert client.get("/auth/me").json() == {"id": 5, "email": "some@body.org", "name": "Somebody", "is_admin": True}
