"""Classes of tests, those of unittest too."""

from __future__ import annotations

import unittest
from typing import ClassVar

import pytest


class TestPlain:
    found: ClassVar[list[str]] = []

    @classmethod
    def setup_class(cls) -> None:
        print("class: up")

    @classmethod
    def teardown_class(cls) -> None:
        print("class: down")

    def setup_method(self) -> None:
        print("method: up")

    def test_one(self) -> None:
        self.found.append("one")

    def test_two(self, of_test: str) -> None:
        assert self.found == ["one", of_test]


class TestCases(unittest.TestCase):
    stock: ClassVar[list[str]]

    @classmethod
    def setUpClass(cls) -> None:
        cls.stock = ["pear"]

    @classmethod
    def tearDownClass(cls) -> None:
        print("case: down")

    def setUp(self) -> None:
        self.addCleanup(print, "cleaned up")

    def test_equal(self) -> None:
        self.assertEqual(self.stock, ["pear"])  # noqa: PT009

    def test_unequal(self) -> None:
        self.assertEqual(self.stock, ["apple"])  # noqa: PT009

    @unittest.skip("not now")
    def test_skipped(self) -> None: ...

    @unittest.expectedFailure
    def test_expected(self) -> None:
        self.fail("as expected")


class TestAwaiting(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        print("async: up")

    async def test_awaits(self) -> None:
        raise LookupError("awaited")


class TestNeverSetUp(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        raise LookupError("no class")

    def test_one(self) -> None: ...

    def test_two(self) -> None: ...


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_awaited(anyio_backend: str) -> None:
    assert anyio_backend == "asyncio"
