"""Whatever a test puts in the place of parts of the system, what this package needs of it is what it was."""

from __future__ import annotations

import gc
import json
import os
import pkgutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

import pytest

import isoclient
from isoclient.system import modules as system
from isoclient.system.lift import Patches, holders

CLOCKS = [time.time, time.monotonic, time.perf_counter, time.process_time, time.monotonic_ns, time.perf_counter_ns]


def test_what_is_kept_is_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.getpid, time.sleep, json.dumps({"a": 1})
    for name in ("os.getpid", "time.sleep", "json.dumps"):
        monkeypatch.setattr(name, refuse)
    assert (system.os.getpid, system.time.sleep, system.json.dumps({"a": 1})) == real


def test_functions_of_a_module_call_what_it_had(monkeypatch: pytest.MonkeyPatch) -> None:
    path = system.os.path
    here = os.getcwd()
    with monkeypatch.context() as patch:  # pytest itself needs them, as soon as something fails
        for name in ("os.stat", "os.getcwd", "os.fspath", "os.lstat", "os.readlink"):
            patch.setattr(name, refuse)
        found = path.exists("/"), path.isdir("/"), path.abspath("x"), path.realpath("/"), path.join("a", "b")
    assert found == (True, True, f"{here}/x", "/", "a/b")


@pytest.mark.parametrize("name", ["close", "detach", "fileno", "recv_into", "send", "sendmsg", "setblocking"])
def test_sockets_have_no_methods_that_can_be_patched(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(f"socket.socket.{name}", refuse)
    monkeypatch.setattr("socket.socket", refuse)
    ours, theirs = system.socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.sendmsg([b"he", b"llo"])
        assert ours.send(b"") == 0
        buffer = bytearray(5)
        assert (ours.recv_into(buffer), bytes(buffer)) == (5, b"hello")
        with system.socket.socket(fileno=theirs.detach()) as again:
            assert again.fileno() >= 0


@pytest.fixture
def default_timeout() -> Iterator[None]:
    socket.setdefaulttimeout(60.0)
    yield
    socket.setdefaulttimeout(None)


@pytest.mark.usefixtures("default_timeout")
def test_sockets_have_no_default_timeout() -> None:
    ours, theirs = system.socket.socketpair()
    with ours, theirs, system.socket.socket() as single:
        assert [each.gettimeout() for each in (ours, theirs, single)] == [None, None, None]
        assert os.get_blocking(theirs.fileno())


@pytest.mark.parametrize("blocks", [True, False])
def test_a_descriptor_of_somebody_elses_stays_as_it_is(blocks: bool) -> None:
    with socket.socket() as theirs:
        theirs.setblocking(blocks)
        socket.setdefaulttimeout(60.0)
        try:
            with system.socket.socket(fileno=os.dup(theirs.fileno())):
                assert os.get_blocking(theirs.fileno()) is blocks
        finally:
            socket.setdefaulttimeout(None)


def test_the_environment_is_the_one_that_is_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_THE_TEST", "yes")
    assert system.os.environ["OF_THE_TEST"] == "yes"
    monkeypatch.setattr("os.environ", {"OF_THE_TEST": "no"})
    assert system.os.environ == {"OF_THE_TEST": "no"}


def test_what_is_kept_does_not_pass_for_the_module() -> None:
    for name in system.__all__:
        assert not isinstance(getattr(system, name), ModuleType)
        assert repr(getattr(system, name)) == f"<{name}, as it was when isoclient was imported>"
    with pytest.raises(AttributeError, match="nothing"):
        system.nothing  # type: ignore[attr-defined]  # noqa: B018


def refuse(*args: object, **kwargs: object) -> None:
    raise AssertionError("this is for the app")


def test_no_module_has_a_clock_that_can_be_replaced() -> None:
    for found in pkgutil.walk_packages(isoclient.__path__, "isoclient."):
        module = import_module(found.name)
        assert not [name for name, value in vars(module).items() if value in CLOCKS], found.name


def test_a_deadline_passes_while_time_is_frozen() -> None:
    program = """if True:
        import asyncio, time
        from freezegun import freeze_time
        from isoclient import AppTimeout, TestClient

        async def app(scope, receive, send):
            if scope["path"] == "/hang":
                await asyncio.Future()
            await send({"type": "http.response.start", "status": 204})
            await send({"type": "http.response.body"})

        for isolated in (True, False):
            client = TestClient(app, isolated=isolated, timeout=0.5)
            with freeze_time("2020-02-20", real_asyncio=True):
                for _ in range(5):
                    client.get("/")
                used = time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID)
                try:
                    client.get("/hang")
                except AppTimeout as error:
                    print(type(error).__name__)
                assert time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID) - used < 0.3
            client.close()
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("AppTimeout\nAppTimeout\n", "")


def test_patches_are_lifted_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    def lookups() -> list[object]:
        return [socket.socket, threading.Event, "setblocking" in vars(real), real.close]

    real = socket.socket
    true = lookups()
    monkeypatch.setattr("threading.Event", refuse)
    monkeypatch.setattr(real, "setblocking", refuse)
    monkeypatch.setattr(real, "close", refuse)
    monkeypatch.setattr("socket.socket", refuse)
    with Patches():
        assert lookups() == true
        with Patches():  # as by an app that another thread starts
            assert lookups() == true
        assert lookups() == true
    assert lookups() == [refuse, refuse, True, refuse]


@pytest.mark.parametrize("moment", ["lift", "put_back"])
def test_patches_are_in_force_again_whatever_interrupts_their_lifting(
    moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(Patches):
        def lift(self) -> None:
            super().lift()
            if moment == "lift":
                raise KeyboardInterrupt

        def put_back(self) -> None:
            if moment == "put_back" and not raised:
                raised.append(True)
                raise KeyboardInterrupt
            super().put_back()

    raised: list[bool] = []
    monkeypatch.setattr("threading.Event", refuse)
    with pytest.raises(KeyboardInterrupt), Interrupted():
        pass
    gc.collect()
    assert vars(threading)["Event"] is refuse
    assert holders() == 0


def test_what_is_set_while_patches_are_lifted_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("threading.Event", refuse)
    with Patches():
        monkeypatch.setattr("threading.Event", str)
    assert vars(threading)["Event"] is str


def test_patches_can_be_lifted_where_little_is_imported() -> None:
    done = subprocess.run([sys.executable, "-c", "import isoclient.system.lift"], check=False, timeout=60)
    assert done.returncode == 0
