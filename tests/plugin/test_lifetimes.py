"""Whose a client is: those that a test has made end with it, and no others do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Suite = Callable[..., pytest.RunResult]


def test_clients_end_with_the_scope_that_made_them(suite: Suite) -> None:
    source = """
        import os
        import pytest
        from isoclient import TestClient
        from shop import app

        made = {}

        def make(name):
            client = made[name] = TestClient(app, isolated=True)
            client.get("/")
            return client

        def runs(name):
            try:
                os.kill(made[name]._supervisor.copies[0].handle.pid, 0)
            except (IndexError, ProcessLookupError):
                return False
            return True

        make("module level")

        @pytest.fixture(scope="session")
        def of_session():
            return make("session")

        @pytest.fixture(scope="module")
        def of_module():
            return make("module")

        @pytest.fixture(scope="class")
        def of_class():
            return make("class")

        @pytest.fixture
        def of_function(request):
            # Fixtures of wider scopes are set up when they are first asked for, even within this one.
            request.getfixturevalue("of_session")
            return make("function")

        @pytest.fixture
        def with_teardown():
            client = make("with teardown")
            pid = client.pid
            yield
            assert runs("with teardown") and client.pid == pid

        class TestFirst:
            def setup_method(self):
                make("setup_method")

            def test_makes(self, of_function, of_class, of_module, with_teardown, isolated_client):
                make("test")
                made["factory"] = isolated_client(app)
                made["factory"].get("/")
                assert all(map(runs, made)) and len(made) == 9

            def test_then(self):
                # setup_method has made another one.
                assert {*filter(runs, made)} == {"module level", "setup_method", "session", "class", "module"}

        def test_last():
            assert {*filter(runs, made)} == {"module level", "session", "module"}
    """
    suite(source).assert_outcomes(passed=3)


def test_a_client_that_was_imported_late(suite: Suite) -> None:
    source = """
        import os

        pids = []

        def test_makes():
            from isoclient import TestClient
            from shop import app
            global kept
            kept = TestClient(app, isolated=True)
            pids.append(int(kept.get("/").text))
            os.kill(pids[0], 0)

        def test_is_closed():
            from ended import has_ended
            assert has_ended(pids[0])
    """
    suite(source).assert_outcomes(passed=2)


def test_one_that_is_dropped_ends_at_once(suite: Suite) -> None:
    source = """
        import gc, os
        import pytest
        from isoclient import TestClient
        from shop import app

        def test_drops():
            gc.disable()
            client = TestClient(app, isolated=True)
            pid = client.pid
            del client
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
    """
    suite(source).assert_outcomes(passed=1)


def test_what_fails_at_the_end_is_told_and_the_others_are_closed(suite: Suite) -> None:
    source = """
        from ended import has_ended
        from isoclient import TestClient
        from shop import app

        pids = []

        async def bad(scope, receive, send):
            while True:
                message = await receive()
                if message["type"] == "lifespan.shutdown":
                    raise LookupError("at the end")
                await send({"type": "lifespan.startup.complete"})

        def test_fails_at_the_end():
            first = TestClient(app, isolated=True)
            pids.append(first.pid)
            second = TestClient(bad, isolated=True).__enter__()
            pids.append(second.pid)
            globals().update(first=first, second=second)

        def test_all_are_closed():
            assert all(map(has_ended, pids))
    """
    result = suite(source)
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        ["E*LookupError: at the end", "ERROR test_suite.py::test_fails_at_the_end - LookupError*"]
    )


def test_unittest_and_parametrized_fixtures(suite: Suite) -> None:
    source = """
        import os, unittest
        import pytest
        from ended import has_ended
        from isoclient import TestClient
        from shop import app

        pids = []

        class Case(unittest.TestCase):
            def setUp(self):
                self.client = TestClient(app, isolated=True)
                pids.append(self.client.pid)

            def test_one(self):
                os.kill(pids[-1], 0)

            def test_two(self):
                os.kill(pids[-1], 0)
                assert has_ended(pids[0])

        @pytest.fixture(params=["a", "b"], scope="module")
        def client(request):
            with TestClient(app, isolated=True) as client:
                yield client

        @pytest.mark.parametrize("n", [1, 2])
        def test_parametrized(client, n):
            pids.append(client.pid)
            if n == 2:
                assert pids[-2] == pids[-1]
    """
    suite(source).assert_outcomes(passed=6)


def test_a_test_that_runs_again(suite: Suite, pytester: pytest.Pytester) -> None:
    """As plugins do that run a test again where it failed."""
    pytester.makeconftest(
        """
        import pytest
        from _pytest.runner import runtestprotocol

        @pytest.hookimpl
        def pytest_runtest_protocol(item, nextitem):
            item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
            for _ in range(2):
                reports = runtestprotocol(item, nextitem=nextitem, log=False)
            for report in reports:
                item.ihook.pytest_runtest_logreport(report=report)
            item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
            return True
        """
    )
    source = """
        from ended import has_ended
        from isoclient import TestClient
        from shop import app

        pids = []
        kept = []

        def test_twice():
            assert all(map(has_ended, pids))
            client = TestClient(app, isolated=True)
            kept.append(client)
            pids.append(client.pid)

        def test_at_the_end():
            assert has_ended(pids[1])
    """
    suite(source).assert_outcomes(passed=2)


def test_no_test_has_a_child_of_another(suite: Suite) -> None:
    """One that has children of its own may wait for any of them."""
    source = """
        import os
        import signal
        import pytest
        from isoclient import TestClient
        from shop import app

        @pytest.fixture
        def client():
            return TestClient(app, isolated=True)

        def wait_for_any_child():
            pid = os.fork()
            if pid == 0:
                os._exit(0)
            return os.wait()[0] == pid

        def test_with_an_app(client):
            client.get("/")

        def test_without():
            seen = []
            before = signal.signal(signal.SIGCHLD, lambda *_: seen.append("a child has ended"))
            assert wait_for_any_child()
            signal.signal(signal.SIGCHLD, before)
            assert len(seen) == 1

        def test_with_an_app_again(client):
            client.get("/")

        def test_with_both(client):
            client.get("/")
            assert wait_for_any_child()
    """
    suite(source).assert_outcomes(passed=4)
