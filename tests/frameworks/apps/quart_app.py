"""The contract on Quart."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator
from typing import Any

from quart import Quart, Response, jsonify, redirect, request, websocket


class Broken(Exception):
    pass


def note(event: str) -> None:
    with open(os.environ["JOURNAL"], "a") as journal:
        print(event, file=journal)


def make_app() -> Quart:
    app = Quart(__name__)
    gate = asyncio.Event()
    ended = asyncio.Event()
    worked = asyncio.Event()

    @app.before_serving
    async def start() -> None:
        note("started")
        app.config["VISITS"] = itertools.count(1)

    @app.after_serving
    async def stop() -> None:
        note("stopped")

    @app.get("/query")
    async def query() -> dict[str, Any]:
        return {"name": request.args["name"], "tags": request.args.getlist("tag")}

    @app.post("/json")
    async def take_json() -> tuple[dict[str, Any], int]:
        return {"received": await request.get_json()}, 201

    @app.post("/form")
    async def form() -> dict[str, Any]:
        title = (await request.form)["title"]
        file = (await request.files)["file"]
        return {"title": title, "name": file.filename, "type": file.content_type, "content": file.read().decode()}

    @app.get("/cookies/set")
    async def set_cookies() -> Response:
        response = Response("")
        response.set_cookie("session", "abc", httponly=True)
        response.set_cookie("theme", "dark", path="/cookies")
        return response

    @app.get("/cookies")
    async def cookies() -> Response:
        return jsonify(request.cookies)

    @app.get("/redirect")
    async def redirected() -> Any:
        return redirect("/query?name=redirected")

    @app.get("/stream")
    async def stream() -> Response:
        async def pieces() -> AsyncIterator[str]:
            yield "one"
            await gate.wait()
            yield "two"
            yield "three"

        return Response(pieces(), content_type="text/plain; charset=utf-8")

    @app.get("/endless")
    async def endless() -> Response:
        async def ticks() -> AsyncIterator[str]:
            try:
                while True:
                    yield "tick"
                    await asyncio.sleep(0)
            finally:
                ended.set()

        return Response(ticks(), content_type="text/plain; charset=utf-8")

    @app.get("/ended")
    async def await_ended() -> tuple[str, int]:
        await ended.wait()
        return "", 204

    @app.post("/gate")
    async def open_gate() -> tuple[str, int]:
        gate.set()
        return "", 204

    @app.get("/error")
    async def error() -> str:
        raise Broken("in the handler")

    @app.post("/background")
    async def background() -> tuple[str, int]:
        async def work() -> None:
            await asyncio.sleep(0)
            note("worked")
            worked.set()

        app.add_background_task(work)  # of the app, not of the request, which returns before
        return "", 202

    @app.get("/background")
    async def await_background() -> tuple[str, int]:
        await worked.wait()
        return "", 204

    @app.get("/visits")
    async def visits() -> Response:
        return jsonify(next(app.config["VISITS"]))

    @app.websocket("/websocket")
    async def echo() -> None:
        try:
            while (text := str(await websocket.receive())) != "close":
                await websocket.send(f"{websocket.args['name']}: {text}")
            await websocket.close(4000, "as asked")
        except asyncio.CancelledError:
            note("disconnected")  # Quart cancels the handler, and does not tell it the code
            raise

    return app


def make_raising_app() -> Quart:
    app = make_app()
    app.config["PROPAGATE_EXCEPTIONS"] = True
    return app


app = make_app()
