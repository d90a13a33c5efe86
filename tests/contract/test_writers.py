"""What an isolated app prints and logs arrives: whole, once, in the order of its writer, and never without end."""

from __future__ import annotations

import atexit
import io
import logging
import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable

import pytest

from isoclient.drive.waiting import Deadline
from isoclient.process.output import OutputFile
from isoclient.system.bounded_files import KEPT, MOST
from isoclient.system.descriptors import Belongings
from isoclient.system.shared_files import SharedFile
from tests.conftest import MakeClient, Receive, Scope, Send
from tests.reliability.marks import slow

pytestmark = pytest.mark.modes("fork", "forkserver", "spawn")


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 204})
    await send({"type": "http.response.body"})


# -- many writers


def _say(writer: str, count: int) -> None:
    log = logging.getLogger("shop")
    for number in range(count):
        print(writer, number, "." * (number % 50))
        log.warning("%s %d", writer, number)


def _say_in_threads(process: str, threads: int, count: int) -> None:
    started = [threading.Thread(target=_say, args=(f"{process}-{number}", count)) for number in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()


def say_in_all(children: int, threads: int, count: int) -> None:
    """Of this many child processes and threads, each prints and logs so many times."""
    pids = []
    for number in range(children):
        if (pid := os.fork()) == 0:
            try:
                _say(f"child{number}", count)
            finally:
                os._exit(0)
        pids.append(pid)
    _say_in_threads("app", threads, count)
    for pid in pids:
        os.waitpid(pid, 0)


def _numbers(texts: Iterable[str]) -> dict[str, list[int]]:
    """What each writer has said, in the order in which it has come."""
    found: dict[str, list[int]] = defaultdict(list)
    for text in texts:
        writer, number, *_ = text.split(" ")
        found[writer].append(int(number))
    return found


@pytest.mark.backends("asyncio")
@pytest.mark.parametrize(
    ("children", "threads", "count"), [(4, 8, 100), pytest.param(20, 50, 100_000 // 70, marks=slow)]
)
def test_lines_and_records_of_many_writers_are_whole(
    make_client: MakeClient,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    children: int,
    threads: int,
    count: int,
) -> None:
    client = make_client(app, timeout=300)
    client.call(say_in_all, children, threads, count)
    expected = [f"child{number}" for number in range(children)] + [f"app-{number}" for number in range(threads)]
    every = {writer: list(range(count)) for writer in expected}
    lines = capsys.readouterr().out.splitlines()
    assert _numbers(lines) == every
    assert all(line.split(" ")[2] == "." * (int(line.split(" ")[1]) % 50) for line in lines)
    assert _numbers(caplog.messages) == every


def print_long_lines() -> None:
    def run(letter: str) -> None:
        for _ in range(20):
            print(letter * 100_000)

    threads = [threading.Thread(target=run, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.modes("fork")
@pytest.mark.backends("asyncio")
def test_long_lines_are_whole(make_client: MakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    make_client(app).call(print_long_lines)
    lines = capsys.readouterr().out.splitlines()
    assert sorted(lines) == sorted([letter * 100_000 for letter in "abcd" * 20])


# -- one writer, a part of a line


async def partly(scope: Scope, receive: Receive, send: Send) -> None:
    print("one, ", end="")
    logging.getLogger("shop").warning("between")
    print("two, ", end="")
    if (pid := os.fork()) == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    print("three", end="")
    await app(scope, receive, send)


@pytest.mark.backends("asyncio")
def test_what_has_no_end_of_a_line_comes_with_the_response(
    make_client: MakeClient, capsys: pytest.CaptureFixture[str]
) -> None:
    client = make_client(partly)
    seen: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: seen.append(capsys.readouterr().out)  # type: ignore[method-assign]
    logging.getLogger("shop").addHandler(handler)
    try:
        client.get("/")
    finally:
        logging.getLogger("shop").removeHandler(handler)
    assert seen == ["one, "]
    assert capsys.readouterr().out == "two, three"


# -- the standard streams by their paths


def append_by_path() -> None:
    log = logging.Logger("by path")
    log.addHandler(logging.FileHandler("/dev/stdout"))
    for number in range(4):
        print("printed", number)
        log.warning("logged %d", number)
        subprocess.run(["/bin/sh", "-c", f"echo echoed {number} >> /dev/stdout"], check=True)
    log.handlers[0].close()


@pytest.mark.modes("fork", "spawn")
@pytest.mark.backends("asyncio")
def test_what_is_appended_by_path(make_client: MakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    make_client(app).call(append_by_path)
    expected = [f"{how} {number}" for number in range(4) for how in ("printed", "logged", "echoed")]
    assert capsys.readouterr().out.splitlines() == expected


class Truncating:
    """An app that opens its standard output anew, to write to it, as it is made; and then writes in both ways."""

    def __init__(self) -> None:
        print("before")
        self.log = logging.Logger("by path")
        handler = logging.FileHandler("/dev/stdout", "w")
        self.log.addHandler(handler)
        atexit.register(handler.close)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/truncate":
            subprocess.run(["/bin/sh", "-c", "echo anew > /dev/stdout"], check=True)
        for number in range(3):
            print("printed", number)
            self.log.warning("logged %d", number)
        await app(scope, receive, send)


@pytest.mark.modes("fork", "forkserver")
@pytest.mark.backends("asyncio")
def test_who_truncates_the_output_ends_nothing(make_client: MakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    client = make_client("tests.contract.test_writers:Truncating", factory=True)
    both = "".join(f"printed {number}\nlogged {number}\n" for number in range(3))
    for _ in range(2):
        client.get("/")
        assert capsys.readouterr().out.removeprefix("before\n") == both
    client.get("/truncate")  # now it is shorter than what has been passed on
    assert capsys.readouterr().out == "anew\n" + both
    client.get("/truncate")  # now it is as long
    assert capsys.readouterr().out == "anew\n" + both


# -- what the test's streams can't take


@pytest.mark.modes("fork")
@pytest.mark.backends("asyncio")
def test_what_the_encoding_of_the_test_lacks_is_escaped(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_client(app)
    client.get("/")
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stdout)
        client.call(print, "10 €, \udc80, and more")
    assert stdout.buffer.getvalue() == rb"10 \u20ac, \udc80, and more" + b"\n"


# -- without end


class _Answering(io.StringIO):
    """A stream of the test's: the app prints again whenever something is passed on."""

    def __init__(self, file: SharedFile) -> None:
        super().__init__()
        self._file = file

    def write(self, text: str) -> int:
        os.write(self._file.descriptor, b"again\n")
        return super().write(text)


def test_output_is_passed_on_up_to_where_it_ended_then(monkeypatch: pytest.MonkeyPatch) -> None:
    output = OutputFile("isoclient-test", "stdout", Belongings())
    os.write(output.file.descriptor, b"once\n")
    stream = _Answering(output.file)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        output.sync(output.file.size, Deadline(60))
        assert stream.getvalue() == "once\n"
        output.sync_at_the_end(Deadline(60))
    assert stream.getvalue() == "once\nagain\n"


def test_what_is_not_passed_on_in_time_is_for_the_next_time(capsys: pytest.CaptureFixture[str]) -> None:
    output = OutputFile("isoclient-test", "stdout", Belongings())
    text = "".join(f"{number:07}\n" for number in range(100_000))
    os.write(output.file.descriptor, text.encode())
    output.sync(len(text), Deadline(0))
    first = capsys.readouterr().out
    assert 0 < len(first) < len(text)
    output.sync(len(text), Deadline(60))
    assert first + capsys.readouterr().out == text


def test_what_is_not_passed_on_in_time_at_the_end_is_left_out_but_for_the_last(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = OutputFile("isoclient-test", "stdout", Belongings())
    text = "".join(f"{number:07}\n" for number in range(100_000))
    os.write(output.file.descriptor, text.encode())
    output.sync_at_the_end(Deadline(0))
    first, _, rest = capsys.readouterr().out.partition("\n(isoclient: ")
    note, _, last = rest.partition("\n")
    assert text.startswith(first)
    assert text.endswith(last)
    left_out = len(text) - len(first) - len(last)
    assert note == f"{left_out} bytes of the app's standard output are left out here, it was too much)"


def test_a_character_that_is_cut_off_at_the_end_is_passed_on_as_its_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    output = OutputFile("isoclient-test", "stdout", Belongings())
    os.write(output.file.descriptor, "caf\u00e9".encode()[:-1])
    for _ in range(2):
        output.sync_at_the_end(Deadline(60))
    assert capsys.readouterr().out == "caf\\xc3"


def print_much() -> int:
    """Print more than is kept, and return how much of it has been in memory, at most."""
    most = 0
    for number in range(MOST // 1_000_000 * 2):
        print(f"{number:07}\n" * 125_000, end="")
        most = max(most, os.fstat(1).st_blocks * 512)
    return most


def flood() -> None:
    """The same from below Python, where nobody in the app's process sees to it."""
    for number in range(MOST // 1_000_000 * 2):
        os.write(1, b"%07d\n" % number * 125_000)
    time.sleep(0.5)  # the test looks, while it waits


@pytest.mark.modes("fork")
@pytest.mark.backends("asyncio")
@pytest.mark.parametrize("act", [print_much, flood])
def test_of_too_much_output_the_newest_is_kept(
    make_client: MakeClient, capsys: pytest.CaptureFixture[str], act: Callable[[], int | None]
) -> None:
    most = make_client(app).call(act)
    assert most is None or most < MOST + 4_000_000
    out = capsys.readouterr().out
    note, _, rest = out.partition("too much)\n")
    left_out = int(note.split()[1])
    assert left_out + len(rest) == MOST // 1_000_000 * 2 * 1_000_000
    assert KEPT - 4096 <= len(rest) <= MOST
    numbers = [int(line) for line in rest.splitlines()[1:]]
    assert numbers == sorted(numbers)
    assert numbers[-1] == MOST // 1_000_000 * 2 - 1


def log_much() -> None:
    log = logging.getLogger("shop")
    for number in range(MOST // 1_000_000 * 2):
        log.warning("%d%s", number, " " * 1_000_000)


@pytest.mark.modes("fork")
@pytest.mark.backends("asyncio")
def test_of_too_many_records_the_newest_are_kept(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    make_client(app).call(log_much)
    last = MOST // 1_000_000 * 2 - 1
    numbers = [int(message) for message in caplog.messages]
    assert KEPT // 1_000_000 - 2 < len(numbers) < last
    assert numbers == list(range(last + 1 - len(numbers), last + 1))
    assert "bytes of the app's log records, warnings and calls of mocks are left out here" in capsys.readouterr().err
