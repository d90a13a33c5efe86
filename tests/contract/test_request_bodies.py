"""What may be the body and the headers of a request, and what arrives of it."""

from __future__ import annotations

import array
import ctypes
import io
import mmap
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest
import requests

if TYPE_CHECKING:
    from tests.conftest import MakeClient, Receive, Scope, Send

pytestmark = [pytest.mark.modes("fork", "thread"), pytest.mark.backends("asyncio")]


async def mirror(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the body, and with the headers of the request as those of the response."""
    body = b""
    more = True
    while more:
        message = await receive()
        body += message["body"]
        more = message["more_body"]
    headers = [(b"got-" + name, value) for name, value in scope["headers"]]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


NUMBERS: Final = array.array("I", range(74))


class Point(ctypes.Structure):
    _fields_ = (("x", ctypes.c_int32), ("y", ctypes.c_int32))


def mapped(content: bytes) -> mmap.mmap:
    area = mmap.mmap(-1, len(content))
    area[:] = content
    return area


class Matrix:
    """As of numpy: it has a buffer, a length that is not that of its bytes, and refuses to be true or false."""

    def __init__(self) -> None:
        self._view = memoryview(bytes(range(24))).cast("I", shape=[2, 3])

    def __buffer__(self, flags: int) -> memoryview:
        return self._view

    def __len__(self) -> int:
        return 2

    def __iter__(self) -> Iterator[Any]:
        raise AssertionError("nobody is to look into it")

    def __bool__(self) -> bool:
        raise ValueError("the truth value of a matrix is ambiguous")


BUFFERS: Final[dict[str, tuple[Callable[[], Any], bytes]]] = {
    "bytes": (lambda: b"\x00\xff", b"\x00\xff"),
    "bytearray": (lambda: bytearray(b"array"), b"array"),
    "an empty bytearray": (bytearray, b""),
    "memoryview": (lambda: memoryview(b"view"), b"view"),
    "memoryview of numbers": (lambda: memoryview(NUMBERS), NUMBERS.tobytes()),
    "memoryview with gaps": (lambda: memoryview(b"a-b-c-")[::2], b"abc"),
    "array": (lambda: NUMBERS, NUMBERS.tobytes()),
    "large array": (lambda: array.array("I", range(100_000)), array.array("I", range(100_000)).tobytes()),
    "ctypes array": (lambda: (ctypes.c_uint16 * 3)(1, 2, 3), bytes((ctypes.c_uint16 * 3)(1, 2, 3))),
    "ctypes structure": (lambda: Point(1, 2), bytes(Point(1, 2))),
    "mmap": (lambda: mapped(b"mapped"), b"mapped"),
}

PIECES: Final[dict[str, tuple[Callable[[], Iterable[Any]], bytes]]] = {
    "bytes": (lambda: iter([b"some ", b"", b"bytes"]), b"some bytes"),
    "text": (lambda: iter(["gr", "ün", ""]), "grün".encode()),
    "arrays": (lambda: iter([NUMBERS, bytearray(b"x"), memoryview(b"y")]), NUMBERS.tobytes() + b"xy"),
    "nothing": (lambda: iter([None, b"x"]), b"x"),
    "a set": (lambda: {b"x"}, b"x"),
    "a file": (lambda: io.BytesIO(bytes(100_000)), bytes(100_000)),
    "a text file": (lambda: io.StringIO("grün"), "grün".encode()),
    "lines": (lambda: (line for line in io.BytesIO(b"1\n2\n")), b"1\n2\n"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BUFFERS)
def test_what_has_a_buffer_is_bytes(make_client: MakeClient, kind: str) -> None:
    make, content = BUFFERS[kind]
    client = make_client(mirror)
    for response in (
        client.post("/", data=make()),
        client.post("/", data=make(), params={"a": "1"}),
        client.post("/", content=make()),
        client.send(requests.Request("POST", "http://testserver/", data=make()).prepare()),
        client.send(client.prepare_request(requests.Request("POST", "http://testserver/", data=make()))),
    ):
        assert response.content == content
        assert response.headers.get("got-content-length", str(len(content))) == str(len(content))


@pytest.mark.skipif(not hasattr(memoryview, "__buffer__"), reason="a class in Python can't have a buffer")
def test_a_matrix(make_client: MakeClient) -> None:
    response = make_client(mirror).post("/", data=Matrix())
    assert (response.content, response.headers["got-content-length"]) == (bytes(range(24)), "24")


@pytest.mark.parametrize("kind", PIECES)
def test_pieces_are_of_bytes_or_text(make_client: MakeClient, kind: str) -> None:
    make, content = PIECES[kind]
    assert make_client(mirror).post("/", data=make()).content == content


@pytest.mark.parametrize("pieces", [[1, 2], range(3), {0}, [b"x", 1.5], [[b"x"]]], ids=str)
def test_others_are_refused(make_client: MakeClient, pieces: Iterable[Any]) -> None:
    client = make_client(mirror)
    with pytest.raises(TypeError, match=r"piece \d of the request's body is of type (int|float|list) .* bytes or str"):
        client.post("/", data=iter(pieces))
    assert client.post("/", data=b"x").content == b"x"


def test_values_of_headers_are_stripped(make_client: MakeClient) -> None:
    headers = {"x-a": "1 \t", "x-b": b"2  ", b"x-c": "3", "x-d": "", "x-e": "in \t side"}
    told = make_client(mirror).get("/", headers=headers).headers
    assert [told[f"got-x-{name}"] for name in "abcde"] == ["1", "2", "3", "", "in \t side"]


@pytest.mark.parametrize("name", ["", "x y", "x:y", ":x", " x", "x\n", "x\r\ny", "ä", "x(y)", b"x y"])
def test_a_name_that_a_server_refuses_is_refused(make_client: MakeClient, name: Any) -> None:
    client = make_client(mirror)
    with pytest.raises(requests.exceptions.InvalidHeader):
        client.get("/", headers={name: "1"})
    with pytest.raises(requests.exceptions.InvalidHeader):
        client.websocket_connect("/", headers={name: "1"})
    prepared = client.prepare_request(requests.Request("GET", "http://testserver/"))
    prepared.headers[name] = "1"
    with pytest.raises(requests.exceptions.InvalidHeader):
        client.send(prepared)


@pytest.mark.parametrize("value", ["1\n", "1\r\nx-b: 2", b"1\r2", " 1", 1])
def test_so_is_such_a_value(make_client: MakeClient, value: Any) -> None:
    client = make_client(mirror)
    with pytest.raises(requests.exceptions.InvalidHeader):
        client.get("/", headers={"x-a": value})


def test_a_line_break_that_was_smuggled_in_is_refused(make_client: MakeClient) -> None:
    client = make_client(mirror)
    prepared = client.prepare_request(requests.Request("GET", "http://testserver/"))
    for value in ("1\r\nx-b: 2", "1\x002"):
        prepared.headers["x-a"] = value
        with pytest.raises(requests.exceptions.InvalidHeader, match="line break or a NUL"):
            client.send(prepared)
