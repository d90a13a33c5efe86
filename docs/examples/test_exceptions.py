"""The app's own exception reaches the test: the class, the attributes, the cause and the traceback."""

import traceback

import pytest
from fastapi import FastAPI

from isoclient import TestClient

app = FastAPI()
stock = {"tea": 3}


class OutOfStock(Exception):
    def __init__(self, item: str, *, wanted: int) -> None:
        super().__init__(f"not enough {item}")
        self.item = item
        self.wanted = wanted


def take(item: str, wanted: int) -> int:
    try:
        left = stock[item] - wanted
    except KeyError as error:
        raise OutOfStock(item, wanted=wanted) from error
    stock[item] = left
    return left


@app.post("/take/{item}")
async def take_one(item: str) -> int:
    return take(item, 1)


def test_the_exception_is_the_one_that_the_app_raised() -> None:
    client = TestClient(app, isolated=True)
    with pytest.raises(OutOfStock, match="not enough coffee") as raised:
        client.post("/take/coffee")

    assert (raised.value.item, raised.value.wanted) == ("coffee", 1)
    assert isinstance(raised.value.__cause__, KeyError)


def test_its_traceback_goes_through_the_app() -> None:
    client = TestClient(app, isolated=True)
    with pytest.raises(OutOfStock) as raised:
        client.post("/take/coffee")

    last = traceback.extract_tb(raised.tb)[-1]
    assert (last.filename, last.name) == (__file__, "take")
    assert last.line == "raise OutOfStock(item, wanted=wanted) from error"


def test_or_the_response_that_a_server_would_give() -> None:
    client = TestClient(app, isolated=True, raise_server_exceptions=False)
    response = client.post("/take/coffee")
    assert (response.status_code, response.text) == (500, "Internal Server Error")


def test_an_error_takes_nothing_else_along() -> None:
    client = TestClient(app, isolated=True)
    with pytest.raises(OutOfStock):
        client.post("/take/coffee")
    assert client.post("/take/tea").json() == 2
    assert stock == {"tea": 3}  # of this process; the app's is elsewhere
