"""What is in force in the test is in force in the app, and nothing is sent when nothing has changed."""

from __future__ import annotations

import logging
import threading
import time
import warnings
from collections.abc import Iterator

import pytest

from isoclient.process.context import ContextWatch, settings
from isoclient.transit.wishes import wishes
from tests.conftest import MakeClient, Receive, Scope, Send


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    manager = logging.root.manager
    disable = manager.disable
    yield
    manager.disable = disable
    settings.locals, settings.epoch = False, 0


def test_no_news_while_nothing_changes() -> None:
    watch = ContextWatch(fresh=False)
    assert watch.first()["locals"] is False
    assert watch.news() is None
    logging.getLogger("dairy").setLevel("DEBUG")
    assert watch.news() == {"levels": [("dairy", "level", 10, False)]}
    assert watch.news() is None
    logging.getLogger("dairy").setLevel("NOTSET")
    assert watch.news() == {"levels": [("dairy", "level", None, False)]}
    assert watch.news() is None


def test_two_apps_hear_of_the_same_change() -> None:
    watches = [ContextWatch(fresh=False), ContextWatch(fresh=False)]
    logging.disable(logging.ERROR)
    for watch in watches:
        assert watch.news() == {"levels": [("", "disable", 40, False)]}
        assert watch.news() is None


def test_a_fresh_interpreter_hears_of_all_that_is_not_as_usual(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        levels = ContextWatch(fresh=True).first()["levels"]
    assert ("root", "level", 20, True) in levels


def test_filters_in_an_equal_list_are_new_all_the_same() -> None:
    watch = ContextWatch(fresh=False)
    with warnings.catch_warnings():
        assert watch.news() == {"filters": None}
        warnings.simplefilter("ignore", FutureWarning)
        news = watch.news()
        assert news is not None
        assert news["filters"][0] == ("ignore", None, ("builtins", "FutureWarning"), None, 0)
        assert watch.news() is None
    assert watch.news() is not None


def test_settings_are_news() -> None:
    watch = ContextWatch(fresh=False)
    settings.locals = True
    assert watch.news() == {"locals": True}
    settings.epoch += 1
    assert watch.news() == {"filters": None}
    assert watch.news() is None


def test_a_new_epoch_finds_what_leaves_no_trace() -> None:
    watch = ContextWatch(fresh=False)
    logger = logging.getLogger("dairy")
    logger.disabled = True
    try:
        assert watch.news() is None
        settings.epoch += 1
        assert watch.news() == {"filters": None, "levels": [("dairy", "disabled", True, False)]}
    finally:
        logger.disabled = False


def test_looking_for_news_takes_next_to_no_time() -> None:
    watch = ContextWatch(fresh=False)
    watch.news()

    def round_of() -> float:
        start = time.perf_counter()
        for _ in range(1000):
            watch.news()
        return time.perf_counter() - start

    assert min(round_of() for _ in range(20)) < 0.002  # seconds: 2 µs each


@pytest.mark.backends("asyncio")
@pytest.mark.modes("fork", "forkserver", "spawn")
def test_the_app_has_what_is_in_force(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b""})

    def has_locals() -> bool:
        from isoclient.transit.wishes import wishes

        return wishes.locals

    settings.locals = True
    client = make_client(app)
    assert client.call(has_locals) is True
    settings.locals = False
    assert client.call(has_locals) is False
    assert wishes.locals is False


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
