"""Every test gets a fresh copy of an app that keeps state everywhere, and none of it reaches the test's process."""

import logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterator

import pytest

from isoclient import TestClient


@pytest.fixture
def client() -> Iterator[TestClient]:
    # An import string, and not an object: the app's process is the only one that imports the module.
    with TestClient("leaky_app:app", isolated=True) as client:
        yield client


@pytest.mark.parametrize("item", ["tea", "coffee"])
def test_every_test_has_the_first_order(client: TestClient, item: str) -> None:
    assert client.post(f"/orders/{item}").json() == [item]


def test_within_a_test_the_state_stays(client: TestClient) -> None:
    client.post("/orders/tea")
    assert client.post("/orders/coffee").json() == ["tea", "coffee"]


def test_restart_gives_a_fresh_copy(client: TestClient) -> None:
    client.post("/orders/tea")
    client.restart()
    assert client.post("/orders/coffee").json() == ["coffee"]


def test_the_process_of_the_test_stays_clean(client: TestClient) -> None:
    directory, handler = os.getcwd(), signal.getsignal(signal.SIGTERM)

    assert client.get("/traces").json() == {
        "mode": "production",
        "directory": os.path.realpath(tempfile.gettempdir()),
        "ignores SIGTERM": True,
    }

    assert "leaky_app" not in sys.modules
    assert "SHOP_MODE" not in os.environ
    assert os.getcwd() == directory
    assert signal.getsignal(signal.SIGTERM) == handler
    assert logging.root.manager.disable == logging.NOTSET
