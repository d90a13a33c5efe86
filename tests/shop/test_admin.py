from collections.abc import Iterator

import pytest
from conftest import AddBook, Customer

from isoclient import TestClient


def test_figures(client: TestClient, admin: Customer, ada: Customer, add_book: AddBook) -> None:
    book = add_book("Emma", cents=500)
    add_book("Dracula")
    client.post("/orders", json={"book_id": book, "amount": 3, "card": "4111"}, headers=ada.auth)
    stats = client.get("/admin/stats", headers=admin.auth).json()
    assert stats == {"users": 2, "books": 2, "orders": 1, "income": 1500}


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/admin/stats"), ("POST", "/admin/reindex"), ("PUT", "/admin/maintenance?on=1")]
)
def test_customers_have_no_business_here(client: TestClient, ada: Customer, method: str, path: str) -> None:
    assert client.request(method, path).status_code == 401
    assert client.request(method, path, headers=ada.auth).status_code == 403


def test_reindexing_tells_what_it_does(
    client: TestClient, admin: Customer, add_book: AddBook, capsys: pytest.CaptureFixture[str]
) -> None:
    add_book("Emma")
    add_book("Dracula")
    assert client.post("/admin/reindex", headers=admin.auth).json() == {"indexed": 2}
    assert capsys.readouterr().out == "indexing Emma\nindexing Dracula\n2 books indexed\n"


def test_what_is_deprecated_says_so(client: TestClient, admin: Customer) -> None:
    with pytest.warns(DeprecationWarning, match="use /admin/stats"):
        assert client.get("/admin/income", headers=admin.auth).json() == 0


@pytest.fixture
def normal_service(client: TestClient, admin: Customer) -> Iterator[None]:
    yield
    client.put("/admin/maintenance?on=0", headers=admin.auth)


@pytest.mark.usefixtures("normal_service")
def test_maintenance(client: TestClient, admin: Customer) -> None:
    assert client.get("/admin/maintenance", headers=admin.auth).json() == {"on": False}
    client.put("/admin/maintenance?on=1", headers=admin.auth)
    assert client.get("/admin/maintenance", headers=admin.auth).json() == {"on": True}
