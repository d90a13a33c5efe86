"""The contract on Litestar."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from litestar import Litestar, MediaType, Request, Response, get, post, websocket
from litestar.background_tasks import BackgroundTask
from litestar.connection import WebSocket
from litestar.datastructures import State, UploadFile
from litestar.enums import RequestEncodingType
from litestar.exceptions import WebSocketDisconnect
from litestar.params import Body
from litestar.response import Redirect, Stream


class Broken(Exception):
    pass


@dataclass
class Upload:
    title: str
    file: UploadFile


def note(event: str) -> None:
    with open(os.environ["JOURNAL"], "a") as journal:
        print(event, file=journal)


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    note("started")
    app.state.visits = itertools.count(1)
    yield
    note("stopped")


@get("/query")
async def query(request: Request[Any, Any, Any]) -> dict[str, Any]:
    return {"name": request.query_params["name"], "tags": request.query_params.getall("tag", [])}


@post("/json")
async def take_json(request: Request[Any, Any, Any]) -> dict[str, Any]:
    return {"received": await request.json()}


@post("/form", status_code=200)
async def form(data: Annotated[Upload, Body(media_type=RequestEncodingType.MULTI_PART)]) -> dict[str, Any]:
    content = await data.file.read()
    await data.file.close()
    return {
        "title": data.title,
        "name": data.file.filename,
        "type": data.file.content_type,
        "content": content.decode(),
    }


@get("/cookies/set")
async def set_cookies() -> Response[None]:
    response = Response(None)
    response.set_cookie("session", "abc", httponly=True)
    response.set_cookie("theme", "dark", path="/cookies")
    return response


@get("/cookies")
async def cookies(request: Request[Any, Any, Any]) -> dict[str, str]:
    return request.cookies


@get("/redirect", status_code=302)
async def redirect() -> Redirect:
    return Redirect("/query?name=redirected")


@get("/stream", media_type=MediaType.TEXT)
async def stream(state: State) -> Stream:
    async def pieces() -> AsyncIterator[str]:
        yield "one"
        await state.gate.wait()
        yield "two"
        yield "three"

    return Stream(pieces())


@get("/endless", media_type=MediaType.TEXT)
async def endless(state: State) -> Stream:
    async def ticks() -> AsyncIterator[str]:
        try:
            while True:
                yield "tick"
                await asyncio.sleep(0)
        finally:
            state.ended.set()

    return Stream(ticks())


@get("/ended", status_code=204)
async def await_ended(state: State) -> None:
    await state.ended.wait()


@post("/gate", status_code=204)
async def open_gate(state: State) -> None:
    state.gate.set()


@get("/error")
async def error() -> None:
    raise Broken("in the handler")


@post("/background", status_code=202)
async def background() -> Response[None]:
    async def work() -> None:
        await asyncio.sleep(0)
        note("worked")

    return Response(None, background=BackgroundTask(work))


@get("/visits")
async def visits(state: State) -> int:
    return next(state.visits)  # type: ignore[no-any-return]


@websocket("/websocket")
async def echo(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept()
    try:
        while (text := await socket.receive_text()) != "close":
            await socket.send_text(f"{socket.query_params['name']}: {text}")
        await socket.close(4000, "as asked")
    except WebSocketDisconnect as disconnect:
        note(f"disconnected with {disconnect.code}")


HANDLERS = [
    query,
    take_json,
    form,
    set_cookies,
    cookies,
    redirect,
    stream,
    endless,
    await_ended,
    open_gate,
    error,
    background,
    visits,
    echo,
]


def make_app(**options: Any) -> Litestar:
    return Litestar(
        HANDLERS,
        lifespan=[lifespan],
        state=State({"gate": asyncio.Event(), "ended": asyncio.Event()}),
        logging_config=None,  # by default, every app starts a thread that writes its log
        openapi_config=None,
        **options,
    )


def make_raising_app() -> Litestar:
    def give_up(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        raise error

    # Litestar answers every exception; only what its handlers raise gets out.
    return make_app(exception_handlers={Exception: give_up})


app = make_app()
