"""Plugins that take parts of the system away from tests: the app is without them, and has its client all the same."""

from __future__ import annotations

from collections.abc import Callable

from tests.pytest_integration.runs import Run

APP = """
    import datetime
    import os
    import socket

    def opens_sockets():
        try:
            socket.socket().close()
        except Exception as error:
            return type(error).__name__
        return "opens sockets"

    async def app(scope, receive, send):
        found = f"{opens_sockets()}, {os.path.exists('/there.txt')}, {datetime.date.today().year > 2001}"
        await receive()
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": found})
            await receive()
            return
        await send({"type": "http.response.start", "status": 200})
        if scope["path"] == "/there.txt":
            await send({"type": "http.response.pathsend", "path": "/there.txt"})
        else:
            await send({"type": "http.response.body", "body": found.encode()})
"""

TESTS = """
    import contextlib

    import pytest
    from isoclient import TestClient

    from service import app

    MODES = [{}, {"isolated": True}, {"isolated": True, "start_method": "forkserver"}]
    LOOPS = [{}, {"backend": "trio"}, {"backend_options": {"use_uvloop": True}}]
    HERE = [mode | loop for mode in MODES[:2] for loop in LOOPS]

    def answer(**options):
        with contextlib.closing(TestClient(app, timeout=30, **options)) as client:
            found = client.get("/").text
            with client.websocket_connect("/") as session:
                assert session.receive_text() == found
            return found
"""


def test_sockets_are_the_apps_alone_to_miss(write: Callable[..., None], run: Run) -> None:
    write(
        service=APP,
        test_service=TESTS
        + """
    @pytest.mark.parametrize("options", HERE, ids=str)
    def test_it(options):
        assert answer(**options) == "SocketBlockedError, False, True"

    def test_a_fresh_interpreter_has_them():
        assert answer(**MODES[2]) == "opens sockets, False, True"
    """,
    )
    plugins = ("-p", "isoclient.plugin", "-p", "pytest_socket", "-W", "ignore:A test tried to use socket")
    run(*plugins, "--disable-socket").passed(7)
    run(*plugins, "--disable-socket", "--allow-unix-socket").passed(7)


def test_a_file_system_that_is_made_up_is_the_apps(write: Callable[..., None], run: Run) -> None:
    write(
        service=APP,
        test_service=TESTS
        + """
    @pytest.mark.parametrize("options", HERE, ids=str)
    def test_it(options, fs):
        fs.create_file("/there.txt", contents="made up")
        assert answer(**options) == "opens sockets, True, True"
        with contextlib.closing(TestClient(app, **options)) as client:
            assert client.get("/there.txt").text == "made up"

    def test_a_fresh_interpreter_has_the_real_one(fs):
        fs.create_file("/there.txt")
        assert answer(**MODES[2]) == "opens sockets, False, True"
    """,
    )
    run("-p", "isoclient.plugin", "-p", "pyfakefs.pytest_plugin").passed(7)


def test_a_clock_that_stands_still_is_the_apps(write: Callable[..., None], run: Run) -> None:
    write(
        service=APP,
        test_service=TESTS
        + """
    from freezegun import freeze_time

    @pytest.mark.parametrize("options", HERE, ids=str)
    @freeze_time("2001-01-01")
    def test_it(options):
        assert answer(**options) == "opens sockets, False, False"
    """,
    )
    run("-p", "isoclient.plugin").passed(6)
