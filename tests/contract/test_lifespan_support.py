"""Whether an app has a lifespan: what it says of that, what the client says, and what is told of an app that breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from isoclient import AppProtocolError, AppStartupError, TestClient

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import MakeClient, Receive, Scope, Send

pytestmark = pytest.mark.modes("fork", "thread")


async def respond(send: Send, text: object) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": str(text).encode()})


async def live(receive: Receive, send: Send) -> None:
    for part in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{part}.complete"})


# -- an app that breaks before it comes to its lifespan


@pytest.mark.parametrize("lifespan", ["auto", "on"])
def test_an_app_that_breaks(make_client: MakeClient, lifespan: Any) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("no configuration")

    with pytest.raises(ValueError, match="no configuration") as caught, make_client(app, lifespan=lifespan):
        pytest.fail("the block must not run")
    advice = 'lifespan="off"' in "".join(getattr(caught.value, "__notes__", ()))
    assert advice is (lifespan == "auto")


@pytest.mark.backends("asyncio")
def test_a_middleware_that_can_not_be_made(make_client: MakeClient) -> None:
    applications = pytest.importorskip("starlette.applications")
    from starlette.middleware import Middleware

    def bad(app: Any) -> Any:
        raise ValueError("no secret key")

    with pytest.raises(ValueError, match="no secret key"):
        make_client(applications.Starlette(middleware=[Middleware(bad)])).__enter__()


def test_a_wrong_answer_that_is_of_lifespan(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "lifespan.startup.completed"})

    with pytest.raises(AppProtocolError, match="did you mean"), make_client(app):
        pytest.fail("the block must not run")


# -- what the client says


def refuses(scope: Scope) -> None:
    raise NotImplementedError(scope["type"])


async def without(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        refuses(scope)
    await respond(send, "served")


async def as_to_a_request(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, "served")


async def returns(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await respond(send, "served")


@pytest.mark.backends("asyncio")
@pytest.mark.parametrize("app", [without, as_to_a_request, returns])
@pytest.mark.parametrize("lifespan", ["auto", "off"])
def test_an_app_without(make_client: MakeClient, app: Any, lifespan: Any) -> None:
    with make_client(app, lifespan=lifespan) as client:
        assert client.get("/").text == "served"


@pytest.mark.backends("asyncio")
@pytest.mark.parametrize(
    ("app", "error", "match"),
    [
        (without, NotImplementedError, "lifespan"),
        (as_to_a_request, AppProtocolError, "belongs on an http stream"),
        (returns, AppProtocolError, r"without receiving lifespan\.startup"),
    ],
)
def test_an_app_without_that_is_to_have_one(make_client: MakeClient, app: Any, error: Any, match: str) -> None:
    client = make_client(app, lifespan="on")
    with pytest.raises(error, match=match), client:
        pytest.fail("the block must not run")
    assert client.get("/").text == "served"


@pytest.mark.backends("asyncio")
def test_an_app_that_is_to_have_one_and_has(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (respond(send, "served") if scope["type"] == "http" else live(receive, send))

    with make_client(app, lifespan="on") as client:
        assert client.get("/").text == "served"
        client.restart()
        assert client.get("/").text == "served"


@pytest.mark.backends("asyncio")
def test_a_lifespan_that_is_off_is_not_run(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await respond(send, scope["state"])

    with make_client(app, lifespan="off") as client:
        assert client.get("/").text == "{}"
        client.restart()
        assert client.get("/").text == "{}"


@pytest.mark.parametrize("wrong", [True, None, "yes"])
@pytest.mark.parametrize("isolated", [False, "request"])
def test_another_value(wrong: Any, isolated: Any) -> None:
    with pytest.raises(ValueError, match="it is 'auto', 'on' or 'off'"):
        TestClient(returns, lifespan=wrong, isolated=isolated)


# -- a copy for each request


@pytest.fixture
def make_fresh() -> Callable[..., TestClient]:
    return lambda app, **options: TestClient(app, isolated="request", timeout=30.0, **options)


def test_a_startup_that_fails_is_told_where_the_block_begins(make_fresh: Callable[..., TestClient]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(AppStartupError, match="no database"), make_fresh(app):
        pytest.fail("the block must not run")


def test_the_copy_that_is_tried_out_ends_before_the_block_begins(
    make_fresh: Callable[..., TestClient], tmp_path: Path
) -> None:
    log = tmp_path / "log"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for part in ("startup", "shutdown"):
            await receive()
            with log.open("a") as file:
                file.write(f"{part} ")
            await send({"type": f"lifespan.{part}.complete"})

    client = make_fresh(app)
    with client, client:
        assert log.read_text() == "startup shutdown "
    with make_fresh(app, lifespan="off"):
        pass
    assert log.read_text() == "startup shutdown "


# -- an app that says more, or sooner, than it is asked for


def test_a_startup_that_is_complete_before_it_is_asked_for(make_client: MakeClient) -> None:
    class App:
        events: tuple[str, ...] = ()

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await respond(send, scope["state"])
                return
            scope["state"]["begun"] = True
            await send({"type": "lifespan.startup.complete"})
            for _ in range(2):
                print((await receive())["type"], flush=True)
            await send({"type": "lifespan.shutdown.complete"})
            raise LookupError("at the very end")

    client = make_client(App(), lifespan="on")
    with pytest.raises(LookupError, match="at the very end"), client:
        assert client.get("/").text == "{'begun': True}"


def test_a_startup_that_has_failed_before_it_is_asked_for(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "lifespan.startup.failed", "message": "no database"})
        raise LookupError("the error itself")

    with pytest.raises(LookupError, match="the error itself"), make_client(app):
        pytest.fail("the block must not run")


@pytest.mark.parametrize("says", ["lifespan.shutdown.failed", "lifespan.shutdown.complete", None])
def test_an_app_whose_task_dies_under_the_requests(make_client: MakeClient, says: str | None) -> None:
    async def dies(when: anyio.Event) -> None:
        await when.wait()
        raise LookupError("a background job")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["state"]["die"].set()
            await respond(send, "served")
            return
        await receive()
        scope["state"]["die"] = anyio.Event()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(dies, scope["state"]["die"])
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except ExceptionGroup:
            if says is not None:
                await send({"type": says, "message": "in words"})
            raise

    client = make_client(app)
    with pytest.raises(ExceptionGroup) as caught, client:
        assert [client.get("/").text for _ in range(2)] == ["served", "served"]
    assert caught.group_contains(LookupError, match="a background job")


@pytest.mark.backends("asyncio")
def test_starlettes_lifespan_whose_task_dies(make_client: MakeClient) -> None:
    applications = pytest.importorskip("starlette.applications")
    from collections.abc import AsyncIterator
    from contextlib import asynccontextmanager

    async def dies() -> None:
        raise LookupError("a background job")

    @asynccontextmanager
    async def lifespan(app: object) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(dies)
            yield

    client = make_client(applications.Starlette(lifespan=lifespan))
    with pytest.raises(ExceptionGroup) as caught, client:
        assert client.get("/").status_code == 404
    assert caught.group_contains(LookupError, match="a background job")


@pytest.mark.parametrize("message", [{"type": "lifespan.startup.failed", "message": 5}, {"type": "lifespan.failed"}])
def test_the_apps_error_goes_before_a_breach_over_it(make_client: MakeClient, message: dict[str, Any]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        try:
            raise LookupError("no database")
        except LookupError:
            await send(message)
            raise

    with pytest.raises(LookupError, match="no database") as caught:
        make_client(app).__enter__()
    assert message["type"] in "".join(caught.value.__notes__)


def test_what_the_test_handles_is_none_of_the_apps(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.failed"})

    try:
        raise LookupError("the test's")
    except LookupError:
        with pytest.raises(AppProtocolError, match=r"lifespan\.failed"):
            make_client(app).__enter__()
