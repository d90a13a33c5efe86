"""The contract on FastAPI."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import (
    BackgroundTasks,
    Depends,
    FastAPI,
    File,
    Form,
    Query,
    Request,
    Response,
    UploadFile,
    WebSocket,
    WebSocketDisconnect,
)
from fastapi.responses import RedirectResponse, StreamingResponse
from pydantic import BaseModel


class Broken(Exception):
    pass


class Order(BaseModel):
    item: str
    amount: int


def note(event: str) -> None:
    with open(os.environ["JOURNAL"], "a") as journal:
        print(event, file=journal)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    note("started")
    yield {"visits": itertools.count(1)}
    note("stopped")


def current_user() -> str:
    return "nobody"


def make_app() -> FastAPI:
    app = FastAPI(lifespan=lifespan)
    gate = asyncio.Event()
    ended = asyncio.Event()

    @app.get("/me")
    async def me(user: Annotated[str, Depends(current_user)]) -> str:
        return user

    @app.get("/query")
    async def query(name: str, tag: Annotated[list[str], Query()]) -> dict[str, Any]:
        return {"name": name, "tags": tag}

    @app.post("/json", status_code=201)
    async def take_json(order: Order) -> dict[str, Order]:
        return {"received": order}

    @app.post("/form")
    async def form(title: Annotated[str, Form()], file: Annotated[UploadFile, File()]) -> dict[str, Any]:
        content = await file.read()
        return {"title": title, "name": file.filename, "type": file.content_type, "content": content.decode()}

    @app.get("/cookies/set")
    async def set_cookies(response: Response) -> None:
        response.set_cookie("session", "abc", httponly=True)
        response.set_cookie("theme", "dark", path="/cookies")

    @app.get("/cookies")
    async def cookies(request: Request) -> dict[str, str]:
        return request.cookies

    @app.get("/redirect")
    async def redirect() -> RedirectResponse:
        return RedirectResponse("/query?name=redirected&tag=", status_code=302)

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def pieces() -> AsyncIterator[str]:
            yield "one"
            await gate.wait()
            yield "two"
            yield "three"

        return StreamingResponse(pieces(), media_type="text/plain")

    @app.get("/endless")
    async def endless() -> StreamingResponse:
        async def ticks() -> AsyncIterator[str]:
            try:
                while True:
                    yield "tick"
                    await asyncio.sleep(0)
            finally:
                ended.set()

        return StreamingResponse(ticks(), media_type="text/plain")

    @app.get("/ended", status_code=204)
    async def await_ended() -> None:
        await ended.wait()

    @app.post("/gate", status_code=204)
    async def open_gate() -> None:
        gate.set()

    @app.get("/error")
    async def error() -> None:
        raise Broken("in the handler")

    @app.post("/background", status_code=202)
    async def background(tasks: BackgroundTasks) -> None:
        async def work() -> None:
            await asyncio.sleep(0)
            note("worked")

        tasks.add_task(work)

    @app.get("/visits")
    def visits(request: Request) -> int:  # not async: FastAPI calls it in a thread
        return next(request.state.visits)  # type: ignore[no-any-return]

    @app.websocket("/websocket")
    async def websocket(websocket: WebSocket, name: str) -> None:
        await websocket.accept()
        try:
            while (text := await websocket.receive_text()) != "close":
                await websocket.send_text(f"{name}: {text}")
            await websocket.close(4000, "as asked")
        except WebSocketDisconnect as disconnect:
            note(f"disconnected with {disconnect.code}")

    return app


make_raising_app = make_app  # as under Starlette, the exception is raised after the response 500

app = make_app()
