"""Suites that assert on mocks, under ``--isolated``: what passed though it must fail, and what failed for no reason."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Suite = Callable[..., pytest.RunResult]

# Each asks an app, whatever it is for, by a client of its own.
CLIENTS = {
    "isoclient": """
        from isoclient import TestClient

        def ask(app, times=1):
            with TestClient(app) as client:
                return [client.get("/").text for _ in range(times)]
    """,
    "starlette": """
        from starlette.testclient import TestClient

        def ask(app, times=1):
            with TestClient(app) as client:
                return [client.get("/").text for _ in range(times)]
    """,
    "httpx": """
        import asyncio, httpx

        def ask(app, times=1):
            async def main():
                async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
                    return [(await client.get("/")).text for _ in range(times)]

            return asyncio.run(main())
    """,
}
APP = """
    import os
    from dataclasses import dataclass
    from unittest import mock
    from unittest.mock import AsyncMock, MagicMock, Mock, call, create_autospec
    import pytest

    def charge(card, amount=1):
        return f"{amount} from {card}"

    def app_of(act):
        async def app(scope, receive, send):
            if scope["type"] == "lifespan":
                while (message := await receive())["type"] == "lifespan.startup":
                    await send({"type": "lifespan.startup.complete"})
                await send({"type": "lifespan.shutdown.complete"})
                return
            result = act()
            result = await result if hasattr(type(result), "__await__") else result
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": f"{result} {os.getpid()}".encode()})

        return app

    @pytest.fixture(autouse=True)
    def apps_run_elsewhere():
        yield
        [pid] = ask(app_of(lambda: ""))
        assert int(pid) != os.getpid()
"""
"""What all of them begin with."""

# They assert what is not so, and must fail.
FALSE = """
    def test_not_called():
        function = Mock()
        ask(app_of(function))
        function.assert_not_called()

    def test_not_awaited():
        function = AsyncMock()
        ask(app_of(function))
        function.assert_not_awaited()

    def test_count_is_zero():
        function = Mock()
        ask(app_of(lambda: function.child(1)))
        assert function.child.call_count == 0

    def test_no_calls():
        function = MagicMock()
        ask(app_of(lambda: function().child(1)))
        assert function.mock_calls == []

    def test_called_once():
        function = create_autospec(charge)
        ask(app_of(lambda: charge_by(function)), times=2)
        function.assert_called_once()

    def test_patched_is_not_called():
        with mock.patch(f"{__name__}.charge") as function:
            ask(app_of(lambda: charge("gold")))
            function.assert_not_called()

    def test_spied_is_not_called(mocker):
        spy = mocker.spy(os.path, "basename")
        ask(app_of(lambda: os.path.basename("a/b")))
        spy.assert_not_called()

    def charge_by(function):
        return function("gold")
"""

# They assert what is so, and must pass.
TRUE = """
    class Till:
        def open(self, code):
            return code * 2

        async def count(self, many):
            return many * 3

        @property
        def brand(self):
            return "Anker"

    def test_called():
        function = Mock(return_value=5)
        assert ask(app_of(lambda: function("gold", amount=2)))[0].startswith("5 ")
        function.assert_called_once_with("gold", amount=2)

    def test_awaited():
        function = AsyncMock(side_effect=["a", "b"])
        assert [text[0] for text in ask(app_of(lambda: function(1)), times=2)] == ["a", "b"]
        assert function.await_args_list == [call(1), call(1)]

    def test_patched():
        with mock.patch(f"{__name__}.charge", autospec=True, return_value="paid") as function:
            assert ask(app_of(lambda: charge("gold")))[0].startswith("paid ")
        function.assert_called_once_with("gold")

    def test_patched_of_an_object(mocker):
        opened = mocker.patch.object(Till, "open", return_value=7)
        assert ask(app_of(lambda: Till().open(3)))[0].startswith("7 ")
        opened.assert_called_once_with(3)

    def test_a_property(mocker):
        brand = mocker.patch.object(Till, "brand", new_callable=mocker.PropertyMock, return_value="Sweda")
        assert ask(app_of(lambda: Till().brand))[0].startswith("Sweda ")
        brand.assert_called_once_with()

    def test_a_spy(mocker):
        spy = mocker.spy(Till, "open")
        assert ask(app_of(lambda: Till().open(3)))[0].startswith("6 ")
        assert spy.call_count == 1
        assert spy.spy_return == 6
        assert spy.spy_return_list == [6]

    def test_a_spy_of_a_coroutine(mocker):
        spy = mocker.spy(Till, "count")
        assert ask(app_of(lambda: Till().count(3)))[0].startswith("9 ")
        assert spy.await_count == spy.call_count == 1
        assert spy.spy_return == 9

    def test_a_spy_of_an_object(mocker):
        till = Till()
        spy = mocker.spy(till, "open")
        ask(app_of(lambda: till.open(4)))
        spy.assert_called_once_with(4)
        assert spy.spy_return == 8

    def test_a_stub(mocker):
        stub = mocker.stub(name="on_something")
        ask(app_of(lambda: stub("foo", "bar")))
        stub.assert_called_once_with("foo", "bar")

    def test_one_mock_for_two_clients():
        function = Mock(side_effect=range(9))
        texts = ask(app_of(lambda: function()), times=2) + ask(app_of(lambda: function()), times=2)
        assert [text[0] for text in texts] == ["0", "1", "2", "3"]
        assert function.call_count == 4

    def test_a_manager_keeps_the_order():
        manager = Mock()
        manager.attach_mock(first := Mock(), "first")
        manager.attach_mock(second := Mock(), "second")
        ask(app_of(lambda: (first(1), second(2), first(3)) and ""))
        assert manager.mock_calls == [call.first(1), call.second(2), call.first(3)]
"""

# It asserts of what the test shares with its app, which lives as long as the test.
SHARED = """
    @dataclass
    class User:
        name: str
        password: str

    @pytest.fixture
    def user():
        return User("ada", "old")

    def test_a_user_of_a_fixture_that_is_changed_after_the_call(mocker, user):
        class Users:
            async def update(self, who, **changes):
                for name, value in changes.items():
                    setattr(who, name, value)
                return who

        users = Users()
        spy = mocker.spy(users, "update")
        before = user.password
        ask(app_of(lambda: users.update(user, password="new")))
        assert spy.call_args.args[0].password != before
        assert spy.spy_return is spy.call_args.args[0] is user
"""


@pytest.mark.parametrize("client", CLIENTS)
def test_what_must_fail_fails(suite: Suite, client: str) -> None:
    result = suite(*_written(CLIENTS[client], APP, FALSE), "--isolated")
    result.assert_outcomes(failed=7)
    assert "to not have been called. Called 1 times" in result.stdout.str()


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    "isolated", ["test", *(pytest.param(lifetime, marks=pytest.mark.rest) for lifetime in ("client", "request"))]
)
def test_what_must_pass_passes(suite: Suite, client: str, isolated: str) -> None:
    result = suite(*_written(CLIENTS[client], APP, TRUE), f"--isolated={isolated}")
    result.assert_outcomes(passed=11)


@pytest.mark.parametrize("client", CLIENTS)
def test_what_is_shared_passes(suite: Suite, client: str) -> None:
    suite(*_written(CLIENTS[client], APP, SHARED), "--isolated").assert_outcomes(passed=1)


def _written(*parts: str) -> tuple[str]:
    from textwrap import dedent

    return ("\n".join(map(dedent, parts)),)
