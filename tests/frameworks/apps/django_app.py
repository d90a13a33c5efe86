"""The contract on Django: its ASGI handler, without a project. It has no WebSockets, lifespan or background tasks."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["testserver"],
    LOGGING_CONFIG=None,
    ROOT_URLCONF=__name__,
    SECRET_KEY="not needed",
)


class Broken(Exception):
    pass


gate = asyncio.Event()
ended = asyncio.Event()


async def query(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"name": request.GET["name"], "tags": request.GET.getlist("tag")})


async def take_json(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"received": json.loads(request.body)}, status=201)


async def form(request: HttpRequest) -> HttpResponse:
    file = request.FILES["file"]
    return JsonResponse(
        {
            "title": request.POST["title"],
            "name": file.name,
            "type": file.content_type,
            "content": file.read().decode(),
        }
    )


async def set_cookies(request: HttpRequest) -> HttpResponse:
    response = HttpResponse()
    response.set_cookie("session", "abc", httponly=True)
    response.set_cookie("theme", "dark", path="/cookies")
    return response


def cookies(request: HttpRequest) -> HttpResponse:  # not async: Django calls it in a thread
    return JsonResponse(request.COOKIES)


async def redirect(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect("/query?name=redirected")


async def stream(request: HttpRequest) -> StreamingHttpResponse:
    async def pieces() -> AsyncIterator[str]:
        yield "one"
        await gate.wait()
        yield "two"
        yield "three"

    return StreamingHttpResponse(pieces(), content_type="text/plain; charset=utf-8")


async def endless(request: HttpRequest) -> StreamingHttpResponse:
    async def ticks() -> AsyncIterator[str]:
        try:
            while True:
                yield "tick"
                await asyncio.sleep(0)
        finally:
            ended.set()

    return StreamingHttpResponse(ticks(), content_type="text/plain; charset=utf-8")


async def await_ended(request: HttpRequest) -> HttpResponse:
    await ended.wait()
    return HttpResponse(status=204)


async def open_gate(request: HttpRequest) -> HttpResponse:
    gate.set()
    return HttpResponse(status=204)


async def error(request: HttpRequest) -> HttpResponse:
    raise Broken("in the handler")


urlpatterns = [
    path("query", query),
    path("json", take_json),
    path("form", form),
    path("cookies/set", set_cookies),
    path("cookies", cookies),
    path("redirect", redirect),
    path("stream", stream),
    path("endless", endless),
    path("ended", await_ended),
    path("gate", open_gate),
    path("error", error),
]


def make_app() -> Any:
    return get_asgi_application()


def make_raising_app() -> Any:
    app = make_app()

    async def raising(scope: Any, receive: Any, send: Any) -> None:
        with override_settings(DEBUG_PROPAGATE_EXCEPTIONS=True):  # else Django answers every exception
            await app(scope, receive, send)

    return raising


app = make_app()
