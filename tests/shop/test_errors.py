import re
from collections.abc import Callable

import pytest
from conftest import Customer

from isoclient import TestClient


def test_each_request_has_an_id(client: TestClient) -> None:
    first, second = (client.get("/books").headers["x-request-id"] for _ in range(2))
    assert re.fullmatch("[0-9a-f]{32}", first)
    assert first != second


def test_the_client_may_choose_the_id(client: TestClient) -> None:
    assert client.get("/books", headers={"x-request-id": "order-66"}).headers["x-request-id"] == "order-66"
    assert client.get("/books", headers={"x-request-id": "no way!"}).headers["x-request-id"] != "no way!"


def test_errors_tell_the_id(client: TestClient) -> None:
    response = client.get("/nowhere", headers={"x-request-id": "lost-1"})
    assert (response.status_code, response.json()) == (404, {"title": "Not Found", "request_id": "lost-1"})


def test_a_method_that_is_not_allowed(client: TestClient) -> None:
    response = client.put("/books")
    assert (response.status_code, response.headers["allow"]) == (405, "GET")


def test_each_request_is_timed(client: TestClient) -> None:
    assert re.fullmatch(r"app;dur=\d+\.\d", client.get("/books").headers["server-timing"])


def test_each_request_is_logged_with_its_id(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="bookshop.access"):
        client.get("/books/1", headers={"x-request-id": "just-once"})
        client.get("/books")
    records = [record for record in caplog.records if record.name == "bookshop.access"]
    assert [record.getMessage() for record in records] == ["GET /books/1 404", "GET /books 200"]
    assert records[0].__dict__["request_id"] == "just-once"


def test_a_bug_is_raised_in_the_test(client: TestClient, admin: Customer) -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        client.get("/admin/average", headers=admin.auth)
    assert raised.traceback[-1].name == "average_order"


def test_a_bug_as_a_browser_sees_it(
    client_with: Callable[..., TestClient], admin: Customer, caplog: pytest.LogCaptureFixture
) -> None:
    client = client_with(raise_server_exceptions=False)
    response = client.get("/admin/average", headers=admin.auth)
    assert (response.status_code, response.json()["title"]) == (500, "internal error")
    [record] = [record for record in caplog.records if record.name == "bookshop.errors"]
    assert record.getMessage() == "GET /admin/average failed"
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


def test_the_description_of_the_api(client: TestClient) -> None:
    description = client.get("/openapi.json").json()
    assert description["info"]["title"] == "Bookshop"
    assert {"/books", "/orders", "/files"} <= set(description["paths"])
