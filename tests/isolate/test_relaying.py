"""What passes through between whoever calls an isolated app and the app, and what does not: called by hand."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import re
import threading
from typing import Any

import pytest
import trio

from isoclient import AppCrashed, AppProtocolError, IsolatedApp, ObjectNotSendable, StandIn
from isoclient.wire.frames import Buffer, ValueCodec
from isoclient.wire.mux import Stream
from tests.isolate.callers import Outer, http_scope, on_asyncio, on_trio, starlette_client
from tests.isolate.conftest import MakeIsolated
from tests.isolate.relayed_app import Receive, Scope, Send, TooBad, app

pytestmark = [pytest.mark.modes("fork"), pytest.mark.backends("asyncio")]

WHOLE = {"type": "http.request", "body": b"", "more_body": False}
on_each_loop = pytest.mark.parametrize("on_loop", [on_asyncio, on_trio])


class Refused(Exception):
    """What a function by hand raises."""


@on_each_loop
def test_the_app_gets_no_message_that_it_does_not_ask_for(make_isolated: MakeIsolated, on_loop: Any) -> None:
    outer = Outer(WHOLE, {"type": "http.disconnect"})
    isolated = make_isolated(app)
    on_loop(isolated, http_scope("/unread"), outer.receive, outer.send)
    assert outer.asked == 0
    on_loop(isolated, http_scope("/echo"), outer.receive, outer.send)
    assert outer.asked == 1


@on_each_loop
def test_messages_are_as_they_were_sent(make_isolated: MakeIsolated, on_loop: Any) -> None:
    sent: list[dict[str, Any]] = [
        {"type": "http.response.start", "status": 200, "headers": [[b"X-A", b"1"]], "more": "of it"},
        {"type": "http.response.body"},
    ]

    async def odd(scope: Scope, receive: Receive, send: Send) -> None:
        assert await receive() == {"type": "http.request", "extra": [1]}
        assert scope["asgi"] == {"version": "3.0"}
        assert scope["of the test"] == (1, {"a": b"b"})
        assert "state" not in scope
        for message in sent:
            await send(message)

    outer = Outer({"type": "http.request", "extra": [1]})
    on_loop(make_isolated(odd), http_scope("/") | {"of the test": (1, {"a": b"b"})}, outer.receive, outer.send)
    assert outer.sent == sent


@on_each_loop
def test_extensions_are_for_who_offers_them(make_isolated: MakeIsolated, on_loop: Any) -> None:
    """Whatever the rules would say of them; and what they tell for debugging is what can cross."""

    async def tells(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.debug", "info": {"a": [1], "lock": threading.Lock()}})
        await send({"type": "http.response.body", "body": b""})

    outer = Outer()
    scope = http_scope("/", extensions={"http.response.debug": {}})
    on_loop(make_isolated(tells), scope, outer.receive, outer.send)
    assert [message["type"].rpartition(".")[2] for message in outer.sent] == ["start", "debug", "body"]
    assert outer.sent[1]["info"]["a"] == [1]
    assert isinstance(outer.sent[1]["info"]["lock"], StandIn)
    with pytest.raises(AppProtocolError, match="out of order"):
        on_loop(make_isolated(tells), http_scope("/"), outer.receive, outer.send)


@on_each_loop
def test_what_receive_raises_is_raised_in_the_app_and_by_the_call(make_isolated: MakeIsolated, on_loop: Any) -> None:
    error = Refused("no message")
    outer = Outer()

    async def receive() -> dict[str, Any]:
        raise error

    async def asks(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await receive()
        except Refused as refused:
            print("refused:", refused)
            raise

    with pytest.raises(Refused) as told:
        on_loop(make_isolated(asks), http_scope("/"), receive, outer.send)
    assert told.value is error


def test_a_receive_that_is_cancelled_from_within_is_told(make_isolated: MakeIsolated) -> None:
    """As by a client that cancels what it lets its apps wait for."""

    async def receive() -> dict[str, Any]:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future
        raise AssertionError

    with pytest.raises(asyncio.CancelledError):
        on_asyncio(make_isolated(app), http_scope("/echo"), receive, Outer().send)


def test_a_message_may_be_anything(make_isolated: MakeIsolated) -> None:
    async def tells(scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": repr(message).encode()})

    isolated = make_isolated(tells)
    outer = Outer({})
    on_asyncio(isolated, http_scope("/"), outer.receive, outer.send)
    assert outer.answer().body == b"{}"
    with pytest.raises(TypeError, match="can't be in an ASGI message"):
        on_asyncio(isolated, http_scope("/"), Outer({"type": threading.Lock()}).receive, outer.send)
    with pytest.raises(TypeError):
        on_asyncio(isolated, http_scope("/"), Outer({"type": "http.request", "body": 1}).receive, outer.send)


@on_each_loop
def test_what_send_raises_is_raised_in_the_app_and_by_the_call(
    make_isolated: MakeIsolated, on_loop: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    error = Refused("no more")

    async def send(message: Any) -> None:
        raise error

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})
        except Refused:
            print("told")
            raise

    with pytest.raises(Refused) as told:
        on_loop(make_isolated(endless), http_scope("/"), Outer().receive, send)
    assert told.value is error
    assert capfd.readouterr().out == "told\n"


def test_what_is_in_the_scope_crosses_as_arguments_do(make_isolated: MakeIsolated) -> None:
    async def shows(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["key"]({1}).encode()})

    outer = Outer()
    isolated = make_isolated(shows)
    on_asyncio(isolated, http_scope("/", key=lambda things: f"{things}!"), outer.receive, outer.send)
    assert outer.answer().body == b"{1}!"
    with pytest.raises(ObjectNotSendable, match=r"scope\['key'\] can't cross"):
        on_asyncio(isolated, http_scope("/", key=threading.Lock()), outer.receive, outer.send)
    outer = Outer()
    on_asyncio(isolated, http_scope("/", key=str), outer.receive, outer.send)
    assert outer.answer().body == b"{1}"


@on_each_loop
def test_a_cancelled_call_is_a_disconnect_for_the_app(
    make_isolated: MakeIsolated, on_loop: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    isolated = make_isolated(app)
    outer = Outer(WHOLE)

    async def receive() -> dict[str, Any]:
        if outer.messages:
            return await outer.receive()
        await sleep_for_ever(on_loop)
        raise AssertionError

    on_loop(cancelled_when_printed, isolated, receive, outer, capfd, on_loop)
    assert "got http.disconnect" in capfd.readouterr().out
    on_loop(isolated, http_scope("/unread"), outer.receive, outer.send)
    assert outer.answer().body == b"not read"


async def cancelled_when_printed(isolated: IsolatedApp, receive: Any, outer: Outer, capfd: Any, on_loop: Any) -> None:
    out = ""
    if on_loop is on_trio:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(isolated, http_scope("/waits"), receive, outer.send)
            while "waiting" not in out:
                await trio.lowlevel.checkpoint()
                isolated.call(int)  # which passes on what is printed
                out += capfd.readouterr().out
            nursery.cancel_scope.cancel()
        return
    task = asyncio.create_task(isolated(http_scope("/waits"), receive, outer.send))
    while "waiting" not in out:
        await asyncio.sleep(0)
        isolated.call(int)
        out += capfd.readouterr().out
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def sleep_for_ever(on_loop: Any) -> None:
    if on_loop is on_trio:
        await trio.sleep_forever()
    await asyncio.Event().wait()


async def forty(isolated: IsolatedApp, on_loop: Any) -> list[bytes]:
    outers = [Outer({"type": "http.request", "body": b"%d" % i, "more_body": False}) for i in range(40)]
    if on_loop is on_trio:
        async with trio.open_nursery() as nursery:
            for outer in outers:
                nursery.start_soon(isolated, http_scope("/echo"), outer.receive, outer.send)
    else:
        calls = (isolated(http_scope("/echo"), outer.receive, outer.send) for outer in outers)
        await asyncio.gather(*calls)
    return [outer.answer().body for outer in outers]


@on_each_loop
def test_many_calls_at_once(make_isolated: MakeIsolated, on_loop: Any) -> None:
    assert on_loop(forty, make_isolated(app), on_loop) == [b"%d" % i for i in range(40)]


def test_several_loops_at_once_and_a_thread_that_blocks(make_isolated: MakeIsolated) -> None:
    isolated = make_isolated(app)
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda on_loop=on_loop: found.append(on_loop(forty, isolated, on_loop)))
        for on_loop in (on_asyncio, on_trio, on_asyncio)
    ]
    threads.append(threading.Thread(target=lambda: found.append([isolated.call(pow, 2, 5) for _ in range(40)])))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    expected = [b"%d" % i for i in range(40)]
    assert sorted(found, key=repr) == sorted([expected, expected, expected, [32] * 40], key=repr)


@on_each_loop
def test_a_crash_ends_all_calls(make_isolated: MakeIsolated, on_loop: Any) -> None:
    isolated = make_isolated(app)
    ends: list[str] = []

    async def call(path: str) -> None:
        outer = Outer(WHOLE)

        async def receive() -> dict[str, Any]:
            if not outer.messages:
                await sleep_for_ever(on_loop)
            return await outer.receive()

        try:
            await isolated(http_scope(path), receive, outer.send)
        except AppCrashed as error:
            ends.append(str(error).partition(" (pid")[0])

    async def calls() -> None:
        paths = ["/waits", "/waits", "/dies"]
        if on_loop is on_trio:
            async with trio.open_nursery() as nursery:
                for path in paths:
                    nursery.start_soon(call, path)
        else:
            await asyncio.gather(*map(call, paths))

    on_loop(calls)
    died = re.escape("called os.kill(os.getpid(), signal.SIGKILL) at ") + r"\S+:\d+ in dies, while handling GET"
    for end, path in zip(sorted(ends), ("/dies", "/waits", "/waits"), strict=True):
        assert re.fullmatch(f"the app {died} {path}", end), end
    outer = Outer(WHOLE)
    on_loop(isolated, http_scope("/echo"), outer.receive, outer.send)
    assert outer.answer().status == 201


@on_each_loop
def test_an_exception_has_the_apps_frames_and_few_of_ours(make_isolated: MakeIsolated, on_loop: Any) -> None:
    with pytest.raises(TooBad) as told:
        on_loop(make_isolated(app), http_scope("/raises"), Outer().receive, Outer().send)
    names = [entry.name for entry in told.traceback]
    assert names[-2:] == ["app", "raises"]
    assert not {"_run", "_relay", "beside", "failure"} & set(names)


def test_what_is_assigned_is_assigned_to_the_app(make_isolated: MakeIsolated) -> None:
    class App:
        debug = False

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"debug" if self.debug else b"not"})

    there: Any = make_isolated(App())
    there.debug = True
    assert there.app.debug is there.debug is True
    assert starlette_client(there).get("/").text == "debug"
    with pytest.raises(AttributeError, match="imported over there"):
        make_isolated("tests.isolate.relayed_app:app").debug = True
    there.timeout = 5.0
    assert there.timeout == 5.0
    assert not hasattr(there.app, "timeout")


def test_the_last_change_of_a_scope_is_told(make_isolated: MakeIsolated) -> None:
    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 1000})
        await receive()  # which the test answers when it has the close
        scope["late"] = "told"

    async def main() -> None:
        closed = asyncio.Event()
        scope = {"type": "websocket", "path": "/"}
        messages: list[dict[str, Any]] = [{"type": "websocket.connect"}]

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            await closed.wait()
            return {"type": "websocket.disconnect", "code": 1000}

        async def send(message: Any) -> None:
            if message["type"] == "websocket.close":
                closed.set()

        await make_isolated(late)(scope, receive, send)
        assert scope["late"] == "told"

    asyncio.run(main())


def test_a_call_that_is_cancelled_twice_is_given_up(make_isolated: MakeIsolated) -> None:
    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        outer = Outer(WHOLE)
        isolated = make_isolated(waits)
        isolated.call(int)
        task = asyncio.create_task(isolated(http_scope("/"), outer.receive, outer.send))
        for _ in range(3):  # to its first wait, and into the one for the end
            await asyncio.sleep(0)
        for _ in range(2):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    gc.collect()
    # By type(): a lazy object of Django's, which another test has left, sets itself up when it is asked for its class.
    kept = [found for found in gc.get_objects() if issubclass(type(found), Stream) and found.kind == "relayed"]
    assert not kept


def test_a_message_that_is_too_large_is_an_error_of_receive(
    make_isolated: MakeIsolated, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = ValueCodec.encode

    def refusing(self: ValueCodec, value: Any) -> tuple[bytes, Buffer]:
        if value == WHOLE:  # in the place of one of gigabytes
            raise ValueError("too large")
        return encode(self, value)

    monkeypatch.setattr(ValueCodec, "encode", refusing)
    outer = Outer(WHOLE)
    with pytest.raises(ValueError, match="too large"):
        on_asyncio(make_isolated(app), http_scope("/"), outer.receive, outer.send)
