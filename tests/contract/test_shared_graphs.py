"""An object of a library's that a test has made, and what the app does with it: in-process, and in a fork."""

from __future__ import annotations

import threading
import traceback
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from isoclient import IsolationWarning, StandIn
from tests.contract import recording
from tests.contract.recording import Entry, Owning, Recorder, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import MakeClient, Receive, Scope, Send

    App = Callable[[Scope, Receive, Send], Any]

pytestmark = pytest.mark.modes("thread", "fork")


def app_with(do: Callable[[str], object]) -> App:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        said = do(scope["path"])
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": str(said).encode()})

    return app


@pytest.fixture
def recorder() -> dict[str, Recorder]:
    return {"recorder": Recorder()}


def test_what_the_app_records(make_client: MakeClient, recorder: dict[str, Recorder]) -> None:
    mine = recorder["recorder"]
    client = make_client(app_with(mine.record))
    for path in ("/a", "/b", "/a"):
        client.get(path)
    assert [(entry.path, entry.times) for entry in mine.entries] == [("/a", 2), ("/b", 1)]
    assert mine.by_path["/a"] is mine.entries[0]
    assert mine.count == 3
    first = mine.entries[0]
    assert type(first) is Entry
    assert (type(first.context), first.context) == (recording.Frozen, {"path": "/a"})
    assert (first.place.path, hasattr(first.place, "unset")) == ("/a", False)
    client.get("/a")
    assert mine.entries[0] is first
    assert first.times == 3


def test_what_the_test_does_with_it_the_app_sees(make_client: MakeClient) -> None:
    recorder = Recorder()

    def record(path: str) -> int:
        recorder.record(path)
        return len(recorder.entries)

    client = make_client(app_with(record))
    assert [client.get(path).text for path in ("/a", "/b")] == ["1", "2"]
    recorder.clear()
    assert client.get("/c").text == "1"
    recorder.record("/here")
    recorder.entries[0].again()
    recorder.entries[0].place.unset = "set here"
    assert client.get("/c").text == "2"
    assert [(entry.path, entry.times) for entry in recorder.entries] == [("/c", 3), ("/here", 1)]
    assert recorder.entries[0].place.unset == "set here"


def test_two_clients(make_client: MakeClient) -> None:
    recorder = Recorder()
    first, second = make_client(app_with(recorder.record)), make_client(app_with(recorder.record))
    for client, path in ((first, "/a"), (second, "/b"), (first, "/c"), (second, "/a")):
        client.get(path)
    assert [(entry.path, entry.times) for entry in recorder.entries] == [("/a", 2), ("/b", 1), ("/c", 1)]
    assert recorder.count == 4


@pytest.mark.modes("fork")
def test_what_a_module_has_stays_apart(make_client: MakeClient) -> None:
    recording.LEVELS.clear()
    recorder = Recorder()
    make_client(app_with(recorder.record)).get("/a")
    assert recorder.count == 1
    assert recorder.levels is recording.LEVELS
    assert recorder.levels == {}


@pytest.mark.modes("fork")
@pytest.mark.parametrize("kind", [Waiting, Owning])
def test_as_a_whole_or_not_at_all(make_client: MakeClient, kind: type[Recorder]) -> None:
    """Where something in it can't be seen, or is owned by it, nothing is shared."""
    recorder = kind()
    make_client(app_with(recorder.record)).get("/a")
    assert (recorder.entries, recorder.count) == ([], 0)


@pytest.mark.modes("fork")
def test_where_something_cannot_cross_it_is_over_as_a_whole(make_client: MakeClient) -> None:
    recorder, other = Recorder(), Recorder()

    def do(path: str) -> None:
        other.record(path)
        if path == "/worse":
            recorder.keep(threading.Event())
        else:
            recorder.record(path)

    client = make_client(app_with(do))
    client.get("/a")
    with pytest.warns(IsolationWarning, match="the test's Recorder has no more of what the app does with it"):
        client.get("/worse")
    assert ([entry.path for entry in recorder.entries], recorder.count) == (["/a"], 1)
    client.get("/b")
    assert ([entry.path for entry in recorder.entries], recorder.count) == (["/a"], 1)
    assert other.count == 3


def test_exceptions_cross_as_when_they_are_raised(make_client: MakeClient) -> None:
    recorder = Recorder()

    def fail(path: str) -> None:
        try:
            raise ZeroDivisionError(path) from LookupError("why")
        except ZeroDivisionError as error:
            recorder.keep(Entry(path, error))

    make_client(app_with(fail)).get("/a")
    [entry] = recorder.entries
    assert type(entry.error) is ZeroDivisionError
    assert (entry.error.args, str(entry.error.__cause__)) == (("/a",), "why")
    assert [frame.name for frame in traceback.extract_tb(entry.error.__traceback__)] == ["fail"]


def test_the_app_in_it_is_the_tests_own(make_client: MakeClient) -> None:
    recorder, seen = Recorder(), []

    class Shop:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            recorder.keep({"app": self})
            seen.append(self)
            await app_with(str)(scope, receive, send)

    app = Shop()
    make_client(app).get("/a")
    assert recorder.entries == [{"app": app}]
    assert seen == [app]


@pytest.mark.modes("fork")
def test_where_nothing_has_crossed_nothing_is_told(make_client: MakeClient) -> None:
    recorder = Recorder()
    client = make_client(app_with(lambda path: recorder.keep(threading.Event())))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client.get("/")
    assert (recorder.entries, recorder.count) == ([], 0)


@pytest.mark.modes("fork")
def test_what_leads_to_the_app_is_the_apps(make_client: MakeClient) -> None:
    recorder = Recorder()
    app = app_with(recorder.record)

    class Wrapper:
        def __init__(self) -> None:
            self.recorder = recorder

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await app(scope, receive, send)

    outer = Recorder()
    outer.entries.append(Wrapper())
    client = make_client(outer.entries[0])
    client.get("/a")
    assert recorder.count == 1
    assert outer.count == 0


def test_what_has_locks_for_itself_comes_into_a_list(make_client: MakeClient) -> None:
    entries: list[Any] = []
    make_client(app_with(lambda path: entries.append(Entry(path)))).get("/a")
    assert [(type(entry), entry.path, entry.times) for entry in entries] == [(Entry, "/a", 1)]
    entries[0].again()


@pytest.mark.modes("fork")
def test_a_lock_by_itself_is_a_stand_in(make_client: MakeClient) -> None:
    locks: list[Any] = []
    make_client(app_with(lambda path: locks.append(threading.Lock()))).get("/a")
    assert [type(lock) for lock in locks] == [StandIn]


@pytest.mark.modes("fork")
def test_a_fresh_copy_begins_with_what_the_test_has_then(make_client: MakeClient) -> None:
    recorder = Recorder()
    client = make_client(app_with(recorder.record))
    client.get("/a")
    client.restart()
    client.get("/a")
    assert [(entry.path, entry.times) for entry in recorder.entries] == [("/a", 2)]
