"""What is connected before an app is forked, by the recipes: each side has its own, and the test's goes on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from inspect import isawaitable
from types import ModuleType
from typing import Any

import pytest

from isoclient import TestClient

Recipe = Callable[[str], ModuleType]
Ask = Callable[[], Any]
"""Returns which connection has answered, and what."""

TLS = "SELECT pg_backend_pid(), ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
ROUNDS = 20


def app_that(ask: Ask) -> Any:
    """An app that asks, and answers with what it is told."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        answer = ask()
        if isawaitable(answer):
            answer = await answer
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": repr(answer).encode()})

    return app


@contextmanager
def at_the_same_time(work: Callable[[], object]) -> Iterator[None]:
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join(60)
    assert not thread.is_alive()
    assert not failed, failed


def both_go_on(ours: Ask, theirs: Ask) -> None:
    """The test has a connection when the app is forked. Each uses its own from then on: by turns, and both at once."""
    first = ours()
    client = TestClient(app_that(theirs), isolated=True, timeout=20)
    with closing(client):
        other = client.get("/").text
        assert other != repr(first)
        for _ in range(ROUNDS):
            assert ours() == first
            assert client.get("/").text == other
        with at_the_same_time(lambda: [client.get("/") for _ in range(ROUNDS)]):
            assert [ours() for _ in range(ROUNDS)] == [first] * ROUNDS
        assert client.get("/").text == other
    assert ours() == first


@pytest.fixture
def run() -> Iterator[Callable[[Awaitable[Any]], Any]]:
    """Runs something on the test's event loop."""
    with closing(asyncio.new_event_loop()) as loop:
        yield lambda awaitable: loop.run_until_complete(asyncio.wait_for(awaitable, 30))


def test_psycopg(recipe: Recipe) -> None:
    shop = recipe("with_psycopg")

    def by_connection() -> Any:
        backend, tls = shop.connection.execute(TLS).fetchone()
        assert tls
        return backend

    def by_pool() -> Any:
        with shop.pool.connection() as connection:
            return connection.execute("SELECT pg_backend_pid()").fetchone()

    with shop.pool, shop.connection:
        both_go_on(by_connection, by_connection)
        both_go_on(by_pool, by_pool)


def test_sqlalchemy(recipe: Recipe) -> None:
    from sqlalchemy import text

    shop = recipe("with_sqlalchemy")

    def ask() -> Any:
        with shop.engine.connect() as connection:
            backend, tls = connection.execute(text(TLS)).one()
            assert tls
            return backend

    both_go_on(ask, ask)
    shop.engine.dispose()


def test_sqlalchemy_on_asyncio(recipe: Recipe, run: Callable[[Any], Any]) -> None:
    from sqlalchemy import text

    shop = recipe("with_sqlalchemy_asyncio")

    async def ask() -> Any:
        async with shop.engine.connect() as connection:
            backend, tls = (await connection.execute(text(TLS))).one()
            assert tls
            return backend

    both_go_on(lambda: run(ask()), ask)
    run(shop.engine.dispose())


def test_asyncpg(recipe: Recipe, run: Callable[[Any], Any]) -> None:
    shop = recipe("with_asyncpg")
    run(shop.connect())

    async def ask() -> Any:
        async with shop.pool.acquire() as connection:
            backend, tls = await connection.fetchrow(TLS)
            assert tls
            return backend

    both_go_on(lambda: run(ask()), ask)
    run(shop.pool.close())


def test_redis(recipe: Recipe) -> None:
    shop = recipe("with_redis")
    both_go_on(shop.client.client_id, lambda: shop.client.client_id())
    shop.client.close()


def test_redis_on_asyncio(recipe: Recipe, run: Callable[[Any], Any]) -> None:
    shop = recipe("with_redis")

    async def ask() -> Any:
        return await shop.async_client.client_id()

    both_go_on(lambda: run(ask()), ask)
    run(shop.async_client.aclose())


def test_httpx(recipe: Recipe) -> None:
    shop = recipe("with_httpx")
    with shop.client:
        both_go_on(lambda: shop.client.get("/tea").text, lambda: shop.client.get("/tea").text)


def test_httpx_on_asyncio(recipe: Recipe, run: Callable[[Any], Any]) -> None:
    shop = recipe("with_httpx")

    async def ask() -> Any:
        return (await shop.async_client.get("/tea")).text

    both_go_on(lambda: run(ask()), ask)
    run(shop.async_client.aclose())
