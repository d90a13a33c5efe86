"""What tests of apps do with pytest's means. Each must go as it goes in-process; some are there to fail."""

from __future__ import annotations

import logging
import traceback
import warnings
from pathlib import Path

import pytest
from shop import Ripe  # type: ignore[import-not-found]  # it is beside this file

from isoclient import TestClient


@pytest.fixture(params=["old_client", "client"])
def shop(request: pytest.FixtureRequest) -> TestClient:
    client: TestClient = request.getfixturevalue(request.param)
    return client


# -- logging


def test_records_at_the_levels_of_the_run(shop: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    shop.get("/sell")
    assert caplog.messages == ["2 left"]


def test_a_record_is_whole(shop: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        shop.get("/sell")
    (debug, info, warning) = caplog.records
    assert (debug.name, debug.levelname, debug.args) == ("shop.orders", "DEBUG", ("pears",))
    assert (info.msg, info.args, info.getMessage()) == (
        "%s sold to %s for %.2f",
        ("a pear", "you", 1.5),
        "a pear sold to you for 1.50",
    )
    assert (info.order, info.tags) == (7, ["fruit"])  # type: ignore[attr-defined]
    assert (Path(info.pathname).name, info.funcName, info.module) == ("shop.py", "sell", "shop")
    assert info.process == shop.pid
    assert warning.args == {"left": 2}
    assert debug.created <= info.created <= warning.created


def test_levels_change_under_a_running_app(shop: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="shop"):
        shop.get("/sell")
    shop.get("/sell")
    caplog.set_level("ERROR")
    shop.get("/sell")
    caplog.set_level("DEBUG", logger="shop.orders")
    shop.get("/sell")
    logging.disable(logging.WARNING)
    shop.get("/sell")
    logging.disable(logging.NOTSET)
    logging.getLogger("shop.orders").disabled = True
    logging.getLogger("shop.orders").setLevel("INFO")
    shop.get("/sell")
    logging.getLogger("shop.orders").disabled = False
    logging.getLogger("shop.orders").setLevel("DEBUG")
    shop.get("/sell")
    assert caplog.messages == ["x"]  # to see them all


def test_objects(shop: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    shop.get("/sell_objects")
    (record,) = caplog.records
    assert record.getMessage() == "sold Basket(3 pears) of {'kind': Basket(3 pears)}"
    assert repr(record.args) == "(Basket(3 pears), {'kind': Basket(3 pears)})"
    assert record.days == {1, 2}  # type: ignore[attr-defined]
    assert repr(record.basket) == "Basket(3 pears)"  # type: ignore[attr-defined]


def test_exceptions(shop: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    shop.get("/sell_nothing")
    (record,) = caplog.records
    assert record.exc_info is not None
    kind, error, place = record.exc_info
    assert kind is IndexError
    assert str(error) == "list index out of range"
    (frame,) = traceback.extract_tb(place)
    assert (frame.name, frame.line) == ("sell_nothing", "[][0]")
    pytest.fail("to see the section")


def test_stack_info(shop: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    shop.get("/explain")
    (record,) = caplog.records
    assert record.stack_info is not None
    assert record.stack_info.splitlines()[-2:] == [
        f'  File "{record.pathname}", line {record.lineno}, in explain',
        '    log.warning("how did we get here?", stack_info=True)',
    ]


def test_threads(shop: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    shop.get("/sell_in_threads")
    assert [record.threadName for record in caplog.records] == ["seller-0", "seller-1", "seller-2"]
    assert caplog.messages == []


def test_no_propagation(shop: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    shop.get("/audit")
    assert caplog.messages == ["to see where they are"]


def test_a_bad_record(shop: TestClient) -> None:
    with pytest.raises(TypeError, match="%d format"):
        shop.get("/log_badly")


# -- output


def test_output(shop: TestClient) -> None:
    print("before")
    shop.get("/chat")
    print("after")
    pytest.fail("to see the sections")


def test_output_and_records_in_turn(shop: TestClient) -> None:
    shop.get("/count")


def test_output_with_capfd(shop: TestClient, capfd: pytest.CaptureFixture[str]) -> None:
    shop.get("/chat")
    out, err = capfd.readouterr()
    assert out.splitlines() == ["to stdout", "to 1", "to stdout again, with \N{PEAR}"]
    assert err.splitlines() == ["to stderr", "to 2"]


def test_output_with_capsys(shop: TestClient, capsys: pytest.CaptureFixture[str]) -> None:
    shop.get("/say")
    assert capsys.readouterr() == ("to stdout\n", "to stderr\n")


# -- warnings


def test_warns(shop: TestClient) -> None:
    with pytest.warns(Ripe, match="a pear is ripe") as caught:
        shop.get("/ripen")
    (one,) = caught
    assert isinstance(one.message, Ripe)
    assert (one.message.days, Path(one.filename).name, one.category) == (3, "shop.py", Ripe)


def test_recwarn(shop: TestClient, recwarn: pytest.WarningsRecorder) -> None:
    shop.get("/deprecate")
    shop.get("/ripen")
    assert [warning.category for warning in recwarn] == [DeprecationWarning, DeprecationWarning, Ripe]


def test_the_summary(shop: TestClient) -> None:
    shop.get("/ripen")
    shop.get("/ripen")
    shop.get("/deprecate")


@pytest.mark.filterwarnings("error")
def test_errors(shop: TestClient) -> None:
    with pytest.raises(Ripe, match="a pear is ripe"):
        shop.get("/ripen")


@pytest.mark.filterwarnings("error::shop.Ripe")
def test_errors_of_one_kind(shop: TestClient) -> None:
    shop.get("/deprecate")
    with pytest.raises(Ripe):
        shop.get("/ripen")


@pytest.mark.filterwarnings("ignore:.*ripe")
def test_ignored(shop: TestClient, recwarn: pytest.WarningsRecorder) -> None:
    shop.get("/ripen")


def test_exceptions_that_nobody_handles(shop: TestClient) -> None:
    shop.get("/fail_in_a_thread")
    shop.get("/rot")


@pytest.mark.filterwarnings("error")
def test_the_same_as_errors(shop: TestClient) -> None:
    shop.get("/fail_in_a_thread")


@pytest.mark.filterwarnings("once::DeprecationWarning")
def test_once(shop: TestClient) -> None:
    shop.get("/deprecate")
    shop.get("/deprecate")


def test_filters_change_within_a_test(shop: TestClient, recwarn: pytest.WarningsRecorder) -> None:
    warnings.simplefilter("default")
    shop.get("/deprecate")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DeprecationWarning):
            shop.get("/deprecate")
    shop.get("/deprecate")


def test_the_app_catches_its_own(shop: TestClient, recwarn: pytest.WarningsRecorder) -> None:
    shop.get("/warn_in_secret")
    pytest.fail("to see what it caught")
