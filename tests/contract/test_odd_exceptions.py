"""Exceptions that raise, lie or recurse when they are looked at are told like others, and so are endless ones."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from isoclient import AppCrashed, AppTimeout, Limits
from tests.conftest import Cell, MakeClient
from tests.reliability.plain_apps import Receive, Scope, Send, answer, live


def _fail(*args: object) -> Any:
    raise RuntimeError("of the exception itself")


def _exit(*args: object) -> Any:
    sys.exit(5)


def _interrupt(*args: object) -> Any:
    raise KeyboardInterrupt


def _odd(**attributes: object) -> Exception:
    made: Exception = type("Odd", (Exception,), attributes)("text")
    return made


def _odd_group(**attributes: object) -> Exception:
    made: Exception = type("OddGroup", (ExceptionGroup,), attributes)("text", [ValueError()])
    return made


class _Meta(type):
    __name__ = property(_fail)
    __mro__ = property(_fail)


def _chain(link: str) -> Exception:
    error = ValueError("0")
    for number in range(3000):
        following = ValueError(str(number))
        setattr(following, link, error)
        error = following
    return error


def _nested() -> Exception:
    error: Exception = ValueError()
    for _ in range(3000):
        error = ExceptionGroup("nested", [error])
    return error


def _its_own_cause() -> Exception:
    error = ValueError()
    error.__cause__ = error
    return error


MAKERS: dict[str, Any] = {
    "__getattribute__": lambda: _odd(__getattribute__=_fail),
    "__class__": lambda: _odd(__class__=property(_fail)),
    "__class__ lies": lambda: _odd(__class__=property(lambda self: AppCrashed)),
    "texts": lambda: _odd(__str__=_fail, __repr__=_fail),
    "texts recurse": lambda: _odd(__str__=lambda self: str(self), __repr__=lambda self: repr(self)),
    "texts exit": lambda: _odd(__str__=_exit, __repr__=_exit, __reduce_ex__=_exit),
    "texts interrupt": lambda: _odd(__str__=_interrupt, __repr__=_interrupt, __reduce_ex__=_interrupt),
    "__notes__": lambda: _odd(__notes__=property(_fail)),
    "__notes__ lie": lambda: _odd(__notes__=3),
    "__cause__": lambda: _odd(__cause__=property(_fail), __context__=property(_fail)),
    "__cause__ lies": lambda: _odd(__cause__=3, __context__="text", __suppress_context__=property(_fail)),
    "its own cause": _its_own_cause,
    "__traceback__": lambda: _odd(__traceback__=property(_fail)),
    "truth": lambda: _odd(__eq__=_fail, __hash__=_fail, __bool__=_fail, __len__=_fail),
    "metaclass": lambda: _Meta("Odd", (Exception,), {})("text"),
    "errno": lambda: type("Odd", (OSError,), {"errno": property(_fail)})(5, "text"),
    "members": lambda: _odd_group(exceptions=property(_fail)),
    "members lie": lambda: _odd_group(exceptions=property(lambda self: [self, 1])),
    "nested": _nested,
    "causes": lambda: _chain("__cause__"),
    "contexts": lambda: _chain("__context__"),
}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        return await live(receive, send)
    if scope["path"] == "/alive":
        return await answer(send, b"alive")
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
    raise MAKERS[scope["path"][1:]]()


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
@pytest.mark.parametrize("name", MAKERS)
def test_an_odd_exception(name: str, make_client: MakeClient, cell: Cell) -> None:
    # With limits, it is looked at for whether one was hit.
    limits = Limits(memory=1 << 30, open_files=100) if cell.isolated else None
    with make_client(app, limits=limits) as client:
        _check(lambda: client.get("/" + name))
        _check(lambda: client.websocket_connect("/" + name).__enter__().__exit__(None, None, None))
        assert client.get("/alive").text == "alive"


def _check(action: Callable[[], object]) -> None:
    """The test is told the exception, and nothing that has become of it."""
    caught: BaseException | None = None
    try:
        action()
    except Exception as error:
        caught = error
    assert type(caught) is not type(None)
    assert not issubclass(type(caught), AppCrashed | AppTimeout)


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_an_odd_exception_at_the_lifespan_scope(make_client: MakeClient) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise _odd(__repr__=_fail, __str__=_fail, __notes__=property(_fail))

    _check(make_client(broken).__enter__)
