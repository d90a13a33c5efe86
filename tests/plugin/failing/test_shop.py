"""Each test fails by its app: what is printed then is what the tests of the texts are about."""

# mypy: allow-untyped-defs, allow-untyped-calls, disable-error-code=no-any-return

import os
import signal
import threading

import pytest
from shop import (  # type: ignore[import-not-found]
    Unpicklable,
    app,
    app_that_clings,
    app_that_says_so,
    app_with_database,
    make_lock,
)

from isoclient import AppProtocolError, AppTimeout, TestClient, isolate
from isoclient.process.app_process import AppProcess
from isoclient.process.app_thread import AppThread


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_exit(method):
    TestClient(app, isolated=True, start_method=method).get("/exit")


@pytest.mark.parametrize("way", ["kill", "terminate", "refuse", "abort", "raise", "thread"])
def test_ends(way):
    TestClient(app, isolated=True).get(f"/{way}")


def test_a_child_of_the_app_is_not_the_app():
    client = TestClient(app, isolated=True)
    assert client.get("/child").text == "fine"
    os.kill(client.pid, signal.SIGKILL)
    client.get("/")


def test_refuse_in_process():
    TestClient(app).get("/refuse")


def test_exit_behind_another_client():
    starlette = pytest.importorskip("starlette.testclient")
    starlette.TestClient(isolate(app)).get("/exit")


@pytest.mark.parametrize("method", ["fork", "forkserver"])
@pytest.mark.parametrize("way", ["hang", "block"])
def test_waits(way, method):
    TestClient(app, isolated=True, start_method=method).get(f"/{way}", timeout=0.3)


def test_waits_in_process():
    TestClient(app).get("/hang", timeout=0.3)


@pytest.mark.parametrize("isolated", [True, False])
@pytest.mark.parametrize("way", ["early", "nothing"])
def test_breach(way, isolated):
    TestClient(app, isolated=isolated).get(f"/{way}")


@pytest.mark.parametrize("isolated", [True, False])
def test_startup(isolated):
    with TestClient(app_with_database, isolated=isolated):
        pass


def test_startup_that_says_so():
    with TestClient(app_that_says_so, isolated=True):
        pass


def test_startup_behind_another_client():
    starlette = pytest.importorskip("starlette.testclient")
    with starlette.TestClient(isolate(app_with_database)):
        pass


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_exception(method):
    TestClient(app, isolated=True, start_method=method).get("/pay")


def test_result():
    TestClient(app, isolated=True).call(lambda: threading.Lock())


def test_result_of_a_function():
    TestClient(app, isolated=True).call(make_lock)


@pytest.mark.parametrize("where", ["without_settings:app", "no_such_shop:app", "shop:no_app"])
def test_import(where):
    TestClient(where, isolated=True).get("/")


def test_import_of_a_template():
    TestClient("without_settings:app", isolated=True, start_method="forkserver").get("/")


def test_unpicklable():
    TestClient(Unpicklable(), isolated=True, start_method="spawn").get("/")


def test_warning_of_a_thread():
    AppProcess.grace = 0.5
    client = TestClient(app, isolated=True)  # here
    with pytest.raises(AppProtocolError):
        client.get("/mail")


def test_warning_in_process():
    AppThread.grace = 0.5  # type: ignore[misc]
    client = TestClient(app_that_clings)  # and here
    with pytest.raises(AppTimeout):
        client.get("/", timeout=0.1)
