"""All is as isoclient knows it, in the versions that the tests run with; and where it is not, one feature is off."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from inspect import unwrap
from typing import Any

import pytest

import isoclient.compat
from isoclient.compat.self_tests import self_test

MODULES = [module.name for module in pkgutil.iter_modules(isoclient.compat.__path__)]
NEEDED = {
    "anyio_": "anyio",
    "trio_": "trio",
    "multiprocessing_": "multiprocess.forkserver",
    "pytest_": "_pytest.debugging",
    "starlette_": "starlette.datastructures",
    "freezegun_": "freezegun",
    "time_machine_": "time_machine",
}
NEEDED |= {"python_pools": "concurrent.futures.process"}


def self_tests_of(module: object) -> Iterator[Callable[[], bool]]:
    """Whatever :func:`self_test` has made there."""
    code = unwrap(self_test("This", project="Python")(int)).__code__
    for value in vars(module).values():
        for candidate in value if isinstance(value, tuple) else (value,):
            found: Any = getattr(candidate, "is_known", candidate)
            if callable(found) and getattr(unwrap(found), "__code__", None) is code:
                yield found


@pytest.mark.parametrize("name", MODULES)
def test_all_is_as_it_was(name: str) -> None:
    if name in NEEDED:
        importlib.import_module(NEEDED[name])
        importlib.import_module("concurrent.futures.thread")
        importlib.import_module("multiprocessing.forkserver")
    module = importlib.import_module(f"isoclient.compat.{name}")
    for is_as_it_was in self_tests_of(module):
        assert is_as_it_was(), is_as_it_was


def test_the_self_tests_are_found() -> None:
    found = [check for name in MODULES for check in self_tests_of(importlib.import_module(f"isoclient.compat.{name}"))]
    assert len(found) >= 15


PROGRAM = """
import logging, sys
from fractions import Fraction
logging.basicConfig(format="%(name)s %(levelname)s %(message)s", stream=sys.stdout)
{0}
import isoclient

async def app(scope, receive, send):
    if scope["path"] == "/raise":
        error = LookupError("the app's own")
        error.half = Fraction(1, 2)
        raise error
    await send({{"type": "http.response.start", "status": 200}})
    await send({{"type": "http.response.body", "body": b"answered"}})

for _ in range(2):
    with isoclient.TestClient(app, isolated=True, timeout=30, lifespan="off") as client:
        assert client.get("/").text == "answered"
        assert client.call(lambda: 4) == 4
        try:
            client.get("/raise")
        except LookupError as error:
            assert "the app's own" in str(error)
"""


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("import atexit; del atexit._clear", "That a fork of the test's process runs none of its exit handlers is off"),
        ("import atexit; del atexit._run_exitfuncs", "That the app's exit handlers run when its process ends is off"),
        (
            "import multiprocess.process as it; del it._ParentProcess",
            "The use of multiprocess in an app that is a fork",
        ),
        ("import trio; del sys.modules['trio._core._run']", "The use of trio in an app that is a fork"),
        ("import anyio._core._eventloop as it; del it.threadlocals", "The use of anyio in an app that is a fork"),
        ("import concurrent.futures.thread as it; it._threads_queues = {}", "The use of the test's ThreadPoolExecutor"),
        ("import dill._dill as it; it._create_type = None", "Finding the app's own class or function for one that"),
        (
            "import requests\n"
            "def init(self, init=requests.Response.__init__):\n"
            "    init(self)\n"
            "    self._content_consumed = None\n"
            "requests.Response.__init__ = init",
            "Preparing requests and reading responses faster than requests does",
        ),
        ("import pickle; del pickle._Unpickler", "Reading what the app sends of classes of its own"),
    ],
)
def test_a_feature_is_off_and_the_rest_works(change: str, told: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(change)], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.stderr, done.returncode) == ("", 0)
    warnings = [line for line in done.stdout.splitlines() if line.startswith("isoclient WARNING ")]
    assert warnings, done.stdout
    assert all(told in line for line in warnings), done.stdout
