"""What is in force in the test is in force in the app, and nothing is sent when nothing has changed."""

from __future__ import annotations

import gc
import logging
import sys
import threading
import warnings
from collections.abc import Iterator

import pytest

from isoclient.mirror.mirrors import ClientMirror
from isoclient.mirror.run import run
from tests.conftest import MakeClient, Receive, Scope, Send


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    manager = logging.root.manager
    disable = manager.disable
    yield
    manager.disable = disable
    run.locals, run.epoch = False, 0


def a_mirror() -> ClientMirror:
    """That of an app which has been told what it begins with, and shares nothing with the test that runs."""
    mirror = ClientMirror(fresh=True)
    mirror.first()
    return mirror


def test_no_news_while_nothing_changes() -> None:
    mirror = ClientMirror(fresh=False)
    assert mirror.first()["locals"] is False
    assert mirror.news() is None
    logging.getLogger("dairy").setLevel("DEBUG")
    assert mirror.news() == {"logging": [("dairy", "level", 10, False)]}
    assert mirror.news() is None
    logging.getLogger("dairy").setLevel("NOTSET")
    assert mirror.news() == {"logging": [("dairy", "level", None, False)]}
    assert mirror.news() is None


def test_two_apps_hear_of_the_same_change() -> None:
    mirrors = [a_mirror(), a_mirror()]
    logging.disable(logging.ERROR)
    for mirror in mirrors:
        assert mirror.news() == {"logging": [("", "disable", 40, False)]}
        assert mirror.news() is None


def test_a_fresh_interpreter_hears_of_all_that_is_not_as_usual(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        levels = ClientMirror(fresh=True).first()["logging"]["levels"]
    assert ("root", "level", 20, True) in levels


def test_filters_in_an_equal_list_are_new_all_the_same() -> None:
    mirror = a_mirror()
    with warnings.catch_warnings():
        assert mirror.news() == {"warnings": "anew"}
        warnings.simplefilter("ignore", FutureWarning)
        news = mirror.news()
        assert news is not None
        assert news["warnings"][0] == ("ignore", None, ("builtins", "FutureWarning"), None, 0)
        assert mirror.news() is None
    assert mirror.news() is not None


def test_settings_are_news() -> None:
    mirror = a_mirror()
    run.locals = True
    assert mirror.news() == {"locals": True}
    run.epoch += 1
    assert mirror.news() == {"warnings": "anew"}
    assert mirror.news() is None


def test_a_new_epoch_finds_what_leaves_no_trace() -> None:
    mirror = a_mirror()
    logger = logging.getLogger("dairy")
    logger.disabled = True
    try:
        assert mirror.news() is None
        run.epoch += 1
        assert mirror.news() == {"warnings": "anew", "logging": [("dairy", "disabled", True, False)]}
    finally:
        logger.disabled = False


def test_looking_for_news_calls_next_to_nothing() -> None:
    """It is done for each request."""
    gc.collect()  # the mocks of other tests
    mirror = a_mirror()
    mirror.news()
    events: list[str] = []
    before = sys.getprofile()
    sys.setprofile(lambda frame, event, arg: events.append(event))
    try:
        mirror.news()
    finally:
        sys.setprofile(before)
    assert events.count("call") <= 20  # itself, the current directory, a list; and what pytest-mock has patched
    assert events.count("c_call") <= 20  # a look into a dict, the current directory; and setprofile()


@pytest.mark.backends("asyncio")
@pytest.mark.modes("fork", "forkserver", "spawn")
def test_the_app_has_what_is_in_force(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b""})

    def fails() -> None:
        order = "number 7"
        raise LookupError(order)

    def locals_there() -> dict[str, object]:
        with pytest.raises(LookupError) as caught:
            client.call(fails)
        return dict(caught.traceback[-1].locals)

    run.locals = True
    client = make_client(app)
    assert locals_there() == {"order": "number 7"}
    run.locals = False
    assert locals_there() == {}


@pytest.mark.backends("asyncio")
@pytest.mark.modes("fork", "spawn")
def test_a_logger_of_the_app_that_takes_no_level(make_client: MakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told, and what comes behind the news is answered."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"answered"})

    def have_it_refuse() -> None:
        class Refusing(logging.Logger):
            def __setattr__(self, name: str, value: object) -> None:
                raise PermissionError(name)

        logging.getLogger("refusing").__class__ = Refusing

    logger = logging.getLogger("refusing")
    client = make_client(app)
    client.call(have_it_refuse)
    try:
        logger.setLevel(logging.DEBUG)
        assert client.get("/").text == "answered"
    finally:
        logger.setLevel(logging.NOTSET)
    assert "logging of the test can't be put into force in the app: PermissionError" in capsys.readouterr().err


@pytest.mark.backends("asyncio")
@pytest.mark.modes("fork")
def test_a_fork_of_a_process_with_threads_neither_warns_nor_leaves_a_filter(make_client: MakeClient) -> None:
    """Python 3.12+ warns of it."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": repr(warnings.filters[:3]).encode()})

    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            before, text = list(warnings.filters), repr(warnings.filters[:3])
            assert make_client(app).get("/").text == text
            assert warnings.filters == before
    finally:
        end.set()
        thread.join()
