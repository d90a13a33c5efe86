"""The core of HTTP: a request goes in, the app is called once, a response comes out."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest

if TYPE_CHECKING:
    from tests.conftest import Cell, MakeClient, Receive, Scope, Send


def test_the_cell_is_what_its_name_says(make_client: MakeClient, cell: Cell) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if cell.backend == "trio":
            import trio

            trio.lowlevel.current_task()
            name = "trio"
        else:
            import asyncio

            name = type(asyncio.get_running_loop()).__module__
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": f"{os.getpid()} {name}".encode()})

    client = make_client(app)
    pid, name = client.get("/").text.split()
    assert int(pid) == client.pid
    assert (int(pid) != os.getpid()) is cell.isolated
    assert name.startswith({"asyncio": "asyncio", "uvloop": "uvloop", "trio": "trio"}[cell.backend])


def test_a_response_arrives_as_the_app_sent_it(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"X-Case", b"Kept"), (b"x-twice", b"1")]
        await send({"type": "http.response.start", "status": 203, "headers": [*headers, (b"x-twice", b"2")]})
        await send({"type": "http.response.body", "body": "grün, ".encode(), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        await send({"type": "http.response.body", "body": b"red"})

    response = make_client(app).get("/colours")
    assert response.status_code == 203
    assert response.reason == "Non-Authoritative Information"
    assert response.text == "grün, red"
    assert response.headers["X-CASE"] == "Kept"
    assert response.headers["x-twice"] == "1, 2"
    assert response.raw.headers.getlist("x-twice") == ["1", "2"]
    assert response.url == "http://testserver/colours"
    assert response.encoding == "utf-8"


def test_a_body_goes_there_and_back(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            assert message["type"] == "http.request"
            body, more = body + message["body"], message["more_body"]
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": body})

    client = make_client(app)
    data = bytes(range(256)) * 3000  # longer than one message, and than one read of a pipe
    assert client.post("/", data=data).content == data
    assert client.post("/", data=iter([b"one ", b"two ", b"three"])).content == b"one two three"
    assert client.post("/", data="ä").content == "ä".encode()
    assert client.post("/").content == b""


@pytest.mark.modes("fork", "thread")
def test_a_request_without_a_body_is_one_event(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": repr(sorted(message.items())).encode()})

    expected = repr([("body", b""), ("more_body", False), ("type", "http.request")])
    assert make_client(app).get("/").text == expected


def test_it_returns_when_the_apps_call_has_ended(make_client: MakeClient) -> None:
    class App:
        done = 0

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"%d" % self.done})
            for _ in range(100):  # a background task, as frameworks have them
                await anyio.lowlevel.checkpoint()
            self.done += 1

    client = make_client(App())
    assert [client.get("/").text for _ in range(3)] == ["0", "1", "2"]


def test_it_raises_what_was_raised_after_the_response(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"all is well"})
        await anyio.lowlevel.checkpoint()
        raise LookupError("the background task failed")

    with pytest.raises(LookupError, match=r"^the background task failed$"):
        make_client(app).get("/")
    response = make_client(app, raise_server_exceptions=False).get("/")
    assert (response.status_code, response.text) == (200, "all is well")


@pytest.mark.modes("fork", "thread")
def test_after_the_response_the_app_receives_the_disconnect(make_client: MakeClient) -> None:
    class App:
        received: tuple[str, ...] = ()

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": " ".join(self.received).encode()})
            # Twice, for some frameworks have more than one that listens.
            self.received = (await receive())["type"], (await receive())["type"]

    client = make_client(App())
    client.get("/")
    assert client.get("/").text == "http.disconnect http.disconnect"


@pytest.mark.modes("fork", "thread")
def test_the_disconnect_wakes_one_who_waits_for_it(make_client: MakeClient) -> None:
    class App:
        received = ""

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            async def listen() -> None:
                self.received = (await receive())["type"]

            await receive()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(listen)
                await anyio.wait_all_tasks_blocked()
                await send({"type": "http.response.start", "status": 200})
                await send({"type": "http.response.body", "body": self.received.encode()})

    client = make_client(App())
    client.get("/")
    assert client.get("/").text == "http.disconnect"


def test_an_app_need_not_read_the_body(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 413})
        await send({"type": "http.response.body", "body": b"too large"})

    client = make_client(app)
    assert client.post("/", data=b"x" * 3_000_000).text == "too large"
    assert client.get("/").text == "too large"


def test_no_more_than_the_app_wants_is_taken_from_an_endless_upload(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        first = await receive()
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": first["body"][:4]})

    def endless() -> object:
        number = 0
        while True:
            yield b"%04d" % number + bytes(10_000)
            number += 1

    assert make_client(app).post("/", data=endless()).text == "0000"


@pytest.mark.modes("fork", "thread")
def test_requests_follow_each_other_in_one_process(make_client: MakeClient) -> None:
    counter = {"requests": 0}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        counter["requests"] += 1
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"%d" % counter["requests"]})

    client = make_client(app)
    first = client.pid
    assert [client.get("/").text for _ in range(20)] == [str(number) for number in range(1, 21)]
    assert client.pid == first


@pytest.mark.modes("fork", "thread")
def test_messages_may_be_of_the_kinds_that_servers_take(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        from http import HTTPStatus
        from types import MappingProxyType

        start = {"type": "http.response.start", "status": HTTPStatus.ACCEPTED, "headers": iter([[b"x-a", b"1"]])}
        await send(MappingProxyType(start))
        await send({"type": "http.response.body", "body": bytearray(b"one "), "more_body": True})
        await send({"type": "http.response.body", "body": memoryview(b"two"), "more_body": False, "extra": object()})

    response = make_client(app).get("/")
    assert (response.status_code, response.headers["x-a"], response.text) == (202, "1", "one two")


@pytest.mark.modes("fork", "thread")
def test_a_message_is_what_it_was_when_it_was_sent(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"x-a", b"1")]
        message = {"type": "http.response.start", "status": 200, "headers": headers}
        await send(message)
        headers.append((b"x-b", b"2"))
        message["status"] = 500
        buffer = bytearray(b"before")
        await send({"type": "http.response.body", "body": buffer, "more_body": True})
        buffer[:] = b"after!"
        await send({"type": "http.response.body"})

    response = make_client(app).get("/")
    assert (response.status_code, response.text) == (200, "before")
    assert "x-b" not in response.headers


@pytest.mark.backends("asyncio")
def test_a_loop_of_ones_own(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        import asyncio

        await send({"type": "http.response.start", "status": 200})
        loop = asyncio.get_running_loop()
        await send({"type": "http.response.body", "body": f"{type(loop).__name__} {loop.get_debug()}".encode()})

    def factory() -> object:
        import asyncio

        class OwnLoop(asyncio.SelectorEventLoop):
            pass

        return OwnLoop()

    options = {"loop_factory": factory, "debug": True}
    assert make_client(app, backend_options=options).get("/").text == "OwnLoop True"


@pytest.mark.backends("trio")
def test_options_for_trio(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        import trio

        await trio.sleep(10**6)  # goes by at once on a clock of one's own
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"woken"})

    import trio.testing

    options = {"clock": trio.testing.MockClock(rate=10**9)}
    assert make_client(app, backend_options=options).get("/").text == "woken"


@pytest.mark.modes("fork", "thread")
def test_context_variables_of_a_call_are_its_own(make_client: MakeClient) -> None:
    import contextvars

    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("the test's")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        found = variable.get()
        variable.set(scope["path"])
        await anyio.lowlevel.checkpoint()
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": f"{found} {variable.get()}".encode()})

    client = make_client(app)
    assert client.get("/a").text == "the test's /a"
    assert client.get("/b").text == "the test's /b"


@pytest.mark.modes("fork", "thread")
def test_anyio_finds_the_backend(make_client: MakeClient, cell: Cell) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        import sniffio

        await anyio.sleep(0)
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": sniffio.current_async_library().encode()})

    assert make_client(app).get("/").text == ("trio" if cell.backend == "trio" else "asyncio")


def test_the_test_process_need_not_import_a_backend() -> None:
    import subprocess

    program = """if True:
        import sys
        import isoclient
        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"ok"})
        with isoclient.TestClient(app, isolated=True, backend="trio") as client:
            assert client.get("/").text == "ok"
        print([name for name in ("trio", "uvloop", "pytest", "tblib") if name in sys.modules])
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
