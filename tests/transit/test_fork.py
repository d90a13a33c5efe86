"""Across a real fork: what was made before it has one identity on both sides."""

from __future__ import annotations

import gc
import netrc
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from isoclient.transit import (
    ExceptionStandIn,
    pack_exception,
    pack_object,
    pack_result,
    unpack_exception,
    unpack_object,
    unpack_result,
)

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="os.fork is not available on this platform")


def from_a_fork(make: Callable[[], bytes]) -> bytes:
    """What ``make`` returns in a forked child that does, like the server, freeze what it inherited."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12+, when another test left a thread
        pid = os.fork()
    if pid == 0:
        try:
            gc.freeze()
            with open(writing, "wb") as pipe:
                pipe.write(make())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        received = pipe.read()
    os.waitpid(pid, 0)
    return received


def exception_from_a_fork(raise_it: Callable[[], Any]) -> BaseException:
    def pack() -> bytes:
        try:
            raise_it()
        except BaseException as error:
            return pack_exception(error)
        return b""

    return unpack_exception(from_a_fork(pack))


def test_a_class_local_to_the_test_is_the_same_class_on_both_sides() -> None:
    class LocalError(Exception):
        def __init__(self, code: int, *, detail: str) -> None:
            self.code, self.detail = code, detail

    def handler() -> None:
        try:
            raise LocalError(7, detail="inner")
        except LocalError as error:
            raise ExceptionGroup("several", [LocalError(8, detail="member")]) from error

    arrived = exception_from_a_fork(handler)

    assert isinstance(arrived, ExceptionGroup)
    assert type(arrived.__cause__) is LocalError
    assert type(arrived.exceptions[0]) is LocalError
    assert (arrived.exceptions[0].code, arrived.exceptions[0].detail) == (8, "member")
    with pytest.raises(LocalError):
        raise arrived.exceptions[0]


def test_an_instance_of_a_local_class_in_an_attribute() -> None:
    class Detail:
        def __init__(self, code: int) -> None:
            self.code = code

    def handler() -> None:
        raise ValueError(Detail(7))

    (detail,) = exception_from_a_fork(handler).args

    assert type(detail) is Detail
    assert detail.code == 7


def test_a_class_made_after_the_fork_has_a_stand_in() -> None:
    def handler() -> None:
        class NewError(LookupError):
            pass

        raise NewError("text")

    arrived = exception_from_a_fork(handler)

    assert isinstance(arrived, LookupError)
    assert isinstance(arrived, ExceptionStandIn)
    assert type(arrived).__name__ == "NewError"
    assert str(arrived) == "text"


SAMPLE = [
    ValueError("text"),
    SystemExit(3),
    StopIteration("value"),
    FileNotFoundError(2, "no such file", "name"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
    SyntaxError("text", ("file.py", 1, 2, "source", 1, 3)),
    NameError("text", name="n"),
    ImportError("text", name="n", path="p"),
    subprocess.CalledProcessError(3, ["false"]),
]


@pytest.mark.parametrize("exc", SAMPLE, ids=lambda exc: type(exc).__name__)
def test_a_sample_of_the_standard_library(exc: BaseException) -> None:
    def handler() -> None:
        raise exc

    arrived = exception_from_a_fork(handler)

    assert type(arrived) is type(exc)
    assert (repr(arrived), str(arrived), arrived.args) == (repr(exc), str(exc), exc.args)


def test_a_result_of_a_local_class_is_of_that_very_class() -> None:
    class User:
        def __init__(self, name: str) -> None:
            self.name = name

        def __eq__(self, other: object) -> bool:
            return isinstance(other, User) and other.name == self.name

    result = unpack_result(from_a_fork(lambda: pack_result({"users": [User("me")]}, {})), {}, 1.0)

    assert result == {"users": [User("me")]}


def test_a_result_of_a_class_made_after_the_fork_is_a_copy() -> None:
    def make() -> bytes:
        class Point:
            def norm(self) -> int:
                return 5

        return pack_object(Point(), {})

    result = unpack_object(from_a_fork(make), {})

    assert type(result).__name__ == "Point"
    assert result.norm() == 5


def in_a_fresh_interpreter(code: str, data: bytes) -> str:
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


@pytest.mark.parametrize("imported", [True, False])
def test_a_fresh_interpreter_has_the_class_if_it_has_imported_the_module(imported: bool) -> None:
    code = f"""if True:
        import sys
        from isoclient.transit import ExceptionStandIn, unpack_exception
        if {imported}:
            import netrc
        error = unpack_exception(sys.stdin.buffer.read())
        print(type(error), error, error.lineno, isinstance(error, ExceptionStandIn), "netrc" in sys.modules)
    """
    shown = in_a_fresh_interpreter(code, pack_exception(netrc.NetrcParseError("bad token", "home", 7)))

    assert shown == f"<class 'netrc.NetrcParseError'> bad token (home, line 7) 7 {not imported} {imported}"


def test_a_fresh_interpreter_has_a_stand_in_for_a_local_class() -> None:
    class LocalError(KeyError):
        pass

    code = """if True:
        import sys, traceback
        from isoclient.transit import ExceptionStandIn, unpack_exception
        error = unpack_exception(sys.stdin.buffer.read())
        print(isinstance(error, KeyError), isinstance(error, ExceptionStandIn))
        traceback.print_exception(error, file=sys.stdout)
    """
    shown = in_a_fresh_interpreter(code, pack_exception(LocalError("k")))

    assert shown.startswith("True True")
    assert "LocalError: 'k'" in shown
    assert "does not exist in this process" in shown


def test_the_main_module_s_classes_and_globals_are_those_of_the_receiver() -> None:
    code = """if True:
        import sys
        from isoclient.transit import pack_object, unpack_object
        class Settings: pass
        number = 1
        if sys.argv[1:] == ["send"]:
            sys.stdout.buffer.write(pack_object((lambda: number, Settings, Settings()), {}))
        else:
            number = 2
            function, cls, settings = unpack_object(sys.stdin.buffer.read(), {})
            print(function(), cls is Settings, type(settings) is Settings)
    """
    packed = subprocess.run([sys.executable, "-c", code, "send"], capture_output=True, check=True).stdout

    assert in_a_fresh_interpreter(code, packed) == "2 True True"


def test_a_class_of_a_main_module_that_the_receiver_does_not_have_arrives_as_a_copy() -> None:
    code = """if True:
        import sys
        from isoclient.transit import pack_object
        class Settings: number = 7
        sys.stdout.buffer.write(pack_object([Settings()], {}))
    """
    packed = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout

    (settings,) = unpack_object(packed, {})

    assert settings.number == 7
