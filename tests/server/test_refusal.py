"""What an app raises at the lifespan scope: because it has no lifespan, or because it is broken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from isoclient.server.refusal import is_refusal

if TYPE_CHECKING:
    from collections.abc import Callable

Scope = dict[str, Any]
App = Any


def raised_by(app: App) -> BaseException:
    with pytest.raises(BaseException) as caught:  # noqa: PT011
        app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, None, None).send(None)
    return caught.value


# -- that say that they have none


async def asserts(scope: Scope, receive: object, send: object) -> None:
    __tracebackhide__ = True
    assert scope["type"] == "http"


async def asserts_of_several(scope: Scope, receive: object, send: object) -> None:
    kind = scope["type"]
    assert kind in ("http", "websocket"), "not here"


async def is_not_implemented(scope: Scope, receive: object, send: object) -> None:
    if scope["type"] != "http":
        raise NotImplementedError


async def says_so(scope: Scope, receive: object, send: object) -> None:
    what = "this can only handle ASGI/HTTP connections"
    if scope["type"] != "http":
        raise ValueError(f"{what}, not {scope['type']}.")


async def says_so_of_the_scope(scope: Scope, receive: object, send: object) -> None:
    if scope["type"] == "http":
        return
    raise RuntimeError("received a scope that is not for it")


async def says_nothing(scope: Scope, receive: object, send: object) -> None:
    if scope["type"] != "http":
        raise Exception("unsupported")


async def asks_for_the_path(scope: Scope, receive: object, send: object) -> None:
    scope["path"].startswith("/api")


async def looks_the_type_up(scope: Scope, receive: object, send: object) -> None:
    await {"http": asserts, "websocket": asserts}[scope["type"]](scope, receive, send)


async def looks_for_a_method(scope: Scope, receive: object, send: object) -> None:
    getattr(asserts, f"on_{scope['type']}")


def checked(kind: str) -> None:
    raise ValueError(f"unknown type: {kind}")


async def has_it_checked(scope: Scope, receive: object, send: object) -> None:
    checked(scope["type"])


class Connection:
    def __init__(self, scope: Scope) -> None:
        self.of = scope

    async def answer(self) -> None:
        self.of["method"].lower()


async def keeps_the_scope(scope: Scope, receive: object, send: object) -> None:
    await Connection(dict(scope)).answer()


async def wraps(scope: Scope, receive: object, send: object) -> None:
    try:
        await asserts(scope, receive, send)
    except AssertionError as error:
        raise ExceptionGroup("of tasks", [error]) from None


def starlettes_request() -> App:
    requests = pytest.importorskip("starlette.requests")

    async def app(scope: Scope, receive: object, send: object) -> None:
        requests.Request(scope)

    return app


def djangos_handler() -> App:
    django = pytest.importorskip("django")
    from django.conf import settings
    from django.core.handlers.asgi import ASGIHandler

    if not settings.configured:
        settings.configure(MIDDLEWARE=[])
        django.setup()
    return ASGIHandler()


@pytest.mark.parametrize(
    "app",
    [
        asserts,
        asserts_of_several,
        is_not_implemented,
        says_so,
        says_so_of_the_scope,
        says_nothing,
        asks_for_the_path,
        looks_the_type_up,
        looks_for_a_method,
        has_it_checked,
        keeps_the_scope,
        wraps,
    ],
)
def test_a_refusal(app: App) -> None:
    assert is_refusal(raised_by(app))


@pytest.mark.parametrize("make", [starlettes_request, djangos_handler])
def test_a_frameworks_refusal(make: Callable[[], App]) -> None:
    assert is_refusal(raised_by(make()))


def test_a_refusal_without_source() -> None:
    names: dict[str, Any] = {}
    exec("async def app(scope, receive, send):\n    assert scope['type'] == 'http', 'an ASGI app for requests'", names)
    assert is_refusal(raised_by(names["app"]))


# -- that are broken


async def lacks_a_setting(scope: Scope, receive: object, send: object) -> None:
    settings: dict[str, str] = {}
    settings["DATABASE_URL"]


async def finds_no_database(scope: Scope, receive: object, send: object) -> None:
    ready = False
    if not ready:
        raise RuntimeError("DATABASE_URL is not set")


async def has_a_mistake(scope: Scope, receive: object, send: object) -> None:
    scope["state"].database = 1


async def converts(scope: Scope, receive: object, send: object) -> None:
    int("no number in the ASGI app")


async def imports(scope: Scope, receive: object, send: object) -> None:
    import no_such_module  # type: ignore[import-not-found]  # noqa: F401


class Bad:
    def __init__(self, app: object) -> None:
        assert not app, "the middleware has no application"


async def builds_its_middleware(scope: Scope, receive: object, send: object) -> None:
    Bad("app")


class Abstract:
    def build(self) -> None:
        raise NotImplementedError


async def calls_what_is_abstract(scope: Scope, receive: object, send: object) -> None:
    Abstract().build()


@pytest.mark.parametrize(
    "app",
    [
        lacks_a_setting,
        finds_no_database,
        has_a_mistake,
        converts,
        imports,
        builds_its_middleware,
        calls_what_is_abstract,
    ],
)
def test_a_broken_app(app: App) -> None:
    assert not is_refusal(raised_by(app))


def test_an_error_from_nowhere() -> None:
    assert not is_refusal(AssertionError("lifespan"))
