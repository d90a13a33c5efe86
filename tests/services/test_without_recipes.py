"""What happens without the recipes, and that the section of the failed test names the connection."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

SUITE = """
    import asyncio

    import psycopg
    import pytest
    from sqlalchemy import text

    import with_asyncpg
    import with_httpx
    import with_psycopg
    import with_redis
    import with_sqlalchemy
    import with_sqlalchemy_asyncio
    from isoclient import TestClient

    BACKEND = "SELECT pg_backend_pid()"

    async def by_connection():
        return with_psycopg.connection.execute(BACKEND).fetchone()

    async def by_pool():
        with with_psycopg.pool.connection() as connection:
            return connection.execute(BACKEND).fetchone()

    async def by_engine():
        with with_sqlalchemy.engine.connect() as connection:
            return connection.execute(text(BACKEND)).scalar()

    async def by_async_engine():
        async with with_sqlalchemy_asyncio.engine.connect() as connection:
            return (await connection.execute(text(BACKEND))).scalar()

    async def by_asyncpg():
        return await with_asyncpg.pool.fetchval(BACKEND)

    async def by_redis():
        return await with_redis.async_client.client_id()

    async def by_httpx():
        return with_httpx.client.get("/tea").text

    def client_of_app_that(ask):
        async def app(scope, receive, send):
            answer = await ask()
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": repr(answer).encode()})
        return TestClient(app, isolated=True, timeout=2)

    @pytest.fixture(scope="module")
    def run():
        loop = asyncio.new_event_loop()
        loop.run_until_complete(with_asyncpg.connect())
        return loop.run_until_complete

    ASK = [by_connection, by_pool, by_engine, by_async_engine, by_asyncpg, by_redis, by_httpx]

    @pytest.mark.parametrize("ask", ASK)
    def test_each_has_its_own(ask, run):
        first = run(ask())
        assert client_of_app_that(ask).get("/").text != repr(first)

    def test_the_session_breaks(run):
        client = client_of_app_that(by_connection)
        with pytest.raises(psycopg.OperationalError):
            for _ in range(3):
                client.get("/")
                run(by_connection())
        client.close()
"""
HOLDERS = {
    "by_connection": "with_psycopg.connection",
    "by_pool": "with_psycopg.pool",
    "by_engine": "with_sqlalchemy.engine",
    "by_async_engine": "with_sqlalchemy_asyncio.engine",
    "by_asyncpg": "with_asyncpg.pool",
    "by_redis": "with_redis.async_client",
    "by_httpx": "with_httpx.client",
}
ADDRESSES = {"by_redis": "REDIS_URL", "by_httpx": "SHOP_URL"}


def test_it_goes_wrong_and_is_named(recipes: Path, environment: dict[str, str], pytester: pytest.Pytester) -> None:
    for recipe in recipes.glob("with_*.py"):
        recipe.write_text(recipe.read_text().replace("@isoclient.at_start\n", ""))
    pytester.makeconftest(f"import sys; sys.path.insert(0, {str(recipes)!r})")
    pytester.makepyfile(test_suite=SUITE)
    plugins = (f"-pno:{plugin}" for plugin in ("asyncio", "cacheprovider", "randomly", "timeout"))
    result = pytester.runpytest_subprocess(*plugins, "-Wignore", timeout=120)
    result.assert_outcomes(failed=len(HOLDERS), passed=1)
    told = dict(
        re.findall(
            r"^_+ test_each_has_its_own\[(\w+)\] _+$(.*?)(?=^_____)", result.stdout.str() + "\n_____", re.M | re.S
        )
    )
    for name, holder in HOLDERS.items():
        peer = re.search(r"127\.0\.0\.1:\d+|(?<=unix://).*", environment[ADDRESSES.get(name, "DATABASE_URL")])
        assert peer is not None
        assert (
            f"It has one connection together with the test, from before the fork: to {peer[0]} ({holder}).\n"
            in told[name]
        )
