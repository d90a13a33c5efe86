"""What Django's ASGI handler offers to apps and to their tests, beyond the contract.

Django is configured once for a process: by ``apps/django_app.py``. What these tests need beyond that, they override.
"""

import gc
import json
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django import forms
from django.core.asgi import get_asgi_application
from django.core.exceptions import PermissionDenied
from django.core.signals import request_finished
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.middleware.csrf import get_token
from django.template import engines
from django.test import override_settings
from django.urls import path, reverse
from django.views import View

if TYPE_CHECKING:
    from tests.conftest import Cell, MakeClient

import_module("apps.django_app")  # configures Django

pytestmark = [
    pytest.mark.modes("fork", "thread"),
    pytest.mark.backends("asyncio"),
]


class Greeting(forms.Form):  # type: ignore[misc]  # Django is published without types
    name = forms.CharField(max_length=10)


class Verbs(View):  # type: ignore[misc]
    async def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("got")

    async def put(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(b"put " + request.body)


def greet(request: HttpRequest) -> HttpResponse:
    form = Greeting(request.POST)
    if not form.is_valid():
        return JsonResponse(json.loads(form.errors.as_json()), status=400)
    return HttpResponse(f"hello, {form.cleaned_data['name']}")


def token(request: HttpRequest) -> HttpResponse:
    return HttpResponse(get_token(request))


async def count(request: HttpRequest) -> HttpResponse:
    seen = await request.session.aget("count", 0) + 1
    await request.session.aset("count", seen)
    return JsonResponse(seen, safe=False)


def template(request: HttpRequest) -> HttpResponse:
    found = engines["django"].from_string("{% for item in items %}[{{ item }}]{% endfor %}")
    return HttpResponse(found.render({"items": ["tea", "<cup>"]}, request))


def where(request: HttpRequest) -> HttpResponse:
    return JsonResponse([reverse("where"), request.path, request.build_absolute_uri(), request.is_secure()], safe=False)


def missing(request: HttpRequest) -> HttpResponse:
    raise Http404("no such thing")


def forbidden(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied


def threads(request: HttpRequest) -> HttpResponse:
    return JsonResponse(threading.get_ident(), safe=False)


def numbers(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse((f"{number}\n" for number in range(3)), content_type="text/plain")


def file(request: HttpRequest, name: str) -> FileResponse:
    return FileResponse(open(name, "rb"), as_attachment=True)  # the response closes it


def long(request: HttpRequest) -> HttpResponse:
    return HttpResponse("a line\n" * 1000)


async def fail(request: HttpRequest) -> HttpResponse:
    raise LookupError("in the view")


urlpatterns = [
    path("verbs", Verbs.as_view()),
    path("greet", greet),
    path("token", token),
    path("count", count),
    path("template", template),
    path("where", where, name="where"),
    path("missing", missing),
    path("forbidden", forbidden),
    path("threads", threads),
    path("numbers", numbers),
    path("file/<path:name>", file),
    path("long", long),
    path("fail", fail),
]


def upper(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """A middleware that is not async: Django calls it in a thread."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers["X-Shout"] = response.content.decode().upper()
        return response

    return middleware


@pytest.fixture
def collected() -> Iterator[None]:
    """The file is left to the garbage collector: here, and not in another test."""
    yield
    gc.collect()


@pytest.fixture
def make_app() -> Iterator[Callable[..., Any]]:
    """Makes the handler with the settings that a test needs; it is made under them, and the fork is made under them."""
    overrides = []

    def make(*middleware: str, **settings: Any) -> Any:
        override = override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=list(middleware), **settings)
        override.enable()
        overrides.append(override)
        return get_asgi_application()

    yield make
    for override in reversed(overrides):
        override.disable()


def test_a_class_of_views(make_client: "MakeClient", make_app: Callable[..., Any]) -> None:
    client = make_client(make_app())
    assert client.get("/verbs").text == "got"
    assert client.put("/verbs", data="it").text == "put it"
    refused = client.delete("/verbs")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, PUT, HEAD, OPTIONS")


def test_a_form(make_client: "MakeClient", make_app: Callable[..., Any]) -> None:
    client = make_client(make_app())
    assert client.post("/greet", data={"name": "Ada"}).text == "hello, Ada"
    response = client.post("/greet", data={"name": "far too long a name"})
    assert (response.status_code, response.json()["name"][0]["code"]) == (400, "max_length")


def test_a_form_is_protected(make_client: "MakeClient", make_app: Callable[..., Any]) -> None:
    client = make_client(make_app("django.middleware.csrf.CsrfViewMiddleware"))
    assert client.post("/greet", data={"name": "Ada"}).status_code == 403
    given = client.get("/token").text
    assert client.post("/greet", data={"name": "Ada", "csrfmiddlewaretoken": given}).text == "hello, Ada"
    assert client.post("/greet", data={"name": "Ada"}, headers={"x-csrftoken": given}).text == "hello, Ada"


def test_sessions(make_client: "MakeClient", make_app: Callable[..., Any]) -> None:
    app = make_app(
        "django.contrib.sessions.middleware.SessionMiddleware",
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    )
    client = make_client(app)
    assert [client.get("/count").json() for _ in range(3)] == [1, 2, 3]
    client.cookies.clear()
    assert client.get("/count").json() == 1


def test_a_template(make_client: "MakeClient", make_app: Callable[..., Any]) -> None:
    app = make_app(TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}])
    assert make_client(app).get("/template").text == "[tea][&lt;cup&gt;]"


def test_under_a_root_path(make_client: "MakeClient", make_app: Callable[..., Any]) -> None:
    client = make_client(make_app(), root_path="/proxy", base_url="https://testserver")
    assert client.get("/proxy/where").json() == ["/proxy/where", "/proxy/where", "https://testserver/proxy/where", True]


def test_what_django_makes_a_response(make_client: "MakeClient", make_app: Callable[..., Any]) -> None:
    client = make_client(make_app())
    assert client.get("/missing").status_code == 404
    assert client.get("/forbidden").status_code == 403
    assert client.get("http://other.example/where").status_code == 400


def test_the_debug_page(make_client: "MakeClient", make_app: Callable[..., Any]) -> None:
    response = make_client(make_app(DEBUG=True)).get("/fail")
    assert response.status_code == 500
    assert "LookupError" in response.text
    assert "in the view" in response.text


# Django closes the file with the request's body only if no exception is let through.
@pytest.mark.filterwarnings("ignore:Unclosed file <tempfile.SpooledTemporaryFile:ResourceWarning")
@pytest.mark.usefixtures("collected")
def test_a_setting_is_changed_through_call(
    make_client: "MakeClient", make_app: Callable[..., Any], cell: "Cell"
) -> None:
    def let_through() -> None:
        from django.conf import settings

        settings.DEBUG_PROPAGATE_EXCEPTIONS = True

    client = make_client(make_app(DEBUG_PROPAGATE_EXCEPTIONS=False))
    assert client.get("/fail").status_code == 500
    client.call(let_through)
    with pytest.raises(LookupError, match="in the view"):
        client.get("/fail")

    from django.conf import settings

    assert settings.DEBUG_PROPAGATE_EXCEPTIONS is not cell.isolated


def test_middleware_in_a_thread(make_client: "MakeClient", make_app: Callable[..., Any]) -> None:
    client = make_client(make_app(f"{__name__}.upper", "django.middleware.common.CommonMiddleware"))
    response = client.get("/verbs")
    assert (response.text, response.headers["x-shout"], response.headers["content-length"]) == ("got", "GOT", "3")


def test_gzip(make_client: "MakeClient", make_app: Callable[..., Any]) -> None:
    client = make_client(make_app("django.middleware.gzip.GZipMiddleware"))
    response = client.get("/long")
    assert (response.text, response.headers["content-encoding"]) == ("a line\n" * 1000, "gzip")


def test_views_in_a_thread_are_not_on_the_loop(make_client: "MakeClient", make_app: Callable[..., Any]) -> None:
    client = make_client(make_app())
    assert client.get("/threads").json() != client.call(threading.get_ident)


# Django warns of what it does with an iterator that is not async: it reads it whole before it sends the first piece.
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators:Warning")
def test_a_generator_that_is_not_async(make_client: "MakeClient", make_app: Callable[..., Any]) -> None:
    with make_client(make_app()).get("/numbers", stream=True) as response:
        assert list(response.iter_lines()) == [b"0", b"1", b"2"]


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators:Warning")
def test_a_file(make_client: "MakeClient", make_app: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "tea.bin").write_bytes(bytes(range(256)) * 1000)
    response = make_client(make_app()).get(f"/file/{tmp_path}/tea.bin")
    assert response.content == bytes(range(256)) * 1000
    assert response.headers["content-disposition"] == 'attachment; filename="tea.bin"'


def test_the_request_has_finished_when_it_returns(make_client: "MakeClient", make_app: Callable[..., Any]) -> None:
    finished: list[int] = []

    def note(**sent: Any) -> None:
        finished.append(1)

    request_finished.connect(note)
    try:
        app = make_app()
        app.finished = finished
        client = make_client(app)
        assert client.get("/verbs").text == "got"
        assert client.call(lambda: app.finished) == [1]
    finally:
        request_finished.disconnect(note)
