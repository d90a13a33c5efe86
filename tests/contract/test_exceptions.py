"""The app's exception, raised in the test as if the app had been called directly."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest
import requests

from isoclient import ExceptionStandIn, StandIn

if TYPE_CHECKING:
    from tests.conftest import Cell, MakeClient, Receive, Scope, Send


class PaymentRefused(Exception):
    """Takes other arguments than those it hands on, as many do."""

    def __init__(self, code: int, *, reason: str) -> None:
        super().__init__(f"payment refused ({code})")
        self.code = code
        self.reason = reason


class Slotted(LookupError):
    __slots__ = ("detail",)

    def __init__(self, detail: str) -> None:
        self.detail = detail

    def __str__(self) -> str:
        return f"slotted: {self.detail}"


def charge(amount: int) -> None:
    raise PaymentRefused(amount, reason="no money")


async def checkout() -> None:
    await anyio.lowlevel.checkpoint()
    try:
        charge(7)
    except PaymentRefused as error:
        error.add_note("while checking out")
        raise


def test_its_own_class_attributes_notes_and_traceback(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await checkout()

    with pytest.raises(PaymentRefused, match=r"^payment refused \(7\)") as caught:
        make_client(app).get("/")
    error = caught.value
    assert type(error) is PaymentRefused
    assert (error.code, error.reason) == (7, "no money")
    assert error.args == ("payment refused (7)",)
    assert error.__notes__ == ["while checking out"]
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == __file__]
    assert [frame.name for frame in frames[-3:]] == ["app", "checkout", "charge"]
    assert [frame.line for frame in frames[-3:]] == [
        "await checkout()",
        "charge(7)",
        'raise PaymentRefused(amount, reason="no money")',
    ]
    # As pytest sees it.
    assert caught.traceback[-1].name == "charge"
    assert str(caught.traceback[-1].path) == __file__
    assert "no money" in str(caught.traceback[-1].statement)


@pytest.mark.modes("fork", "thread")
def test_a_class_of_the_test_itself(make_client: MakeClient) -> None:
    class LocalError(Exception):
        def __init__(self, one: int, two: int) -> None:
            super().__init__(one + two)
            self.two = two

    class Worse(LocalError):
        pass

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise (LocalError if scope["path"] == "/" else Worse)(1, 2)

    client = make_client(app)
    with pytest.raises(LocalError) as caught:
        client.get("/")
    assert type(caught.value) is LocalError
    assert (caught.value.args, caught.value.two) == ((3,), 2)
    with pytest.raises(LocalError) as worse:
        client.get("/worse")
    assert type(worse.value) is Worse


@pytest.mark.modes("forkserver", "spawn")
@pytest.mark.backends("asyncio")
def test_a_class_of_the_test_from_a_fresh_interpreter_is_at_least_of_its_base(make_client: MakeClient) -> None:
    class LocalError(PaymentRefused):
        pass

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise LocalError(7, reason="no money")

    with pytest.raises(PaymentRefused, match=r"payment refused \(7\)") as caught:
        make_client(app).get("/")
    assert type(caught.value).__name__ == "LocalError"
    assert caught.value.code == 7
    assert caught.traceback[-1].name == "app"


@pytest.mark.backends("asyncio")
def test_a_class_that_only_the_app_can_import(
    make_client: MakeClient, cell: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_in_the_app.py").write_text("class TooLate(ValueError):\n    pass\n")
    path = str(tmp_path)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        sys.path.insert(0, path)
        try:
            from only_in_the_app import TooLate  # type: ignore[import-not-found]
        finally:
            sys.path.remove(path)
        raise TooLate("by a minute")

    try:
        with pytest.raises(ValueError, match="by a minute") as caught:
            make_client(app).get("/")
    finally:
        sys.modules.pop("only_in_the_app", None)
    assert type(caught.value).__name__ == "TooLate"
    assert caught.traceback[-1].name == "app"
    if cell.isolated:
        assert isinstance(caught.value, ExceptionStandIn)
        assert caught.value.stand_in_for == "only_in_the_app.TooLate"


def test_causes_and_contexts(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            try:
                charge(1)
            except PaymentRefused:
                raise KeyError("in the handler")  # noqa: B904  # so that it has a context, and no cause
        except KeyError as error:
            raise RuntimeError("on top") from error

    with pytest.raises(RuntimeError, match="on top") as caught:
        make_client(app).get("/")
    cause = caught.value.__cause__
    assert isinstance(cause, KeyError)
    assert cause.args == ("in the handler",)
    assert caught.value.__suppress_context__
    assert isinstance(cause.__context__, PaymentRefused)
    assert cause.__cause__ is None
    assert not cause.__suppress_context__
    assert cause.__context__.code == 1
    assert [frame.name for frame in traceback.extract_tb(cause.__context__.__traceback__)][-1] == "charge"


def test_groups(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def one() -> None:
            raise LookupError("one")

        async def two() -> None:
            charge(7)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one)
            tasks.start_soon(two)

    with pytest.raises(ExceptionGroup) as caught:
        make_client(app).get("/")
    found = {type(error): error for error in caught.value.exceptions}
    assert set(found) == {LookupError, PaymentRefused}
    refused = found[PaymentRefused]
    assert isinstance(refused, PaymentRefused)
    assert refused.code == 7
    assert [frame.name for frame in traceback.extract_tb(refused.__traceback__)][-2:] == ["two", "charge"]
    assert found[LookupError].args == ("one",)


@pytest.mark.modes("fork", "thread")
def test_except_star_works(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise BaseExceptionGroup("both", [PaymentRefused(1, reason="r"), ExceptionGroup("inner", [KeyError("k")])])

    caught: list[object] = []
    try:
        make_client(app).get("/")
    except* PaymentRefused as group:
        caught += group.exceptions
    except* KeyError as group:
        caught.append(group.message)
    assert [type(thing).__name__ for thing in caught] == ["PaymentRefused", "str"]


def _unicode_error() -> None:
    b"\xff".decode("utf-8")


def _syntax_error() -> None:
    compile("a b", "shop.py", "exec")


def _attribute_error() -> None:
    object().nothing  # type: ignore[attr-defined]  # noqa: B018


def _name_error() -> None:
    nothing  # type: ignore[name-defined]  # noqa: B018, F821


def _import_error() -> None:
    __import__("no_such_module")


def _os_error() -> None:
    open("/nowhere/to/be/found")  # noqa: SIM115


@pytest.mark.modes("fork", "forkserver", "thread")
@pytest.mark.backends("asyncio")
def test_builtin_exceptions_keep_their_attributes(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        {
            "/unicode": _unicode_error,
            "/syntax": _syntax_error,
            "/os": _os_error,
            "/attribute": _attribute_error,
            "/name": _name_error,
            "/import": _import_error,
        }[scope["path"]]()

    client = make_client(app)
    with pytest.raises(UnicodeDecodeError) as unicode_error:
        client.get("/unicode")
    error = unicode_error.value
    assert (error.encoding, error.object, error.start, error.end) == ("utf-8", b"\xff", 0, 1)
    with pytest.raises(SyntaxError) as syntax_error:
        client.get("/syntax")
    assert (syntax_error.value.filename, syntax_error.value.text) == ("shop.py", "a b\n")
    with pytest.raises(FileNotFoundError) as os_error:
        client.get("/os")
    assert (os_error.value.errno, os_error.value.filename) == (2, "/nowhere/to/be/found")
    with pytest.raises(AttributeError) as attribute_error:
        client.get("/attribute")
    assert attribute_error.value.name == "nothing"
    with pytest.raises(NameError) as name_error:
        client.get("/name")
    assert name_error.value.name == "nothing"
    with pytest.raises(ModuleNotFoundError) as import_error:
        client.get("/import")
    assert import_error.value.name == "no_such_module"


@pytest.mark.modes("fork", "forkserver", "thread")
@pytest.mark.backends("asyncio")
def test_awkward_ones_are_not_lost(make_client: MakeClient, cell: Cell) -> None:
    def recurse(depth: int) -> int:
        return recurse(depth + 1) + 1

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/recursion":
            recurse(0)
        elif scope["path"] == "/cycle":
            one, two = KeyError("one"), LookupError("two")
            one.__cause__, two.__cause__ = two, one
            raise one
        elif scope["path"] == "/lock":
            error = PaymentRefused(1, reason="r")
            error.lock = threading.Lock()  # type: ignore[attr-defined]
            raise error
        elif scope["path"] == "/socket":
            ours, theirs = socket.socketpair()
            with ours, theirs:
                raise PaymentRefused(2, reason=ours)  # type: ignore[arg-type]
        elif scope["path"] == "/slots":
            raise Slotted("kept")
        elif scope["path"] == "/requests":
            raise requests.HTTPError("of requests", request=requests.Request("GET", "http://elsewhere").prepare())
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    client = make_client(app)
    with pytest.raises(RecursionError) as recursion:
        client.get("/recursion")
    assert len(traceback.extract_tb(recursion.value.__traceback__)) > 300
    with pytest.raises(KeyError) as cycle:
        client.get("/cycle")
    assert cycle.value.__cause__ is not None
    assert cycle.value.__cause__.__cause__ is cycle.value
    with pytest.raises(PaymentRefused) as locked:
        client.get("/lock")
    assert locked.value.code == 1
    lock = locked.value.lock  # type: ignore[attr-defined]
    assert "lock" in repr(lock)
    assert isinstance(lock, StandIn) is cell.isolated
    with pytest.raises(PaymentRefused) as with_socket:
        client.get("/socket")
    assert with_socket.value.code == 2
    assert "socket" in repr(with_socket.value.reason)
    with pytest.raises(Slotted, match="slotted: kept"):
        client.get("/slots")
    with pytest.raises(requests.HTTPError, match="of requests") as of_requests:
        client.get("/requests")
    assert of_requests.value.request is not None
    assert of_requests.value.request.url == "http://elsewhere/"
    assert client.get("/").status_code == 204


@pytest.mark.modes("fork", "thread")
def test_base_exceptions(make_client: MakeClient) -> None:
    class Stop(BaseException):
        pass

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/stop":
            raise Stop("at once")
        if scope["path"] == "/generator":
            raise GeneratorExit("at once")
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    client = make_client(app)
    before = client.pid
    with pytest.raises(Stop, match="at once"):
        client.get("/stop")
    with pytest.raises(GeneratorExit, match="at once"):
        client.get("/generator")
    assert client.get("/").status_code == 204
    assert client.pid == before


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio", "uvloop")
def test_an_app_that_cancels_itself(make_client: MakeClient) -> None:
    import asyncio

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/raise":
            raise asyncio.CancelledError("by hand")
        task = asyncio.current_task()
        assert task is not None
        task.cancel("by the app")
        await asyncio.sleep(0)

    client = make_client(app)
    with pytest.raises(asyncio.CancelledError):
        client.get("/raise")
    with pytest.raises(asyncio.CancelledError):
        client.get("/")


def test_the_traceback_leads_through_the_test_to_the_app(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        charge(5)

    client = make_client(app)
    try:
        client.get("/here-it-was-called")
    except PaymentRefused as error:
        text = "".join(traceback.format_exception(error))
    assert 'client.get("/here-it-was-called")' in text
    assert "charge(5)" in text
    assert text.index("here-it-was-called") < text.index("charge(5)")
    assert f'File "{__file__}", line {app.__code__.co_firstlineno + 1}, in app' in text


@pytest.mark.rest("spawn")
@pytest.mark.modes("fork", "spawn", "thread")
@pytest.mark.backends("asyncio")
def test_what_pytest_prints(cell: Cell, tmp_path: Path) -> None:
    """A real run of pytest, with a test that fails because the app does."""
    options: dict[str, Any] = cell.options
    (tmp_path / "test_shop.py").write_text(
        "from isoclient import TestClient\n"
        "\n"
        "def price_of(article):\n"
        "    prices = {'apple': 1}\n"
        "    return prices[article]\n"
        "\n"
        "async def app(scope, receive, send):\n"
        "    price = price_of(scope['path'].strip('/'))\n"
        "    await send({'type': 'http.response.start', 'status': price})\n"
        "\n"
        "def test_pear():\n"
        f"    client = TestClient(app, **{options!r})\n"
        "    client.get('/pear')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-pno:cacheprovider", "-pisoclient", "-Werror", "test_shop.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # others take two seconds to load
        capture_output=True,
        text=True,
        check=False,
    )
    assert ">       client.get('/pear')\n" in done.stdout
    assert "test_shop.py:8: in app\n    price = price_of(scope['path'].strip('/'))\n" in done.stdout
    assert (
        "    def price_of(article):\n"
        "        prices = {'apple': 1}\n"
        ">       return prices[article]\n"
        "E       KeyError: 'pear'\n"
        "\n"
        "test_shop.py:5: KeyError\n"
    ) in re.sub(r"\n +\^+(?=\n)", "", done.stdout)  # without the marks under the line
    assert "FAILED test_shop.py::test_pear - KeyError: 'pear'\n" in done.stdout
    assert done.returncode == 1
