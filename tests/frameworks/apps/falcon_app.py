"""The contract on Falcon."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator
from typing import Any

import falcon
from falcon.asgi import App, Request, Response, WebSocket


class Broken(Exception):
    pass


def note(event: str) -> None:
    with open(os.environ["JOURNAL"], "a") as journal:
        print(event, file=journal)


class Lifespan:
    visits: "itertools.count[int]"

    async def process_startup(self, scope: dict[str, Any], event: dict[str, Any]) -> None:
        note("started")
        self.visits = itertools.count(1)

    async def process_shutdown(self, scope: dict[str, Any], event: dict[str, Any]) -> None:
        note("stopped")


class Query:
    async def on_get(self, req: Request, resp: Response) -> None:
        resp.media = {"name": req.get_param("name"), "tags": req.get_param_as_list("tag") or []}


class Json:
    async def on_post(self, req: Request, resp: Response) -> None:
        resp.media = {"received": await req.get_media()}
        resp.status = falcon.HTTP_201


class Form:
    async def on_post(self, req: Request, resp: Response) -> None:
        received: dict[str, Any] = {}
        async for part in await req.get_media():
            if part.name == "file":
                content = await part.stream.read()
                received |= {"name": part.filename, "type": part.content_type, "content": content.decode()}
            else:
                received[part.name] = await part.text
        resp.media = received


class Cookies:
    async def on_get_set(self, req: Request, resp: Response) -> None:
        resp.set_cookie("session", "abc", secure=False, http_only=True)
        resp.set_cookie("theme", "dark", secure=False, path="/cookies")

    async def on_get(self, req: Request, resp: Response) -> None:
        resp.media = dict(req.cookies)


class Redirect:
    async def on_get(self, req: Request, resp: Response) -> None:
        raise falcon.HTTPFound("/query?name=redirected")


class Stream:
    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.ended = asyncio.Event()

    async def on_get(self, req: Request, resp: Response) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"one"
            await self.gate.wait()
            yield b"two"
            yield b"three"

        resp.content_type = "text/plain; charset=utf-8"
        resp.stream = pieces()

    async def on_get_endless(self, req: Request, resp: Response) -> None:
        async def ticks() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"tick"
                    await asyncio.sleep(0)
            finally:
                self.ended.set()

        resp.content_type = "text/plain; charset=utf-8"
        resp.stream = ticks()

    async def on_get_ended(self, req: Request, resp: Response) -> None:
        await self.ended.wait()
        resp.status = falcon.HTTP_204

    async def on_post_gate(self, req: Request, resp: Response) -> None:
        self.gate.set()
        resp.status = falcon.HTTP_204


class Error:
    async def on_get(self, req: Request, resp: Response) -> None:
        raise Broken("in the handler")


class Background:
    def __init__(self) -> None:
        self.worked = asyncio.Event()

    async def on_post(self, req: Request, resp: Response) -> None:
        async def work() -> None:
            await asyncio.sleep(0)
            note("worked")
            self.worked.set()

        resp.schedule(work)  # a task of the loop, not of the request, which may return before
        resp.status = falcon.HTTP_202

    async def on_get(self, req: Request, resp: Response) -> None:
        await self.worked.wait()
        resp.status = falcon.HTTP_204


class Visits:
    def __init__(self, lifespan: Lifespan) -> None:
        self.lifespan = lifespan

    async def on_get(self, req: Request, resp: Response) -> None:
        resp.media = next(self.lifespan.visits)


class Echo:
    async def on_websocket(self, req: Request, ws: WebSocket) -> None:
        await ws.accept()
        try:
            while (text := await ws.receive_text()) != "close":
                await ws.send_text(f"{req.get_param('name')}: {text}")
            await ws.close(4000, "as asked")
        except falcon.WebSocketDisconnected as disconnect:
            note(f"disconnected with {disconnect.code}")


def make_app() -> Any:
    lifespan, cookies, stream = Lifespan(), Cookies(), Stream()
    app: Any = App(middleware=[lifespan])  # type: ignore[arg-type]  # Falcon does not name the class that has both
    app.add_route("/query", Query())
    app.add_route("/json", Json())
    app.add_route("/form", Form())
    app.add_route("/cookies/set", cookies, suffix="set")
    app.add_route("/cookies", cookies)
    app.add_route("/redirect", Redirect())
    app.add_route("/stream", stream)
    app.add_route("/endless", stream, suffix="endless")
    app.add_route("/ended", stream, suffix="ended")
    app.add_route("/gate", stream, suffix="gate")
    app.add_route("/error", Error())
    app.add_route("/background", Background())
    app.add_route("/visits", Visits(lifespan))
    app.add_route("/websocket", Echo())
    return app


def make_raising_app() -> Any:
    async def give_up(req: Request, resp: Response, error: Exception, params: dict[str, Any]) -> None:
        raise error

    # Falcon answers every exception; only what its handlers raise gets out.
    app = make_app()
    app.add_error_handler(Exception, give_up)
    return app


app = make_app()
