"""What the failing line of a test asserts of, and is something else in the app's process: the section says so."""

from __future__ import annotations

import re
from collections.abc import Callable
from textwrap import dedent

import pytest

Suite = Callable[..., pytest.RunResult]

SHOP = """
    from fastapi import FastAPI

    EVENTS = []
    COUNT = 0
    app = FastAPI()

    class Store:
        rows = []

        def __init__(self):
            self.items = {}

        def get(self, key):
            return self.items.get(key)

        def __del__(self):
            "With this it may own something, and is not kept alike."

    store = Store()

    @app.get("/add")
    async def add():
        global COUNT
        COUNT += 1
        EVENTS.append("tea")
        Store.rows.append(2)
        store.items["tea"] = 1

    @app.get("/nothing")
    async def nothing():
        return {}
"""
CLIENTS = """
    import asyncio
    import threading

    import httpx
    import pytest
    from fastapi import FastAPI
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route
    from starlette.testclient import TestClient as OfStarlette

    import cafe
    from cafe import EVENTS, Store, app, store
    from isoclient import TestClient

    class Httpx:
        def __init__(self, app):
            self.app = app

        def get(self, path):
            async def get():
                transport = httpx.ASGITransport(self.app)
                async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                    return await client.get(path)
            return asyncio.run(get())

    @pytest.fixture(params=[TestClient, OfStarlette, Httpx])
    def make(request):
        return request.param
"""
TESTS = """
    def number_of_events():
        return len(EVENTS)

    def test_a_global(make):
        client = make(app)
        client.get("/add")
        assert EVENTS == ["tea"]

    def test_one_of_a_module(make):
        client = make(app)
        client.get("/add")
        assert cafe.COUNT == 1

    def test_one_of_a_class(make):
        client = make(app)
        client.get("/add")
        assert Store.rows == [2]

    def test_an_object_by_its_method(make):
        client = make(app)
        client.get("/add")
        assert store.get("tea") == 1

    def test_one_behind_a_helper(make):
        client = make(app)
        client.get("/add")
        assert number_of_events() == 1

    @pytest.fixture
    def own_store():
        return Store()

    @pytest.fixture
    def own_app(own_store):
        async def handler(request):
            own_store.items["tea"] = 1
            request.app.state.orders.append("tea")
            return PlainTextResponse("well")
        app = Starlette(routes=[Route("/", handler)])
        app.state.orders = []
        return app

    def test_a_fixture(make, own_app, own_store):
        client = make(own_app)
        client.get("/")
        assert own_store.get("tea") == 1

    @pytest.fixture(scope="module")
    def done():
        return threading.Event()

    @pytest.fixture(scope="module")
    def told():
        return asyncio.Queue()

    def test_what_others_wait_for(make, done, told):
        changed = threading.Condition()
        async def handler(request):
            done.set()
            told.put_nowait("tea")
            with changed:
                changed.notify_all()
            return PlainTextResponse("well")
        client = make(Starlette(routes=[Route("/", handler)]))
        client.get("/")
        assert (done.is_set(), changed, told.qsize()) == (True, changed, 1)

    def test_the_state(make, own_app):
        client = make(own_app)
        client.get("/")
        assert client.app.state.orders == ["tea"]
"""
COPY = 'it is a copy; @pytest.mark.isolated("together") shares'
TOLD = {
    "test_a_global": ["EVENTS is [] here and ['tea'] in the app's process (test_suite.py:LINE): "],
    "test_one_of_a_module": ["cafe.COUNT is 0 here and 1 in the app's process (test_suite.py:LINE): "],
    "test_one_of_a_class": ["Store.rows is [] here and [2] in the app's process (test_suite.py:LINE): "],
    "test_an_object_by_its_method": [
        "store is Store(items={}) here and Store(items={'tea': 1}) in the app's process (test_suite.py:LINE): "
    ],
    "test_one_behind_a_helper": ["EVENTS is [] here and ['tea'] in the app's process (test_suite.py:LINE): "],
    "test_a_fixture": [
        "own_store is Store(items={}) here and Store(items={'tea': 1}) in the app's process (test_suite.py:LINE): "
    ],
    "test_what_others_wait_for": [
        "changed notifies nobody in the other process, here or in the app's (test_suite.py:LINE): ",
        "done is <Event: not set> here and <Event: set> in the app's process (test_suite.py:LINE): ",
        "told is Queue([]) here and Queue(['tea']) in the app's process (test_suite.py:LINE): ",
    ],
    "test_the_state": ["client.app.state.orders is [] here and ['tea'] in the app's process (test_suite.py:LINE): "],
}


def told(result: pytest.RunResult) -> dict[str, list[str]]:
    """The lines about names, for each test, with the numbers of lines taken out where they are right."""
    found: dict[str, list[str]] = {}
    line_of_failure = {}
    for line in result.stdout.lines:
        if test := re.fullmatch(r"_+ ([\w.]*test_\w+(?:\[\w+\])?) _+", line):
            name = test[1]
            found[name] = []
        elif place := re.fullmatch(r"test_suite\.py:(\d+): AssertionError", line):
            line_of_failure[name] = place[1]
        elif "(test_suite.py:" in line:
            found[name].append(line.replace(f"test_suite.py:{line_of_failure[name]})", "test_suite.py:LINE)"))
    return found


def test_names_that_are_other_things_there(suite: Suite, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(cafe=SHOP)
    found = told(suite(dedent(CLIENTS) + dedent(TESTS), "--isolated"))
    assert len(found) == 3 * len(TOLD)
    for name, lines in TOLD.items():
        others = [found[f"{name}[{kind}]"] for kind in ("TestClient1", "Httpx") if f"{name}[{kind}]" in found]
        for other in others or [found[key] for key in found if key.startswith(name + "[")][1:]:
            assert other == [line + COPY for line in lines]
        [ours] = [lines for key, lines in found.items() if key.startswith(name + "[TestClient0")]
        assert [line.partition("it is a copy")[0] for line in ours] == lines
    assert found["test_a_global[TestClient0]"][0].endswith(
        'it is a copy; client.call(lambda: EVENTS) looks there, @pytest.mark.isolated("together") shares'
    )
    assert found["test_a_fixture[TestClient0]"][0].endswith(COPY)  # a function that is sent has a copy of that, too


def test_a_client_that_says_itself_that_it_is_isolated_is_not_to_be_marked(
    suite: Suite, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(cafe=SHOP)
    source = """
        def test_it():
            client = TestClient(app, isolated=True)
            client.get("/add")
            assert EVENTS == ["tea"]
    """
    [line] = told(suite(dedent(CLIENTS) + dedent(source)))["test_it"]
    assert line.endswith("client.call(lambda: EVENTS) looks there, isolated=False for its client shares")


def test_what_client_call_is_told_to_look_at_is_there(suite: Suite, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(cafe=SHOP)
    source = """
        def test_it():
            client = TestClient(app)
            client.get("/add")
            assert (client.call(lambda: EVENTS), client.call(lambda: cafe.COUNT)) == (["tea"], 1)
            assert client.call(lambda: Store.rows) == [2]
    """
    suite(dedent(CLIENTS) + dedent(source), "--isolated").assert_outcomes(passed=1)


def test_an_app_that_ends_with_the_failure_is_looked_at_before(suite: Suite, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(cafe=SHOP)
    source = """
        from isoclient import isolate

        def test_ours():
            with TestClient(app) as client:
                client.get("/add")
                assert EVENTS == ["tea"]

        def test_starlettes():
            with OfStarlette(app) as client:
                client.get("/add")
                assert EVENTS == ["tea"]

        def test_isolate():
            with isolate(app) as isolated:
                Httpx(isolated).get("/add")
                assert EVENTS == ["tea"]

        def test_request():
            client = TestClient(app, isolated="request")
            client.get("/add")
            assert EVENTS == ["tea"]
    """
    found = told(suite(dedent(CLIENTS) + dedent(source), "--isolated", "-Wignore"))
    lines = {name: [line.partition("it is a copy")[0] for line in lines] for name, lines in found.items()}
    assert lines == dict.fromkeys(("test_ours", "test_starlettes", "test_isolate"), TOLD["test_a_global"]) | {
        "test_request": []  # it has ended
    }
    assert found["test_isolate"][0].endswith(
        "it is a copy; isolated.call(lambda: EVENTS) looks there, a client of the app itself shares"
    )


@pytest.mark.parametrize("start_method", ["forkserver", "spawn"])
def test_a_fresh_interpreter_is_asked_for_what_it_has_imported(
    suite: Suite, pytester: pytest.Pytester, start_method: str
) -> None:
    pytester.makepyfile(cafe=SHOP)
    source = """
        def test_it():
            client = TestClient("cafe:app")
            client.get("/add")
            unknown = [1]
            assert (EVENTS, cafe.COUNT, unknown) == (["tea"], 1, [1])
    """
    found = told(suite(dedent(CLIENTS) + dedent(source), "--isolated", f"--isolated-start-method={start_method}"))
    assert [line.partition(": it")[0] for line in found["test_it"]] == [
        "EVENTS is [] here and ['tea'] in the app's process (test_suite.py:LINE)",
        "cafe.COUNT is 0 here and 1 in the app's process (test_suite.py:LINE)",
    ]


RECORDING = """
    class Recorder:
        def __init__(self):
            self._records = []

        def record(self, what):
            self._records.append(what)

        def records(self):
            return tuple(self._records)

        def __del__(self):
            "With this it may own something, and is not kept alike."
"""


def test_what_a_library_has_recorded(suite: Suite, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(cafe=SHOP)
    library = pytester.mkdir("site-packages")
    (library / "recording.py").write_text(dedent(RECORDING))
    pytester.makeconftest(f"import sys; sys.path.append({str(library)!r})")
    source = """
        from recording import Recorder

        def test_it(make):
            recorder, unused = Recorder(), Recorder()
            async def handler(request):
                seen.record("tea")
                return PlainTextResponse("well")
            seen = recorder
            client = make(Starlette(routes=[Route("/", handler)]))
            client.get("/")
            unused.record("here alone")
            assert (unused.records(), recorder.records()) == ((), ("tea",))
    """
    result = suite(dedent(CLIENTS) + dedent(source), "--isolated", "-Wignore")
    lines = [line.partition(" (")[0] for line in result.stdout.lines if "it is a copy" in line]
    assert lines == ["recorder._records is [] here and ['tea'] in the app's process"] * 3


ARGUMENTS = """
    from dataclasses import dataclass
    from unittest.mock import Mock

    @dataclass
    class User:
        name: str

    @pytest.fixture
    def saved(mocker):
        return Mock()

    @pytest.fixture
    def client(make, saved, mocker):
        class Users:
            def update(self, user, *, tags):
                user.name = "bob"
                tags.append("new")

        users = Users()
        mocker.spy(users, "update")
        async def handler(request):
            user, tags = User("ada"), []
            users.update(user, tags=tags)
            saved.by.him(user)
            saved.last(7, tags)
            tags.append("last")
            return PlainTextResponse("well")
        client = make(Starlette(routes=[Route("/", handler)]))
        client.users = users
        return client

    def test_a_variable(client):
        client.get("/")
        updated = client.users.update.call_args[0][0]
        assert updated.name == "bob"

    def test_an_assertion_of_the_mock(client, saved):
        client.get("/")
        saved.last.assert_called_once_with(7, ["new", "last"])

    def test_a_spy(client):
        client.get("/")
        assert client.users.update.call_args == ((User("bob"),), {"tags": ["new"]})

    def test_nothing_differs(client, saved):
        client.get("/")
        user = saved.by.him.call_args.args[0]
        assert user.name == "eve"

    def test_others_have_called_it(client, saved):
        client.get("/")
        tags = saved.last.call_args.args[1]
        saved.last(8, [])
        assert (tags, saved.last.call_count) == ([], 2)
"""


def test_what_a_mock_was_called_with(suite: Suite, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(cafe=SHOP)
    found = told(suite(dedent(CLIENTS) + dedent(ARGUMENTS), "--isolated"))
    then = "it is what the mock was called with, as it was then; "
    expected = {
        "test_a_variable": ["updated.name is 'ada' here and 'bob' in the app's process"],
        "test_an_assertion_of_the_mock": [
            "saved.last.call_args.args[1] is ['new'] here and ['new', 'last'] in the app's process"
        ],
        "test_a_spy": [
            "client.users.update.call_args.args[0] is User(name='ada') here and User(name='bob') in the app's process",
            "client.users.update.call_args.kwargs['tags'] is [] here and ['new', 'last'] in the app's process",
        ],
        "test_nothing_differs": [],
        "test_others_have_called_it": [],
    }
    assert len(found) == 3 * len(expected)
    for name, lines in found.items():
        test = name.partition("[")[0]
        assert [line.partition(" (test_suite.py:LINE): ")[0] for line in lines] == expected[test]
        assert all(f": {then}" in line for line in lines)


def test_an_exception_that_the_app_has_kept(suite: Suite, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(cafe=SHOP)
    source = """
        class Last:
            error = None

        last = Last()

        async def failing(scope, receive, send):
            last.error = LookupError("no tea")
            raise last.error

        def test_it():
            client = TestClient(failing)
            with pytest.raises(LookupError):
                client.get("/")
            assert last.error is not None
    """
    [line] = told(suite(dedent(CLIENTS) + dedent(source), "--isolated"))["test_it"]
    assert line.startswith(
        "last.error is None here and LookupError('no tea') in the app's process (test_suite.py:LINE): "
    )


def test_what_a_timeout_has_cancelled_and_what_is_in_a_group(suite: Suite, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(cafe=SHOP)
    source = """
        begun = asyncio.Event()
        async def use(wait):
            async def handler(request):
                begun.set()
                await asyncio.sleep(30)
            app = Starlette(routes=[Route("/", handler)])
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
                async with asyncio.TaskGroup() as group:
                    group.create_task(client.get("/"))
                    await wait()

        async def wait_for_it():
            async with asyncio.timeout(0.5):
                await begun.wait()

        def test_it():
            asyncio.run(use(wait_for_it))
    """
    result = suite(dedent(CLIENTS) + dedent(source), "--isolated", "-Wignore")
    line = "begun is <Event: not set> here and <Event: set> in the app's process (test_suite.py:*): it is a copy; *"
    result.stdout.fnmatch_lines([line])


CLEAN = """
    from unittest import mock

    MOCK = mock.Mock()
    class Hostile:
        def __init__(self):
            self.seen = "here"
        def __repr__(self):
            raise RuntimeError
        __getattr__ = __eq__ = __len__ = __iter__ = __repr__
    hostile = Hostile()

    def test_nothing_differs(make):
        response = make(app).get("/nothing")
        body, expected = response.json(), {"other": 1}
        assert body == expected, (EVENTS, store, app, cafe, response.status_code, MOCK)

    def test_a_variable_that_the_app_knows_nothing_of(make):
        expected = []
        client = make(app)
        client.get("/nothing")
        expected.append({"tea": 1})
        seen = [client.get("/nothing").json()]
        assert seen == expected

    def test_tools_and_mocks(make):
        client = make(app)
        MOCK()
        client.get("/nothing")
        MOCK()
        assert MOCK.call_count == 5 and client.base_url and app.middleware_stack

    def test_hostile_objects(make):
        make(app).get("/nothing")
        assert 1 == 2, hostile

    class TestAnother:
        def test_of_a_class(self, make):
            self.client, self.seen = make(app), []
            self.client.get("/nothing")
            self.seen.append(1)
            assert self.client.get("/nothing").json() == 3

    def test_raised_there(make):
        make(broken).get("/")

    def broken(scope):
        EVENTS.append(1)
        raise LookupError("no such book")
"""


def test_nothing_is_said_where_nothing_differs_that_the_app_has(suite: Suite, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(cafe=SHOP)
    result = suite(dedent(CLIENTS) + dedent(CLEAN), "--isolated")
    assert "could not be looked up" not in result.stdout.str()
    found = told(result)
    assert len(found) == 18
    assert [line for lines in found.values() for line in lines] == []


def test_variables_of_an_earlier_test_are_no_variables_of_this_one(suite: Suite, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(cafe=SHOP)
    source = """
        seen = []

        @pytest.fixture(scope="module")
        def client():
            async def handler(request):
                for store in seen:
                    store.items["tea"] = 1
                return PlainTextResponse("well")
            return TestClient(Starlette(routes=[Route("/", handler)]), isolated="client")

        @pytest.mark.parametrize("number", range(5))
        def test_it(client, number):
            store = Store()
            seen.append(store)
            client.get("/")
            assert (store.get("tea"), number) == (1, 0)
    """
    found = told(suite(dedent(CLIENTS) + dedent(source)))
    lines = {name: [line.partition(" in the app's")[0] for line in lines] for name, lines in found.items()}
    assert lines == {
        "test_it[0]": ["store is Store(items={}) here and Store(items={'tea': 1})"],
        **{f"test_it[{number}]": [] for number in range(1, 5)},
    }


def test_an_app_that_hangs_is_not_waited_for(suite: Suite, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(cafe=SHOP)
    source = """
        import time

        from isoclient.process.app_process import AppProcess

        AppProcess.grace = 0.3
        SEEN = []

        async def hanging(scope, receive, send):
            SEEN.append(1)
            if scope["path"] == "/hang":
                await send({"type": "http.response.start", "status": 200})
                await send({"type": "http.response.body", "body": b"well", "more_body": True})
                await asyncio.sleep(0.05)
                time.sleep(5)

        def test_it():
            client = TestClient(hanging)
            response = client.get("/hang", stream=True)
            assert next(response.iter_content(4)) == b"well"
            time.sleep(0.2)
            begun = time.monotonic()
            try:
                assert SEEN == [1]
            finally:
                globals()["begun"] = begun

        def test_how_long_that_took():
            assert time.monotonic() - begun < 9
    """
    result = suite(dedent(CLIENTS) + dedent(source), "--isolated", "-Wignore")
    result.assert_outcomes(failed=1, passed=1)
    assert told(result)["test_it"] == []
