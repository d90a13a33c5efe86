"""Functions and their fixtures, and all that may become of them."""

from __future__ import annotations

import gc
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

seen: list[str] = []


def setup_module() -> None:
    print("this module: up")


def teardown_module() -> None:
    print("this module: down")


@pytest.fixture
def fails() -> None:
    print("about to fail")
    raise LookupError("no such fixture value")


@pytest.fixture
def fails_at_the_end() -> Iterator[None]:
    yield
    logging.getLogger("shop").warning("closing")
    raise LookupError("it can't be torn down")


class Odd:
    def __repr__(self) -> str:
        return "<odd>"


def test_passes() -> None:
    seen.append("passes")


def test_remembers() -> None:
    assert seen == ["passes"]


def test_fails() -> None:
    price, parts = 4, {"pear": [1, 2, 3], "apple": Odd()}
    print("to stdout")
    print("to stderr", file=sys.stderr)
    logging.getLogger("shop").error("no %s left", "pears")
    assert parts == {"pear": [1, 2, 4]}, price


def test_raises_a_chain() -> None:
    try:
        raise KeyError("first")
    except KeyError as error:
        raise ValueError("second\nof two lines") from error


def test_raises_a_group() -> None:
    raise ExceptionGroup("several", [ValueError("one"), TypeError("two")])


def test_fails_without_a_traceback() -> None:
    pytest.fail("as it says", pytrace=False)


def test_leaves() -> None:
    raise SystemExit(3)


@pytest.mark.usefixtures("fails")
def test_is_not_set_up() -> None: ...


@pytest.mark.usefixtures("fails_at_the_end")
def test_is_not_torn_down() -> None: ...


@pytest.mark.usefixtures("fails_at_the_end")
def test_fails_twice() -> None:
    assert not "once"


@pytest.mark.usefixtures("nowhere")
def test_asks_for_too_much() -> None: ...


@pytest.mark.skip(reason="not now")
def test_skipped() -> None: ...


def test_skips() -> None:
    pytest.skip("after all")


@pytest.mark.xfail(reason="known")
def test_fails_as_known() -> None:
    raise LookupError


@pytest.mark.xfail(reason="known", strict=True)
def test_passes_unlike_known() -> None: ...


@pytest.mark.xfail(reason="known")
def test_passes_perhaps() -> None: ...


@pytest.mark.xfail(run=False)
def test_does_not_run() -> None: ...


def test_says_that_it_fails() -> None:
    pytest.xfail("by itself")


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("text", ["a", "b::c", "ü[x]"])
def test_parametrized(n: int, text: str) -> None:
    assert (n, text) != (2, "ü[x]")


def test_fixtures(of_test: str, of_module: str) -> None:
    assert of_module == "red"


def test_fixtures_again(of_module: str) -> None:
    print("with", of_module)


def test_warns() -> None:
    warnings.warn("ripe", stacklevel=1)
    warnings.warn(DeprecationWarning("old"), stacklevel=1)
    warnings.warn("ripe", stacklevel=1)


def test_leaves_a_file_open(tmp_path: Path) -> None:
    def leave() -> None:
        file = (tmp_path / "open").open("w")
        file.write("x")

    leave()
    gc.collect()


def test_raises_in_a_thread() -> None:
    def fail() -> None:
        raise LookupError("in a thread")

    thread = threading.Thread(target=fail, name="failing")
    thread.start()
    thread.join()


def test_captures(capsys: Any, capfd: None) -> None:
    raise AssertionError


def test_captured(capfd: pytest.CaptureFixture[str]) -> None:
    print("before")
    print("err", file=sys.stderr)
    assert capfd.readouterr() == ("before\n", "err\n")
    print("after")
    assert not seen


def test_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        logging.info("told")
    assert caplog.messages == ["told"]
    assert not caplog.messages


def test_directories(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert tmp_path.parent == tmp_path_factory.getbasetemp()
    (tmp_path / "found").touch()


def test_cache(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.cache is not None
    pytestconfig.cache.set("kinds/value", 7)
    assert pytestconfig.cache.get("kinds/value", 0) == 7


def test_properties(record_property: Any, record_testsuite_property: Any) -> None:
    record_property("color", "red")
    record_property("odd", Odd())
    record_testsuite_property("place", "market")


def test_attributes(record_xml_attribute: Any) -> None:
    record_xml_attribute("assertions", "12")


def test_failures_so_far(request: pytest.FixtureRequest) -> None:
    before = request.session.testsfailed
    assert before > 2


if hasattr(pytest, "Subtests"):

    def test_parts(subtests: Any) -> None:
        for n in range(4):
            with subtests.test("part", n=n):
                print("part", n)
                assert n % 2 == 0

    def test_good_parts(subtests: Any) -> None:
        with subtests.test(msg="good"):
            pass
