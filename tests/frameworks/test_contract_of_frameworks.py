"""One small contract, kept by every framework: in this process, in a fork of it, and in a fresh interpreter.

The apps are in ``apps/``. Where frameworks differ by their own design, :class:`Framework` says how.
"""

import gc
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import pytest

from isoclient import AppStartupError, ObjectNotSendable, TestClient, WebSocketDisconnect

Journal = Callable[[], list[str]]


@dataclass(frozen=True)
class Framework:
    """What a framework does in its own way.

    Attributes:
        lifespan: it has hooks for startup and shutdown.
        failed_lifespan: what such a hook raises is "raised", raised in a group ("grouped"), or "told" in a message.
        websockets: it has WebSockets.
        answers_errors: it makes a response of what a handler raises; nothing is left to raise, unless it is told so.
        background: whether a background task belongs to the "request" or to the "app"; None if there are none.
        copied: this app of it can be sent to a fresh interpreter. The others have locks or C objects in them, or, as
            FastAPI's, classes made at run time for the fields of a form.
    """

    name: str
    lifespan: bool = True
    failed_lifespan: str = "raised"
    websockets: bool = True
    answers_errors: bool = True
    background: str | None = "request"
    copied: bool = True

    def __str__(self) -> str:
        return self.name

    @property
    def module(self) -> Any:
        return import_module(f"apps.{self.name}_app")


STARLETTE = Framework("starlette", answers_errors=False)
FASTAPI = Framework("fastapi", answers_errors=False, copied=False)
LITESTAR = Framework("litestar", failed_lifespan="grouped", copied=False)
QUART = Framework("quart", failed_lifespan="told", background="app", copied=False)
DJANGO = Framework("django", lifespan=False, websockets=False, background=None)
FALCON = Framework("falcon", failed_lifespan="told", background="app", copied=False)
FRAMEWORKS = [STARLETTE, FASTAPI, LITESTAR, QUART, DJANGO, FALCON]

# They differ in how they start alone, so that a plain run needs one of them.
fresh_methods = pytest.mark.parametrize("start_method", ["forkserver", pytest.param("spawn", marks=pytest.mark.slow)])
both_modes = pytest.mark.parametrize("isolated", [False, True], ids=["in-process", "fork"])


def leaves_a_file_open(framework: Framework) -> list[pytest.MarkDecorator]:
    """Django closes the file with the request's body only if no exception or disconnect gets in between."""
    if framework is not DJANGO:
        return []
    return [pytest.mark.filterwarnings("ignore:Unclosed file <tempfile.SpooledTemporaryFile:ResourceWarning")]


@pytest.fixture
def collected(framework: Framework) -> Iterator[None]:
    """That file is left to the garbage collector: here, and not in another test."""
    yield
    if framework is DJANGO:
        gc.collect()


def each_framework(having: Callable[[Framework], object] = bool) -> pytest.MarkDecorator:
    chosen = [pytest.param(each, marks=leaves_a_file_open(each)) for each in FRAMEWORKS if having(each)]
    return pytest.mark.parametrize("framework", chosen, ids=str)


# -- the contract, as one function for each of its clauses

Clause = Callable[[TestClient, Framework, Journal], None]


def query(client: TestClient, framework: Framework, journal: Journal) -> None:
    response = client.get("/query", params={"name": "Grüße & more", "tag": ["a", "b c"]})
    assert (response.status_code, response.reason) == (200, "OK")
    assert response.headers["content-type"].startswith("application/json")
    assert response.json() == {"name": "Grüße & more", "tags": ["a", "b c"]}


def json(client: TestClient, framework: Framework, journal: Journal) -> None:
    response = client.post("/json", json={"item": "tea ☕", "amount": 3})
    assert (response.status_code, response.json()) == (201, {"received": {"item": "tea ☕", "amount": 3}})


def form_and_file(client: TestClient, framework: Framework, journal: Journal) -> None:
    response = client.post(
        "/form", data={"title": "a file"}, files={"file": ("notes.txt", b"one\r\ntwo", "text/plain")}
    )
    assert response.status_code == 200
    assert response.json() == {"title": "a file", "name": "notes.txt", "type": "text/plain", "content": "one\r\ntwo"}


def large_file(client: TestClient, framework: Framework, journal: Journal) -> None:
    # It arrives in many messages, and the frameworks put what is long on disk.
    content = "0123456789abcdef" * 80_000
    response = client.post("/form", data={"title": "long"}, files={"file": ("long.txt", content, "text/plain")})
    assert response.json()["content"] == content


def cookies(client: TestClient, framework: Framework, journal: Journal) -> None:
    response = client.get("/cookies/set")
    assert dict(response.cookies) == {"session": "abc", "theme": "dark"}
    assert client.get("/cookies").json() == {"session": "abc", "theme": "dark"}
    assert client.get("/cookies", cookies={"once": "1"}).json() == {"session": "abc", "theme": "dark", "once": "1"}

    client.cookies.clear()
    assert client.get("/cookies").json() == {}


def redirect(client: TestClient, framework: Framework, journal: Journal) -> None:
    response = client.get("/redirect")
    assert response.json()["name"] == "redirected"
    assert [step.status_code for step in response.history] == [302]

    response = client.get("/redirect", allow_redirects=False)
    assert response.status_code == 302
    assert response.headers["location"].startswith("/query?name=redirected")


def streaming(client: TestClient, framework: Framework, journal: Journal) -> None:
    with client.get("/stream", stream=True) as response:
        pieces = response.iter_content(None)
        assert next(pieces) == b"one"
        client.post("/gate").raise_for_status()  # the app waits for this before it goes on
        assert list(pieces) == [b"two", b"three"]
    assert response.status_code == 200


def leaving_an_endless_response(client: TestClient, framework: Framework, journal: Journal) -> None:
    with client.get("/endless", stream=True) as response:
        assert next(response.iter_content(4)) == b"tick"
    client.call(gc.collect)  # Django leaves the app's generator to the garbage collector
    client.get("/ended").raise_for_status()  # returns when the generator has ended


def websocket(client: TestClient, framework: Framework, journal: Journal) -> None:
    with client.websocket_connect("/websocket", params={"name": "Ada"}) as session:
        session.send_text("hello")
        assert session.receive_text() == "Ada: hello"
        client.get("/query?name=&tag=").raise_for_status()  # meanwhile
        session.send_text("close")
        with pytest.raises(WebSocketDisconnect) as closed:
            session.receive_text()
    assert (closed.value.code, closed.value.reason) == (4000, "as asked")


def websocket_closed_by_the_client(client: TestClient, framework: Framework, journal: Journal) -> None:
    with client.websocket_connect("/websocket?name=Ada") as session:
        session.close(4001)
    # Quart cancels the handler, which does not learn the code.
    assert journal()[-1] == ("disconnected" if framework is QUART else "disconnected with 4001")


def background_task(client: TestClient, framework: Framework, journal: Journal) -> None:
    assert client.post("/background").status_code == 202
    assert journal()[-1] == "worked"


def state(client: TestClient, framework: Framework, journal: Journal) -> None:
    assert [client.get("/visits").json() for _ in range(3)] == [1, 2, 3]


def clauses_of(framework: Framework) -> list[Clause]:
    clauses: list[Clause] = [
        query,
        json,
        form_and_file,
        large_file,
        cookies,
        redirect,
        streaming,
        leaving_an_endless_response,
    ]
    if framework.websockets:
        clauses += [websocket, websocket_closed_by_the_client]
    if framework.background == "request":
        clauses += [background_task]
    if framework.lifespan:
        clauses += [state]
    return clauses


# -- the contract kept


@both_modes
@pytest.mark.parametrize(
    ("framework", "clause"),
    [
        pytest.param(framework, clause, id=f"{framework}-{clause.__name__}", marks=leaves_a_file_open(framework))
        for framework in FRAMEWORKS
        for clause in clauses_of(framework)
    ],
)
def test_the_contract(framework: Framework, clause: Clause, isolated: bool, journal: Journal) -> None:
    with TestClient(framework.module.make_app(), isolated=isolated, timeout=10) as client:
        clause(client, framework, journal)


@each_framework()
def test_the_contract_in_a_fresh_interpreter(framework: Framework, journal: Journal) -> None:
    # All clauses on one client: what takes the time is the import of the framework.
    app = f"apps.{framework}_app:app"
    with TestClient(app, isolated=True, start_method="forkserver", timeout=30) as client:
        for clause in clauses_of(framework):
            clause(client, framework, journal)


@pytest.mark.rest
@fresh_methods
@each_framework()
def test_the_contract_of_the_app_object_of_a_module(framework: Framework, start_method: str, journal: Journal) -> None:
    app = framework.module.app
    with TestClient(app, isolated=True, start_method=start_method, timeout=30) as client:
        for clause in clauses_of(framework):
            clause(client, framework, journal)
        assert client.call(lambda: app is import_module(f"apps.{framework}_app").app)


@fresh_methods
@each_framework(having=lambda framework: framework is not DJANGO)  # its apps have their settings from their module
def test_the_contract_of_an_app_object_of_a_test(framework: Framework, start_method: str, journal: Journal) -> None:
    app = framework.module.make_app()
    client = TestClient(app, isolated=True, start_method=start_method, timeout=30)
    if not framework.copied:
        with pytest.raises(ObjectNotSendable, match="pickle") as caught:
            client.get("/")
        assert 'TestClient("package.module:app")' in caught.value.__notes__[0]
        return
    with client:
        for clause in clauses_of(framework):
            clause(client, framework, journal)


# -- errors


@both_modes
@each_framework()
def test_an_error_is_raised_in_the_test_or_answered_by_the_framework(framework: Framework, isolated: bool) -> None:
    with TestClient(framework.module.make_app(), isolated=isolated, timeout=10) as client:
        if framework.answers_errors:
            assert client.get("/error").status_code == 500
        else:
            with pytest.raises(framework.module.Broken, match=r"^in the handler$") as raised:
                client.get("/error")
            assert raised.traceback[-1].name == "error"
        assert client.get("/query?name=after&tag=").json()["name"] == "after"


def letting_through(framework: Framework) -> Any:
    """Quart from 0.23 on runs a request in a task group, and so lets its exception through in a group."""
    broken = pytest.RaisesExc(framework.module.Broken, match=r"^in the handler$")
    return pytest.RaisesGroup(broken, allow_unwrapped=True, flatten_subgroups=True)


@pytest.mark.usefixtures("collected")
@both_modes
@each_framework()
def test_an_error_is_raised_where_the_framework_is_told_to_let_it_through(framework: Framework, isolated: bool) -> None:
    with TestClient(framework.module.make_raising_app(), isolated=isolated, timeout=10) as client:
        with letting_through(framework) as raised:
            client.get("/error")
        error = raised.value
        while isinstance(error, BaseExceptionGroup):
            (error,) = error.exceptions
        handler = "on_get" if framework is FALCON else "error"
        frames = traceback.extract_tb(error.__traceback__)
        assert (framework.module.__file__, handler) in [(frame.filename, frame.name) for frame in frames]
        assert client.get("/query?name=after&tag=").json()["name"] == "after"


@pytest.mark.rest
@each_framework()
def test_an_error_arrives_from_a_fresh_interpreter(framework: Framework) -> None:
    app = f"apps.{framework}_app:make_raising_app"
    client = TestClient(app, factory=True, isolated=True, start_method="forkserver", timeout=30)
    with client, letting_through(framework):
        client.get("/error")


@pytest.mark.usefixtures("collected")
@both_modes
@pytest.mark.parametrize("factory", ["make_app", "make_raising_app"])
@each_framework()
def test_an_error_is_a_500_response_if_it_is_not_to_be_raised(
    framework: Framework, factory: str, isolated: bool
) -> None:
    app = getattr(framework.module, factory)()
    with TestClient(app, raise_server_exceptions=False, isolated=isolated, timeout=10) as client:
        response = client.get("/error")
        assert (response.status_code, response.reason) == (500, "Internal Server Error")
        assert client.get("/query?name=after&tag=").json()["name"] == "after"


@both_modes
@each_framework()
def test_an_unknown_path_is_no_error(framework: Framework, isolated: bool) -> None:
    with TestClient(framework.module.make_app(), isolated=isolated, timeout=10) as client:
        assert client.get("/nowhere").status_code == 404


# -- lifespan


@both_modes
@each_framework(having=lambda framework: framework.lifespan)
def test_startup_and_shutdown_surround_the_block(framework: Framework, isolated: bool, journal: Journal) -> None:
    with TestClient(framework.module.make_app(), isolated=isolated, timeout=10):
        assert journal() == ["started"]
    assert journal() == ["started", "stopped"]


@pytest.mark.rest
@each_framework(having=lambda framework: framework.lifespan)
def test_startup_and_shutdown_in_a_fresh_interpreter(framework: Framework, journal: Journal) -> None:
    with TestClient(f"apps.{framework}_app:app", isolated=True, timeout=30):
        assert journal() == ["started"]
    assert journal() == ["started", "stopped"]


@both_modes
@each_framework(having=lambda framework: framework.lifespan)
def test_without_a_block_there_is_no_lifespan(framework: Framework, isolated: bool, journal: Journal) -> None:
    client = TestClient(framework.module.make_app(), isolated=isolated, timeout=10)
    assert client.get("/query?name=x&tag=").json()["name"] == "x"
    client.close()
    assert journal() == []


@both_modes
@each_framework(having=lambda framework: framework.lifespan)
def test_each_lifespan_has_its_own_state(framework: Framework, isolated: bool, journal: Journal) -> None:
    client = TestClient(framework.module.make_app(), isolated=isolated, timeout=10)
    for _ in range(2):
        with client:
            assert [client.get("/visits").json() for _ in range(2)] == [1, 2]
    assert journal() == ["started", "stopped"] * 2


def fail_at(event: str, framework: Framework, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(noted: str) -> None:
        if noted == event:
            raise framework.module.Broken(f"before it was {event}")

    monkeypatch.setattr(framework.module, "note", fail)


def check_failure(framework: Framework, error: BaseException, text: str, told_as: type[BaseException]) -> None:
    if framework.failed_lifespan == "grouped":
        assert isinstance(error, ExceptionGroup)
        [error] = error.exceptions
    assert type(error) is (told_as if framework.failed_lifespan == "told" else framework.module.Broken)
    assert text in str(error)


@both_modes
@each_framework(having=lambda framework: framework.lifespan)
def test_a_failed_startup_is_raised_before_the_block(
    framework: Framework, isolated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_at("started", framework, monkeypatch)
    client = TestClient(framework.module.make_app(), isolated=isolated, timeout=5)
    with pytest.raises(Exception) as raised, client:  # noqa: PT011  # looked at below
        pytest.fail("the block was entered")
    check_failure(framework, raised.value, "before it was started", AppStartupError)


@both_modes
@each_framework(having=lambda framework: framework.lifespan)
def test_a_failed_shutdown_is_raised_after_the_block(
    framework: Framework, isolated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_at("stopped", framework, monkeypatch)
    client = TestClient(framework.module.make_app(), isolated=isolated, timeout=5)
    with pytest.raises(Exception) as raised, client:  # noqa: PT011  # looked at below
        assert client.get("/query?name=x&tag=").json()["name"] == "x"
    check_failure(framework, raised.value, "before it was stopped", RuntimeError)


# -- background tasks of the app


@both_modes
@each_framework(having=lambda framework: framework.background == "app")
def test_a_background_task_of_the_app_goes_on_after_its_request(
    framework: Framework, isolated: bool, journal: Journal
) -> None:
    with TestClient(framework.module.make_app(), isolated=isolated, timeout=10) as client:
        assert client.post("/background").status_code == 202
        client.get("/background").raise_for_status()  # returns when the task is done
        assert journal() == ["started", "worked"]


# -- apart from the test


@each_framework()
def test_what_the_app_keeps_is_kept_apart(framework: Framework) -> None:
    module = framework.module
    with TestClient(module.make_app(), isolated=True, timeout=10) as client:
        client.call(setattr, module, "seen", 1)
        assert client.call(lambda: module.seen) == 1
    assert not hasattr(module, "seen")
