"""Each test has a shop of its own: another database, other directories, another client. So nothing can leak, it seems.

Each of these tests passes alone, and all of them pass in this order.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bookshop.database import Database
from bookshop.models import Book
from leakyshop.main import app

from isoclient import TestClient


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setenv("BOOKSHOP_DATABASE_URL", f"sqlite:///{tmp_path}/bookshop.db")
    monkeypatch.setenv("BOOKSHOP_DATA", str(tmp_path))
    with TestClient(app, base_url="http://testserver/leaky/") as client:
        yield client


@pytest.fixture
def add_book(client: TestClient, tmp_path: Path) -> Callable[[str], int]:
    def add(title: str) -> int:
        database = Database(f"sqlite:///{tmp_path}/bookshop.db")
        with database.session() as session:
            book = Book(title=title, author="Anonymous", cents=100, stock=1)
            session.add(book)
            session.commit()
        database.close()
        return book.id

    return add


def test_the_title_of_the_first_book(client: TestClient, add_book: Callable[[str], int]) -> None:
    assert client.get(f"titles/{add_book('Emma')}").json() == "Emma"


def test_a_title_is_a_text(client: TestClient, add_book: Callable[[str], int]) -> None:
    assert isinstance(client.get(f"titles/{add_book('Dracula')}").json(), str)


def test_the_first_invoice(client: TestClient) -> None:
    assert client.post("invoices").json() == "invoice 1"


def test_the_next_invoice(client: TestClient) -> None:
    first, second = (int(client.post("invoices").json().removeprefix("invoice ")) for _ in range(2))
    assert second == first + 1


def test_a_new_cart(client: TestClient) -> None:
    assert client.post("carts/ada/apple").json() == ["apple"]


def test_a_cart_with_two_items(client: TestClient) -> None:
    client.post("carts/ada/apple")
    assert client.post("carts/ada/pear").json()[-2:] == ["apple", "pear"]


def test_a_greeting(client: TestClient) -> None:
    assert client.get("greeting").json() == "Hello"


def test_a_greeting_in_french(client: TestClient) -> None:
    client.put("language/fr")
    assert client.get("greeting").json() == "Bonjour"


def test_an_alarm(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    client.post("alarm")
    assert "fire in the shop" in caplog.text


def test_a_quiet_night(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    client.post("quiet")
    client.post("alarm")
    assert "fire" not in caplog.text


def test_paying(client: TestClient) -> None:
    assert client.post("pay/500").json() == "receipt-1111-500"


def test_paying_in_the_sandbox(client: TestClient) -> None:
    client.post("sandbox")
    assert client.post("pay/500").json() == "sandbox"


def test_the_terms(client: TestClient) -> None:
    assert client.get("terms").json() == "No returns.\n"


def test_an_export(client: TestClient, tmp_path: Path) -> None:
    assert client.post("export").json() == "export.txt"
    assert (tmp_path / "export.txt").read_text() == "all books"


def test_asking_for_the_signal(client: TestClient) -> None:
    assert client.post("dumps").json() == "yours"


def test_asking_twice_for_the_signal(client: TestClient) -> None:
    client.post("dumps")
    assert client.post("dumps").json() == "taken"


def test_no_discount(client: TestClient) -> None:
    assert client.get("discount").json() == "none"


def test_a_discount_by_a_plugin(client: TestClient) -> None:
    assert client.post("plugins").json() == "10 %"
    assert client.get("discount").json() == "10 %"
