import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from bookshop import payments
from bookshop.dependencies import get_charge, get_clock, get_mailer
from conftest import AddBook, AddCustomer, Customer

from isoclient import TestClient

CARD = "4111-1111"
EMPTY_CARD = "4111-1110"


@pytest.fixture
def emma(add_book: AddBook) -> int:
    return add_book("Emma", cents=999, stock=3)


def test_an_order(client: TestClient, ada: Customer, emma: int) -> None:
    response = client.post("/orders", json={"book_id": emma, "amount": 2, "card": CARD}, headers=ada.auth)
    assert response.status_code == 201
    order = response.json()
    assert (order["cents"], order["receipt"], order["status"]) == (1998, "receipt-1111-1998", "paid")
    assert client.get(f"/books/{emma}").json()["stock"] == 1


def test_the_time_of_an_order(client_with: Callable[..., TestClient], ada: Customer, emma: int) -> None:
    client = client_with({get_clock: lambda: lambda: 86400.0})
    order = client.post("/orders", json={"book_id": emma, "card": CARD}, headers=ada.auth).json()
    assert order["placed"].startswith("1970-01-02T00:00:00")


def test_a_receipt_comes_by_mail(client: TestClient, ada: Customer, emma: int, mails: Callable[[], list[Path]]) -> None:
    client.post("/orders", json={"book_id": emma, "amount": 2, "card": CARD}, headers=ada.auth)
    [mail] = mails()
    assert "To: ada@example.org" in mail.read_text()
    assert "thank you for 2 x Emma: 19.98" in mail.read_text()


def test_more_than_there_is(client: TestClient, ada: Customer, emma: int, mails: Callable[[], list[Path]]) -> None:
    response = client.post("/orders", json={"book_id": emma, "amount": 4, "card": CARD}, headers=ada.auth)
    assert (response.status_code, response.json()["title"]) == (409, "only 3 of 'Emma' left")
    assert response.json()["left"] == 3
    assert mails() == []


def test_a_failed_payment_leaves_the_book_on_the_shelf(
    client: TestClient, ada: Customer, emma: int, caplog: pytest.LogCaptureFixture
) -> None:
    response = client.post("/orders", json={"book_id": emma, "card": EMPTY_CARD}, headers=ada.auth)
    assert (response.status_code, response.json()["title"]) == (402, "the payment failed: no money")
    assert client.get(f"/books/{emma}").json()["stock"] == 3
    assert "the payment failed: no money" in caplog.text


def test_a_patched_payment_service(
    client_with: Callable[..., TestClient], ada: Customer, emma: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payments, "charge", lambda card, cents: f"patched {cents}")
    client = client_with()
    order = client.post("/orders", json={"book_id": emma, "card": EMPTY_CARD}, headers=ada.auth).json()
    assert order["receipt"] == "patched 999"


def test_an_overridden_payment_service(client_with: Callable[..., TestClient], ada: Customer, emma: int) -> None:
    def refuse(card: str, cents: int) -> str:
        raise payments.PaymentFailed(f"{cents} is too much")

    client = client_with({get_charge: lambda: refuse})
    response = client.post("/orders", json={"book_id": emma, "card": CARD}, headers=ada.auth)
    assert (response.status_code, response.json()["title"]) == (402, "the payment failed: 999 is too much")


def test_a_payment_service_that_is_patched_while_the_shop_is_open(client: TestClient, ada: Customer, emma: int) -> None:
    # monkeypatch would be too late for an isolated app that runs already.
    with client.patched("bookshop.payments.charge", return_value="patched") as charge:
        order = client.post("/orders", json={"book_id": emma, "card": CARD}, headers=ada.auth).json()
    assert order["receipt"] == "patched"
    charge.assert_called_once_with(CARD, 999)
    order = client.post("/orders", json={"book_id": emma, "card": CARD}, headers=ada.auth).json()
    assert order["receipt"] == "receipt-1111-999"


def test_a_book_that_is_not_there(client: TestClient, ada: Customer) -> None:
    response = client.post("/orders", json={"book_id": 77, "card": CARD}, headers=ada.auth)
    assert (response.status_code, response.json()["title"]) == (404, "there is no book 77")


class Outbox:
    """A mailer that only keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    def send(self, to: str, subject: str, text: str) -> None:
        self.sent.append((to, subject))


outbox = Outbox()


@pytest.fixture
def empty_outbox() -> Iterator[None]:
    yield
    outbox.sent.clear()


def what_was_sent() -> list[tuple[str, str]]:
    return outbox.sent


@pytest.mark.usefixtures("empty_outbox")
def test_a_mailer_that_keeps_its_mail(client_with: Callable[..., TestClient], ada: Customer, emma: int) -> None:
    client = client_with({get_mailer: lambda: outbox})
    order = client.post("/orders", json={"book_id": emma, "card": CARD}, headers=ada.auth).json()
    # An isolated app has an outbox of its own, so it is asked for over there.
    assert client.call(what_was_sent) == [("ada@example.org", f"Your order {order['id']}")]


def test_customers_see_their_own_orders(client: TestClient, add_customer: AddCustomer, emma: int) -> None:
    ada, grace = add_customer("Ada"), add_customer("Grace")
    mine = client.post("/orders", json={"book_id": emma, "card": CARD}, headers=ada.auth).json()
    client.post("/orders", json={"book_id": emma, "card": CARD}, headers=grace.auth)
    assert client.get("/orders", headers=ada.auth).json() == [mine]
    assert client.delete(f"/orders/{mine['id']}", headers=grace.auth).status_code == 404


def test_cancelling(client: TestClient, ada: Customer, emma: int) -> None:
    order = client.post("/orders", json={"book_id": emma, "amount": 3, "card": CARD}, headers=ada.auth).json()
    cancelled = client.delete(f"/orders/{order['id']}", headers=ada.auth)
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert client.get(f"/books/{emma}").json()["stock"] == 3
    assert client.delete(f"/orders/{order['id']}", headers=ada.auth).status_code == 409


def test_two_customers_do_not_get_the_same_copy(client: TestClient, ada: Customer, add_book: AddBook) -> None:
    rare = add_book("First Folio", stock=2)

    def order(number: int) -> int:
        return client.post("/orders", json={"book_id": rare, "card": CARD}, headers=ada.auth).status_code

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(order, range(4))) == [201, 201, 409, 409]
    assert client.get(f"/books/{rare}").json()["stock"] == 0


def test_an_order_is_logged_with_its_number(
    client: TestClient, ada: Customer, emma: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="bookshop")
    order = client.post("/orders", json={"book_id": emma, "card": CARD}, headers=ada.auth).json()
    [record] = [record for record in caplog.records if record.name == "bookshop.orders"]
    assert record.getMessage() == "ada@example.org ordered 1 of 'Emma'"
    assert record.args == ("ada@example.org", 1, "Emma")
    assert record.__dict__["order_id"] == order["id"]
