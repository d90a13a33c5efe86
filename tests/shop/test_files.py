import hashlib
from collections.abc import Callable
from random import Random

import pytest
from conftest import AddCustomer, Customer

from isoclient import TestClient

POEM = b"Shall I compare thee\nto a summer's day?\n"


def test_upload_and_download(client: TestClient, ada: Customer) -> None:
    response = client.post("/files", files={"files": ("poem.txt", POEM, "text/plain")}, headers=ada.auth)
    assert response.status_code == 201
    [stored] = response.json()
    assert (stored["name"], stored["media_type"], stored["size"]) == ("poem.txt", "text/plain", len(POEM))
    download = client.get(f"/files/{stored['id']}", headers=ada.auth)
    assert download.content == POEM
    assert download.headers["content-type"] == "text/plain; charset=utf-8"
    assert download.headers["content-disposition"] == 'attachment; filename="poem.txt"'


def test_several_files_at_once(client: TestClient, ada: Customer) -> None:
    files = [("files", (f"{name}.bin", name.encode(), "application/octet-stream")) for name in ("one", "two")]
    assert len(client.post("/files", files=files, headers=ada.auth).json()) == 2
    assert [file["name"] for file in client.get("/files", headers=ada.auth).json()] == ["one.bin", "two.bin"]


def test_a_large_file_arrives_whole(client: TestClient, ada: Customer) -> None:
    content = Random(1).randbytes(900_000)
    [stored] = client.post("/files", files={"files": ("large", content)}, headers=ada.auth).json()
    assert stored["sha256"] == hashlib.sha256(content).hexdigest()
    assert client.get(f"/files/{stored['id']}", headers=ada.auth).content == content


def test_a_file_may_be_too_large(
    client_with: Callable[..., TestClient], ada: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOOKSHOP_UPLOAD_LIMIT", "10")
    client = client_with()
    response = client.post("/files", files={"files": ("poem.txt", POEM, "text/plain")}, headers=ada.auth)
    assert (response.status_code, response.json()["title"]) == (413, "poem.txt is larger than 10 bytes")
    assert client.get("/files", headers=ada.auth).json() == []


def test_files_are_private(client: TestClient, add_customer: AddCustomer) -> None:
    ada, grace = add_customer("Ada"), add_customer("Grace")
    [stored] = client.post("/files", files={"files": ("poem.txt", POEM)}, headers=ada.auth).json()
    assert client.get(f"/files/{stored['id']}", headers=grace.auth).status_code == 404
    assert client.get(f"/files/{stored['id']}").status_code == 401


def test_a_part_of_a_file(client: TestClient, ada: Customer) -> None:
    [stored] = client.post("/files", files={"files": ("poem.txt", POEM)}, headers=ada.auth).json()
    response = client.get(f"/files/{stored['id']}", headers=ada.auth | {"range": "bytes=6-6"})
    assert (response.status_code, response.content) == (206, b"I")


def test_numbered_lines(client: TestClient, ada: Customer) -> None:
    [stored] = client.post("/files", files={"files": ("poem.txt", POEM)}, headers=ada.auth).json()
    response = client.get(f"/files/{stored['id']}/lines", headers=ada.auth)
    assert response.text == "1: Shall I compare thee\n2: to a summer's day?\n"


def test_a_name_can_not_leave_the_directory(client: TestClient, ada: Customer) -> None:
    [stored] = client.post("/files", files={"files": ("../../etc/passwd", b"x")}, headers=ada.auth).json()
    assert stored["name"] == "passwd"


def test_no_file_at_all(client: TestClient, ada: Customer) -> None:
    assert client.post("/files", headers=ada.auth).json()["fields"] == {"body.files": "Field required"}
