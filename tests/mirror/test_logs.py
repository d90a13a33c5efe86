"""The app's log records, where processes make a difference: configuration, handlers, crashes, the end."""

from __future__ import annotations

import atexit
import logging
import logging.config
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import isoclient
from isoclient import AppCrashed
from tests.conftest import MakeClient, Receive, Scope, Send

pytestmark = [pytest.mark.backends("asyncio"), pytest.mark.modes("fork", "forkserver", "spawn")]

log = logging.getLogger("bakery")


def app_of(act: Callable[[], object]) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            logging.getLogger("bakery").warning("closing")
            await send({"type": "lifespan.shutdown.complete"})
        else:
            act()
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b""})

    return app


@pytest.fixture
def untouched() -> Iterator[None]:
    """Whatever becomes of the tree of loggers: handlers are put back."""
    before = list(log.handlers)
    yield
    for handler in set(log.handlers) - set(before):
        log.removeHandler(handler)
        handler.close()


def configure() -> None:
    logging.config.dictConfig(
        {"version": 1, "root": {"level": "INFO", "handlers": []}, "disable_existing_loggers": True}
    )
    logging.getLogger("bakery").disabled = False


def configure_by_force() -> None:
    logging.basicConfig(force=True, level=logging.INFO, stream=sys.stdout, format="app: %(message)s")


@pytest.mark.parametrize("configure", [configure, configure_by_force])
def test_records_arrive_whatever_the_app_configures(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture, configure: Callable[[], None]
) -> None:
    def act() -> None:
        configure()
        logging.getLogger("bakery").info("baked")

    make_client(app_of(act)).get("/")
    assert caplog.messages == ["baked"]


@pytest.mark.usefixtures("untouched")
@pytest.mark.modes("fork")
def test_inherited_handlers_run_in_the_test_alone(make_client: MakeClient, tmp_path: Path) -> None:
    handler = logging.FileHandler(tmp_path / "log.txt")
    handler.setFormatter(logging.Formatter("%(process)d %(message)s"))
    handled_in: list[int] = []

    def note(record: logging.LogRecord) -> bool:
        handled_in.append(os.getpid())
        return True

    handler.addFilter(note)
    log.addHandler(handler)

    client = make_client(app_of(lambda: log.warning("baked")))
    client.get("/")
    assert (tmp_path / "log.txt").read_text() == f"{client.pid} baked\n"
    assert handled_in == [os.getpid()]


@pytest.mark.rest("forkserver", "spawn")
def test_the_apps_own_handlers_run_there(make_client: MakeClient, tmp_path: Path) -> None:
    file = str(tmp_path / "log.txt")

    def act() -> None:
        handler = logging.FileHandler(file)
        handler.setFormatter(logging.Formatter(f"{os.getpid()} %(message)s"))
        logging.getLogger("bakery").addHandler(handler)
        logging.getLogger("bakery").warning("baked")

    client = make_client(app_of(act))
    client.get("/")
    assert Path(file).read_text() == f"{client.pid} baked\n"


CONFIGURED = """
import logging.config

logging.config.dictConfig({{
    "version": 1,
    "formatters": {{"short": {{"format": "%(message)s"}}}},
    "handlers": {{"file": {{"class": "logging.FileHandler", "filename": {file!r}, "formatter": "short"}}}},
    "loggers": {{"bakery.oven": {{"handlers": ["file"]}}}},
    "disable_existing_loggers": False,
}})

async def app(scope, receive, send):
    logging.getLogger("bakery.oven").warning("baked")
    await send({{"type": "http.response.start", "status": 200}})
    await send({{"type": "http.response.body", "body": b""}})
"""


def test_a_configuration_of_both_processes_handles_each_record_once(
    make_client: MakeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "log.txt"
    (tmp_path / "oven.py").write_text(CONFIGURED.format(file=str(file)))
    monkeypatch.syspath_prepend(str(tmp_path))
    import oven  # type: ignore[import-not-found]  # written just now

    try:
        make_client(oven.app).get("/")
    finally:
        del sys.modules["oven"]
        oven_log = logging.getLogger("bakery.oven")
        for handler in list(oven_log.handlers):
            oven_log.removeHandler(handler)
            handler.close()
    assert file.read_text() == "baked\n"
    assert caplog.messages == ["baked"]


@pytest.mark.parametrize(
    "end", [lambda: os._exit(3), lambda: os.kill(os.getpid(), signal.SIGSEGV)], ids=["exit", "segv"]
)
def test_the_last_words_before_a_crash(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture, end: Callable[[], None]
) -> None:
    def act() -> None:
        logging.getLogger("bakery").warning("the oven burns")
        end()

    client = make_client(app_of(act))
    with pytest.raises(AppCrashed):
        client.get("/")
    assert caplog.messages == ["the oven burns"]


@pytest.mark.rest("forkserver", "spawn")
def test_nothing_is_lost_at_the_end(make_client: MakeClient, caplog: pytest.LogCaptureFixture) -> None:
    def act() -> None:
        def work() -> None:
            threading.main_thread().join(60)  # it has done its part, and waits for this one
            logging.getLogger("bakery").warning("from a thread that goes on")

        atexit.register(logging.getLogger("bakery").warning, "at exit")
        threading.Thread(target=work).start()

    with make_client(app_of(act)) as client:
        client.get("/")
    assert caplog.messages == ["closing", "from a thread that goes on", "at exit"]


def test_levels_of_the_apps_own_stay(make_client: MakeClient, caplog: pytest.LogCaptureFixture) -> None:
    def act() -> None:
        for name in ("bakery.oven", "bakery.shop"):
            logging.getLogger(name).debug(name)

    client = make_client(app_of(act))
    client.call(logging.getLogger("bakery.oven").setLevel, logging.DEBUG)
    client.get("/")
    with caplog.at_level("DEBUG", logger="bakery.shop"):
        client.get("/")
    with caplog.at_level("ERROR", logger="bakery.oven"):
        client.get("/")
    client.get("/")
    assert caplog.messages == ["bakery.oven", "bakery.oven", "bakery.shop", "bakery.oven"]


def test_the_test_hears_of_an_app_that_could_not_be_loaded(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_oven.py").write_text("import logging\nlogging.getLogger('bakery').error('no gas')\n1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(isoclient.AppStartupError):
        make_client("broken_oven:app").get("/")
    assert caplog.messages == ["no gas"]


@pytest.mark.rest("forkserver", "spawn")
def test_websockets_hear_of_levels_and_tell_of_records(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            logging.getLogger("bakery").info("%s", message["text"])
            await send({"type": "websocket.send", "text": "heard"})

    with make_client(app).websocket_connect("/") as session:
        for number, level in enumerate(["WARNING", "INFO", "WARNING", "DEBUG"]):
            with caplog.at_level(level):
                session.send_text(str(number))
                assert session.receive_text() == "heard"
    assert caplog.messages == ["1", "3"]


@pytest.mark.rest("forkserver", "spawn")
def test_loguru(make_client: MakeClient, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    from loguru import logger

    def act() -> None:
        from loguru import logger

        logger.info("to stderr")

        def propagate(message: Any) -> None:
            record = message.record
            logging.getLogger(record["name"]).log(record["level"].no, record["message"])

        logger.remove()
        logger.add(propagate, format="{message}")
        logger.warning("to stdlib")

    logger.remove()
    logger.add(sys.stderr)
    make_client(app_of(act)).get("/")
    assert "to stderr" in capsys.readouterr().err
    assert caplog.messages == ["to stdlib"]


@pytest.mark.rest("forkserver", "spawn")
def test_an_app_that_closes_all_its_descriptors(make_client: MakeClient, tmp_path: Path) -> None:
    """Whatever file of its own gets the number that the journal had, no entry is written into it."""
    file = str(tmp_path / "own.txt")

    def act() -> None:
        os.closerange(0, 100)
        for _ in range(50):
            os.open(file, os.O_CREAT | os.O_RDWR | os.O_APPEND)
        logging.getLogger("bakery").warning("baked")

    with pytest.raises((AppCrashed, isoclient.AppTimeout)):
        make_client(app_of(act), timeout=5).get("/")
    assert b"baked" not in Path(file).read_bytes()


@pytest.mark.modes("fork")
def test_an_app_that_logs_a_lot_takes_no_memory_for_it(make_client: MakeClient) -> None:
    def act() -> None:
        for _ in range(100):
            logging.getLogger("bakery").warning("x" * 100_000)

    client = make_client(app_of(act))
    sizes = []
    for _ in range(3):
        client.get("/")
        (journal,) = (entry for entry in os.scandir("/proc/self/fd") if "isoclient-journal" in os.readlink(entry.path))
        sizes.append(os.stat(journal.path).st_blocks * 512)
    assert max(sizes) < 9_000_000, sizes  # of the 30 MB that it has logged
