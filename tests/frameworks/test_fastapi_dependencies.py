"""The dependencies of FastAPI, and their overrides in tests."""

from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from fastapi import (
    Depends,
    FastAPI,
)

from isoclient import TestClient

if TYPE_CHECKING:
    from tests.conftest import Cell, MakeClient


pytestmark = [pytest.mark.modes("fork", "thread"), pytest.mark.backends("asyncio")]


# -- "Testing": an app with a token in a header, and a client at the level of the module


# -- "Testing dependencies with overrides"


async def common_parameters(q: str | None = None, skip: int = 0) -> dict[str, Any]:
    return {"q": q, "skip": skip}


catalogue = FastAPI()


@catalogue.get("/items")
async def read_items(commons: Annotated[dict[str, Any], Depends(common_parameters)]) -> dict[str, Any]:
    return {"params": commons}


async def override_dependency(q: str | None = None) -> dict[str, Any]:
    return {"q": q, "skip": 5}


def override(app: FastAPI) -> None:
    app.dependency_overrides[common_parameters] = override_dependency


def test_a_dependency_is_overridden_through_call(make_client: "MakeClient", cell: "Cell") -> None:
    client = make_client(catalogue)
    assert client.get("/items?q=foo").json() == {"params": {"q": "foo", "skip": 0}}
    client.call(override, catalogue)
    assert client.get("/items?q=foo&skip=1").json() == {"params": {"q": "foo", "skip": 5}}
    client.call(lambda: catalogue.dependency_overrides.update({common_parameters: lambda: {"q": "by a lambda"}}))
    assert client.get("/items").json() == {"params": {"q": "by a lambda"}}
    client.call(lambda: catalogue.dependency_overrides.clear())
    assert client.get("/items").json() == {"params": {"q": None, "skip": 0}}
    assert catalogue.dependency_overrides == {}


def test_a_dependency_is_overridden_before_the_first_request(make_client: "MakeClient") -> None:
    app = FastAPI()
    app.include_router(catalogue.router)
    app.dependency_overrides[common_parameters] = lambda: {"q": "here"}  # the fork is made at the first request
    assert make_client(app).get("/items").json() == {"params": {"q": "here"}}


@pytest.mark.modes("fork")
def test_an_override_ends_with_the_client(make_client: "MakeClient") -> None:
    client = make_client(catalogue)
    client.call(override, catalogue)
    assert client.get("/items").json()["params"]["skip"] == 5
    client.restart()
    assert client.get("/items").json()["params"]["skip"] == 0


def test_an_override_in_a_fresh_interpreter() -> None:
    def log_in(name: str) -> None:
        fastapi_app = import_module("apps.fastapi_app")
        fastapi_app.app.dependency_overrides[fastapi_app.current_user] = lambda: name

    client = TestClient("apps.fastapi_app:app", isolated=True, timeout=30)
    try:
        assert client.get("/me").json() == "nobody"
        client.call(log_in, "Ada")
        assert client.get("/me").json() == "Ada"
    finally:
        client.close()


def test_a_dependency_with_yield_is_left_after_the_request(make_client: "MakeClient") -> None:
    app = FastAPI()
    app.state.journal = []

    def session() -> Iterator[str]:
        app.state.journal.append("opened")
        try:
            yield "session"
        except LookupError:
            app.state.journal.append("rolled back")
            raise
        finally:
            app.state.journal.append("closed")

    @app.get("/{fail}")
    def use(fail: bool, session: Annotated[str, Depends(session)]) -> str:
        if fail:
            raise LookupError(session)
        return session

    client = make_client(app)
    assert client.get("/false").json() == "session"
    assert client.call(lambda: app.state.journal) == ["opened", "closed"]
    with pytest.raises(LookupError, match="session"):
        client.get("/true")
    assert client.call(lambda: app.state.journal[2:]) == ["opened", "rolled back", "closed"]
