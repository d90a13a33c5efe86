"""Which containers are those of modules, whatever comes into modules and goes out of them."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from isoclient.mirror.module_values import ModuleValues


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Any:
    module: Any = ModuleType("shop_of_test_module_values")
    module.stock = {"tea": 1}
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def looked() -> ModuleValues:
    values = ModuleValues([str])
    values.look()
    return values


def test_a_container_of_a_module_and_one_of_nobody(shop: Any) -> None:
    values = looked()
    assert shop.stock in values
    assert sys.path in values
    assert {"tea": 1} not in values


def test_what_has_come_into_a_module_since(shop: Any) -> None:
    values = looked()
    shop.orders = []
    assert shop.orders not in values
    values.look()
    assert shop.orders in values


def test_a_module_that_has_come_since(monkeypatch: pytest.MonkeyPatch) -> None:
    values = looked()
    module: Any = ModuleType("cafe_of_test_module_values")
    module.menu = ["tea"]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    values.look()
    assert module.menu in values


def test_a_module_that_is_imported_anew(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    values = looked()
    monkeypatch.delitem(sys.modules, shop.__name__)
    again: Any = ModuleType(shop.__name__)
    again.stock = {"tea": 2}
    monkeypatch.setitem(sys.modules, shop.__name__, again)
    values.look()
    assert again.stock in values
    assert shop.stock not in values


def test_a_container_that_a_module_has_no_more(shop: Any) -> None:
    values, stock = looked(), shop.stock
    shop.stock = {}
    values.look()
    assert stock not in values


def test_a_container_that_another_module_has_still(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stock = shop.stock
    other: Any = ModuleType("another_of_test_module_values")
    other.stock = stock
    monkeypatch.setitem(sys.modules, other.__name__, other)
    values = looked()
    del other.stock
    assert stock in values
