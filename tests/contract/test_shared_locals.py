"""What a test has made for itself the app may change, and the test sees it: in-process, and in a fork of its own."""

from __future__ import annotations

import sys
import threading
from collections import Counter, defaultdict, deque
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from isoclient import StandIn

if TYPE_CHECKING:
    from tests.conftest import MakeClient, Receive, Scope, Send

pytestmark = pytest.mark.modes("thread", "fork")

Message = dict[str, Any]
noted: list[str] = []


async def answer(send: Send, body: object = "") -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": str(body).encode()})


class Recorder:
    def __init__(self) -> None:
        self.items: list[str] = []
        self.last: str | None = None

    def record(self, item: str) -> None:
        self.items.append(item)
        self.last = item


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def test_containers(make_client: MakeClient) -> None:
    calls: list[Any] = []
    seen: set[str] = set()
    by_path: dict[str, list[int]] = defaultdict(list)
    counted: Counter[str] = Counter()
    last: deque[str] = deque(maxlen=2)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        calls.append({"path": path, "number": len(calls)})
        seen.add(path)
        by_path[path].append(len(calls))
        counted[path] += 1
        last.append(path)
        await answer(send)

    client = make_client(app)
    for path in ("/a", "/b", "/a"):
        client.get(path)
    assert calls == [{"path": "/a", "number": 0}, {"path": "/b", "number": 1}, {"path": "/a", "number": 2}]
    assert seen == {"/a", "/b"}
    assert by_path == {"/a": [1, 3], "/b": [2]}
    assert (counted, last) == ({"/a": 2, "/b": 1}, deque(["/b", "/a"]))


def test_what_the_test_does_the_app_sees(make_client: MakeClient) -> None:
    prices: dict[str, Any] = {"tea": 1, "cake": {"small": 2}}
    sold: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        sold.append(scope["path"])
        await answer(send, (sorted(prices.items()), len(sold)))

    client = make_client(app)
    assert client.get("/").text == "([('cake', {'small': 2}), ('tea', 1)], 1)"
    prices["tea"] = 3
    prices["cake"]["large"] = 4
    sold.clear()
    assert client.get("/").text == "([('cake', {'small': 2, 'large': 4}), ('tea', 3)], 1)"
    del prices["cake"]
    assert client.get("/").text == "([('tea', 3)], 2)"
    assert sold == ["/", "/"]


def test_variables_that_functions_share(make_client: MakeClient) -> None:
    count = 0
    user: str | None = None

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal count, user
        count += 1
        user = scope["path"]
        await answer(send, count)

    client = make_client(app)
    assert client.get("/ada").text == "1"
    assert (count, user) == (1, "/ada")
    count = 10
    assert client.get("/grace").text == "11"
    assert (count, user) == (11, "/grace")


def test_objects_of_the_tests_own_classes(make_client: MakeClient, recorder: Recorder) -> None:
    """Also where a fixture has made them."""
    plain = SimpleNamespace(ready=False)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        recorder.record(scope["path"])
        plain.ready = True
        await answer(send)

    make_client(app).get("/tea")
    assert (recorder.items, recorder.last, plain.ready) == (["/tea"], "/tea", True)


@pytest.mark.modes("fork")
def test_what_modules_have_stays_apart(make_client: MakeClient) -> None:
    """Also where a variable of the test stands for it, and where the module is the test's own."""
    mine = noted

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        noted.append("in the app")
        await answer(send)

    client = make_client(app)
    client.get("/")
    assert noted == mine == []
    assert client.call(lambda: noted) == ["in the app"]


def test_what_has_come_into_one_is_shared_from_then_on(make_client: MakeClient) -> None:
    rooms: dict[str, list[str]] = {}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        rooms.setdefault(scope["path"], []).append("app")
        await answer(send, rooms)

    client = make_client(app)
    client.get("/a")
    rooms["/a"].append("test")
    rooms["/b"] = ["test"]
    assert client.get("/a").text == "{'/a': ['app', 'test', 'app'], '/b': ['test']}"
    client.get("/b")
    assert rooms == {"/a": ["app", "test", "app"], "/b": ["test", "app"]}


def test_what_is_the_same_stays_the_same(make_client: MakeClient) -> None:
    shared: list[Any] = []
    error = LookupError("no such book")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        shared.append(shared)
        shared.append(error)
        shared.append(app)
        raise error

    client = make_client(app)
    with pytest.raises(LookupError) as raised:
        client.get("/")
    assert raised.value is error
    assert raised.traceback[-1].name == "app"
    assert [each is other for each, other in zip(shared, [shared, error, app], strict=True)] == [True] * 3
    assert client.call(lambda: shared) is shared
    client.call(shared.append, "called")
    assert shared[-1] == "called"


def test_an_exception_that_is_kept_is_as_one_that_is_raised(make_client: MakeClient) -> None:
    caught: list[Exception] = []

    class OutOfStock(Exception):
        def __init__(self, *, title: str) -> None:
            self.title = title

        def __str__(self) -> str:
            return f"no {self.title} left"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            raise OutOfStock(title="tea")
        except OutOfStock as error:
            caught.append(error)
        await answer(send)

    make_client(app).get("/")
    [error] = caught
    assert (str(error), type(error)) == ("no tea left", OutOfStock)
    assert error.__traceback__ is not None


def test_an_exception_of_the_test_is_itself_in_a_group_and_as_a_cause(make_client: MakeClient) -> None:
    member, cause = ValueError("child failed"), KeyError("lost")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            raise cause
        except KeyError:
            raise ExceptionGroup("several", [member, TypeError("another")]) from cause

    with pytest.raises(ExceptionGroup) as raised:
        make_client(app).get("/")
    assert raised.value.exceptions[0] is member
    assert raised.value.__cause__ is cause
    assert raised.value.__context__ is cause
    assert isinstance(raised.value.exceptions[1], TypeError)


@pytest.mark.modes("fork")
def test_what_cannot_cross_is_a_stand_in(make_client: MakeClient) -> None:
    kept: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        kept.append(threading.Lock())
        kept.append("tea")
        await answer(send)

    make_client(app).get("/")
    assert isinstance(kept[0], StandIn)
    assert "lock" in repr(kept[0])
    assert kept[1] == "tea"


def test_amid_a_websocket(make_client: MakeClient) -> None:
    heard: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            heard.append(message["text"])
            await send({"type": "websocket.send", "text": str(len(heard))})

    with make_client(app).websocket_connect("/") as websocket:
        for number in range(1, 4):
            websocket.send_text("hello")
            assert websocket.receive_text() == str(number)
            assert heard == ["hello"] * number
        heard.clear()
        websocket.send_text("again")
        assert websocket.receive_text() == "1"


def test_in_the_lifespan(make_client: MakeClient) -> None:
    events: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            events.append("started")
            await send({"type": "lifespan.startup.complete"})
            await receive()
            events.append("stopped")
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await answer(send)

    with make_client(app) as client:
        assert events == ["started"]
        client.get("/")
    assert events == ["started", "stopped"]


@pytest.mark.modes("fork")
def test_responses_that_a_test_keeps_are_its_own(make_client: MakeClient) -> None:
    """They would not cross, and the app has nothing to do with them."""
    responses = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send)

    client = make_client(app)
    for _ in range(3):
        responses.append(client.get("/"))
    assert [response.status_code for response in responses] == [200] * 3


@pytest.mark.modes("fork")
def test_a_fresh_copy_begins_with_what_the_test_has_then(make_client: MakeClient) -> None:
    calls: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        calls.append(scope["path"])
        await answer(send, len(calls))

    client = make_client(app)
    client.get("/a")
    client.restart()
    assert client.get("/b").text == "2"
    assert calls == ["/a", "/b"]


@pytest.mark.modes("fork")
def test_two_clients(make_client: MakeClient) -> None:
    calls: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        calls.append(scope["path"])
        await answer(send, len(calls))

    first, second = make_client(app), make_client(app)
    assert [client.get("/").text for client in (first, second, first, second)] == ["1", "2", "3", "4"]
    assert calls == ["/"] * 4


@pytest.mark.modes("fork")
def test_what_is_patched_in_them_is_carried_over(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    """And so nobody is warned of it, though the way to the object leads through nothing that modules have."""
    stock = {"tea": 1}
    shelf = SimpleNamespace(hidden=Recorder())

    def take() -> str:
        return f"{stock['tea']} {shelf.hidden.last}"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, take())

    client = make_client(app)
    assert client.get("/").text == "1 None"
    monkeypatch.setitem(stock, "tea", 2)
    monkeypatch.setattr(shelf.hidden, "last", "cake")
    assert client.get("/").text == "2 cake"
    monkeypatch.undo()
    assert client.get("/").text == "1 None"
    assert not recwarn.list


@pytest.mark.modes("fork")
def test_a_variable_keeps_what_it_is_where_the_app_has_what_cannot_cross(make_client: MakeClient) -> None:
    """And the next copy of the app begins with that, and with no stand-ins."""
    lock: Any = None
    kept: dict[str, Any] = {}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal lock
        lock = lock or threading.Lock()
        with lock, kept.setdefault("lock", threading.Lock()):
            await answer(send, scope["path"])

    client = make_client(app)
    client.get("/")
    assert lock is None
    client.restart()
    assert client.get("/again").text == "/again"
    assert make_client(app).get("/other").text == "/other"


@pytest.mark.modes("fork")
def test_what_the_app_has_itself_is_not_replaced(make_client: MakeClient) -> None:
    """By what the test has for it, when that moves it, or changes what is beside it."""
    kept: list[Any] = ["first"]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/keep":
            kept.append(threading.Lock())
        await answer(send, [type(item).__name__ for item in kept])

    client = make_client(app)
    client.get("/keep")
    kept.pop(0)
    assert client.get("/").text == "['lock']"
    kept.insert(0, "again")
    assert client.get("/").text == "['str', 'lock']"


@pytest.mark.modes("fork")
def test_a_response_that_functions_share_is_not_read(make_client: MakeClient) -> None:
    responses: list[Any] = []

    def last() -> Any:
        return responses[-1]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, scope["path"])

    client = make_client(app)
    client.get("/")
    responses.append(client.get("/streamed", stream=True))
    client.get("/between")
    assert last().raw.read() == b"/streamed"


@pytest.mark.modes("fork")
def test_a_class_that_hides_what_it_has_breaks_nothing(make_client: MakeClient) -> None:
    class Hidden:
        __slots__ = ()

        def __getattribute__(self, name: str) -> Any:
            raise RuntimeError("nothing to see")

    hidden = [Hidden()]
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(str(len(hidden)))
        await answer(send)

    make_client(app).get("/")
    assert seen == ["1"]


@pytest.mark.modes("fork")
def test_what_an_app_s_threads_go_on_appending_comes_once(make_client: MakeClient) -> None:
    lists: list[list[int]] = []
    count = 900

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/done":
            for thread in threading.enumerate():
                if thread.name == "filling":
                    thread.join(30)
        else:
            sys.setswitchinterval(1e-6)
            filled: list[int] = []
            lists.append(filled)
            threading.Thread(target=filled.extend, args=((i for i in range(count)),), name="filling").start()
        await answer(send)

    client = make_client(app)
    for _ in range(20):
        client.get("/")
    client.get("/done")
    client.get("/done")
    assert lists == [list(range(count))] * 20


@pytest.fixture(scope="module")
def log_of_the_module() -> list[str]:
    return []


@pytest.mark.modes("fork")
def test_what_a_wider_fixture_has_stays_apart(make_client: MakeClient, log_of_the_module: list[str]) -> None:
    """Other tests are not to find there what the app has left."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        log_of_the_module.append(scope["path"])
        await answer(send, len(log_of_the_module))

    assert make_client(app).get("/").text == "1"
    assert log_of_the_module == []


class Counted:
    """One of those that can't be compared at all, and may meet in a set, where their hashes are alike."""

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        if self is not other:
            raise RuntimeError("not comparable")
        return True


@pytest.mark.modes("fork")
def test_what_cannot_be_compared_is_told_apart_all_the_same(make_client: MakeClient) -> None:
    first = Counted()
    kept = {first}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        kept.clear()
        kept.add(Counted())
        await answer(send, len(kept))

    assert make_client(app).get("/").text == "1"
    [item] = kept
    assert type(item) is Counted
    assert item is not first
