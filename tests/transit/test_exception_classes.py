"""Every class of exception that there is, of Python and of libraries, arrives as what it is, and equal."""

from __future__ import annotations

import builtins
import importlib.util
import io
import json
import pkgutil
import re
import subprocess
import sys
import tarfile
import warnings
import xml.sax.xmlreader
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from isoclient.transit import ExceptionStandIn, StandIn
from isoclient.transit.anatomy import read_state
from isoclient.transit.bounds import text_of
from tests.transit.samples import across, pydantic_validation_error

# One of these fits nearly every constructor.
ARGUMENTS: list[tuple[Any, ...]] = [
    (),
    ("text",),
    (None, "text"),
    (2, "no such file", "a", None, "b"),
    ("utf-8", b"\xff", 0, 1, "bad"),
    ("utf-8", "\xff", 0, 1, "bad"),
    ("\xff", 0, 1, "bad"),
    ("text", ("file.py", 1, 2, "source", 1, 3)),
    ("group", [ValueError("member")]),
    ("text", "document", 0),
    (1, ["command"]),
    ("command", 1.5),
    ("text", 1),
    ("text", 1, "more"),
]


# These need more than plain values, or misuse them when they are collected.
OWN_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "argparse.ArgumentError": (None, "text"),
    "py_compile.PyCompileError": (ValueError, ValueError("text"), "file.py"),
    "pydoc.ErrorDuringImport": (
        "file.py",
        ValueError("text") if sys.version_info >= (3, 12) else (ValueError, ValueError("text"), None),
    ),
    "tarfile.AbsoluteLinkError": (tarfile.TarInfo("name"),),
    "tarfile.AbsolutePathError": (tarfile.TarInfo("name"),),
    "tarfile.LinkFallbackError": (tarfile.TarInfo("name"), "path"),
    "tarfile.LinkOutsideDestinationError": (tarfile.TarInfo("name"), "path"),
    "tarfile.OutsideDestinationError": (tarfile.TarInfo("name"), "path"),
    "tarfile.SpecialFileError": (tarfile.TarInfo("name"),),
    "urllib.error.HTTPError": ("http://testserver/", 404, "not found", {}, io.BytesIO(b"body")),
    "xml.sax._exceptions.SAXParseException": ("text", None, xml.sax.xmlreader.Locator()),
}


# Nothing can make an instance of these: they are abstract, or their base class takes other arguments than they pass on.
NOT_CONSTRUCTIBLE = {"xml.dom.DOMException"}


def description(exc: BaseException) -> dict[str, Any]:
    """All that can be seen of an exception; its parts by repr, as exceptions have no equality."""
    texts = {how.__name__: text_of(exc, how, 10_000) for how in (str, repr)}
    return {"class": type(exc), "state": re.sub("0x[0-9a-f]+", "", repr(read_state(exc))), **texts}


def instances(cls: type[BaseException]) -> Iterator[BaseException]:
    own = OWN_ARGUMENTS.get(f"{cls.__module__}.{cls.__qualname__}")
    for arguments in ARGUMENTS if own is None else [own]:
        try:
            yield cls(*arguments)
        except Exception:  # not what this class takes
            continue


BUILTIN = [cls for cls in vars(builtins).values() if isinstance(cls, type) and issubclass(cls, BaseException)]


@pytest.mark.parametrize("cls", BUILTIN, ids=lambda cls: cls.__name__)
def test_every_builtin_exception_arrives_equal(cls: type[BaseException]) -> None:
    made = list(instances(cls))

    assert made
    assert [description(across(exc)) for exc in made] == [description(exc) for exc in made]


def standard_library_classes() -> list[type[BaseException]]:
    """Every exception class of every public module of the standard library that can be imported here."""
    apart = {"antigravity", "idlelib", "lib2to3", "test", "this", "tkinter", "turtle", "turtledemo"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in sorted(name for name in sys.stdlib_module_names - apart if not name.startswith("_")):
            for module in (name, *submodules(name)):
                try:
                    importlib.import_module(module)
                except Exception:  # of another platform
                    continue
    # The classes of stand-ins are named after what they stand for, and those of other tests may still be there.
    found = {cls for cls in subclasses(BaseException) if not issubclass(cls, ExceptionStandIn)}
    return sorted(
        (cls for cls in found if str(cls.__module__).partition(".")[0] in sys.stdlib_module_names),
        key=lambda cls: (cls.__module__, cls.__qualname__),
    )


def submodules(name: str) -> list[str]:
    spec = importlib.util.find_spec(name)
    paths = spec.submodule_search_locations if spec is not None else None
    names = [info.name for info in pkgutil.iter_modules(paths or [], f"{name}.")]
    return [name for name in names if "test" not in name and not name.endswith("__main__")]


def subclasses(cls: type[BaseException]) -> set[type[BaseException]]:
    direct = set(type.__subclasses__(cls))
    return direct.union(*map(subclasses, direct))


def test_every_exception_of_the_standard_library_arrives_equal() -> None:
    outcomes: dict[str, set[str]] = {"equal": set(), "lossy": set(), "stand-in": set(), "never made": set()}
    for cls in standard_library_classes():
        name = f"{cls.__module__}.{cls.__qualname__}"
        made = [(exc, across(exc)) for exc in instances(cls)]
        for outcome in {outcome_of(exc, arrived) for exc, arrived in made} or {"never made"}:
            outcomes[outcome].add(name)

    assert outcomes["stand-in"] == set()
    assert outcomes["lossy"] == {"urllib.error.HTTPError"}  # it owns a file, and so do two of its attributes
    assert outcomes["never made"] == NOT_CONSTRUCTIBLE
    assert len(outcomes["equal"]) > 250


def outcome_of(exc: BaseException, arrived: BaseException) -> str:
    if isinstance(arrived, ExceptionStandIn):
        return "stand-in"
    state = read_state(arrived)
    values = [*state["args"], *state["fields"].values(), *state["attributes"].values()]
    lossy = any(isinstance(value, StandIn) for value in values) or description(arrived) != description(exc)
    return "lossy" if lossy else "equal"


def httpx_status_error() -> BaseException:
    httpx = pytest.importorskip("httpx")
    request = httpx.Request("GET", "http://testserver/")
    response = httpx.Response(500, request=request)
    error: BaseException = httpx.HTTPStatusError("500", request=request, response=response)
    return error


def fastapi_http_exception() -> BaseException:
    error: BaseException = pytest.importorskip("fastapi").HTTPException(418, {"short": True}, {"x-pot": "tea"})
    return error


def starlette_websocket_exception() -> BaseException:
    error: BaseException = pytest.importorskip("starlette.exceptions").WebSocketException(1008, "policy")
    return error


LIBRARIES: list[Callable[[], BaseException]] = [
    httpx_status_error,
    pydantic_validation_error,
    fastapi_http_exception,
    starlette_websocket_exception,
    lambda: requests.HTTPError("500", response=requests.Response()),
    lambda: json.JSONDecodeError("expecting value", "{", 1),
    lambda: subprocess.CalledProcessError(3, ["false"], b"out", b"err"),
]


@pytest.mark.parametrize("make", LIBRARIES)
def test_exceptions_of_libraries_arrive_as_what_they_are(make: Callable[[], BaseException]) -> None:
    exc = make()

    arrived = across(exc)

    assert type(arrived) is type(exc)
    assert str(arrived) == str(exc)
    assert arrived.args == exc.args
    assert {name: type(value) for name, value in vars(arrived).items()} == {
        name: type(value) for name, value in vars(exc).items()
    }


def test_a_pydantic_error_has_its_details() -> None:
    exc: Any = pydantic_validation_error()

    arrived: Any = across(exc)

    assert arrived.errors() == exc.errors()
