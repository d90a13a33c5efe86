"""The matrix that the contract is tested on, and the proof that no test leaves anything behind.

A test that asks for ``make_client`` runs once for each cell of {fork, forkserver, spawn, thread} x
{asyncio, uvloop, trio}. Where a dimension does not matter, a mark narrows it, for a test, a class or a module::

    pytestmark = pytest.mark.backends("asyncio")    # each mode once

    @pytest.mark.modes("fork", "thread")            # one of each kind: a process and a thread

A plain run has fork and thread on asyncio: a process and a thread tell most of what can go wrong. It has a fresh
interpreter, or another backend, for those tests alone that name it in their mark, because it is what they are about. A
test may leave more out, or itself::

    @pytest.mark.rest("forkserver", "spawn")        # a fork tells it, and each of these takes a second

    @pytest.mark.rest                               # all of it: what it proves, others prove in part

``--cells=rest`` runs what is left out. ``--cells=first`` runs one cell of each test of a plain run, the first. And
``--cells=all`` runs everything, with what all others leave out: what is marked as slow; fresh interpreters on other
backends than asyncio, for what differs between two event loops is not how a process started; and of the two kinds of
fresh interpreters the one that a test does not name first, for they differ in who starts them.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, closing
from functools import cache
from pathlib import Path
from threading import enumerate as python_threads
from time import monotonic, sleep
from typing import Any, Final, NamedTuple, Self

import pytest

from isoclient import TestClient
from isoclient.server.server import Server
from tests.prepared import Prepared
from tests.time_limit import TimeLimit

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
MakeClient = Callable[..., TestClient]


# -- the matrix

MODES: Final[dict[str, dict[str, Any]]] = {
    "fork": {"isolated": True, "start_method": "fork"},
    "forkserver": {"isolated": True, "start_method": "forkserver"},
    "spawn": {"isolated": True, "start_method": "spawn"},
    "thread": {"isolated": False},
}
_FRESH: Final = ("forkserver", "spawn")
BACKENDS: Final[dict[str, dict[str, Any]]] = {
    "asyncio": {"backend": "asyncio"},
    "uvloop": {"backend": "asyncio", "backend_options": {"use_uvloop": True}},
    "trio": {"backend": "trio"},
}


class Cell(NamedTuple):
    """One cell of the matrix."""

    mode: str
    backend: str

    @property
    def options(self) -> dict[str, Any]:
        """What it means for a client."""
        return MODES[self.mode] | BACKENDS[self.backend]

    @property
    def isolated(self) -> bool:
        return self.mode != "thread"

    @property
    def is_fresh(self) -> bool:
        """Whether the app's process is a new interpreter."""
        return self.mode in _FRESH

    def is_rare(self, named: Collection[str]) -> bool:
        """Whether it is part of the whole matrix alone, in a test that names these modes and backends itself."""
        first = next((name for name in (*named, *_FRESH) if name in _FRESH), None)
        return self.is_fresh and (self.backend != "asyncio" or self.mode != first)

    def is_usual(self, named: Collection[str]) -> bool:
        """Whether a plain run has it, in such a test."""
        if self.is_fresh:
            return not self.is_rare(named) and self.mode in named
        return self.backend == "asyncio" or self.backend in named


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cells", choices=("usual", "first", "rest", "all"), default="usual", help="which part of the matrix to run"
    )


def pytest_configure(config: pytest.Config) -> None:
    # A run that is started in the background, as by some CI, ignores Ctrl-C; so would the runs that the tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not config.getoption("usepdb"):
        limit = TimeLimit()
        config.pluginmanager.register(limit)
        config.add_cleanup(limit.close)
    config.addinivalue_line("markers", f"modes(*names): run on these modes only, of {', '.join(MODES)}")
    config.addinivalue_line("markers", "slow: part of --cells=all alone")
    config.addinivalue_line("markers", "rest(*names): left to --cells=rest, on these modes and backends or altogether")
    config.addinivalue_line("markers", f"backends(*names): run on these backends only, of {', '.join(BACKENDS)}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cell" in metafunc.fixturenames:
        metafunc.parametrize("cell", _cells(metafunc.definition), ids="-".join)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    part = config.getoption("cells")
    if part != "all":
        halves: dict[bool, list[pytest.Item]] = {True: [], False: []}
        for item in items:
            halves[_IN_PART[part](item)].append(item)
        config.hook.pytest_deselected(items=halves[False])
        items[:] = halves[True]


def _is_usual(item: pytest.Item) -> bool:
    """Whether a plain run has it, as it has all that is not part of the matrix and does not say otherwise."""
    return not _is_rare(item) and _is_usual_in(item, _cell(item))


def _is_first(item: pytest.Item) -> bool:
    """Whether it is the first cell of its test that a plain run has."""
    cells = (cell for cell in _cells(item) if _is_usual_in(item, cell))
    return _is_usual(item) and (_cell(item) is None or _cell(item) == next(cells))


def _is_rest(item: pytest.Item) -> bool:
    return not _is_rare(item) and not _is_usual(item)


_IN_PART: Final = {"usual": _is_usual, "first": _is_first, "rest": _is_rest}


def _is_rare(item: pytest.Item) -> bool:
    """Whether it is part of the whole matrix alone."""
    cell = _cell(item)
    return item.get_closest_marker("slow") is not None or (cell is not None and cell.is_rare(_named(item)))


def _is_usual_in(item: pytest.Item, cell: Cell | None) -> bool:
    if any(_is_left_out(cell, mark.args) for mark in item.iter_markers("rest")):
        return False
    return cell is None or cell.is_usual(_named(item))


def _named(item: pytest.Item) -> list[str]:
    """The modes and backends that the marks of a test name."""
    marks = (item.get_closest_marker(name) for name in ("modes", "backends"))
    return [name for mark in marks if mark is not None for name in mark.args]


def _cells(item: pytest.Item) -> list[Cell]:
    """All that its test may run on."""
    modes, backends = _chosen(item, "modes", MODES), _chosen(item, "backends", BACKENDS)
    return [Cell(mode, backend) for mode in modes for backend in backends]


def _cell(item: pytest.Item) -> Cell | None:
    return item.callspec.params.get("cell") if hasattr(item, "callspec") else None


def _is_left_out(cell: Cell | None, names: Collection[str]) -> bool:
    return not names or cell is None or cell.mode in names or cell.backend in names


def _chosen(item: pytest.Item, mark: str, known: Mapping[str, object]) -> tuple[str, ...]:
    found = item.get_closest_marker(mark)
    names = tuple(known) if found is None else found.args
    unknown = set(names) - set(known)
    if unknown or not names:
        raise ValueError(f"{item.nodeid}: @pytest.mark.{mark}{names} must name some of {', '.join(known)}")
    return names


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forks and threads cancel an app whose client has gone soon; fresh interpreters keep the usual second of grace."""
    monkeypatch.setattr(Server, "grace", 0.3)


@pytest.fixture
def make_client(cell: Cell) -> Iterator[MakeClient]:
    """Makes clients of this cell, and closes them after the test."""
    with ExitStack() as stack:

        def make(app: Any, **options: Any) -> TestClient:
            client = TestClient(app, **{**cell.options, "timeout": 30.0, **options})
            stack.callback(client.close)
            return client

        yield make


# -- runs within tests


@pytest.fixture(scope="session")
def prepared() -> Iterator[Prepared]:
    """What runs pytest in forks of an interpreter that has imported what takes long."""
    with closing(Prepared()) as prepared:
        yield prepared


# -- nothing is left

_PATIENCE: Final = 10.0  # seconds that what a test has ended may take to be gone


class Inventory(NamedTuple):
    """What this process holds: descriptors, threads and children, each with a word on what it is."""

    descriptors: dict[int, str]
    threads: dict[int, str]
    children: dict[int, str]

    @classmethod
    def take(cls) -> Self:
        lasting = _Lasting.find()
        descriptors = {number: target for number, target in _descriptors() if number not in lasting.descriptors}
        children = [pid for pid in _children(os.getpid()) if pid not in lasting.processes]
        # What comes from the fork server is its child, not ours.
        children += [grandchild for pid in lasting.processes for grandchild in _children(pid)]
        return cls(descriptors, dict(_threads()), {pid: _describe_process(pid) for pid in children})

    def beyond(self, before: Inventory) -> list[str]:
        """What is here and was not there before."""
        return [
            *(f"descriptor {key}: {text}" for key, text in _new(self.descriptors, before.descriptors)),
            *(f"thread {key}: {text}" for key, text in _new(self.threads, before.threads)),
            *(f"process {key}: {text}" for key, text in _new(self.children, before.children)),
        ]


class _Lasting(NamedTuple):
    """What lives as long as this process once it was needed: the fork server."""

    processes: set[int]
    descriptors: set[int]

    @classmethod
    def find(cls) -> Self:
        launch = sys.modules.get("isoclient.process.launch")
        if launch is None:
            return cls(set(), set())
        return cls({launch.fork_server.pid} - {0}, set(launch.fork_server.descriptors()))


def _new(after: Mapping[int, str], before: Mapping[int, str]) -> list[tuple[int, str]]:
    return [(key, text) for key, text in after.items() if before.get(key) != text]


def _descriptors() -> Iterator[tuple[int, str]]:
    for name in os.listdir("/proc/self/fd"):
        try:
            yield int(name), os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # the descriptor of the listing itself
            continue


def _threads() -> Iterator[tuple[int, str]]:
    names = {thread.native_id: thread.name for thread in python_threads()}
    for name in os.listdir("/proc/self/task"):
        yield int(name), names.get(int(name), "(none of Python's)")


def _children(pid: int) -> list[int]:
    return [int(child) for file in Path(f"/proc/{pid}/task").glob("*/children") for child in _read(file).split()]


def _describe_process(pid: int) -> str:
    state = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()[:1]
    if state == ["Z"]:
        return "a zombie"
    return _read(Path(f"/proc/{pid}/cmdline")).replace("\0", " ").strip()[:200] or "(gone meanwhile)"


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test: no descriptor, thread, child process or zombie that was not there before it."""
    if "cell" in request.fixturenames and request.getfixturevalue("cell") == ("thread", "uvloop"):
        _start_libuv()
    before = Inventory.take()
    yield
    if "isoclient.process.launch" in sys.modules:
        sys.modules["isoclient.process.launch"].templates.close()
    end = monotonic() + _PATIENCE
    while left := Inventory.take().beyond(before):
        if monotonic() > end:
            pytest.fail("this test left behind:\n  " + "\n  ".join(left), pytrace=False)
        sleep(0.005)


@cache
def _start_libuv() -> None:
    """The first loop of uvloop in a process opens a pipe for all of them, which stays."""
    import uvloop

    uvloop.new_event_loop().close()
