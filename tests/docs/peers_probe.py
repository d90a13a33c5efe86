"""What is true of a client: run with its name in a directory that holds ``probed.py``, it prints the facts as JSON."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import probed  # type: ignore[import-not-found]  # beside this, where it runs

Get = Callable[[str], str]


@contextmanager
def isolated() -> Iterator[Any]:
    from isoclient import TestClient

    with TestClient(probed.app, isolated=True) as client:
        yield client


@contextmanager
def in_process() -> Iterator[Any]:
    from isoclient import TestClient

    with TestClient(probed.app) as client:
        yield client


@contextmanager
def starlette() -> Iterator[Any]:
    from starlette.testclient import TestClient

    with TestClient(probed.app) as client:
        yield client


@contextmanager
def httpx() -> Iterator[Any]:
    import httpx

    class Client:
        def get(self, path: str) -> httpx.Response:
            return asyncio.run(self._get(path))

        async def _get(self, path: str) -> httpx.Response:
            transport = httpx.ASGITransport(probed.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.get(path)

    yield Client()


@contextmanager
def server() -> Iterator[Any]:
    import requests

    command = [sys.executable, "-m", "uvicorn", "probed:app", "--port", "0", "--no-access-log"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = next(line for line in process.stderr if "running on" in line)
        base = line.split("running on ")[1].split()[0]

        class Client:
            def get(self, path: str) -> requests.Response:
                return requests.get(base + path, timeout=10)

        yield Client()
        process.kill()


CLIENTS = {"isolated": isolated, "in-process": in_process, "starlette": starlette, "httpx": httpx, "server": server}


def facts(client: Any) -> Iterator[tuple[str, bool]]:
    yield "lifespan", client.get("/started").text == "True"
    client.get("/count")
    yield "state of the app kept apart", probed.count == 0
    with mock.patch.object(probed, "PRICE", 7):
        yield "patches and overrides of the test reach the app", client.get("/price").text == "7"
    probed.things.append("one more")
    yield "any object of the test is the app's, too", client.get("/things").text == "1"
    try:
        client.get("/raise")
    except LookupError:
        yield "the app's exceptions in the test", True
    else:
        yield "the app's exceptions in the test", False
    if hasattr(client, "websocket_connect"):
        with client.websocket_connect("/") as session:
            yield "WebSockets", session.receive_text() == "hello"


def main(name: str) -> None:
    found: dict[str, bool] = {"WebSockets": False}
    with contextlib.suppress(Exception), CLIENTS[name]() as client:
        for fact, value in facts(client):
            found[fact] = value
        print(json.dumps(found), flush=True)
        with contextlib.suppress(Exception):
            client.get("/crash")
        print(json.dumps({"outlives a crash of the app": True}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
