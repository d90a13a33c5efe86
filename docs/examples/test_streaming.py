"""Responses that come in pieces: an endless stream of server-sent events, and a download."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from isoclient import TestClient

listeners = 0


async def ticks(request: Request) -> StreamingResponse:
    async def events() -> AsyncIterator[str]:
        global listeners
        listeners += 1
        try:
            for number in itertools.count():
                yield f"data: {number}\n\n"
                await asyncio.sleep(0.01)
        finally:
            listeners -= 1

    return StreamingResponse(events(), media_type="text/event-stream")


async def download(request: Request) -> StreamingResponse:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(100):
            yield number.to_bytes(1, "big") * 100_000

    return StreamingResponse(pieces(), media_type="application/octet-stream")


app = Starlette(routes=[Route("/ticks", ticks), Route("/download", download)])


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(app, isolated=True) as client:
        yield client


def test_an_endless_stream_is_read_as_far_as_needed(client: TestClient) -> None:
    with client.get("/ticks", stream=True) as response:
        lines = (line for line in response.iter_lines(decode_unicode=True) if line)
        assert list(itertools.islice(lines, 3)) == ["data: 0", "data: 1", "data: 2"]
        assert client.call(lambda: listeners) == 1

    # Leaving the block closed the response, which the app sees as a client that has gone.
    deadline = time.monotonic() + 5
    while client.call(lambda: listeners) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert client.call(lambda: listeners) == 0


def test_a_download_arrives_in_pieces(client: TestClient) -> None:
    received = 0
    with client.get("/download", stream=True) as response:
        for piece in response.iter_content(chunk_size=50_000):
            assert len(set(piece)) == 1
            received += len(piece)
    assert received == 10_000_000
