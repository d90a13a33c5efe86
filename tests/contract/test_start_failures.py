"""A system that refuses what a start needs: told with what to do, and nothing is left of it."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import resource
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from isoclient import AppCrashed, AppStartupError, TestClient
from isoclient.compat import python_threads
from isoclient.system import modules as system
from isoclient.system import pidfds

if TYPE_CHECKING:
    from tests.conftest import Cell, MakeClient, Receive, Scope, Send

pytestmark = [pytest.mark.modes("fork", "forkserver", "spawn"), pytest.mark.backends("asyncio")]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    import os

    if scope["path"] == "/exit":
        os._exit(3)
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})


def refuse(monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException, *, after: int = 0) -> None:
    """Let a call of the system fail, from the so-manyth on."""
    original, calls = getattr(system.os, name), []

    def refused(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        if len(calls) > after:
            raise error
        return original(*args, **kwargs)

    monkeypatch.setattr(system.os, name, refused)


# -- pidfds


@pytest.fixture
def _probed_anew() -> Iterator[None]:
    yield
    pidfds.are_there.cache_clear()


@pytest.mark.usefixtures("_probed_anew")
@pytest.mark.parametrize("refusal", [errno.ENOSYS, errno.EPERM])
def test_a_system_without_pidfds(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, refusal: int) -> None:
    make_client(app).get("/")  # so that the fork server is there
    pidfds.are_there.cache_clear()
    refuse(monkeypatch, "pidfd_open", OSError(refusal, os.strerror(refusal)))
    client = make_client(app)
    assert client.get("/").text == str(client.pid)
    with pytest.raises(AppCrashed) as caught:
        client.get("/exit")
    assert caught.value.exitcode == 3
    assert client.get("/").text == str(client.pid)


# -- processes, threads, memory, descriptors

NOT_NEEDED = {("forkserver", "fork"), ("spawn", "fork")}


def raises(error: BaseException) -> Callable[..., None]:
    def function(*_args: Any, **_kwargs: Any) -> None:
        raise error

    return function


def descriptors() -> list[int]:
    """Those that are open in this process."""
    return sorted(number for number in map(int, os.listdir("/proc/self/fd")) if is_open(number))


def is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:  # that of the listing itself
        return False
    return True


def start(client: TestClient) -> AppStartupError | None:
    """Start its app; return why that failed."""
    try:
        client.pid  # noqa: B018
    except AppStartupError as error:
        return error
    return None


@pytest.mark.modes("fork")
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "ulimit -u"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "not enough memory"),
        (MemoryError(), "not enough memory"),
        (TimeoutError("a new process did not get going within 60 s"), "too busy"),
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
        (EOFError("unexpected EOF"), "has ended"),
    ],
)
def test_what_to_do(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, error: BaseException, words: str) -> None:
    client = make_client(app)
    with monkeypatch.context() as patch:
        refuse(patch, "fork", error)
        told = start(client)
    assert told is not None
    assert told.__cause__ is error
    assert words in str(told)
    assert client.get("/").text == str(client.pid)


@pytest.mark.parametrize("place", ["fork", "pidfd_open", "dup", "memfd_create", "pipe"])
def test_what_the_system_refuses(
    cell: Cell, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    assert refusals(make_client, monkeypatch, place) or (cell.mode, place) in NOT_NEEDED


def refusals(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, place: str) -> int:
    """Let a start fail at the first call of this, at the second, and so on; return how many it needs."""
    make_client(app).get("/")  # so that the fork server is there
    pidfds.are_there()
    client, error = make_client(app), OSError(errno.EMFILE, "Too many open files")
    before = descriptors()
    for after in itertools.count():
        with monkeypatch.context() as patch:
            refuse(patch, place, error, after=after)
            told = start(client)
        if told is None:
            break  # it needs no more of these
        assert told.__cause__ is error
        assert "ulimit -n" in str(told)
        assert descriptors() == before
    assert client.get("/").text == str(client.pid)
    return after


@pytest.mark.modes("thread")
def test_no_more_threads(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    client = make_client(app)
    before = descriptors()
    with monkeypatch.context() as patch:
        patch.setattr(python_threads.Thread, "start", raises(RuntimeError("can't start new thread")))
        told = start(client)
    assert told is not None
    assert "can't start new thread" in str(told)
    assert "ulimit -u" in str(told)
    assert descriptors() == before
    assert client.get("/").ok


def test_as_many_descriptors_as_there_may_be(make_client: MakeClient) -> None:
    make_client(app).get("/")  # so that the fork server is there
    client = make_client(app)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = descriptors()
    for limit in (number for number in itertools.count() if number not in before):
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        try:
            told = start(client)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        if told is None:
            break
        assert "ulimit -n" in str(told)
        assert descriptors() == before
    assert limit > 3
    with contextlib.suppress(AppCrashed, AppStartupError):  # the app has the limit, too, and few of its own are left
        client.close()
    assert client.get("/").text == str(client.pid)
