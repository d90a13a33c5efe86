"""The contract on Starlette."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect


class Broken(Exception):
    pass


def note(event: str) -> None:
    with open(os.environ["JOURNAL"], "a") as journal:
        print(event, file=journal)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
    note("started")
    yield {"visits": itertools.count(1)}
    note("stopped")


async def query(request: Request) -> Response:
    return JSONResponse({"name": request.query_params["name"], "tags": request.query_params.getlist("tag")})


async def take_json(request: Request) -> Response:
    return JSONResponse({"received": await request.json()}, status_code=201)


async def form(request: Request) -> Response:
    async with request.form() as fields:
        file = fields["file"]
        assert isinstance(file, UploadFile)
        content = await file.read()
        return JSONResponse(
            {"title": fields["title"], "name": file.filename, "type": file.content_type, "content": content.decode()}
        )


async def set_cookies(request: Request) -> Response:
    response = Response()
    response.set_cookie("session", "abc", httponly=True)
    response.set_cookie("theme", "dark", path="/cookies")
    return response


async def cookies(request: Request) -> Response:
    return JSONResponse(request.cookies)


async def redirect(request: Request) -> Response:
    return RedirectResponse("/query?name=redirected", status_code=302)


async def stream(request: Request) -> Response:
    async def pieces() -> AsyncIterator[str]:
        yield "one"
        await request.app.state.gate.wait()
        yield "two"
        yield "three"

    return StreamingResponse(pieces(), media_type="text/plain")


async def endless(request: Request) -> Response:
    async def ticks() -> AsyncIterator[str]:
        try:
            while True:
                yield "tick"
                await asyncio.sleep(0)
        finally:
            request.app.state.ended.set()

    return StreamingResponse(ticks(), media_type="text/plain")


async def await_ended(request: Request) -> Response:
    await request.app.state.ended.wait()
    return Response(status_code=204)


async def open_gate(request: Request) -> Response:
    request.app.state.gate.set()
    return Response(status_code=204)


async def error(request: Request) -> Response:
    raise Broken("in the handler")


async def background(request: Request) -> Response:
    async def work() -> None:
        await asyncio.sleep(0)
        note("worked")

    return Response(status_code=202, background=BackgroundTask(work))


async def visits(request: Request) -> Response:
    return JSONResponse(next(request.state.visits))


async def websocket(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while (text := await websocket.receive_text()) != "close":
            await websocket.send_text(f"{websocket.query_params['name']}: {text}")
        await websocket.close(4000, "as asked")
    except WebSocketDisconnect as disconnect:
        note(f"disconnected with {disconnect.code}")


def make_app() -> Starlette:
    app = Starlette(
        lifespan=lifespan,
        routes=[
            Route("/query", query),
            Route("/json", take_json, methods=["POST"]),
            Route("/form", form, methods=["POST"]),
            Route("/cookies/set", set_cookies),
            Route("/cookies", cookies),
            Route("/redirect", redirect),
            Route("/stream", stream),
            Route("/endless", endless),
            Route("/ended", await_ended),
            Route("/gate", open_gate, methods=["POST"]),
            Route("/error", error),
            Route("/background", background, methods=["POST"]),
            Route("/visits", visits),
            WebSocketRoute("/websocket", websocket),
        ],
    )
    app.state.gate = asyncio.Event()
    app.state.ended = asyncio.Event()
    return app


make_raising_app = make_app  # Starlette answers 500, and raises the exception as well

app = make_app()
