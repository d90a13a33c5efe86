"""Startup and shutdown run in the app's process, around the ``with`` block of the client."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from isoclient import TestClient


def make_app(journal: Path) -> Starlette:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, object]]:
        with journal.open("a") as file:
            file.write("opened\n")
            yield {"journal": file}
            file.write("closed\n")

    async def write(request: Request) -> PlainTextResponse:
        request.state.journal.write(f"{request.path_params['line']}\n")
        return PlainTextResponse("written")

    return Starlette(routes=[Route("/{line}", write)], lifespan=lifespan)


def test_startup_and_shutdown_surround_the_block(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    with TestClient(make_app(journal), isolated=True) as client:
        assert client.get("/hello").text == "written"
    assert journal.read_text() == "opened\nhello\nclosed\n"


def test_without_with_there_is_no_lifespan(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    client = TestClient(make_app(journal), isolated=True)
    with pytest.raises(AttributeError, match="journal"):
        client.get("/hello")
    assert not journal.exists()


def test_a_failed_startup_is_raised_at_the_with(tmp_path: Path) -> None:
    client = TestClient(make_app(tmp_path / "missing" / "journal"), isolated=True)
    with pytest.raises(FileNotFoundError), client:
        raise AssertionError("the block is not entered")
