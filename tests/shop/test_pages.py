from collections.abc import Callable

import pytest
from conftest import AddBook, Customer

from isoclient import TestClient


def test_the_catalogue(client: TestClient, add_book: AddBook) -> None:
    add_book("Emma", author="Jane Austen", cents=999)
    response = client.get("/")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "<li>Emma by Jane Austen: 9.99</li>" in response.text


def test_an_empty_catalogue(client: TestClient) -> None:
    response = client.get("/")
    assert "We are sold out" in response.text
    assert response.template.name == "catalogue.html"
    assert response.context["shop"] == "The Bookshop"


def test_titles_are_escaped(client: TestClient, add_book: AddBook) -> None:
    add_book("<script>")
    assert "&lt;script&gt;" in client.get("/").text


def test_logging_in_and_out(client: TestClient, ada: Customer, password: str) -> None:
    response = client.post("/login", data={"email": ada.email, "password": password})
    assert [step.status_code for step in response.history] == [303]
    assert "Hello, Ada." in response.text
    assert "token" in client.cookies
    assert client.get("/account").status_code == 200
    client.post("/logout")
    assert "token" not in client.cookies
    assert client.get("/account").status_code == 401


def test_a_failed_login(client: TestClient, ada: Customer) -> None:
    response = client.post("/login", data={"email": ada.email, "password": "guessed"})
    assert response.status_code == 401
    assert response.context["failed"] is True
    assert "token" not in client.cookies


def test_redirects_that_are_not_followed(client_with: Callable[..., TestClient], ada: Customer, password: str) -> None:
    client = client_with(follow_redirects=False)
    response = client.post("/login", data={"email": ada.email, "password": password})
    assert (response.status_code, response.headers["location"]) == (303, "/account")


def test_a_redirect_that_is_not_followed(client: TestClient, ada: Customer, password: str) -> None:
    response = client.post("/login", data={"email": ada.email, "password": password}, follow_redirects=False)
    assert (response.status_code, response.headers["location"]) == (303, "/account")


def test_the_name_of_the_shop(client_with: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOOKSHOP_SHOP_NAME", "Shakespeare & Company")
    assert "<h1>Shakespeare &amp; Company</h1>" in client_with().get("/").text
