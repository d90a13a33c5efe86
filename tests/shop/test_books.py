import pytest
from bookshop.database import Database
from bookshop.models import Book
from conftest import AddBook, Customer

from isoclient import TestClient

EMMA = {"title": "Emma", "author": "Jane Austen", "cents": 999, "stock": 3}


def test_an_empty_catalogue(client: TestClient) -> None:
    assert client.get("/books").json() == {"total": 0, "page": 1, "items": []}


def test_a_book(client: TestClient, add_book: AddBook) -> None:
    book_id = add_book("Emma", author="Jane Austen", cents=999, stock=3)
    assert client.get(f"/books/{book_id}").json() == EMMA | {"id": book_id}


def test_no_such_book(client: TestClient) -> None:
    response = client.get("/books/77")
    assert (response.status_code, response.json()["title"]) == (404, "there is no book 77")


def test_pages(client: TestClient, add_book: AddBook) -> None:
    for number in range(25):
        add_book(f"Volume {number:02}")
    first = client.get("/books")
    assert [len(first.json()["items"]), first.json()["total"]] == [20, 25]
    assert first.headers["link"] == '<http://testserver/books?page=2>; rel="next"'
    second = client.get("/books?page=2")
    assert [book["title"] for book in second.json()["items"]] == [f"Volume {number}" for number in range(20, 25)]
    assert "link" not in second.headers


def test_following_the_links_shows_every_book_once(client: TestClient, add_book: AddBook) -> None:
    titles = [add_book(f"Volume {number}") and f"Volume {number}" for number in range(7)]
    url, seen = "/books?size=3", list[str]()
    while url:
        response = client.get(url)
        seen += [book["title"] for book in response.json()["items"]]
        url = response.headers.get("link", "").partition(">")[0].lstrip("<")
    assert seen == titles


@pytest.mark.parametrize("query", ["size=0", "size=101", "page=0", "page=x", "sort=stock"])
def test_bad_queries(client: TestClient, query: str) -> None:
    response = client.get(f"/books?{query}")
    assert response.status_code == 422
    assert list(response.json()["fields"]) == [f"query.{query.partition('=')[0]}"]


@pytest.mark.parametrize(
    ("search", "found"),
    [("austen", ["Emma", "Persuasion"]), ("mm", ["Emma"]), ("%", []), ("", ["Dracula", "Emma", "Persuasion"])],
)
def test_search(client: TestClient, add_book: AddBook, search: str, found: list[str]) -> None:
    add_book("Persuasion", author="Jane Austen")
    add_book("Emma", author="Jane Austen")
    add_book("Dracula", author="Bram Stoker")
    response = client.get("/books", params={"search": search})
    assert [book["title"] for book in response.json()["items"]] == found


@pytest.mark.parametrize(("sort", "expected"), [("title", ["A", "B"]), ("author", ["B", "A"]), ("cents", ["B", "A"])])
def test_sorting(client: TestClient, add_book: AddBook, sort: str, expected: list[str]) -> None:
    add_book("A", author="Z", cents=2)
    add_book("B", author="Y", cents=1)
    assert [book["title"] for book in client.get(f"/books?sort={sort}").json()["items"]] == expected


def test_an_admin_adds_a_book(client: TestClient, admin: Customer, database: Database) -> None:
    response = client.post("/books", json=EMMA, headers=admin.auth)
    assert response.status_code == 201
    assert response.headers["location"] == f"/books/{response.json()['id']}"
    with database.session() as session:
        assert session.get_one(Book, response.json()["id"]).author == "Jane Austen"


def test_a_body_that_is_no_json(client: TestClient, admin: Customer) -> None:
    response = client.post("/books", content=b"{", headers=admin.auth | {"content-type": "application/json"})
    assert (response.status_code, response.json()["fields"]) == (422, {"body.1": "JSON decode error"})


def test_a_customer_does_not(client: TestClient, ada: Customer) -> None:
    assert client.post("/books", json=EMMA).status_code == 401
    assert client.post("/books", json=EMMA, headers=ada.auth).status_code == 403
    assert client.get("/books").json()["total"] == 0


def test_changing_a_price(client: TestClient, admin: Customer, add_book: AddBook) -> None:
    book_id = add_book("Emma", cents=999, stock=3)
    changed = client.patch(f"/books/{book_id}", json={"cents": 1299}, headers=admin.auth).json()
    assert (changed["cents"], changed["stock"], changed["title"]) == (1299, 3, "Emma")


def test_removing_a_book(client: TestClient, admin: Customer, add_book: AddBook) -> None:
    book_id = add_book("Emma")
    assert client.delete(f"/books/{book_id}", headers=admin.auth).status_code == 204
    assert client.get(f"/books/{book_id}").status_code == 404
    assert client.delete(f"/books/{book_id}", headers=admin.auth).status_code == 404
