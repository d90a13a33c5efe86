"""Uploads that FastAPI stores in SQLite; the test looks into a database that only the app's process can reach."""

import io
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI, HTTPException, UploadFile
from fastapi.responses import Response

from isoclient import TestClient


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.database = sqlite3.connect(":memory:")
    app.state.database.execute("CREATE TABLE files (name TEXT PRIMARY KEY, content BLOB)")
    yield
    app.state.database.close()


app = FastAPI(lifespan=lifespan)


def insert(name: str, content: bytes) -> None:
    with app.state.database as transaction:
        transaction.execute("INSERT INTO files VALUES (?, ?)", (name, content))


def sizes() -> dict[str, int]:
    return dict(app.state.database.execute("SELECT name, length(content) FROM files"))


@app.post("/files", status_code=201)
async def store(files: list[UploadFile]) -> dict[str, int]:
    for file in files:
        insert(file.filename or "unnamed", await file.read())
    return {"stored": len(files)}


@app.get("/files/{name}")
async def fetch(name: str) -> Response:
    row = app.state.database.execute("SELECT content FROM files WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise HTTPException(404, "no such file")
    return Response(row[0], media_type="application/octet-stream")


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(app, isolated=True) as client:
        yield client


def test_what_is_uploaded_can_be_downloaded(client: TestClient) -> None:
    response = client.post("/files", files={"files": ("notes.txt", b"buy tea")})
    assert (response.status_code, response.json()) == (201, {"stored": 1})
    assert client.get("/files/notes.txt").content == b"buy tea"
    assert client.get("/files/other.txt").status_code == 404


def test_the_rows_are_there(client: TestClient) -> None:
    large = io.BytesIO(bytes(5_000_000))
    client.post("/files", files=[("files", ("a.txt", b"four")), ("files", ("b.bin", large))]).raise_for_status()
    assert client.call(sizes) == {"a.txt": 4, "b.bin": 5_000_000}


def test_a_row_can_be_put_there_first(client: TestClient) -> None:
    client.call(insert, "c.txt", b"from the test")
    assert client.get("/files/c.txt").text == "from the test"


def test_a_duplicate_is_the_apps_own_error(client: TestClient) -> None:
    client.post("/files", files={"files": ("notes.txt", b"one")})
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE constraint failed"):
        client.post("/files", files={"files": ("notes.txt", b"two")})
    assert client.get("/files/notes.txt").content == b"one"
