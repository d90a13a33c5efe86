"""Clients of modules, which make them as they are imported, and of fixtures of wider scopes: when their apps end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from isoclient.plugin.lasting_clients import LastingClients

Suite = Callable[..., pytest.RunResult]

HELPER = """
    from isoclient import TestClient
    from shop import app

    pids = {}

    def make():
        return TestClient(app, isolated="client")
"""
TESTS = """
    from helper import make, pids
    from isoclient import TestClient
    from living import app

    {client}

    def test_first():
        pids[__name__] = int(client.get("/").text)

    def test_second():
        assert client.get("/").text == str(pids[__name__])
"""
LAST = """
    from ended import has_ended
    from helper import pids

    def test_last():
        running = %r
        assert all(has_ended(pids[name]) for name in pids if name not in running)
        assert not any(has_ended(pids[name], seconds=0) for name in running)
"""


@pytest.fixture
def left_running(suite: Suite, pytester: pytest.Pytester) -> Callable[..., None]:
    """Run modules of tests that have clients in these ways, and see whose apps run when all of them are over."""

    def run(clients: dict[str, str], *options: str, running: tuple[str, ...] = ()) -> None:
        modules = {name: TESTS.replace("{client}", client) for name, client in clients.items()}
        pytester.makepyfile(helper=HELPER, **modules)
        suite(LAST % (running,), *options).assert_outcomes(passed=2 * len(clients) + 1)

    return run


def test_an_app_ends_with_the_last_test_of_the_module_that_has_made_its_client(
    left_running: Callable[..., None],
) -> None:
    left_running(
        {
            "test_a": 'client = TestClient(app, isolated="client")',
            "test_b": 'client = TestClient(app, isolated="client").__enter__()',
            "test_c": 'client = TestClient(app, isolated="client")',
            "test_d": "from test_c import client",
            "test_e": "client = make()",
        },
        running=("test_b", "test_c", "test_d", "test_e"),
    )


def test_a_client_of_another_kind(left_running: Callable[..., None], pytester: pytest.Pytester) -> None:
    pytest.importorskip("starlette")
    make = "import starlette.testclient; client = starlette.testclient.TestClient(app)"
    other = make.replace("(app)", "(another)")
    pytester.makepyfile(another="async def app(*args): await __import__('living').app(*args)")
    left_running(
        {
            "test_a": f"from another import app as another; {other}",
            "test_b": make,
            "test_c": make,  # of the same app
        },
        "--isolated=client",
        "-Wignore",
        running=("test_b", "test_c"),
    )


def test_tests_of_modules_in_any_order(left_running: Callable[..., None], pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        def pytest_collection_modifyitems(items):
            last = items.pop()
            items[:] = [*items[::2], *items[1::2], last]
        """
    )
    client = 'client = TestClient(app, isolated="client")'
    left_running({"test_a": client, "test_b": client})


FIXTURES = """
    import pytest
    import starlette.testclient
    from ended import has_ended
    from helper import pids
    from isoclient import TestClient
    from living import app

    ours = lambda: TestClient(app, isolated="client")
    theirs = lambda: starlette.testclient.TestClient(app)

    {fixture}

    class TestBoth:
        def test_first(self, client):
            assert all(map(has_ended, pids))
            pids.append(int(client.get("/").text))

        def test_second(self, client):
            assert int(client.get("/").text) == pids[-1]
"""
RETURNING = """
    @pytest.fixture(scope="{scope}")
    def client():
        return {client}()
"""
ENTERED = """
    @pytest.fixture(scope="{scope}", params=range(2))
    def client(request):
        with {client}() as client:
            yield client
"""
AFTER = """
    from ended import has_ended
    from helper import pids

    def test_last():
        assert len(pids) == %d
        assert all(map(has_ended, pids))
"""


@pytest.mark.parametrize("client", ["ours", "theirs"])
@pytest.mark.parametrize("scope", ["class", "module"])
@pytest.mark.parametrize(("fixture", "times"), [(RETURNING, 1), (ENTERED, 2)], ids=["returning", "entered"])
def test_an_app_ends_with_the_fixture_that_has_made_its_client(
    suite: Suite, pytester: pytest.Pytester, fixture: str, times: int, scope: str, client: str
) -> None:
    made = FIXTURES.replace("{fixture}", fixture.format(scope=scope, client=client).strip())
    pytester.makepyfile(helper="pids = []", test_a=made)
    suite(AFTER % times, "--isolated=client", "-Wignore").assert_outcomes(passed=2 * times + 1)


def test_an_app_that_another_fixture_has_a_client_of_goes_on(suite: Suite, pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import pytest
        from living import app
        from starlette.testclient import TestClient

        @pytest.fixture(scope="session", autouse=True)
        def shared():
            return TestClient(app)
        """
    )
    made = FIXTURES.replace("{fixture}", RETURNING.format(scope="module", client="theirs").strip())
    pytester.makepyfile(helper="pids = []", test_a=made)
    last = """
        from helper import pids

        def test_last(shared):
            assert int(shared.get("/").text) == pids[-1]
    """
    suite(last, "--isolated=client", "-Wignore").assert_outcomes(passed=3)


class EndsBadly:
    def __init__(self, ended: list[object]) -> None:
        self.ended = ended

    def close(self) -> None: ...

    def end_with_maker(self) -> None:
        self.ended.append(self)
        raise RuntimeWarning("it has ended badly, and warnings are errors")


def test_all_of_a_module_are_ended_though_one_ends_badly(request: pytest.FixtureRequest) -> None:
    of_modules, ended = LastingClients(), list[object]()
    clients = [EndsBadly(ended), EndsBadly(ended)]
    for client in clients:
        exec("note(client)", {"__name__": __name__, "note": of_modules.note, "client": client})
    with pytest.raises(RuntimeWarning):
        of_modules.end_after(request.node, None)
    assert set(ended) == set(clients)


def test_a_fixture_whose_app_ends_badly_is_over_all_the_same(suite: Suite) -> None:
    tests = """
        import atexit
        import os
        import pytest
        from isoclient import TestClient
        from living import app

        made = []

        @pytest.fixture(scope="class")
        def number():
            client = TestClient(app, isolated="client")
            client.call(atexit.register, os.abort)
            made.append(client)
            yield len(made)
            raise LookupError("its own end")

        class TestOne:
            def test_it(self, number):
                assert number == 1

        class TestTwo:
            def test_it(self, number):
                assert number == 2
    """
    result = suite(tests, "-Werror::RuntimeWarning")
    result.assert_outcomes(passed=2, errors=2)
    assert result.stdout.str().count("LookupError: its own end") >= 2
