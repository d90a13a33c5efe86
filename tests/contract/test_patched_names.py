"""What a test puts in the place of parts of the system is for the app; what carries requests to it does without."""

from __future__ import annotations

import pkgutil
from contextlib import ExitStack
from itertools import groupby
from typing import Any
from unittest import mock

import pytest

from isoclient import TestClient
from tests.conftest import MakeClient, Receive, Scope, Send

pytestmark = [pytest.mark.modes("fork", "thread"), pytest.mark.backends("asyncio")]

TARGETS = [
    "builtins.open",
    *(f"io.{name}" for name in ("open", "BytesIO", "StringIO", "TextIOWrapper")),
    *(f"json.{name}" for name in ("dumps", "loads", "dump", "load")),
    *(f"os.{name}" for name in ("_exit", "access", "chdir", "close", "cpu_count", "dup", "dup2", "fork", "fsdecode")),
    *(
        f"os.{name}"
        for name in ("fspath", "fstat", "getcwd", "getpgrp", "getpid", "getppid", "kill", "killpg", "listdir")
    ),
    *(f"os.{name}" for name in ("lseek", "makedirs", "memfd_create", "open", "pidfd_open", "pipe", "pread", "read")),
    *(f"os.{name}" for name in ("readlink", "register_at_fork", "remove", "sched_getaffinity", "sched_yield", "stat")),
    *(f"os.{name}" for name in ("set_blocking", "set_inheritable", "setpgid", "truncate", "unlink", "urandom")),
    *(f"os.{name}" for name in ("waitid", "waitpid", "waitstatus_to_exitcode", "write")),
    *(f"os.path.{name}" for name in ("abspath", "basename", "dirname", "exists", "isabs", "isdir", "isfile", "join")),
    *(f"pickle.{name}" for name in ("dump", "dumps", "load", "loads", "Pickler", "Unpickler")),
    *(f"select.{name}" for name in ("epoll", "poll", "select")),
    *(f"signal.{name}" for name in ("getsignal", "pthread_sigmask", "set_wakeup_fd", "signal", "pidfd_send_signal")),
    *(f"socket.{name}" for name in ("create_connection", "fromfd", "getaddrinfo", "socket", "socketpair")),
    *(f"socket.socket.{name}" for name in ("__init__", "close", "connect", "detach", "fileno", "recv", "recv_into")),
    *(f"socket.socket.{name}" for name in ("send", "sendall", "sendmsg", "setblocking", "setsockopt", "shutdown")),
    *(f"subprocess.{name}" for name in ("Popen", "run", "check_output")),
    *(f"tempfile.{name}" for name in ("mkdtemp", "mkstemp", "gettempdir", "NamedTemporaryFile")),
    *(f"threading.{name}" for name in ("Condition", "Event", "Lock", "Thread", "active_count", "local")),
    *(f"threading.{name}" for name in ("current_thread", "enumerate", "get_ident", "main_thread", "Thread.__init__")),
    *(f"threading.Thread.{name}" for name in ("is_alive", "join", "run", "start")),
    *(f"time.{name}" for name in ("monotonic", "monotonic_ns", "perf_counter", "process_time", "sleep", "time")),
    "time.time_ns",
]


OWNERS = {owner: list(targets) for owner, targets in groupby(TARGETS, lambda target: target.rpartition(".")[0])}


class Refused:
    """Stands in for a function or a class."""

    def __new__(cls, *args: object, **kwargs: object) -> Refused:
        raise AssertionError(f"only the app may call {cls.__name__}")


def refused(target: str) -> type[Refused]:
    return type(target, (Refused,), {})


def is_patched(target: str) -> bool:
    found = pkgutil.resolve_name(target)
    return isinstance(found, type) and issubclass(found, Refused)


def app_that_looks() -> Any:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        targets = scope["query_string"].decode().split("&")
        found = " ".join([target for target in targets if is_patched(target)])
        await receive()
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": found.encode()})
            return
        await send({"type": "websocket.accept"})
        message = await receive()
        await send({"type": "websocket.send", "text": f"{message['text']} {found}"})
        await receive()

    return app


def patched_for_the_app(client: TestClient, targets: list[str]) -> list[str]:
    """Which of these names the app finds patched, asked by HTTP and by WebSocket."""
    query = "&".join(targets)
    found = client.get(f"/?{query}").content.decode()
    with client.websocket_connect(f"/?{query}") as session:
        session.send_text("echo")
        assert session.receive_text() == f"echo {found}"
    return found.split()


@pytest.fixture(autouse=True)
def all_is_imported(make_client: MakeClient) -> None:
    """What is imported at the first use is by pytest, which opens files by the names that are patched here."""
    patched_for_the_app(make_client(app_that_looks()), TARGETS)


def start_with_patched(make_client: MakeClient, targets: list[str]) -> None:
    with ExitStack() as patches:
        for target in targets:
            patches.enter_context(mock.patch(target, refused(target)))
        client = make_client(app_that_looks())
        assert patched_for_the_app(client, targets) == targets
        client.close()


@pytest.mark.parametrize("owner", OWNERS)
def test_what_is_patched_before_the_start_is_so_for_the_app_alone(make_client: MakeClient, owner: str) -> None:
    start_with_patched(make_client, OWNERS[owner])


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_a_single_patch_before_the_start_is_noticed(make_client: MakeClient, target: str) -> None:
    """Of several that are patched at once, one that is noticed could be what lifts the others."""
    start_with_patched(make_client, [target])


def test_what_is_patched_after_the_start(make_client: MakeClient) -> None:
    client = make_client(app_that_looks())
    assert patched_for_the_app(client, TARGETS) == []
    for target in TARGETS:
        with mock.patch(target, refused(target)):
            assert patched_for_the_app(client, [target]) == [target], target
